//! Who is who after a keeper died: by pid, start time, boot and user, never by a number or a mark alone.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use osier::names::InstanceId;
use osier::runtime::keeper::proc::{ProcStat, boot_id};
use osier::runtime::keeper::protocol::{ExitHow, LogLimits};
use osier::runtime::keeper::records::{Record, StartRecord};

use crate::keeper_rig::{Rig, is_alive, kill, wait_until};

/// A process of nobody's, to be mistaken for an app: below a shell that leads a session of its own and has no mark.
/// (Whether the tests' own session has a leader that lives depends on who started them.)
struct Stranger {
    shell: Child,
    pid: u32,
}

impl Stranger {
    fn with_mark(mark: &InstanceId) -> Self {
        Self::with_mark_after(mark, || ())
    }

    /// Born right after `before`.
    fn with_mark_after(mark: &InstanceId, before: impl FnOnce()) -> Self {
        let script =
            format!("read go; OSIER_INSTANCE={mark} sh -c 'echo $$; exec sleep 1000' </dev/null & wait");
        let mut command = Command::new("setsid");
        command.args(["sh", "-c", &script]);
        let mut shell = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        before();
        shell.stdin.take().unwrap().write_all(b"go\n").unwrap();
        let mut said = String::new();
        let mut output = BufReader::new(shell.stdout.take().unwrap());
        output.read_line(&mut said).unwrap();
        let pid = said.trim().parse().unwrap();
        Self { shell, pid }
    }

    fn pid(&self) -> u32 {
        self.pid
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        kill(self.pid, libc::SIGKILL);
        let _ = self.shell.wait();
    }
}

/// What an honest keeper would have written about `pid`.
fn record_of(pid: u32, instance: &InstanceId) -> StartRecord {
    StartRecord {
        app: "web".parse().unwrap(),
        instance: instance.clone(),
        pid: pid.cast_signed(),
        start_ticks: ProcStat::of(pid.cast_signed()).unwrap().start_ticks,
        boot_id: boot_id(),
        uid: rustix::process::geteuid().as_raw(),
        started_at_ms: 1,
        stop_signal: 15,
        stop_grace_ms: 1_000,
        logs: LogLimits::default(),
        not_in_force: Vec::new(),
        label: "label".into(),
        notify: false,
    }
}

/// A keeper that finds `record`. What it makes of it is in its list.
async fn keeper_finding(record: StartRecord) -> (tempfile::TempDir, Rig) {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().canonicalize().unwrap();
    fs::create_dir_all(data_dir.join("apps/web/data")).unwrap();
    let line = serde_json::to_string(&Record::Start(record)).unwrap();
    fs::write(data_dir.join("keeper.records"), line + "\n").unwrap();
    // The folder first: what is bound last is dropped first, and the rig needs it to end its keeper.
    (folder, Rig::start_in(data_dir, false).await)
}

#[tokio::test]
async fn a_true_record_is_enough_even_without_a_mark() {
    let instance = InstanceId::random();
    // Erased, or another's: an app may write what it likes over its own environment.
    let stranger = Stranger::with_mark(&InstanceId::random());
    let (_folder, rig) = keeper_finding(record_of(stranger.pid(), &instance)).await;
    let list = rig.link.list().await.unwrap();
    assert_eq!(list.running.len(), 1);
    assert_eq!(
        (list.running[0].pid, list.running[0].adopted),
        (stranger.pid(), true)
    );
}

#[tokio::test]
async fn no_lie_in_a_record_makes_a_stranger_an_app() {
    type Lie = fn(&mut StartRecord);
    let lies: [(&str, Lie); 4] = [
        ("another start", |record| record.start_ticks += 1),
        ("another start long ago", |record| record.start_ticks = 0),
        ("another boot", |record| record.boot_id = "00000000".into()),
        ("another user", |record| record.uid += 1),
    ];
    for (lie, tell) in lies {
        let instance = InstanceId::random();
        let stranger = Stranger::with_mark(&InstanceId::random());
        let mut record = record_of(stranger.pid(), &instance);
        tell(&mut record);
        let (_folder, rig) = keeper_finding(record).await;
        let list = rig.link.list().await.unwrap();
        assert_eq!(list.running, [], "{lie}");
        // The app is free to start, and the stranger does not notice.
        rig.run("web", &["sleep", "1000"]).await;
        drop(rig);
        assert!(is_alive(stranger.pid()), "{lie}");
    }
}

#[tokio::test]
async fn a_forged_mark_makes_nobody_an_app_and_kills_nobody() {
    let instance = InstanceId::random();
    let stranger = Stranger::with_mark(&instance);
    let mut record = record_of(stranger.pid(), &instance);
    // The app itself is long gone.
    record.pid = i32::MAX - 1;
    let (_folder, rig) = keeper_finding(record).await;
    let list = rig.link.list().await.unwrap();
    assert_eq!((list.running.len(), list.exits.len()), (0, 1));
    assert_eq!(
        (list.exits[0].how, list.exits[0].leftovers_count),
        (ExitHow::Unknown, 0)
    );
    assert!(is_alive(stranger.pid()));
}

#[tokio::test]
async fn a_user_that_changed_needs_the_mark_as_a_witness() {
    let instance = InstanceId::random();
    let stranger = Stranger::with_mark(&instance);
    let mut record = record_of(stranger.pid(), &instance);
    record.uid += 1;
    let (_folder, rig) = keeper_finding(record).await;
    assert_eq!(rig.link.list().await.unwrap().running.len(), 1);
}

#[tokio::test]
async fn impossible_records_are_survived() {
    for pid in [0, -1, i32::MIN, i32::MAX, 1] {
        let stranger = Stranger::with_mark(&InstanceId::random());
        let mut record = record_of(stranger.pid(), &InstanceId::random());
        record.pid = pid;
        let (_folder, rig) = keeper_finding(record).await;
        assert_eq!(rig.link.list().await.unwrap().running, [], "{pid}");
    }
}

#[tokio::test]
async fn a_number_that_was_given_to_another_names_nobody() {
    const LAST_PID: &str = "/proc/sys/kernel/ns_last_pid";
    let mut rig = Rig::start().await;
    let web = rig.run("web", &["sleep", "1000"]).await;
    if fs::write(LAST_PID, (web.pid - 1).to_string()).is_err() {
        println!("skipped: {LAST_PID} cannot be written here");
        return;
    }
    kill(rig.hello.pid, libc::SIGSTOP);
    kill(web.pid, libc::SIGKILL);
    let keeper = rig.hello.pid;
    kill(keeper, libc::SIGKILL);
    wait_until("the number is free", || {
        ProcStat::of(web.pid.cast_signed()).is_none()
    })
    .await;
    let mut stranger = None;
    wait_until("another has the number", || {
        let next = Stranger::with_mark_after(&web.instance, || {
            let _ = fs::write(LAST_PID, (web.pid - 1).to_string());
        });
        if next.pid() == web.pid {
            stranger = Some(next);
        }
        stranger.is_some()
    })
    .await;
    let stranger = stranger.unwrap();
    rig.hello = crate::keeper_rig::connected(&mut rig.events).await;
    // Whether the next keeper came before or after: it is not taken for the app, and what is done to the app's name is
    // not done to it.
    assert_eq!(rig.exit(&web).await.how, ExitHow::Unknown);
    assert!(rig.link.signal(&web.instance, libc::SIGKILL).await.is_err());
    rig.run("web", &["sleep", "1000"]).await;
    drop(rig);
    assert!(is_alive(stranger.pid()));
}

#[test]
fn only_the_keeper_that_the_lock_names_is_told_that_its_socket_is_lost() {
    let room = tempfile::tempdir().unwrap();
    let lock = fs::File::create(room.path().join("keeper.lock")).unwrap();
    rustix::fs::fcntl_lock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    // The signal ends whoever does not know it.
    let mut named = Command::new("sleep").arg("1000").spawn().unwrap();
    let start = ProcStat::of(named.id().cast_signed()).unwrap().start_ticks;
    let is_ended_when_named_as = |holder: String, named: &mut Child| {
        lock.set_len(0).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&lock, holder.as_bytes(), 0).unwrap();
        let mut keeper = Command::new(env!("CARGO_BIN_EXE_osier"));
        keeper.args(["keeper", "--data-dir"]).arg(room.path());
        assert!(keeper.stderr(Stdio::null()).status().unwrap().success());
        named.try_wait().unwrap().is_some()
    };
    let pid = named.id();
    for other in [
        String::new(),
        format!("{pid} {} {}\n", start + 1, boot_id()),
        format!("{pid} {start} {}\n", InstanceId::random()),
        format!("-1 {start} {}\n", boot_id()),
    ] {
        assert!(!is_ended_when_named_as(other.clone(), &mut named), "{other}");
    }
    assert!(is_ended_when_named_as(
        format!("{pid} {start} {}\n", boot_id()),
        &mut named
    ));
}
