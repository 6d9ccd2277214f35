//! The real daemon over a real repository: started, killed and started again as an operator does it, asked by the real CLI.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::fake_daemon::{Ran, osier, ran};
use crate::keeper_rig::Caller;
use crate::specs_repository::Specs;

/// Longer than anything here takes on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// A node with its repository in a folder of its own. Nothing of it is left when it is dropped.
pub struct RealDaemon {
    pub specs: Specs,
    folder: tempfile::TempDir,
    child: Option<Child>,
}

impl RealDaemon {
    /// One that follows `specs` and answers already.
    pub fn start(specs: Specs) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut daemon = Self {
            specs,
            folder,
            child: None,
        };
        daemon.configure("");
        daemon.begin();
        daemon
    }

    /// Writes the configuration; `more` goes to its head.
    pub fn configure(&self, more: &str) {
        let text = format!(
            "node.name = \"n1\"\nnode.data_dir = {data:?}\nnode.socket = {socket:?}\nrepo.url = {url:?}\n\
             repo.branch = \"main\"\nrepo.reconcile_interval = \"1s\"\nconsole.listen = \"\"\n{more}",
            data = self.data_dir(),
            socket = self.socket(),
            url = self.specs.url(),
        );
        std::fs::write(self.config(), text).unwrap();
    }

    /// Starts the daemon and waits until it answers.
    pub fn begin(&mut self) {
        let mut command = osier(&["daemon", "--config"]);
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.log())
            .unwrap();
        command.arg(self.config()).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        self.until("the daemon answers", |daemon| {
            matches!(daemon.osier(&["status"]).code, Some(0 | 1))
        });
    }

    /// What a power cut or an OOM kill does to the daemon. Its keeper and its apps live on.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Kills the daemon and starts the next one in the same instant, before the first is gone.
    pub fn kill_and_begin(&mut self) {
        let mut first = self.child.take().unwrap();
        let _ = first.kill();
        self.begin();
        let _ = first.wait();
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.child.as_ref().unwrap()), signal).unwrap();
    }

    /// Runs `osier ARGUMENTS` against it.
    pub fn osier(&self, arguments: &[&str]) -> Ran {
        ran(self.command(arguments))
    }

    /// The command, not yet run.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = osier(arguments);
        command.env("OSIER_SOCKET", self.socket());
        command
    }

    /// Runs `osier ARGUMENTS` and expects it to go well.
    pub fn does(&self, arguments: &[&str]) -> Ran {
        let ran = self.osier(arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}\n{}", self.log_text());
        ran
    }

    /// Its apps as JSON.
    pub fn apps(&self) -> Value {
        serde_json::from_str(&self.osier(&["apps", "-o", "json"]).out).unwrap_or_default()
    }

    /// The main process of a running app.
    pub fn pid(&self, app: &str) -> Option<u64> {
        self.apps()[app]["os_pid"].as_u64()
    }

    /// The events whose name is `name` (`audit`, `deploy.stop`, …), oldest first.
    pub fn events(&self, name: &str) -> Vec<Value> {
        let lines = self.does(&["events", "-o", "jsonl"]).out;
        let events = lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let named = |event: &Value| {
            let parts = event["event"].as_array().unwrap().iter().skip(1);
            parts
                .map(|part| part.as_str().unwrap())
                .collect::<Vec<_>>()
                .join(".")
                == name
        };
        events.filter(named).collect()
    }

    /// Waits for something that only looking can tell.
    pub fn until(&self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(self) {
            assert!(
                Instant::now() < deadline,
                "still not so: {what}\n{}",
                self.log_text()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("control.sock")
    }

    pub fn app_dir(&self, app: &str) -> PathBuf {
        self.data_dir().join("apps").join(app)
    }

    /// A file beside the configuration.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn log_text(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("osier.toml")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("daemon.log")
    }
}

impl Drop for RealDaemon {
    fn drop(&mut self) {
        self.kill();
        end_keeper(&self.data_dir());
    }
}

/// Ends the keeper of a data directory with all its apps.
fn end_keeper(data_dir: &Path) {
    use osier::runtime::keeper::protocol::Request;
    let Ok(mut caller) = Caller::connect(data_dir) else {
        return;
    };
    if caller.say_hello().is_some() {
        caller.send(Request::Shutdown { stop_apps: true });
        caller.read_to_end();
    }
}

/// The spec of an app that sleeps, with more lines of YAML.
pub fn sleeper(more: &str) -> String {
    format!("version: 1.0.0\ncommand: [sleep, '100000']\n{more}")
}
