//! The life of an app under a keeper: start, output, end.

use std::time::{Duration, Instant};

use osier::runtime::keeper::link::KeeperError;
use osier::runtime::keeper::protocol::{ExitHow, LABEL_BYTES_MAX, SpawnFault, SpawnStep};

use crate::keeper_rig::{Rig, TERM, environment_of, is_alive, open_files, status_kib, wait_until};

#[tokio::test]
async fn an_app_runs_says_something_and_its_exit_is_told() {
    let rig = Rig::start().await;
    let spawned = rig.script("web", "echo hello; echo oops >&2; exit 7").await;
    let exit = rig.exit(&spawned).await;
    assert_eq!(
        (exit.how, exit.asked, exit.killed, exit.oom),
        (ExitHow::Code(7), false, false, false)
    );
    assert_eq!((exit.pid, exit.label.as_str()), (spawned.pid, "label"));
    assert_eq!(rig.texts("web"), ["hello", "oops"]);
    let marked = rig.log("web");
    assert!(
        marked
            .lines()
            .all(|line| line.contains(&format!(" {} | ", &spawned.instance.as_str()[..8]))),
        "{marked}"
    );
}

#[tokio::test]
async fn a_signal_is_told_as_a_signal() {
    let rig = Rig::start().await;
    let spawned = rig.script("web", "kill -USR1 $$").await;
    assert_eq!(rig.exit(&spawned).await.how, ExitHow::Signal(libc::SIGUSR1));
}

#[tokio::test]
async fn an_app_sees_its_own_environment_and_three_descriptors_and_nothing_else() {
    let rig = Rig::start().await;
    let mut spawn = rig.spawn_of("web", &["sleep", "1000"]);
    spawn.environment.push(("GREETING".into(), "a=b c".into()));
    let expected: Vec<String> = spawn
        .environment
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let spawned = rig.link.spawn(spawn).await.unwrap();
    assert_eq!(environment_of(spawned.pid.cast_signed()), expected);
    // The dynamic loader opens and closes libraries of its own at first.
    wait_until("three descriptors", || open_files(spawned.pid) == 3).await;
    let link = |name: &str| std::fs::read_link(format!("/proc/{}/{name}", spawned.pid)).unwrap();
    assert_eq!(link("fd/0").to_str(), Some("/dev/null"));
    assert_eq!(
        (link("fd/1"), link("fd/2")),
        (
            rig.app_dir("web").join("output"),
            rig.app_dir("web").join("output")
        )
    );
    assert_eq!(link("cwd"), rig.app_dir("web").join("data"));
    let status = std::fs::read_to_string(format!("/proc/{}/status", spawned.pid)).unwrap();
    for clean in [
        "SigBlk:\t0000000000000000",
        "SigIgn:\t0000000000000000",
        "Umask:\t0022",
    ] {
        assert!(status.contains(clean), "{status}");
    }
    let session = rustix::process::getsid(rustix::process::Pid::from_raw(spawned.pid.cast_signed())).unwrap();
    assert_eq!(session.as_raw_nonzero().get(), spawned.pid.cast_signed());
}

#[tokio::test]
async fn what_cannot_be_run_is_told_at_once_with_errno_and_path() {
    let rig = Rig::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8], mode: u32| {
        use std::os::unix::fs::PermissionsExt;
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let cases = [
        ("/nowhere/at/all".to_owned(), libc::ENOENT),
        ("no-such-program-on-the-path".to_owned(), libc::ENOENT),
        (file("plain", b"text", 0o644), libc::EACCES),
        (file("alien", b"\x7fELFnonsense", 0o755), libc::ENOEXEC),
        (file("text", b"no interpreter line", 0o755), libc::ENOEXEC),
        (folder.path().to_str().unwrap().to_owned(), libc::EACCES),
    ];
    for (program, errno) in cases {
        let begun = Instant::now();
        eprintln!("{program}");
        let expected = SpawnFault::System {
            step: SpawnStep::Exec,
            path: program.clone(),
            errno,
        };
        assert_eq!(
            rig.fails(rig.spawn_of("web", &[&program])).await,
            KeeperError::NotSpawned(expected)
        );
        assert!(begun.elapsed() < Duration::from_secs(1));
    }
    let mut spawn = rig.spawn_of("web", &["true"]);
    spawn.working_dir = "not/there".into();
    let KeeperError::NotSpawned(SpawnFault::System { step, path, errno }) = rig.fails(spawn).await else {
        panic!("not a system fault");
    };
    assert_eq!((step, errno), (SpawnStep::WorkingDir, libc::ENOENT));
    assert!(path.ends_with("web/data/not/there"), "{path}");
    // Nothing of it is left, and the app can start.
    assert_eq!(rig.marked(), Vec::<i32>::new());
    let spawned = rig.run("web", &["true"]).await;
    assert_eq!(rig.exit(&spawned).await.how, ExitHow::Code(0));
}

#[tokio::test]
async fn malformed_starts_are_refused() {
    let rig = Rig::start().await;
    let mut nul = rig.spawn_of("web", &["true"]);
    nul.environment.push(("A".into(), "x\0y".into()));
    let mut labelled = rig.spawn_of("web", &["true"]);
    labelled.label = "x".repeat(LABEL_BYTES_MAX + 1);
    for spawn in [
        rig.spawn_of("web", &[]),
        rig.spawn_of("web", &[""]),
        rig.spawn_of("web", &["a\0b"]),
        nul,
        labelled,
    ] {
        let error = rig.fails(spawn).await;
        assert!(
            matches!(error, KeeperError::NotSpawned(SpawnFault::Malformed { .. })),
            "{error}"
        );
    }
    let mut long = rig.spawn_of("web", &["true"]);
    long.environment.push(("A".into(), "x".repeat(3 * 1024 * 1024)));
    let error = rig.fails(long).await;
    assert!(
        matches!(error, KeeperError::NotSpawned(SpawnFault::Malformed { .. })),
        "{error}"
    );
    let mut long = rig.spawn_of("web", &["true"]);
    long.environment.push(("A".into(), "x".repeat(200 * 1024)));
    let error = rig.fails(long).await;
    assert!(error.to_string().contains("Argument list too long"), "{error}");
}

#[tokio::test]
async fn one_run_an_app_and_one_start_an_instance() {
    let rig = Rig::start().await;
    let spawn = rig.spawn_of("web", &["sleep", "1000"]);
    let first = rig.link.spawn(spawn.clone()).await.unwrap();
    assert_eq!(rig.link.spawn(spawn).await.unwrap(), first);
    let second = rig.fails(rig.spawn_of("web", &["sleep", "1000"])).await;
    let expected = SpawnFault::AlreadyRunning {
        instance: first.instance.clone(),
        pid: first.pid,
    };
    assert_eq!(second, KeeperError::NotSpawned(expected));
    assert_eq!(rig.marked(), [first.pid.cast_signed()]);
}

#[tokio::test]
async fn a_graceful_app_gets_its_time() {
    let rig = Rig::start().await;
    let spawned = rig
        .script(
            "web",
            "trap 'sleep 0.3; echo bye > bye; exit 0' TERM; echo up; while :; do sleep 0.05; done",
        )
        .await;
    wait_until("it is up", || rig.texts("web") == ["up"]).await;
    let begun = Instant::now();
    let exit = rig.stop(&spawned, Duration::from_secs(5)).await;
    assert_eq!(
        (exit.how, exit.asked, exit.killed),
        (ExitHow::Code(0), true, false)
    );
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert!(rig.app_dir("web").join("data/bye").exists());
}

#[tokio::test]
async fn an_app_that_ignores_term_is_killed_after_its_grace() {
    let rig = Rig::start().await;
    let spawned = rig
        .script("web", "trap '' TERM; echo up; while :; do sleep 0.05; done")
        .await;
    wait_until("it is up", || rig.texts("web") == ["up"]).await;
    let begun = Instant::now();
    let exit = rig.stop(&spawned, Duration::from_secs(1)).await;
    let took = begun.elapsed();
    assert_eq!(
        (exit.how, exit.asked, exit.killed),
        (ExitHow::Signal(libc::SIGKILL), true, true)
    );
    assert!(
        took >= Duration::from_secs(1) && took < Duration::from_millis(2500),
        "{took:?}"
    );
    assert_eq!(rig.marked(), Vec::<i32>::new());
}

#[tokio::test]
async fn a_stopped_process_sees_its_stop_signal() {
    let rig = Rig::start().await;
    let spawned = rig.run("web", &["sleep", "1000"]).await;
    rig.link.signal(&spawned.instance, libc::SIGSTOP).await.unwrap();
    let begun = Instant::now();
    let exit = rig.stop(&spawned, Duration::from_secs(10)).await;
    assert_eq!((exit.how, exit.killed), (ExitHow::Signal(15), false));
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn killing_takes_the_whole_tree() {
    let rig = Rig::start().await;
    let spawned = rig
        .script(
            "web",
            "(setsid sleep 999 & setsid sh -c 'sleep 998 & sleep 997 & wait' & wait) & sleep 996 & wait",
        )
        .await;
    wait_until("the tree is grown", || rig.marked().len() >= 7).await;
    rig.kill_app(&spawned.instance).await;
    let exit = rig.exit(&spawned).await;
    assert_eq!((exit.how, exit.survivors_count), (ExitHow::Signal(9), 0));
    assert_eq!(rig.marked(), Vec::<i32>::new());
}

#[tokio::test]
async fn what_a_main_process_leaves_behind_is_killed_before_its_exit_is_told() {
    let rig = Rig::start().await;
    // A daemon as of old: forks twice, leaves its session, and the main process is gone.
    let spawned = rig
        .script(
            "web",
            "setsid sh -c 'setsid sleep 999 & echo up' & wait; sleep 0.1; exit 0",
        )
        .await;
    let exit = rig.exit(&spawned).await;
    assert_eq!((exit.how, exit.leftovers_count), (ExitHow::Code(0), 1));
    assert_eq!(rig.marked(), Vec::<i32>::new());
    assert_eq!(rig.texts("web"), ["up"]);
}

#[tokio::test]
async fn orphans_are_reaped_at_once() {
    let rig = Rig::start().await;
    rig.script(
        "web",
        "for i in 1 2 3 4 5 6 7 8; do (sleep 0.0$i &) ; done; echo up; sleep 1000",
    )
    .await;
    wait_until("it is up", || rig.texts("web") == ["up"]).await;
    let zombies = || {
        let keeper = rig.hello.pid.cast_signed();
        let all = osier::runtime::keeper::proc::all_processes();
        all.iter()
            .filter(|process| process.parent == keeper && process.is_zombie())
            .count()
    };
    wait_until("only the shell and its sleep are left", || {
        rig.marked().len() == 2
    })
    .await;
    wait_until("no zombie", || zombies() == 0).await;
    assert!(is_alive(rig.hello.pid));
}

#[tokio::test]
async fn an_app_whose_tree_was_killed_can_start_again() {
    let rig = Rig::start().await;
    for _ in 0..5 {
        let spawned = rig.script("web", "echo up; sleep 1000").await;
        wait_until("it is up", || {
            rig.texts("web").len() == 1 || is_alive(spawned.pid)
        })
        .await;
        rig.kill_app(&spawned.instance).await;
        assert_eq!(rig.exit(&spawned).await.how, ExitHow::Signal(9));
    }
    let spawned = rig.script("web", "exit 4").await;
    assert_eq!(rig.exit(&spawned).await.how, ExitHow::Code(4));
}

#[tokio::test]
async fn a_quiet_keeper_gives_back_what_only_starts_needed_and_goes_on() {
    let rig = Rig::start().await;
    let keeper = rig.hello.pid;
    let mut apps = Vec::new();
    for number in 0..20 {
        apps.push(rig.run(&format!("app{number}"), &["sleep", "1000"]).await);
    }
    // Most of what it touched was its own program's file.
    wait_until("half of its memory is given back", || {
        status_kib(keeper, "VmRSS") * 2 < status_kib(keeper, "VmHWM")
    })
    .await;
    for app in &apps {
        let exit = rig.stop(app, Duration::from_secs(5)).await;
        assert_eq!(exit.how, ExitHow::Signal(TERM));
    }
    rig.run("again", &["sleep", "1000"]).await;
    assert!(is_alive(keeper));
}
