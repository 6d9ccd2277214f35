//! A daemon of the real binary that follows a real repository, asked by the real command line.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::fake_daemon::{Ran, osier, ran};
use crate::specs_repository::Specs;

/// Everything happens long before; a loaded machine is slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node and the repository that it follows.
pub struct RealNode {
    pub specs: Specs,
    folder: TempDir,
    daemon: Child,
}

impl RealNode {
    /// A node that has read what is in `specs`.
    pub fn following(specs: Specs) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().display();
        let config = format!(
            "[node]\nname = \"lab-a\"\ndata_dir = \"{place}/node\"\n\n[repo]\nurl = \"{}\"\nreconcile_interval = \"1h\"\n",
            specs.url()
        );
        std::fs::write(folder.path().join("osier.toml"), config).unwrap();
        let log = std::fs::File::create(folder.path().join("daemon.log")).unwrap();
        let mut node = Self {
            specs,
            daemon: command(&folder, &["daemon"]).stderr(log).spawn().unwrap(),
            folder,
        };
        node.wait("has read its repository", |node| {
            !node.osier(&["status", "-o", "json"]).out.is_empty()
                && !node.status()["last_reconcile"].is_null()
        });
        node
    }

    /// The command line, by this node's configuration.
    pub fn osier(&self, arguments: &[&str]) -> Ran {
        ran(self.command(arguments))
    }

    /// The same, not yet run.
    pub fn command(&self, arguments: &[&str]) -> Command {
        command(&self.folder, arguments)
    }

    /// `osier status`.
    pub fn status(&self) -> Value {
        self.osier(&["status", "-o", "json"]).json()
    }

    /// One app of `osier apps`.
    pub fn app(&self, name: &str) -> Value {
        self.osier(&["apps", "-o", "json"]).json()[name].clone()
    }

    /// A path in the node's own folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Waits until `is_so`.
    pub fn wait(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !is_so(self) {
            let ended = self.daemon.try_wait().unwrap();
            if ended.is_some() || Instant::now() > until {
                let log = std::fs::read_to_string(self.path("daemon.log")).unwrap_or_default();
                panic!("it never {what}; {ended:?}\n{:?}\n{log}", self.osier(&["status"]));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Its apps are stopped, its daemon leaves; its keeper, idle then, leaves by itself.
impl Drop for RealNode {
    fn drop(&mut self) {
        let _ = self.command(&["stop", "--all"]).output();
        let _ = kill_process(Pid::from_child(&self.daemon), Signal::TERM);
        let _ = self.daemon.wait();
    }
}

fn command(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = osier(arguments);
    command
        .env("HOME", folder.path())
        .env("OSIER_CONFIG", folder.path().join("osier.toml"))
        .stdout(Stdio::piped());
    command
}
