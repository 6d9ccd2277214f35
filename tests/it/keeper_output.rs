//! What apps write, however much and whatever it is.

use std::fs;
use std::time::{Duration, Instant};

use osier::runtime::keeper::link::LinkEvent;
use osier::runtime::keeper::protocol::LogLimits;
use osier::runtime::logs::{AppLog, LogQuery};

use crate::keeper_rig::{PATIENCE, Rig, app, status_kib, wait_until};

fn bytes_in(folder: &std::path::Path) -> u64 {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files
        .map(|file| file.metadata().map_or(0, |file| file.len()))
        .sum()
}

#[tokio::test]
async fn a_flood_is_dropped_and_told_and_starves_nobody() {
    let mut rig = Rig::start().await;
    let before_kib = status_kib(rig.hello.pid, "RssAnon");
    let logs = LogLimits {
        file_bytes_max: 1024 * 1024,
        files_max: 3,
    };
    let mut flood = rig.spawn_of("flood", &["yes", &"x".repeat(200)]);
    flood.logs = logs;
    let flood = rig.link.spawn(flood).await.unwrap();
    let good = rig
        .script("good", "n=0; while :; do n=$((n+1)); echo $n; sleep 0.01; done")
        .await;
    let told = async {
        loop {
            match rig.events.recv().await.expect("the link lives") {
                LinkEvent::OutputDropped { app, output } if output.dropped_bytes_count > 64 * 1024 * 1024 => {
                    return app;
                }
                _ => {}
            }
        }
    };
    assert_eq!(
        tokio::time::timeout(PATIENCE, told)
            .await
            .expect("drops are told")
            .as_str(),
        "flood"
    );
    let lines = rig.texts("good").len();
    let begun = Instant::now();
    wait_until("the good one goes on", || rig.texts("good").len() > lines + 20).await;
    rig.link.list().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert!(bytes_in(&rig.app_dir("flood").join("logs")) <= 3 * 1024 * 1024);
    let after_kib = status_kib(rig.hello.pid, "RssAnon");
    assert!(
        after_kib < before_kib + 2 * 1024,
        "{before_kib} KiB became {after_kib} KiB"
    );
    rig.stop(&flood, Duration::from_secs(2)).await;
    rig.stop(&good, Duration::from_secs(2)).await;
    let said = rig.texts("good");
    let expected: Vec<String> = (1..=said.len()).map(|n| n.to_string()).collect();
    assert_eq!(said, expected);
}

#[tokio::test]
async fn output_without_newlines_with_nuls_and_escapes_arrives_whole() {
    let rig = Rig::start().await;
    let script = "head -c 5000000 /dev/zero; printf '\\n\\033]0;title\\007 \\377\\376 end\\n'";
    let spawned = rig.script("odd", script).await;
    rig.exit(&spawned).await;
    let log = AppLog::new(&rig.data_dir, &app("odd"));
    let lines: Vec<_> = log
        .read(&LogQuery::default())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let (last, zeros) = lines.split_last().unwrap();
    assert_eq!(last.shown(), "\\u{1b}]0;title\\u{7} \\xff\\xfe end");
    let zeros_count: usize = zeros.iter().map(|line| line.text.len()).sum();
    assert_eq!(zeros_count, 5_000_000);
    assert!(zeros.iter().all(|line| line.text.len() <= 16 * 1024));
}

#[tokio::test]
async fn an_app_that_closes_its_output_goes_on() {
    let rig = Rig::start().await;
    let spawned = rig
        .script("web", "echo before; exec >&- 2>&-; echo lost; sleep 0.05; exit 3")
        .await;
    let exit = rig.exit(&spawned).await;
    assert_eq!(rig.texts("web"), ["before"]);
    assert!(
        matches!(exit.how, osier::runtime::keeper::protocol::ExitHow::Code(3)),
        "{exit:?}"
    );
}

#[tokio::test]
async fn an_app_can_open_its_output_by_name() {
    let rig = Rig::start().await;
    let spawned = rig
        .script(
            "web",
            "echo one > /dev/stdout; echo two > /dev/stderr; echo three >&2",
        )
        .await;
    rig.exit(&spawned).await;
    assert_eq!(rig.texts("web"), ["one", "two", "three"]);
}

#[tokio::test]
async fn the_last_words_are_in_the_log_when_the_exit_is_told() {
    let rig = Rig::start().await;
    for round in 0..20 {
        let spawned = rig
            .script("web", &format!("echo last words {round}; exit 1"))
            .await;
        rig.exit(&spawned).await;
        let last = rig.texts("web").pop();
        assert_eq!(last, Some(format!("last words {round}")));
    }
}
