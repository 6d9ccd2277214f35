//! A real keeper with real processes in a data directory of its own, and the kernel's opinion about them.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use osier::names::{AppName, InstanceId};
use osier::runtime::keeper::frame::{FrameBuffer, write_frame};
use osier::runtime::keeper::link::{KeeperError, KeeperLink, LinkEvent, LinkOptions};
use osier::runtime::keeper::proc::{ProcStat, all_processes};
use osier::runtime::keeper::protocol::{
    Call, Enforce, Exit, Hello, Limits, LogLimits, Message, Reply, Request, Role, Spawn, Spawned,
};
use osier::runtime::keeper::{KeeperOptions, KeeperProgram};
use tokio::sync::mpsc::Receiver;

/// Longer than anything here takes on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(20);
pub const TERM: i32 = 15;

pub struct Rig {
    pub link: KeeperLink,
    pub events: Receiver<LinkEvent>,
    pub hello: Hello,
    pub data_dir: PathBuf,
    pub tied: bool,
    program: PathBuf,
    /// Every app's environment holds it.
    mark: String,
    _folder: Option<tempfile::TempDir>,
}

impl Rig {
    pub async fn start() -> Self {
        Self::start_as(false).await
    }

    pub async fn start_as(tied: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().canonicalize().unwrap();
        let mut rig = Self::start_in(data_dir, tied).await;
        rig._folder = Some(folder);
        rig
    }

    pub async fn start_in(data_dir: PathBuf, tied: bool) -> Self {
        Self::start_with(env!("CARGO_BIN_EXE_osier").into(), data_dir, tied).await
    }

    /// With `program` as keeper.
    pub async fn start_with(program: PathBuf, data_dir: PathBuf, tied: bool) -> Self {
        let (link, mut events) = open(&program, &data_dir, tied);
        let hello = connected(&mut events).await;
        Self {
            link,
            events,
            hello,
            data_dir,
            tied,
            program,
            mark: InstanceId::random().to_string(),
            _folder: None,
        }
    }

    /// Leaves the connection and comes back with another, as a new daemon does.
    pub async fn restart_daemon(&mut self) {
        let (link, events) = open(&self.program, &self.data_dir, self.tied);
        self.link = link;
        self.events = events;
        self.hello = connected(&mut self.events).await;
    }

    /// Ends the daemon's connection and opens no other. What is left can look, but not ask.
    pub fn without_daemon(mut self) -> Self {
        let (link, _) = open(&self.program, Path::new("/nonexistent"), false);
        self.link = link;
        self
    }

    /// Kills the keeper and waits until the link has another.
    pub async fn kill_keeper(&mut self) {
        kill(self.hello.pid, libc::SIGKILL);
        self.hello = connected(&mut self.events).await;
    }

    pub fn spawn_of(&self, app: &str, command: &[&str]) -> Spawn {
        let instance = InstanceId::random();
        let environment = [
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ("OSIER_INSTANCE", instance.as_str()),
            ("RIG", self.mark.as_str()),
        ];
        Spawn {
            app: app.parse().unwrap(),
            instance: instance.clone(),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            environment: environment
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
            working_dir: ".".into(),
            user: None,
            umask: 0o022,
            no_new_privileges: false,
            confinement: None,
            limits: Limits::default(),
            enforce: Enforce::Strict,
            stop_signal: TERM,
            stop_grace_ms: 2_000,
            logs: LogLimits::default(),
            label: "label".into(),
            notify: false,
        }
    }

    /// Starts `command` as `app`.
    pub async fn run(&self, app: &str, command: &[&str]) -> Spawned {
        self.link.spawn(self.spawn_of(app, command)).await.unwrap()
    }

    /// Starts a shell script as `app`.
    pub async fn script(&self, app: &str, script: &str) -> Spawned {
        self.run(app, &["sh", "-c", script]).await
    }

    pub async fn fails(&self, spawn: Spawn) -> KeeperError {
        self.link.spawn(spawn).await.unwrap_err()
    }

    pub async fn stop(&self, spawned: &Spawned, grace: Duration) -> Exit {
        self.link
            .stop(&spawned.instance, TERM, grace)
            .await
            .unwrap()
            .unwrap()
    }

    /// Kills its whole tree; the exit stays to be taken.
    pub async fn kill_app(&self, instance: &InstanceId) {
        let exit = self.link.stop(instance, libc::SIGKILL, Duration::ZERO).await;
        assert!(exit.unwrap().is_some());
    }

    pub async fn exit(&self, spawned: &Spawned) -> Exit {
        let exit = self.link.exit_of(&spawned.app, &spawned.instance);
        tokio::time::timeout(PATIENCE, exit)
            .await
            .expect("the exit comes")
    }

    /// Every living process that one of this rig's apps is or left behind, by the kernel's account.
    pub fn marked(&self) -> Vec<i32> {
        let mark = format!("RIG={}", self.mark);
        let alive = all_processes().into_iter().filter(|process| !process.is_zombie());
        alive
            .map(|process| process.pid)
            .filter(|pid| environment_of(*pid).contains(&mark))
            .collect()
    }

    pub fn log(&self, app: &str) -> String {
        let path = self.data_dir.join("apps").join(app).join("logs/output.log");
        String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
    }

    /// The log without its prefixes.
    pub fn texts(&self, app: &str) -> Vec<String> {
        self.log(app)
            .lines()
            .filter_map(|line| Some(line.get(36..)?.to_owned()))
            .collect()
    }

    pub fn app_dir(&self, app: &str) -> PathBuf {
        self.data_dir.join("apps").join(app)
    }
}

impl Drop for Rig {
    /// Ends the keeper with all its apps, in whatever state the test left them.
    fn drop(&mut self) {
        let Ok(mut caller) = Caller::connect(&self.data_dir) else {
            return;
        };
        caller.say_hello();
        caller.send(Request::Shutdown { stop_apps: true });
        caller.read_to_end();
    }
}

fn open(program: &Path, data_dir: &Path, tied: bool) -> (KeeperLink, Receiver<LinkEvent>) {
    KeeperLink::open(LinkOptions {
        keeper: KeeperOptions {
            data_dir: data_dir.to_owned(),
            tied,
        },
        program: KeeperProgram::Installed(program.to_owned()),
    })
}

/// Waits for the next connection.
pub async fn connected(events: &mut Receiver<LinkEvent>) -> Hello {
    let connected = async {
        loop {
            if let LinkEvent::Connected { hello, .. } = events.recv().await.expect("the link lives") {
                return hello;
            }
        }
    };
    tokio::time::timeout(PATIENCE, connected)
        .await
        .expect("a keeper answers")
}

/// A caller without a link: writes what it likes.
pub struct Caller {
    pub socket: UnixStream,
    buffer: FrameBuffer,
    next_id: u64,
}

impl Caller {
    pub fn connect(data_dir: &Path) -> std::io::Result<Self> {
        let socket = UnixStream::from(osier::runtime::keeper::sockets::connect(data_dir)?);
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            socket,
            buffer: FrameBuffer::default(),
            next_id: 0,
        })
    }

    pub fn send(&mut self, request: Request) {
        self.send_together([request]);
    }

    /// Sends them by one write: the keeper sees to all of them before it turns to anything else.
    pub fn send_together(&mut self, requests: impl IntoIterator<Item = Request>) {
        let mut wire = Vec::new();
        for request in requests {
            self.next_id += 1;
            let id = self.next_id;
            write_frame(&Call { id, request }, &mut wire).unwrap();
        }
        // A keeper that has just closed the connection is for the reader to notice.
        let _ = self.socket.write_all(&wire);
    }

    pub fn receive(&mut self) -> Option<Message> {
        let mut bytes = [0; 4096];
        loop {
            if let Some(message) = self.buffer.next_message().unwrap() {
                return Some(message);
            }
            let count = self.socket.read(&mut bytes).ok().filter(|count| *count > 0)?;
            self.buffer.extend(&bytes[..count]);
        }
    }

    pub fn say_hello(&mut self) -> Option<Hello> {
        self.say_hello_as(Role::Observer)
    }

    pub fn say_hello_as(&mut self, role: Role) -> Option<Hello> {
        self.send(Request::Hello { version: 1, role });
        match self.receive()? {
            Message::Reply {
                result: Ok(Reply::Hello(hello)),
                ..
            } => Some(hello),
            other => panic!("{other:?}"),
        }
    }

    pub fn read_to_end(&mut self) {
        while self.receive().is_some() {}
    }
}

pub fn kill(pid: u32, signal: i32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    let signal = rustix::process::Signal::from_named_raw(signal).unwrap();
    let _ = rustix::process::kill_process(pid, signal);
}

pub fn environment_of(pid: i32) -> Vec<String> {
    let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let entries = environ.split(|byte| *byte == 0).filter(|entry| !entry.is_empty());
    entries
        .map(|entry| String::from_utf8_lossy(entry).into_owned())
        .collect()
}

/// Whether the process runs (a zombie does not).
pub fn is_alive(pid: u32) -> bool {
    ProcStat::of(pid.cast_signed()).is_some_and(|stat| !stat.is_zombie())
}

pub fn open_files(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// A field of `/proc/PID/status` in KiB.
pub fn status_kib(pid: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

pub use crate::poll::until as wait_until;

pub fn app(name: &str) -> AppName {
    name.parse().unwrap()
}
