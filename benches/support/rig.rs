//! What the benches of a node share: a repository of many specs, a runtime without processes, medians and rows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use osier::names::{AppName, InstanceId, SpecDigest};
use osier::node::{Git, Node, NodeHandle};
use osier::rpc::procedures::ReconcileRequest;
use osier::runtime::{Instance, Launch, Runtime, RuntimeError};
use osier::specs::app_spec::StopPolicy;

/// A runtime that remembers what it was asked for and starts no process.
#[derive(Clone, Default)]
pub struct NoProcess {
    running: Arc<Mutex<BTreeMap<AppName, (InstanceId, SpecDigest)>>>,
    deployed: Arc<AtomicUsize>,
}

impl NoProcess {
    /// How many instances were started so far.
    pub fn deployed(&self) -> usize {
        self.deployed.load(Ordering::Relaxed)
    }
}

fn instance(app: AppName, id: InstanceId, digest: SpecDigest) -> Instance {
    Instance {
        app,
        id,
        digest,
        os_pid: None,
        started_at_ms: osier::clock::now_ms(),
        not_enforced: Vec::new(),
        exited: Box::pin(std::future::pending()),
    }
}

impl Runtime for NoProcess {
    async fn deploy(&self, launch: Launch) -> Result<Instance, RuntimeError> {
        let app = launch.spec.name.clone();
        let entry = (launch.instance.clone(), launch.digest.clone());
        self.running
            .lock()
            .expect("no panic inside")
            .insert(app.clone(), entry);
        self.deployed.fetch_add(1, Ordering::Relaxed);
        Ok(instance(app, launch.instance, launch.digest))
    }

    async fn remove(&self, app: &AppName, _: StopPolicy) -> Result<(), RuntimeError> {
        self.running.lock().expect("no panic inside").remove(app);
        Ok(())
    }

    async fn current_state(&self) -> Result<BTreeMap<AppName, Instance>, RuntimeError> {
        let running = self.running.lock().expect("no panic inside");
        let found = running
            .iter()
            .map(|(app, (id, digest))| (app.clone(), instance(app.clone(), id.clone(), digest.clone())));
        Ok(found.collect())
    }

    async fn adopt(&self, app: &AppName) -> Result<Option<Instance>, RuntimeError> {
        let running = self.running.lock().expect("no panic inside");
        let found = running.get(app).cloned();
        Ok(found.map(|(id, digest)| instance(app.clone(), id, digest)))
    }
}

/// A repository with `count` specs, and room for a node's data; removed when dropped.
pub struct Rig {
    folder: tempfile::TempDir,
}

impl Rig {
    /// Specs `app-0000` to `app-COUNT` on `main`.
    pub fn with_specs(count: usize) -> Self {
        let rig = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
        };
        std::fs::create_dir_all(rig.specs().join("apps")).expect("the folder of specs");
        rig.git(&["init", "-q", "-b", "main"]);
        std::fs::write(rig.specs().join("README"), "apps\n").expect("a file");
        rig.commit_specs(count);
        rig
    }

    /// The repository's folder.
    pub fn specs(&self) -> PathBuf {
        self.folder.path().join("specs")
    }

    /// Where the control socket of the node is.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("data/osier.sock")
    }

    /// A folder of the rig's own.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Commits so many specs.
    pub fn commit_specs(&self, count: usize) {
        for number in 0..count {
            let app = self.specs().join(format!("apps/app-{number:04}"));
            std::fs::create_dir_all(&app).expect("the folder of an app");
            let spec = format!(
                "version: 1.0.0\ncommand: [/bin/sleep, infinity]\nenv: {{ PORT: {number}, LOG: info }}\nrestart: {{ intensity: 5, period: 60s }}\n"
            );
            std::fs::write(app.join("app.yaml"), spec).expect("a spec");
        }
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", "specs"]);
        // As a server keeps what was pushed to it.
        self.git(&["repack", "-a", "-d", "-q"]);
    }

    fn git(&self, words: &[&str]) {
        let identity = [
            "-c",
            "user.name=bench",
            "-c",
            "user.email=bench@localhost",
            "-c",
            "commit.gpgsign=false",
        ];
        let done = Command::new("git")
            .current_dir(self.specs())
            .args(identity)
            .args(words)
            .status();
        assert!(done.expect("git runs").success(), "git {words:?}");
    }

    /// A node on this repository that runs its apps with `runtime` and never polls by itself.
    pub async fn start(&self, runtime: NoProcess) -> NodeHandle {
        let url = format!("file://{}", self.specs().display());
        Node::builder(Git::new(url))
            .name("bench")
            .data_dir(self.path("data"))
            .control_socket(self.socket())
            .interval(Duration::from_secs(3600))
            .runtime(runtime)
            .start()
            .await
            .expect("the node starts")
    }
}

/// Fetches, reconciles, waits for the end; how long that took.
pub async fn reconcile(node: &NodeHandle) -> Duration {
    let began = Instant::now();
    let reply = node
        .reconcile(ReconcileRequest {
            wait: true,
            ..ReconcileRequest::default()
        })
        .await;
    reply.expect("a reconcile");
    began.elapsed()
}

/// `git ls-remote` of the branch, as a person would ask.
pub fn ls_remote(repository: &Path) -> Duration {
    let began = Instant::now();
    let url = format!("file://{}", repository.display());
    let output = Command::new("git")
        .args(["ls-remote", &url, "refs/heads/main"])
        .output();
    assert!(output.expect("git runs").status.success());
    began.elapsed()
}

/// The value that `share` (0.0 to 1.0) of all are not above.
pub fn quantile(values: &mut [Duration], share: f64) -> f64 {
    values.sort_unstable();
    let rank = ((values.len() as f64 * share).ceil() as usize).clamp(1, values.len());
    values[rank - 1].as_secs_f64() * 1000.0
}

/// The median in milliseconds.
pub fn median(values: &mut [Duration]) -> f64 {
    quantile(values, 0.5)
}
