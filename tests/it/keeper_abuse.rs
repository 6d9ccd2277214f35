//! Garbage, crashes at any moment, and long lives.

use std::io::Write;
use std::time::Duration;

use osier::names::InstanceId;
use osier::runtime::keeper::protocol::{Message, Refusal, Request, Role};

use crate::keeper_rig::{Caller, Rig, environment_of, kill, open_files, status_kib, wait_until};

#[tokio::test]
async fn garbage_closes_its_own_connection_and_no_other() {
    let rig = Rig::start().await;
    let mut random = fastrand::Rng::with_seed(7);
    let mut cases: Vec<Vec<u8>> = vec![
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0xff; 64],
        vec![0, 0, 0, 4, 0xc1, 0xc1, 0xc1, 0xc1],
        [[0, 0, 0, 200].as_slice(), &[0x91; 200]].concat(),
        vec![0, 0, 0, 0],
    ];
    cases.extend((0..50).map(|_| (0..random.usize(8..400)).map(|_| random.u8(..)).collect()));
    for garbage in cases {
        let mut caller = Caller::connect(&rig.data_dir).unwrap();
        let _ = caller.socket.write_all(&garbage);
        // A length that is allowed and never comes keeps the connection open until its caller leaves.
        caller.socket.shutdown(std::net::Shutdown::Write).unwrap();
        caller.read_to_end();
    }
    let spawned = rig.script("web", "exit 0").await;
    rig.exit(&spawned).await;
}

#[tokio::test]
async fn nothing_is_done_before_hello_and_for_unknown_versions() {
    let rig = Rig::start().await;
    let mut caller = Caller::connect(&rig.data_dir).unwrap();
    caller.send(Request::Shutdown { stop_apps: true });
    let refused = |message: Option<Message>| match message {
        Some(Message::Reply {
            result: Err(refusal), ..
        }) => refusal,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(caller.receive()), Refusal::NoHello);
    let role = Role::Observer;
    caller.send(Request::Hello { version: 0, role });
    assert!(matches!(
        refused(caller.receive()),
        Refusal::Version { asked: 0, .. }
    ));
    // One from the future speaks what this one knows.
    caller.send(Request::Hello { version: 99, role });
    assert!(matches!(
        caller.receive(),
        Some(Message::Reply { result: Ok(_), .. })
    ));
    caller.send(Request::Signal {
        instance: InstanceId::random(),
        signal: 999,
    });
    assert_eq!(refused(caller.receive()), Refusal::NoSuchSignal { signal: 999 });
    assert!(rig.link.list().await.is_ok());
}

#[tokio::test]
async fn a_caller_that_reads_nothing_harms_nobody() {
    let rig = Rig::start().await;
    let mut deaf = Caller::connect(&rig.data_dir).unwrap();
    deaf.say_hello();
    deaf.socket.set_nonblocking(true).unwrap();
    for _ in 0..20_000 {
        deaf.send(Request::List);
    }
    let spawned = rig.script("web", "exit 0").await;
    rig.exit(&spawned).await;
    assert!(status_kib(rig.hello.pid, "RssAnon") < 16 * 1024);
}

/// A small call with a large answer, thousands of times in one write.
#[tokio::test]
async fn answers_that_are_not_taken_hold_up_the_calls_behind_them() {
    const EXITS: usize = 30;
    const CALLS: usize = 5_000;
    let rig = Rig::start().await;
    for number in 0..EXITS {
        rig.run(&format!("app{number}"), &["true"]).await;
    }
    while rig.link.list().await.unwrap().exits.len() < EXITS {}
    let before_kib = status_kib(rig.hello.pid, "VmHWM");
    let mut slow = Caller::connect(&rig.data_dir).unwrap();
    slow.say_hello();
    slow.send_together(std::iter::repeat_n(Request::List, CALLS));
    // Others are served meanwhile.
    let spawned = rig.script("web", "exit 0").await;
    rig.exit(&spawned).await;
    let grown_kib = status_kib(rig.hello.pid, "VmHWM") - before_kib;
    assert!(grown_kib < 8 * 1024, "{grown_kib} KiB");
    for _ in 0..CALLS {
        assert!(slow.receive().is_some());
    }
}

#[tokio::test]
async fn the_keeper_has_nothing_of_the_daemons() {
    let rig = Rig::start().await;
    assert_eq!(environment_of(rig.hello.pid.cast_signed()), Vec::<String>::new());
    let cwd = std::fs::read_link(format!("/proc/{}/cwd", rig.hello.pid)).unwrap();
    assert_eq!(cwd.to_str(), Some("/"));
    let status = std::fs::read_to_string(format!("/proc/{}/status", rig.hello.pid)).unwrap();
    assert!(status.contains("Threads:\t1\n"), "{status}");
    let socket = std::fs::metadata(rig.data_dir.join("keeper.sock")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&socket.permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn two_hundred_restarts_leave_no_descriptor_no_zombie_and_no_memory() {
    let rig = Rig::start().await;
    let restart = async |rig: &Rig| {
        let spawned = rig.script("web", "echo up; sleep 0 & exit 1").await;
        rig.exit(&spawned).await;
    };
    for _ in 0..20 {
        restart(&rig).await;
    }
    let (files, kib) = (open_files(rig.hello.pid), status_kib(rig.hello.pid, "RssAnon"));
    for _ in 0..200 {
        restart(&rig).await;
    }
    assert_eq!(open_files(rig.hello.pid), files);
    let now_kib = status_kib(rig.hello.pid, "RssAnon");
    assert!(now_kib < kib + 1024, "{kib} KiB became {now_kib} KiB");
    assert!(
        std::fs::metadata(rig.data_dir.join("keeper.records"))
            .unwrap()
            .len()
            < 2 * 1024 * 1024
    );
    let keeper = rig.hello.pid.cast_signed();
    let children = || {
        let all = osier::runtime::keeper::proc::all_processes();
        all.iter().filter(|process| process.parent == keeper).count()
    };
    wait_until("no zombie", || children() == 0).await;
}

#[tokio::test]
async fn three_hundred_apps_at_once() {
    let rig = Rig::start().await;
    let spawns = (0..300).map(|n| {
        rig.link
            .spawn(rig.spawn_of(&format!("app{n}"), &["sleep", "1000"]))
    });
    let spawned = futures::future::join_all(spawns).await;
    assert!(
        spawned.iter().all(Result::is_ok),
        "{:?}",
        spawned.iter().find(|spawned| spawned.is_err())
    );
    assert_eq!(rig.marked().len(), 300);
    assert_eq!(rig.link.list().await.unwrap().running.len(), 300);
    let kib = status_kib(rig.hello.pid, "RssAnon");
    assert!(kib < 5 * 1024, "{kib} KiB");
    let stop_apps = true;
    rig.link.call(Request::Shutdown { stop_apps }).await.unwrap();
    wait_until("all are gone", || rig.marked().is_empty()).await;
}

/// The keeper is killed at forty random moments while apps start and end. Each time: whatever runs is known to the next
/// keeper, and no app runs twice.
#[tokio::test]
async fn a_keeper_killed_at_any_moment_leaves_nothing_unknown_and_nothing_twice() {
    let mut rig = Rig::start().await;
    let mut random = fastrand::Rng::new();
    println!("seed {}", random.get_seed());
    for round in 0..40 {
        let spawns = (0..6).map(|n| {
            let spawn = rig.spawn_of(&format!("app{n}"), &["sleep", "1000"]);
            let link = rig.link.clone();
            tokio::spawn(async move { (spawn.instance.clone(), link.spawn(spawn).await) })
        });
        let spawns: Vec<_> = spawns.collect();
        tokio::time::sleep(Duration::from_micros(random.u64(0..4_000))).await;
        rig.kill_keeper().await;
        let spawned = futures::future::join_all(spawns).await;
        let list = rig.link.list().await.unwrap();
        let mut known: Vec<i32> = list.running.iter().map(|run| run.pid.cast_signed()).collect();
        known.sort_unstable();
        let mut marked = rig.marked();
        marked.sort_unstable();
        assert_eq!(marked, known, "round {round}");
        let mut apps: Vec<_> = list.running.iter().map(|run| run.app.clone()).collect();
        apps.sort();
        apps.dedup();
        assert_eq!(apps.len(), list.running.len(), "round {round}");
        for spawned in spawned {
            // Each start has an answer: it runs, or its end is known, or it was refused.
            let (instance, result) = spawned.unwrap();
            let is_known = list.running.iter().any(|run| run.instance == instance)
                || list.exits.iter().any(|exit| exit.instance == instance);
            assert!(is_known || result.is_err(), "round {round}: {result:?}");
        }
        for run in list.running {
            rig.kill_app(&run.instance).await;
            rig.link.exit_of(&run.app, &run.instance).await;
        }
        for exit in list.exits {
            rig.link.take_exit(&exit.instance);
        }
    }
}

#[tokio::test]
async fn daemon_and_keeper_killed_together_are_both_replaced() {
    let mut rig = Rig::start().await;
    let web = rig.run("web", &["sleep", "1000"]).await;
    kill(rig.hello.pid, libc::SIGKILL);
    rig.restart_daemon().await;
    let list = rig.link.list().await.unwrap();
    assert_eq!(
        list.running.iter().map(|run| run.pid).collect::<Vec<_>>(),
        [web.pid]
    );
}

#[tokio::test]
async fn a_data_directory_with_a_very_long_path_works() {
    let folder = tempfile::tempdir().unwrap();
    let long = folder
        .path()
        .canonicalize()
        .unwrap()
        .join("x".repeat(100))
        .join("y".repeat(100));
    std::fs::create_dir_all(&long).unwrap();
    let mut rig = Rig::start_in(long, false).await;
    let web = rig.run("web", &["sleep", "1000"]).await;
    rig.kill_keeper().await;
    assert_eq!(rig.link.list().await.unwrap().running[0].pid, web.pid);
}

#[tokio::test]
async fn a_second_keeper_leaves() {
    let rig = Rig::start().await;
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_osier"));
    command.args(["keeper", "--data-dir"]).arg(&rig.data_dir);
    let ended = tokio::time::timeout(crate::keeper_rig::PATIENCE, command.status()).await;
    assert!(ended.expect("it ends").unwrap().success());
    assert!(rig.link.list().await.is_ok());
}
