//! The real binary as a daemon, with a configuration, a data directory and a socket of its own, asked by the real
//! command line. Whatever it started is gone when it goes.

use std::fs::File;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;
use tempfile::TempDir;

use crate::fake_daemon::{Ran, osier, ran};
use crate::specs_repository::Specs;

/// Everything happens long before; a loaded machine is slow.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at something that tells nobody when it changes.
const LOOK_PAUSE: Duration = Duration::from_millis(25);

/// A daemon that can be started, killed and started again.
pub struct RealDaemon {
    pub room: TempDir,
    child: Option<Child>,
}

/// A daemon together with the repository that it follows.
pub struct Followed {
    pub specs: Specs,
    daemon: RealDaemon,
}

impl Deref for Followed {
    type Target = RealDaemon;

    fn deref(&self) -> &RealDaemon {
        &self.daemon
    }
}

impl DerefMut for Followed {
    fn deref_mut(&mut self) -> &mut RealDaemon {
        &mut self.daemon
    }
}

impl Followed {
    /// One that follows `specs` and answers already; `more` are lines of its configuration.
    pub fn start(specs: Specs, more: &[&str]) -> Self {
        let mut daemon = RealDaemon::new(&specs.url(), more);
        daemon.start();
        Self { specs, daemon }
    }

    /// Writes the configuration anew.
    pub fn configure(&self, more: &[&str]) {
        self.daemon.configure(&self.specs.url(), more);
    }
}

impl RealDaemon {
    /// A daemon that is to follow `url`; `more` are lines of its configuration with dotted keys, instead of or beside
    /// what a test most often wants.
    pub fn new(url: &str, more: &[&str]) -> Self {
        let room = tempfile::tempdir().unwrap();
        let daemon = Self { room, child: None };
        daemon.configure(url, more);
        daemon
    }

    /// Writes the configuration anew.
    pub fn configure(&self, url: &str, more: &[&str]) {
        let usual = [
            "node.name = \"n1\"".to_owned(),
            format!("node.data_dir = {:?}", self.data_dir()),
            format!("node.socket = {:?}", self.socket()),
            format!("repo.url = {url:?}"),
            "repo.reconcile_interval = \"1s\"".to_owned(),
            "console.listen = \"\"".to_owned(),
        ];
        let key = |line: &str| line.split(" =").next().unwrap_or_default().to_owned();
        let given: Vec<String> = more.iter().map(|line| key(line)).collect();
        let usual = usual.into_iter().filter(|line| !given.contains(&key(line)));
        let lines: Vec<String> = usual.chain(more.iter().map(|&line| line.to_owned())).collect();
        std::fs::write(self.config(), lines.join("\n") + "\n").unwrap();
    }

    pub fn config(&self) -> PathBuf {
        self.room.path().join("osier.toml")
    }

    pub fn data_dir(&self) -> PathBuf {
        self.room.path().join("data")
    }

    pub fn socket(&self) -> PathBuf {
        self.room.path().join("control.sock")
    }

    /// The clone that is in use.
    pub fn clone(&self) -> PathBuf {
        self.data_dir().join("repo/current")
    }

    pub fn app_dir(&self, app: &str) -> PathBuf {
        self.data_dir().join("apps").join(app)
    }

    /// A file beside the configuration.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.room.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Starts the daemon and waits until it answers.
    pub fn start(&mut self) {
        self.start_as(self.daemon());
    }

    /// The command that becomes the daemon.
    pub fn daemon(&self) -> Command {
        osier(&["--config", self.config().to_str().unwrap(), "daemon"])
    }

    /// The same, run by other programs that become it in the end.
    pub fn daemon_under(&self, prefix: &[String]) -> Command {
        let daemon = self.daemon();
        let mut command = Command::new(&prefix[0]);
        command
            .args(&prefix[1..])
            .arg(daemon.get_program())
            .args(daemon.get_args());
        command.env_clear();
        command.envs(daemon.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    }

    /// Starts a command that becomes the daemon and waits until it answers. Its log is kept over starts.
    pub fn start_as(&mut self, mut command: Command) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.room.path().join("log"))
            .unwrap();
        command
            .env("HOME", self.room.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        self.child = Some(command.spawn().unwrap());
        self.wait("the daemon answers", |daemon| {
            daemon
                .osier(&["status", "-o", "json"])
                .code
                .is_some_and(|code| code < 2)
        });
    }

    /// The daemon's pid.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// What the daemon has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.room.path().join("log")).unwrap_or_default()
    }

    /// Runs `osier ARGUMENTS` against it.
    pub fn osier(&self, arguments: &[&str]) -> Ran {
        ran(self.command(arguments))
    }

    /// The command, not yet run.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = osier(arguments);
        command
            .env("OSIER_CONFIG", self.config())
            .env("HOME", self.room.path());
        command
    }

    /// Runs `osier ARGUMENTS` and expects it to go well.
    pub fn does(&self, arguments: &[&str]) -> Ran {
        let ran = self.osier(arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}\n{}", self.log());
        ran
    }

    pub fn status(&self) -> Json {
        self.osier(&["status", "-o", "json"]).json()
    }

    /// Its apps; none as long as it does not answer.
    pub fn apps(&self) -> Json {
        serde_json::from_str(&self.osier(&["apps", "-o", "json"]).out).unwrap_or_default()
    }

    pub fn app(&self, name: &str) -> Json {
        self.apps()[name].clone()
    }

    /// The main process of a running app.
    pub fn app_pid(&self, app: &str) -> Option<u64> {
        self.app(app)["os_pid"].as_u64()
    }

    /// The events whose name is `name` (`audit`, `deploy.stop`, …), oldest first.
    pub fn events(&self, name: &str) -> Vec<Json> {
        let lines = self.does(&["events", "-o", "jsonl"]).out;
        let events = lines
            .lines()
            .map(|line| serde_json::from_str::<Json>(line).unwrap());
        let named = |event: &Json| {
            let parts = event["event"].as_array().unwrap().iter().skip(1);
            parts
                .map(|part| part.as_str().unwrap())
                .collect::<Vec<_>>()
                .join(".")
                == name
        };
        events.filter(named).collect()
    }

    /// Looks until it is so.
    pub fn wait(&self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !is_so(self) {
            assert!(Instant::now() < until, "not so: {what}\n{}", self.log());
            std::thread::sleep(LOOK_PAUSE);
        }
    }

    /// Waits until the node is in sync with `commit`.
    pub fn wait_for_sync(&self, commit: &str) {
        self.wait(&format!("in sync with {commit}"), |daemon| {
            let status = daemon.status();
            status["status"] == "synced" && status["last_commit"] == commit
        });
    }

    /// Waits until `status` gives a reason that holds `text`, and gives the whole status.
    pub fn wait_for_reason(&self, text: &str) -> Json {
        let mut status = Json::Null;
        self.wait(&format!("the reason says `{text}`"), |daemon| {
            status = daemon.status();
            status["reason"]
                .as_str()
                .is_some_and(|reason| reason.contains(text))
        });
        status
    }

    /// What a power cut or an OOM kill does to the daemon. Its keeper and its apps live on.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Kills the daemon and starts the next one in the same instant, before the first is gone.
    pub fn kill_and_start(&mut self) {
        let mut first = self.child.take().unwrap();
        first.kill().unwrap();
        self.start();
        first.wait().unwrap();
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.child.as_ref().unwrap()), signal).unwrap();
    }

    /// SIGTERM: the daemon leaves, apps stay.
    pub fn leave(&mut self) -> std::process::ExitStatus {
        let mut child = self.child.take().unwrap();
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            assert!(
                Instant::now() < until,
                "the daemon does not leave\n{}",
                self.log()
            );
            std::thread::sleep(LOOK_PAUSE);
        }
    }

    /// The daemon and everything below it and below its keeper, with what they were started with.
    pub fn processes(&self) -> Vec<i32> {
        let mut found: Vec<i32> = self
            .child
            .iter()
            .map(|child| i32::try_from(child.id()).unwrap())
            .chain(keepers_of(&self.data_dir()))
            .collect();
        let parents = parents();
        let mut at = 0;
        while let Some(parent) = found.get(at).copied() {
            for (pid, of) in &parents {
                if *of == parent && !found.contains(pid) {
                    found.push(*pid);
                }
            }
            at += 1;
        }
        found
    }
}

impl Drop for RealDaemon {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.child = None;
        // The keeper and all apps. It starts none again by itself; its death ends none of them.
        for pid in self.processes() {
            if let Some(pid) = Pid::from_raw(pid) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

fn keepers_of(data_dir: &Path) -> Vec<i32> {
    let data_dir = data_dir.to_str().unwrap();
    let is_keeper = |pid: &i32| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = words.split(|&byte| byte == 0).collect();
        words.contains(&b"keeper".as_slice()) && words.contains(&data_dir.as_bytes())
    };
    pids().into_iter().filter(is_keeper).collect()
}

fn pids() -> Vec<i32> {
    let names = std::fs::read_dir("/proc").unwrap().flatten();
    names
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// Every process with its parent.
fn parents() -> Vec<(i32, i32)> {
    let parent_of = |pid: i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let parent = stat.rsplit(") ").next()?.split(' ').nth(1)?.parse().ok()?;
        Some((pid, parent))
    };
    pids().into_iter().filter_map(parent_of).collect()
}

/// The spec of an app that sleeps, with more lines of YAML.
pub fn sleeper(more: &str) -> String {
    format!("version: 1.0.0\ncommand: [sleep, '100000']\n{more}")
}
