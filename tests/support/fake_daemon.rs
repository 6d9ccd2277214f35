//! A node that answers what a test tells it to, behind the real control socket: frames, limits and deadlines are real.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use osier::control::server::{Caller, Door, Items, bind, serve};
use osier::control::wire;
use osier::names::{AppName, CommitId};
use osier::rpc::procedures::{State, Status};
use osier::rpc::{Procedure, RpcError, RpcErrorCode};
use osier::status::{AppState, HealthState, MeshStatus, NodeState, NodeStatus, RunState, SyncState};
use serde::de::DeserializeOwned;

type Answer = Arc<dyn Fn(Vec<u8>) -> Reply + Send + Sync>;

/// What a procedure answers.
#[derive(Clone)]
pub enum Reply {
    Done(Vec<u8>),
    Refused(RpcError),
    /// A stream's items; `stays`: it does not end by itself.
    Items {
        bodies: Vec<Vec<u8>>,
        stays: bool,
    },
    /// After so long.
    Late(Duration, Vec<u8>),
    Never,
}

/// The answers by procedure, and what was asked.
#[derive(Clone, Default)]
pub struct FakeNode {
    answers: Arc<Mutex<BTreeMap<&'static str, Answer>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl FakeNode {
    /// One that is in sync and runs `clock` and `web`.
    pub fn healthy() -> Self {
        Self::default()
            .on::<State>(|_| Ok(["clock", "web"].into_iter().map(app).collect()))
            .on::<Status>(|_| Ok(status()))
    }

    /// `P` answers what `answer` makes of the request.
    pub fn on<P: Procedure>(
        self,
        answer: impl Fn(P::Request) -> Result<P::Reply, RpcError> + Send + Sync + 'static,
    ) -> Self
    where
        P::Request: DeserializeOwned,
    {
        let answer = move |body: Vec<u8>| match answer(wire::decode(&body).unwrap()) {
            Ok(reply) => Reply::Done(wire::encode(&reply).unwrap()),
            Err(error) => Reply::Refused(error),
        };
        self.answers.lock().unwrap().insert(P::NAME, Arc::new(answer));
        self
    }

    /// `P` streams these items.
    pub fn streams<P: Procedure>(self, items: &[P::Reply], stays: bool) -> Self {
        let bodies: Vec<_> = items.iter().map(|item| wire::encode(item).unwrap()).collect();
        let answer = move |_: Vec<u8>| Reply::Items {
            bodies: bodies.clone(),
            stays,
        };
        self.answers.lock().unwrap().insert(P::NAME, Arc::new(answer));
        self
    }

    /// `P` is answered after so long.
    pub fn late<P: Procedure>(self, time: Duration, reply: &P::Reply) -> Self {
        let body = wire::encode(reply).unwrap();
        self.answers
            .lock()
            .unwrap()
            .insert(P::NAME, Arc::new(move |_| Reply::Late(time, body.clone())));
        self
    }

    /// `P` is never answered.
    pub fn silent_on<P: Procedure>(self) -> Self {
        self.answers
            .lock()
            .unwrap()
            .insert(P::NAME, Arc::new(|_| Reply::Never));
        self
    }

    /// The procedures that were called, in order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Serves on a socket of its own until the handle is dropped.
    pub fn serve(self) -> FakeDaemon {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("osier.sock");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = {
            let _inside = runtime.enter();
            bind(&socket).unwrap()
        };
        let node = self.clone();
        runtime.spawn(serve(listener, Arc::new(self)));
        FakeDaemon {
            node,
            socket,
            _folder: folder,
            _runtime: runtime,
        }
    }
}

impl Door for FakeNode {
    fn call(
        &self,
        _: Caller,
        procedure: String,
        body: Vec<u8>,
        items: Items,
    ) -> BoxFuture<'static, Result<Vec<u8>, RpcError>> {
        self.asked.lock().unwrap().push(procedure.clone());
        let answer = self.answers.lock().unwrap().get(procedure.as_str()).cloned();
        Box::pin(async move {
            let Some(answer) = answer else {
                return Err(RpcError::new(
                    RpcErrorCode::UnknownProcedure,
                    format!("no procedure {procedure}"),
                ));
            };
            match answer(body) {
                Reply::Done(body) => Ok(body),
                Reply::Refused(error) => Err(error),
                Reply::Late(time, body) => {
                    tokio::time::sleep(time).await;
                    Ok(body)
                }
                Reply::Never => std::future::pending().await,
                Reply::Items { bodies, stays } => {
                    for body in bodies {
                        items.send(body).await;
                    }
                    if stays {
                        items.closed().await;
                    }
                    Ok(Vec::new())
                }
            }
        })
    }
}

/// A serving [`FakeNode`].
pub struct FakeDaemon {
    pub node: FakeNode,
    pub socket: PathBuf,
    _folder: tempfile::TempDir,
    _runtime: tokio::runtime::Runtime,
}

impl FakeDaemon {
    /// Runs `osier` against it.
    pub fn osier(&self, arguments: &[&str]) -> Ran {
        ran(self.command(arguments))
    }

    /// The command, not yet run.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = osier(arguments);
        command.env("OSIER_SOCKET", &self.socket);
        command
    }
}

/// `osier` with nothing of the tester's surroundings but a UTF-8 locale.
pub fn osier(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_osier"));
    command
        .args(arguments)
        .env_clear()
        .env("LANG", "C.UTF-8")
        .env("TZ", "UTC")
        .stdin(std::process::Stdio::null());
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// How a command ended.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Standard output as one JSON document.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Runs it to its end.
pub fn ran(mut command: Command) -> Ran {
    command.output().unwrap().into()
}

/// A time `seconds` ago, RFC 3339.
pub fn ago(seconds: i64) -> String {
    let at = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(seconds);
    at.to_string()
}

/// A commit's id.
pub fn commit() -> CommitId {
    "41b09de41b09de41b09de41b09de41b09de41b09".parse().unwrap()
}

/// A healthy app that has run for three minutes.
pub fn app(name: &str) -> (AppName, AppState) {
    let name: AppName = name.parse().unwrap();
    let state = AppState {
        name: name.clone(),
        version: Some("1.0.0".parse().unwrap()),
        description: None,
        icon: None,
        status: RunState::Running,
        sync: SyncState::Synced,
        health: HealthState::Healthy,
        started_at: Some(ago(200)),
        restarts: 0,
        isolation: "process".into(),
        os_pid: Some(4711),
        node: "lab-a".into(),
        path: Some(format!("/var/lib/osier/apps/{name}")),
        env: BTreeMap::new(),
        digest: None,
        commit: Some(commit()),
        desired_version: Some("1.0.0".parse().unwrap()),
        last_error: None,
        manual: false,
        next_try_at: None,
        progress: None,
        waits_for: Vec::new(),
        not_enforced: Vec::new(),
        checks: None,
    };
    (name, state)
}

/// A synced node.
pub fn status() -> NodeStatus {
    NodeStatus {
        node: "lab-a".into(),
        peer_id: None,
        status: NodeState::Synced,
        reason: None,
        blocked: None,
        unfollowed: None,
        last_commit: Some(commit()),
        branch: "main".into(),
        repo_url: "https://git.example.com/specs.git".into(),
        app_count: 2,
        healthy_count: 2,
        failed_count: 0,
        pending_count: 0,
        last_reconcile: Some(osier::status::LastReconcile {
            at: ago(150),
            duration_ms: 12,
            result: "ok".into(),
            error: None,
        }),
        mesh: MeshStatus {
            state: "off".into(),
            peers: 0,
        },
        version: "0.1.0".into(),
        uptime_s: 200,
    }
}

/// A path that nobody listens on.
pub fn nobody(folder: &Path) -> PathBuf {
    folder.join("nobody.sock")
}

/// An event of 2026.
pub fn event(id: u64, kind: &[&str], metadata: &serde_json::Value) -> osier::telemetry::EventRecord {
    osier::telemetry::EventRecord {
        id: format!("d:{id}"),
        node: "lab-a".into(),
        event: kind.iter().map(|part| (*part).to_owned()).collect(),
        measurements: serde_json::json!({"duration_ms": 120})
            .as_object()
            .unwrap()
            .clone(),
        metadata: metadata.as_object().unwrap().clone(),
        timestamp: 1_767_323_045_000,
    }
}
