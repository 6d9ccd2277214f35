//! What apps say about themselves, and commands that look after them, by a real keeper.

use std::os::unix::net::UnixDatagram;
use std::path::Path;

use osier::names::InstanceId;
use osier::runtime::keeper::link::KeeperError;
use osier::runtime::keeper::protocol::{
    CHECK_OUTPUT_BYTES_MAX, Check, CheckEnd, Enforce, ExitHow, Message, Push, Request, Role, Spawn,
    SpawnFault, SpawnStep, Spawned,
};
use osier::runtime::notice::Notice;
use tokio::sync::watch;

use crate::keeper_rig::{Caller, PATIENCE, Rig, is_alive, kill, wait_until};

/// An app that says each line that it finds in its data folder's `say`, as one word; `|` stands for a line's end. In Perl,
/// which comes with git.
const SPEAKER: &str = r#"
use Socket;
socket(my $ear, PF_UNIX, SOCK_DGRAM, 0);
my $seen = 0;
while (1) {
    my @lines = ();
    if (open(my $file, "<", "say")) { @lines = <$file> }
    for my $line (@lines[$seen .. $#lines]) {
        chomp $line;
        $line =~ tr/|/\n/;
        send($ear, $line, 0, pack_sockaddr_un($ENV{NOTIFY_SOCKET}));
    }
    $seen = @lines;
    select(undef, undef, undef, 0.01);
}
"#;

fn speaker(rig: &Rig, app: &str) -> Spawn {
    let socket = rig.app_dir(app).join("notify").display().to_string();
    let mut spawn = rig.spawn_of(app, &["perl", "-e", SPEAKER]);
    spawn.environment.push(("NOTIFY_SOCKET".into(), socket));
    Spawn {
        notify: true,
        ..spawn
    }
}

fn say(rig: &Rig, app: &str, lines: &str) {
    use std::io::Write as _;
    let path = rig.app_dir(app).join("data/say");
    let mut file = std::fs::File::options()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    writeln!(file, "{lines}").unwrap();
}

async fn heard(
    notices: &mut watch::Receiver<Notice>,
    what: &str,
    is_so: impl FnMut(&Notice) -> bool,
) -> Notice {
    let heard = tokio::time::timeout(PATIENCE, notices.wait_for(is_so)).await;
    heard
        .unwrap_or_else(|_| panic!("not heard: {what}"))
        .unwrap()
        .clone()
}

fn send(socket: &Path, word: &[u8]) {
    UnixDatagram::unbound().unwrap().send_to(word, socket).unwrap();
}

#[tokio::test]
async fn an_app_is_heard_and_nobody_in_its_place() {
    let rig = Rig::start().await;
    let web = rig.link.spawn(speaker(&rig, "web")).await.unwrap();
    let mut notices = rig.link.notices(&web.instance);
    let socket = rig.app_dir("web").join("notify");
    // Whoever is not of its tree is not heard: neither this process nor another app.
    send(&socket, b"READY=1\nSTATUS=forged");
    let other = format!(
        "use Socket; socket(my $ear, PF_UNIX, SOCK_DGRAM, 0); \
         send($ear, 'READY=1', 0, pack_sockaddr_un('{}')); print 'said'; $| = 1; print \"\\n\"; sleep 1000",
        socket.display()
    );
    rig.run("other", &["perl", "-e", &other]).await;
    wait_until("the other has spoken", || rig.texts("other") == ["said"]).await;
    say(&rig, "web", "STATUS=migrating");
    let notice = heard(&mut notices, "its status", |notice| notice.status.is_some()).await;
    assert_eq!(
        (notice.status.as_deref(), notice.is_ready),
        (Some("migrating"), false)
    );
    say(&rig, "web", "STATUS=serving|READY=1");
    heard(&mut notices, "that it is ready", |notice| notice.is_ready).await;
    // A word that is too long is nobody's.
    say(&rig, "web", &format!("STATUS={}", "x".repeat(5000)));
    say(&rig, "web", "WATCHDOG=1");
    let notice = heard(&mut notices, "that it lives", |notice| notice.alive_count > 0).await;
    assert_eq!(notice.status.as_deref(), Some("serving"));
    rig.kill_app(&web.instance).await;
}

#[tokio::test]
async fn a_child_of_an_app_is_heard_too() {
    let rig = Rig::start().await;
    let mut spawn = speaker(&rig, "web");
    spawn.command = vec!["sh".into(), "-c".into(), format!("perl -e '{SPEAKER}' & wait")];
    let web = rig.link.spawn(spawn).await.unwrap();
    let mut notices = rig.link.notices(&web.instance);
    say(&rig, "web", "READY=1");
    heard(&mut notices, "the child", |notice| notice.is_ready).await;
    rig.kill_app(&web.instance).await;
}

#[tokio::test]
async fn what_is_said_while_no_daemon_is_there_is_heard_and_a_new_keeper_goes_on_hearing() {
    let mut rig = Rig::start().await;
    let web = rig.link.spawn(speaker(&rig, "web")).await.unwrap();
    let data_dir = rig.data_dir.clone();
    // Without a daemon.
    let (link, events) = (
        rig.link.clone(),
        std::mem::replace(&mut rig.events, tokio::sync::mpsc::channel(1).1),
    );
    drop((link, events));
    say(&rig, "web", "READY=1|STATUS=up");
    let mut observer = Caller::connect(&data_dir).unwrap();
    observer.say_hello_as(Role::Observer);
    rig.restart_daemon().await;
    let mut notices = rig.link.notices(&web.instance);
    let notice = heard(&mut notices, "what was said before", |notice| notice.is_ready).await;
    assert!(!notice.is_deaf);
    // Another keeper: nothing is forgotten by the daemon, and the app is heard again.
    rig.kill_keeper().await;
    heard(&mut notices, "that there are ears again", |notice| {
        !notice.is_deaf
    })
    .await;
    let before = notices.borrow_and_update().clone();
    assert!(before.is_ready && before.status.as_deref() == Some("up"));
    say(&rig, "web", "STATUS=still up");
    heard(&mut notices, "the next word", |notice| {
        notice.status.as_deref() == Some("still up")
    })
    .await;
    rig.kill_app(&web.instance).await;
}

#[tokio::test]
async fn a_flood_of_words_keeps_nobody_waiting() {
    let rig = Rig::start().await;
    let flood = r#"
use Socket;
socket(my $ear, PF_UNIX, SOCK_DGRAM, 0);
while (1) { send($ear, "WATCHDOG=1\n" x 60, 0, pack_sockaddr_un($ENV{NOTIFY_SOCKET})) }
"#;
    let mut spawn = speaker(&rig, "web");
    spawn.command = ["perl", "-e", flood].map(str::to_owned).to_vec();
    let web = rig.link.spawn(spawn).await.unwrap();
    let mut notices = rig.link.notices(&web.instance);
    heard(&mut notices, "the flood", |notice| notice.alive_count > 10_000).await;
    let used = |pid: u32| {
        osier::runtime::keeper::proc::ProcStat::of(pid.cast_signed())
            .unwrap()
            .cpu_ticks
    };
    let (began, before) = (std::time::Instant::now(), used(rig.hello.pid));
    for _ in 0..20 {
        let other = rig.run("other", &["true"]).await;
        rig.exit(&other).await;
    }
    let seconds = began.elapsed().as_secs_f64().max(0.2);
    let share = (used(rig.hello.pid) - before) as f64 / 100.0 / seconds;
    assert!(share < 0.9, "the keeper takes {share:.2} of a core");
    rig.kill_app(&web.instance).await;
}

fn check(rig: &Rig, app: &Spawned, command: &[&str], timeout_ms: u64) -> Check {
    let spawn = rig.spawn_of(app.app.as_str(), command);
    let mut environment = spawn.environment;
    for (name, value) in &mut environment {
        if name == "OSIER_INSTANCE" {
            *value = app.instance.to_string();
        }
    }
    Check {
        id: InstanceId::random(),
        app: app.app.clone(),
        instance: app.instance.clone(),
        command: spawn.command,
        environment,
        working_dir: ".".into(),
        user: None,
        umask: 0o022,
        no_new_privileges: false,
        confinement: None,
        enforce: Enforce::Strict,
        open_files: None,
        timeout_ms,
    }
}

async fn checked(rig: &Rig, app: &Spawned, script: &str, timeout_ms: u64) -> CheckEnd {
    let check = check(rig, app, &["sh", "-c", script], timeout_ms);
    rig.link.check(check).await.unwrap()
}

fn shell(rig: &Rig) -> Vec<i32> {
    rig.marked()
}

#[tokio::test]
async fn a_check_ends_with_its_code_and_the_beginning_of_what_it_said() {
    let rig = Rig::start().await;
    let web = rig.run("web", &["sleep", "1000"]).await;
    let end = checked(
        &rig,
        &web,
        "echo not yet; echo $OSIER_INSTANCE >&2; exit 3",
        10_000,
    )
    .await;
    assert_eq!(end.how, Some(ExitHow::Code(3)));
    assert_eq!(end.output, format!("not yet\n{}\n", web.instance));
    let end = checked(&rig, &web, "kill -9 $$", 10_000).await;
    assert_eq!((end.how, end.output.as_str()), (Some(ExitHow::Signal(9)), ""));
    // Far more than anybody keeps.
    let end = checked(&rig, &web, "head -c 3000000 /dev/zero | tr '\\0' x", 60_000).await;
    assert_eq!(
        (end.how, end.output.len()),
        (Some(ExitHow::Code(0)), CHECK_OUTPUT_BYTES_MAX)
    );
    assert!(rig.texts("web").is_empty(), "its words are not the app's");
    assert_eq!(shell(&rig).len(), 1);
}

#[tokio::test]
async fn one_whose_time_is_over_is_killed_with_its_group_and_so_is_what_it_leaves_behind() {
    let rig = Rig::start().await;
    let web = rig.run("web", &["sleep", "1000"]).await;
    let end = checked(&rig, &web, "echo hanging; sleep 1001 & sleep 1002", 200).await;
    assert_eq!((end.how, end.output.as_str()), (None, "hanging\n"));
    wait_until("its group is gone", || rig.marked().len() == 1).await;
    let end = checked(&rig, &web, "sleep 1001 & exit 0", 10_000).await;
    assert_eq!(end.how, Some(ExitHow::Code(0)));
    wait_until("what it left behind is gone", || rig.marked().len() == 1).await;
    // What left the group is the app's, and goes with it at the latest.
    checked(&rig, &web, "setsid sleep 1003 >/dev/null 2>&1 & exit 0", 10_000).await;
    rig.kill_app(&web.instance).await;
    wait_until("all is gone", || rig.marked().is_empty()).await;
    rig.exit(&web).await;
}

#[tokio::test]
async fn one_check_at_a_time_and_none_without_its_app() {
    let rig = Rig::start().await;
    let web = rig.run("web", &["sleep", "1000"]).await;
    let first = check(&rig, &web, &["sleep", "1001"], 60_000);
    let link = rig.link.clone();
    let first = tokio::spawn(async move { link.check(first).await });
    wait_until("the first runs", || rig.marked().len() == 2).await;
    let second = checked(&rig, &web, "exit 0", 10_000).await;
    assert_eq!(second.how, Some(ExitHow::Code(0)));
    assert_eq!(first.await.unwrap().unwrap().how, None, "the first gave way");
    // With its app it ends.
    let third = check(&rig, &web, &["sleep", "1002"], 60_000);
    let link = rig.link.clone();
    let third = tokio::spawn(async move { link.check(third).await });
    wait_until("the third runs", || rig.marked().len() == 2).await;
    rig.kill_app(&web.instance).await;
    let ended = tokio::time::timeout(PATIENCE, third)
        .await
        .expect("it ends with its app");
    assert_ne!(ended.unwrap().unwrap().how, Some(ExitHow::Code(0)));
    wait_until("all is gone", || rig.marked().is_empty()).await;
    let late = rig.link.check(check(&rig, &web, &["true"], 1_000)).await;
    assert!(
        matches!(late, Err(KeeperError::NotSpawned(SpawnFault::System { .. }))),
        "{late:?}"
    );
    rig.exit(&web).await;
}

#[tokio::test]
async fn a_check_that_cannot_be_started_says_why() {
    let rig = Rig::start().await;
    let web = rig.run("web", &["sleep", "1000"]).await;
    let failed = rig
        .link
        .check(check(&rig, &web, &["/no/such/check"], 1_000))
        .await;
    let Err(KeeperError::NotSpawned(SpawnFault::System { step, path, errno })) = failed else {
        panic!("{failed:?}");
    };
    assert_eq!(
        (step, path.as_str(), errno),
        (SpawnStep::Exec, "/no/such/check", libc::ENOENT)
    );
    for command in [&[][..], &[""], &["a\0b"]] {
        let failed = rig.link.check(check(&rig, &web, command, 1_000)).await;
        assert!(
            matches!(failed, Err(KeeperError::NotSpawned(SpawnFault::Malformed { .. }))),
            "{failed:?}"
        );
    }
    // The app's own exec fails no less for it.
    rig.kill_app(&web.instance).await;
    rig.exit(&web).await;
}

#[tokio::test]
async fn a_check_dies_with_its_keeper_and_the_next_one_checks_as_well() {
    let mut rig = Rig::start().await;
    let web = rig.run("web", &["sleep", "1000"]).await;
    let hanging = check(&rig, &web, &["sleep", "1001"], 60_000);
    let link = rig.link.clone();
    let hanging = tokio::spawn(async move { link.check(hanging).await });
    wait_until("it runs", || rig.marked().len() == 2).await;
    rig.kill_keeper().await;
    let lost = tokio::time::timeout(PATIENCE, hanging)
        .await
        .expect("nobody waits for it");
    assert!(matches!(lost.unwrap(), Err(KeeperError::Unreachable { .. })));
    wait_until("it died with its keeper", || rig.marked().len() == 1).await;
    assert!(is_alive(web.pid));
    let end = checked(&rig, &web, "exit 4", 10_000).await;
    assert_eq!(end.how, Some(ExitHow::Code(4)));
    rig.kill_app(&web.instance).await;
    kill(web.pid, libc::SIGKILL);
}

#[tokio::test]
async fn a_daemon_of_the_version_before_hears_nothing_that_it_would_not_understand() {
    let rig = Rig::start().await;
    let mut old = Caller::connect(&rig.data_dir).unwrap();
    // It says that it speaks version 1.
    old.say_hello_as(Role::Daemon);
    let web = rig.link.spawn(speaker(&rig, "web")).await.unwrap();
    let mut notices = rig.link.notices(&web.instance);
    say(&rig, "web", "READY=1");
    heard(&mut notices, "that it is ready", |notice| notice.is_ready).await;
    checked(&rig, &web, "exit 0", 10_000).await;
    rig.kill_app(&web.instance).await;
    old.send(Request::List);
    loop {
        match old.receive().expect("the connection stands") {
            Message::Push(Push::Noticed { .. } | Push::Checked { .. }) => panic!("it would not understand"),
            Message::Push(_) => {}
            Message::Reply { .. } => break,
        }
    }
}
