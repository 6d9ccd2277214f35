//! What lives on when the daemon, the keeper or both are killed.

use std::time::Duration;

use osier::runtime::keeper::protocol::ExitHow;

use crate::keeper_rig::{Rig, is_alive, kill, wait_until};

#[tokio::test]
async fn apps_and_keeper_outlive_the_daemon() {
    let mut rig = Rig::start().await;
    let (web, db) = (
        rig.run("web", &["sleep", "1000"]).await,
        rig.run("db", &["sleep", "1000"]).await,
    );
    let keeper = rig.hello.pid;
    rig.restart_daemon().await;
    assert_eq!(rig.hello.pid, keeper);
    let list = rig.link.list().await.unwrap();
    let mut pids: Vec<u32> = list.running.iter().map(|run| run.pid).collect();
    pids.sort_unstable();
    let mut before = [web.pid, db.pid];
    before.sort_unstable();
    assert_eq!(pids, before);
    assert!(
        list.running
            .iter()
            .all(|run| !run.adopted && run.label == "label")
    );
}

#[tokio::test]
async fn an_exit_without_a_daemon_is_told_to_the_next_one() {
    let mut rig = Rig::start().await;
    let web = rig
        .script("web", "while [ ! -e go ]; do sleep 0.02; done; exit 5")
        .await;
    rig.restart_daemon().await;
    std::fs::write(rig.app_dir("web").join("data/go"), "").unwrap();
    let early = rig.script("db", "exit 6").await;
    wait_until("both have ended", || rig.marked().is_empty()).await;
    rig.restart_daemon().await;
    assert_eq!(rig.exit(&early).await.how, ExitHow::Code(6));
    let exit = rig.exit(&web).await;
    assert_eq!(exit.how, ExitHow::Code(5));
    // Taken is taken.
    let list = rig.link.list().await.unwrap();
    assert_eq!(list.exits, []);
}

#[tokio::test]
async fn apps_outlive_the_keeper_and_are_adopted_by_the_next() {
    let mut rig = Rig::start().await;
    let web = rig
        .script(
            "web",
            "trap 'exit 3' TERM; n=0; while :; do n=$((n+1)); echo $n; sleep 0.01; done",
        )
        .await;
    wait_until("it talks", || rig.texts("web").len() > 5).await;
    let first_keeper = rig.hello.pid;
    rig.kill_keeper().await;
    assert_ne!(rig.hello.pid, first_keeper);
    assert_eq!(rig.hello.adopted_count, 1);
    let list = rig.link.list().await.unwrap();
    assert_eq!(list.running.len(), 1);
    assert_eq!((list.running[0].pid, list.running[0].adopted), (web.pid, true));
    assert!(is_alive(web.pid));
    let lines = rig.texts("web").len();
    wait_until("it still talks", || rig.texts("web").len() > lines + 5).await;
    let said = rig.texts("web");
    let expected: Vec<String> = (1..=said.len()).map(|n| n.to_string()).collect();
    assert_eq!(said, expected, "nothing was lost between two keepers");
    let exit = rig.stop(&web, Duration::from_secs(5)).await;
    assert_eq!(
        (exit.how, exit.asked, exit.killed),
        (ExitHow::Unknown, true, false)
    );
    assert!(!is_alive(web.pid));
}

#[tokio::test]
async fn an_app_that_ends_while_there_is_no_keeper_has_ended_in_an_unknown_way() {
    let mut rig = Rig::start().await;
    let web = rig.script("web", "setsid sleep 999 & sleep 1000").await;
    wait_until("the tree is grown", || rig.marked().len() == 3).await;
    let keeper = rig.hello.pid;
    // The link must not be quicker than the test: both die in one go.
    kill(keeper, libc::SIGSTOP);
    kill(web.pid, libc::SIGKILL);
    rig.kill_keeper().await;
    let exit = rig.exit(&web).await;
    assert_eq!(exit.how, ExitHow::Unknown);
    wait_until("what it left is gone", || rig.marked().is_empty()).await;
}

#[tokio::test]
async fn a_tied_keeper_ends_with_its_daemon_and_takes_its_apps_along() {
    let rig = Rig::start_as(true).await;
    let web = rig
        .script(
            "web",
            "trap '' TERM; setsid sleep 999 & while :; do sleep 0.1; done",
        )
        .await;
    let db = rig.run("db", &["sleep", "1000"]).await;
    wait_until("the tree is grown", || rig.marked().len() >= 4).await;
    let pids = [web.pid, db.pid, rig.hello.pid];
    let rig = rig.without_daemon();
    wait_until("all of them are gone", || pids.iter().all(|pid| !is_alive(*pid))).await;
    assert_eq!(rig.marked(), Vec::<i32>::new());
}

#[tokio::test]
async fn a_keeper_with_nothing_left_to_keep_leaves() {
    let rig = Rig::start().await;
    let keeper = rig.hello.pid;
    let web = rig.run("web", &["true"]).await;
    rig.exit(&web).await;
    // Ten seconds, well within the patience.
    let _rig = rig.without_daemon();
    wait_until("it has left", || !is_alive(keeper)).await;
}
