//! Processes of a host without a keeper of their own: a thread of the host keeps them, and they end with it.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use osier::prelude::*;

use crate::keeper_rig::{is_alive, kill, wait_until};
use crate::node_life::wait;
use crate::specs_repository::Specs;

const TICK: Duration = Duration::from_millis(200);
/// Where a test's own program, started once more, is a host, and what of.
const ROOM: &str = "HOST_ROOM";

fn builder(url: &str, data_dir: &Path) -> NodeBuilder {
    let node = Node::builder(Git::new(url))
        .name("n1")
        .data_dir(data_dir)
        .interval(TICK);
    node.processes(ProcessSettings::in_process())
}

fn app(version: &str, script: &str) -> String {
    let restart = "restart: { backoff: { initial: 0s, max: 0s } }";
    format!("version: {version}\ncommand: [sh, -c, {script:?}]\n{restart}\n")
}

fn pid_of(node: &NodeHandle, name: &str) -> u32 {
    node.app(name).and_then(|app| app.os_pid).unwrap()
}

fn log(data_dir: &Path, app: &str) -> String {
    fs::read_to_string(data_dir.join("apps").join(app).join("logs/output.log")).unwrap_or_default()
}

fn runs(apps: &std::collections::BTreeMap<AppName, AppState>, count: usize) -> bool {
    apps.len() == count && apps.values().all(|app| app.status == RunState::Running)
}

#[tokio::test(flavor = "multi_thread")]
async fn apps_of_a_keeper_thread_are_kept_like_any_others_and_stopped_before_shutdown_returns() {
    let specs = Specs::new();
    specs.put(
        "apps/polite/app.yaml",
        &app(
            "1",
            "trap 'echo bye; exit 0' TERM; echo hello; while :; do sleep 0.1; done",
        ),
    );
    specs.put(
        "apps/clumsy/app.yaml",
        &app("1", "test -e begun && exec sleep 1000; touch begun; exit 3"),
    );
    specs.commit("two");
    let folder = tempfile::tempdir().unwrap();
    let node = builder(&specs.url(), folder.path()).start().await.unwrap();
    let own = std::process::id().to_string();
    wait(&node, "both run, one of them again", |_, apps| {
        runs(apps, 2) && apps["clumsy"].restarts == 1
    })
    .await;
    let (polite, clumsy) = (pid_of(&node, "polite"), pid_of(&node, "clumsy"));
    let parent = fs::read_to_string(format!("/proc/{polite}/stat")).unwrap();
    assert!(
        parent.rsplit(')').next().unwrap().split_whitespace().nth(1) == Some(own.as_str()),
        "{parent}"
    );

    // The host's own children stay the host's, and their codes too.
    let mut child = Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
    kill(clumsy, libc::SIGKILL);
    wait(&node, "a restart", |_, apps| {
        apps["clumsy"].os_pid.is_some_and(|pid| pid != clumsy)
    })
    .await;
    assert_eq!(child.wait().unwrap().code(), Some(7));
    assert_eq!(pid_of(&node, "polite"), polite);

    // A bad program is an error at once, as with any keeper.
    specs.put(
        "apps/missing/app.yaml",
        "version: 1\ncommand: [/no/such/program]\n",
    );
    specs.commit("a mistake");
    wait(&node, "the error", |_, apps| {
        let error = apps.values().find_map(|app| app.last_error.as_ref());
        error.is_some_and(|error| error.message.contains("/no/such/program"))
    })
    .await;

    let clumsy = pid_of(&node, "clumsy");
    node.shutdown().await;
    assert!(!is_alive(polite) && !is_alive(clumsy));
    let said = log(folder.path(), "polite");
    assert!(said.contains("hello") && said.contains("bye"), "{said}");
    assert!(!folder.path().join("keeper.sock").exists());
}

/// This test's program, started once more by a shell that leaves it an open descriptor and an ignored signal. Nothing of
/// it is left when the test ends, however it ends.
struct Host {
    process: Child,
    noted: PathBuf,
}

impl Host {
    fn start(test: &str, room: &Path) -> Self {
        let program = std::env::current_exe().unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' USR1; exec 7</dev/null \"$@\"", "sh"]);
        shell.arg(program).args(["--exact", test, "--nocapture"]);
        shell.env(ROOM, room).stdin(Stdio::null()).stdout(Stdio::null());
        Self {
            process: shell.spawn().unwrap(),
            noted: room.join("data/apps/web/data/pids"),
        }
    }

    fn noted(&self) -> Vec<u32> {
        let text = fs::read_to_string(&self.noted).unwrap_or_default();
        text.split_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .collect()
    }

    /// The main process of the app, and what it forked.
    async fn app(&self, other_than: &[u32]) -> Vec<u32> {
        wait_until("the app notes its processes", || {
            let noted = self.noted();
            noted.len() == 2 && noted != other_than
        })
        .await;
        self.noted()
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// How it ended after this signal.
    async fn signal(&mut self, signal: i32) -> std::process::ExitStatus {
        kill(self.process.id(), signal);
        wait_until("the host ends", || self.process.try_wait().unwrap().is_some()).await;
        self.process.wait().unwrap()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        for pid in self.noted() {
            if is_alive(pid) {
                kill(pid, libc::SIGKILL);
            }
        }
    }
}

/// What such a host does. It begins with its room, where the specs are, and ends when it is told to.
fn be_host(room: &Path, shutdown_on_signal: bool) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let url = fs::read_to_string(room.join("url")).unwrap();
    runtime.block_on(async {
        let before = caught_signals();
        let node = builder(&url, &room.join("data"));
        let node = if shutdown_on_signal {
            node.shutdown_on_signal()
        } else {
            node
        };
        let node = node.start().await.unwrap();
        node.wait_until(|_, apps| runs(apps, 1)).await;
        let facts = format!("{before:x} {:x} {}", caught_signals(), is_without_subscriber());
        fs::write(room.join("facts.new"), facts).unwrap();
        fs::rename(room.join("facts.new"), room.join("facts")).unwrap();
        node.ended().await;
    });
}

/// Whether this process has none for all of it: then it takes one now.
fn is_without_subscriber() -> bool {
    tracing::subscriber::set_global_default(tracing_subscriber::registry()).is_ok()
}

fn caught_signals() -> u64 {
    signals("self", "SigCgt")
}

fn signals(pid: &str, which: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix(which)?.strip_prefix(":\t"));
    u64::from_str_radix(mask.unwrap(), 16).unwrap()
}

fn room_of_host() -> Option<PathBuf> {
    std::env::var_os(ROOM).map(PathBuf::from)
}

/// A room with specs whose app forks a child that leaves its session, and notes both numbers.
fn furnish(room: &Path) -> Specs {
    let specs = Specs::new();
    specs.put(
        "apps/web/app.yaml",
        &app(
            "1",
            "setsid sleep 1000 & echo $$ $! > pids.new; mv pids.new pids; exec sleep 1000",
        ),
    );
    specs.commit("an app that forks");
    fs::write(room.join("url"), specs.url()).unwrap();
    specs
}

#[tokio::test]
async fn a_killed_host_takes_its_apps_along_and_the_next_one_what_they_forked() {
    const NAME: &str =
        "embed_processes::a_killed_host_takes_its_apps_along_and_the_next_one_what_they_forked";
    if let Some(room) = room_of_host() {
        return std::thread::spawn(move || be_host(&room, true)).join().unwrap();
    }
    let room = tempfile::tempdir().unwrap();
    let _specs = furnish(room.path());
    let mut host = Host::start(NAME, room.path());
    let first = host.app(&[]).await;
    assert!(first.iter().all(|pid| is_alive(*pid)));

    // Nothing of the host leaks into the app: no descriptor, no ignored or blocked signal, no folder.
    let main = first[0].to_string();
    wait_until("the app runs its own program", || {
        fs::read_to_string(format!("/proc/{main}/comm")).is_ok_and(|name| name == "sleep\n")
    })
    .await;
    // The program itself may read a file while it begins.
    wait_until("no descriptor is left to it", || {
        crate::keeper_rig::open_files(first[0]) == 3
    })
    .await;
    assert_eq!(
        ["SigIgn", "SigBlk", "SigCgt"].map(|which| signals(&main, which)),
        [0; 3]
    );
    let folder = fs::read_link(format!("/proc/{main}/cwd")).unwrap();
    assert!(folder.ends_with("apps/web/data"), "{folder:?}");

    host.kill();
    wait_until("the main process dies with its host", || !is_alive(first[0])).await;
    assert!(
        is_alive(first[1]),
        "what it forked lives on: this is what cannot be caught at once"
    );

    let mut next = Host::start(NAME, room.path());
    let second = next.app(&first).await;
    assert!(!is_alive(first[1]), "the next start saw it off");
    wait_until("the host is up", || room.path().join("facts").exists()).await;
    let ended = next.signal(libc::SIGTERM).await;
    assert!(ended.success(), "{ended}: it was asked to shut down on a signal");
    assert!(
        second.iter().all(|pid| !is_alive(*pid)),
        "and its apps were gone before"
    );
}

#[tokio::test]
async fn a_host_keeps_its_signals_and_its_subscriber_unless_it_asks() {
    const NAME: &str = "embed_processes::a_host_keeps_its_signals_and_its_subscriber_unless_it_asks";
    if let Some(room) = room_of_host() {
        return std::thread::spawn(move || be_host(&room, false)).join().unwrap();
    }
    let room = tempfile::tempdir().unwrap();
    let _specs = furnish(room.path());
    let mut host = Host::start(NAME, room.path());
    let main = host.app(&[]).await[0];
    wait_until("the host is up", || room.path().join("facts").exists()).await;
    let facts = fs::read_to_string(room.path().join("facts")).unwrap();
    let (before, rest) = facts.split_once(' ').unwrap();
    assert_eq!(rest, format!("{before} true"), "no handler, no subscriber");
    let ended = host.signal(libc::SIGTERM).await;
    assert_eq!(ended.signal(), Some(libc::SIGTERM));
    wait_until("the app dies with it", || !is_alive(main)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn apps_of_a_keeper_thread_are_confined_and_their_host_is_not() {
    let specs = Specs::new();
    let script = "echo x > file && echo data; (echo x > ../file) || echo refused; ls -A /tmp; echo done; exec sleep 1000";
    let spec = app("1", script) + "sandbox: { read_only: true }\n";
    specs.put("apps/a/app.yaml", &spec);
    specs.commit("a");
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let beside = tempfile::NamedTempFile::new_in("/tmp").unwrap();
    let node = builder(&specs.url(), folder.path()).start().await.unwrap();
    wait_until("it has said all", || log(folder.path(), "a").contains("done")).await;
    let said = log(folder.path(), "a");
    assert!(said.contains("data\n") && said.contains("refused\n"), "{said}");
    let name = beside.path().file_name().unwrap().to_str().unwrap();
    assert!(!said.contains(name), "{said}");
    // What a child went through is its own: mounts, rules and capabilities.
    std::fs::write(folder.path().join("apps/a/file"), "x").unwrap();
    assert!(beside.path().exists());
    let own = |file: &str| fs::read_link(format!("/proc/self/ns/{file}")).unwrap();
    let of_keeper = fs::read_dir("/proc/self/task").unwrap().flatten().map(|task| {
        let ns = |file: &str| fs::read_link(task.path().join("ns").join(file)).unwrap();
        (ns("mnt"), ns("user"))
    });
    for namespaces in of_keeper {
        assert_eq!(namespaces, (own("mnt"), own("user")));
    }
    node.shutdown().await;
}
