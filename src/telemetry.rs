//! What happens on a node, as typed events and as the record that is stored, shown and sent.
//!
//! Names are the original's (`bc_gitops.deploy.stop`); the record is the payload of the seed protocol.
//! [`record`] turns the one into the other, [`text`] keeps foreign words in it harmless, [`sentence`] says it to people,
//! [`repeats`] keeps a log from saying the same thing for ever, [`mod@reference`] lists every event for the documents.

pub mod record;
pub mod reference;
pub mod repeats;
pub mod sentence;
pub mod text;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::names::{AppName, CommitId, SpecDigest, Version};

/// Something that happened. Every one has a stable name; `EventRecord::event` holds it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[expect(
    missing_docs,
    reason = "the fields are the record's measurements and metadata; docs/reference/telemetry.md lists them"
)]
pub enum Event {
    /// A reconcile began.
    ReconcileStart { commit: Option<CommitId> },
    /// A reconcile ended; all its actions were handed over.
    ReconcileStop {
        commit: CommitId,
        duration_ms: u64,
        actions: usize,
        invalid: usize,
    },
    /// A reconcile could not be done.
    ReconcileError {
        code: String,
        error: String,
        duration_ms: u64,
    },
    /// Something is being done to an app.
    ActionStart {
        action: ActionKind,
        app: AppName,
        from: Option<Version>,
        to: Option<Version>,
        commit: Option<CommitId>,
    },
    /// It is done, or could not be done.
    ActionStop {
        action: ActionKind,
        app: AppName,
        from: Option<Version>,
        to: Option<Version>,
        commit: Option<CommitId>,
        /// What was to run.
        digest: Option<SpecDigest>,
        /// Who asked for it by hand; none: git did.
        by: Option<String>,
        duration_ms: u64,
        /// None: it worked.
        error: Option<String>,
    },
    /// An app ended and is started again.
    AppRestart {
        app: AppName,
        exit: String,
        restarts: u64,
        delay_ms: u64,
    },
    /// An app did not heed its stop signal.
    AppKilled { app: AppName, grace_ms: u64 },
    /// An app gave up.
    AppFailed {
        app: AppName,
        reason: String,
        restarts: u64,
    },
    /// An app's health is another than before.
    HealthChanged {
        app: AppName,
        from: String,
        to: String,
        reason: Option<String>,
    },
    /// A new commit was fetched.
    GitFetched {
        from: Option<CommitId>,
        to: CommitId,
        author: String,
        subject: String,
        duration_ms: u64,
    },
    /// The repository could not be fetched. Repeated only when the reason changes.
    GitError { code: String, error: String },
    /// A spec has a mistake. Once for each commit that has it.
    SpecInvalid {
        app: Option<AppName>,
        file: String,
        line: u32,
        column: u32,
        code: String,
        error: String,
        commit: CommitId,
    },
    /// A commit does not descend from the accepted one.
    HistoryRefused { accepted: CommitId, refused: CommitId },
    /// A commit would remove too many apps.
    PruneRefused { commit: CommitId, apps: Vec<AppName> },
    /// An actor ended unasked.
    ActorExited {
        path: String,
        reason: String,
        restarts: u64,
    },
    /// Nothing reaches the disk; the node goes on in memory.
    StoreFailing { code: String, error: String },
    /// State is written again.
    StoreRecovered,
    /// The keeper cannot be reached: apps go on, and none can be started, stopped or watched.
    KeeperUnreachable { code: String, error: String },
    /// The keeper answers again.
    KeeperRecovered,
    /// A state file could not be read and was set aside.
    StoreSetAside {
        file: String,
        kept_as: Option<String>,
        error: String,
    },
    /// Somebody asked for something that changes the node.
    Audit {
        actor: String,
        procedure: String,
        target: Option<String>,
        arguments: Option<String>,
        reason: Option<String>,
        result: String,
    },
}

/// Takes events: the telemetry router's handle in a node, a list in a test. Never blocks; what it cannot take it drops and counts.
pub trait EventSink: Send + Sync + 'static {
    /// Hands over one event.
    fn emit(&self, event: Event);
}

/// What is done to an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the verbs of GitOps")]
pub enum ActionKind {
    Deploy,
    Upgrade,
    Reconfigure,
    Remove,
    Rollback,
}

impl ActionKind {
    /// The word in events and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Upgrade => "upgrade",
            Self::Reconfigure => "reconfigure",
            Self::Remove => "remove",
            Self::Rollback => "rollback",
        }
    }
}

/// An event as it is stored, shown and sent (CLI.md "event").
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventRecord {
    /// Peer id or data dir id, `:`, and a counter of the store.
    pub id: String,
    /// The node's name, for people.
    pub node: String,
    /// `["bc_gitops", "deploy", "stop"]`.
    pub event: Vec<String>,
    /// Numbers: `duration_ms`, …
    pub measurements: Map<String, Value>,
    /// Everything else: `app`, `result`, …
    pub metadata: Map<String, Value>,
    /// Milliseconds since the epoch.
    pub timestamp: i64,
}
