//! What people and programs see: the shapes of `osier status`, `osier apps` and `osier diff` (CLI.md "Shapes that others rely on").
//!
//! Three axes for an app: what runs ([`RunState`]), whether it is what git asks for ([`SyncState`]), how it fares ([`HealthState`]).

pub mod headline;
pub mod health;
pub mod hold;
pub mod origin;
pub mod time;
pub mod unfollowed;
pub mod why;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use self::health::HealthReport;
use self::unfollowed::Unfollowed;
use crate::names::{AppName, CommitId, SpecDigest, Version};
use crate::specs::app_spec::Icon;

/// A node's headline; the worst one wins. Ordered from worst to best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// No usable specs.
    Error,
    /// An app failed, is unhealthy, in back-off or has a bad spec, something is blocked, or the last fetch failed.
    Degraded,
    /// Work is left.
    Pending,
    /// No specs yet.
    Initializing,
    /// Specs read, first reconcile not ended.
    Ready,
    /// Nothing left to do.
    Synced,
}

impl NodeState {
    /// The word in JSON and on the screen.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Degraded => "degraded",
            Self::Pending => "pending",
            Self::Initializing => "initializing",
            Self::Ready => "ready",
            Self::Synced => "synced",
        }
    }
}

/// What runs of an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// Known, nothing done yet.
    Pending,
    /// For its dependencies.
    Waiting,
    /// Its artefact is on the way.
    Fetching,
    /// Spawned, not yet confirmed.
    Starting,
    /// Its process lives.
    Running,
    /// An old instance gives way to a new one.
    Upgrading,
    /// It ended; a restart is scheduled.
    Backoff,
    /// It got its stop signal.
    Stopping,
    /// It does not run and is not meant to: stopped by hand, or ended with 0 and not permanent.
    Stopped,
    /// It gave up; stays until its spec changes or an operator says so.
    Failed,
    /// Nothing runs because its spec is bad.
    Invalid,
}

impl RunState {
    /// The word in JSON and on the screen.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Waiting => "waiting",
            Self::Fetching => "fetching",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Upgrading => "upgrading",
            Self::Backoff => "backoff",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Invalid => "invalid",
        }
    }
}

/// Is an app what git asks for?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyncState {
    /// Yes.
    Synced,
    /// Not yet; nothing is under way.
    Pending,
    /// Not yet; it is being done.
    Reconciling,
    /// Its spec is bad.
    Error,
    /// It runs and git does not ask for it.
    Orphaned,
    /// Git asks for it and it is not deployed.
    Missing,
    /// Git is not applied to it.
    Suspended,
}

impl SyncState {
    /// The word in JSON and on the screen.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Synced => "synced",
            Self::Pending => "pending",
            Self::Reconciling => "reconciling",
            Self::Error => "error",
            Self::Orphaned => "orphaned",
            Self::Missing => "missing",
            Self::Suspended => "suspended",
        }
    }
}

/// How an app fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthState {
    /// Its checks pass, or it has none and has run for a second.
    Healthy,
    /// Its checks fail, or it does not run though it should.
    Unhealthy,
    /// Nobody knows yet.
    Unknown,
}

impl HealthState {
    /// The word in JSON and on the screen.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Unknown => "unknown",
        }
    }
}

/// One app's state (`bc_gitops.state`). Values of secrets are never in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppState {
    /// Its name.
    pub name: AppName,
    /// The version that runs, or would run next where nothing runs.
    pub version: Option<Version>,
    /// From the spec.
    pub description: Option<String>,
    /// From the spec; none: an identicon.
    pub icon: Option<Icon>,
    /// What runs.
    pub status: RunState,
    /// Is it what git asks for?
    pub sync: SyncState,
    /// How it fares.
    pub health: HealthState,
    /// When the running instance started, RFC 3339.
    pub started_at: Option<String>,
    /// Automatic restarts since the app was deployed; those by hand and upgrades do not count.
    pub restarts: u64,
    /// Which runtime runs it.
    pub isolation: String,
    /// The main process.
    pub os_pid: Option<u32>,
    /// The node's name.
    pub node: String,
    /// The app's own folder on the node.
    pub path: Option<String>,
    /// Its environment from the spec; only on the local socket.
    pub env: BTreeMap<String, String>,
    /// The digest that runs.
    pub digest: Option<SpecDigest>,
    /// The commit that last touched it here.
    pub commit: Option<CommitId>,
    /// What git asks for.
    pub desired_version: Option<Version>,
    /// What went wrong last and is not over.
    pub last_error: Option<AppError>,
    /// It was changed by hand, beside git.
    pub manual: bool,
    /// When the next try is due, RFC 3339 (back-off).
    pub next_try_at: Option<String>,
    /// How far its artefact has come, while it is on the way.
    #[serde(default)]
    pub progress: Option<Progress>,
    /// Dependencies that it waits for.
    pub waits_for: Vec<AppName>,
    /// Limits and rules of the sandbox that were asked for and are not in force (`enforce = "best_effort"`).
    pub not_enforced: Vec<String>,
    /// What its health checks have found; none: its spec asks for none, or it does not run.
    #[serde(default)]
    pub checks: Option<HealthReport>,
}

impl AppState {
    /// Its checks have yet to find it well.
    #[must_use]
    pub fn is_unproven(&self) -> bool {
        self.checks.is_some() && self.health == HealthState::Unknown
    }

    /// Something older runs on, because what is asked for did not come up and is not tried again by itself.
    #[must_use]
    pub fn is_kept_from_upgrade(&self) -> bool {
        self.status == RunState::Running
            && self.sync == SyncState::Pending
            && self.last_error.is_some()
            && self.next_try_at.is_none()
    }
}

/// The code of the error of a new version that did not come up and stays (`on_failure: halt`).
pub const UPGRADE_FAILED: &str = "osier::app::upgrade_failed";

/// The code of the error while the last good version stands in for what git asks for.
pub const ROLLED_BACK: &str = "osier::app::rolled_back";

/// How far something has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// So much is there, in bytes.
    pub done_bytes: u64,
    /// So much there will be; none: nobody has said.
    pub total_bytes: Option<u64>,
}

impl Progress {
    /// `12.5 of 100.0 MiB`, or `12.5 MiB` where nobody knows how much there will be.
    #[must_use]
    pub fn words(self) -> String {
        #[expect(clippy::cast_precision_loss, reason = "it is shown to one digit")]
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let done = mebibytes(self.done_bytes);
        match self.total_bytes {
            Some(total) => format!("{done:.1} of {:.1} MiB", mebibytes(total)),
            None => format!("{done:.1} MiB"),
        }
    }
}

/// The keeper cannot be reached: of apps that are processes nobody knows what has become since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeeperTrouble {
    /// What is wrong with it.
    pub why: String,
    /// Since when that is known, milliseconds since the epoch.
    pub since_ms: u64,
}

impl KeeperTrouble {
    /// The node's cause, in one sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!(
            "the keeper does not answer: {}; apps go on, and none can be started, stopped or watched",
            self.why
        )
    }

    /// Whether `state` may be another by now: nobody sees what becomes of the process.
    #[must_use]
    pub fn hides(&self, state: &AppState) -> bool {
        let may_live = match state.status {
            RunState::Starting | RunState::Running | RunState::Upgrading | RunState::Stopping => true,
            // Nobody has looked for what was applied.
            RunState::Pending => state.digest.is_some(),
            RunState::Waiting
            | RunState::Fetching
            | RunState::Backoff
            | RunState::Stopped
            | RunState::Failed
            | RunState::Invalid => false,
        };
        may_live && state.isolation == "process"
    }

    /// `state` as far as it is known.
    #[must_use]
    pub fn shade(&self, state: &AppState) -> AppState {
        if !self.hides(state) {
            return state.clone();
        }
        let since = time::rfc3339(self.since_ms);
        AppState {
            health: HealthState::Unknown,
            last_error: Some(AppError {
                code: "osier::keeper::unreachable".to_owned(),
                message: format!(
                    "whether it still runs is not known: the keeper does not answer: {}",
                    self.why
                ),
                file: None,
                line: None,
                column: None,
                at: since,
            }),
            ..state.clone()
        }
    }
}

/// Why something about an app is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppError {
    /// A stable code such as `osier::runtime::exec_failed`.
    pub code: String,
    /// What, where and why, for a person.
    pub message: String,
    /// The spec file it is about.
    #[serde(default)]
    pub file: Option<String>,
    /// From 1.
    #[serde(default)]
    pub line: Option<u32>,
    /// From 1.
    #[serde(default)]
    pub column: Option<u32>,
    /// When, RFC 3339.
    pub at: String,
}

/// The node's state (`bc_gitops.status`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// The node's name.
    pub node: String,
    /// Its identity in the mesh.
    pub peer_id: Option<String>,
    /// The headline.
    pub status: NodeState,
    /// The headline's cause in one sentence; suspended and hand-stopped apps are named here too.
    pub reason: Option<String>,
    /// What waits for an operator's word.
    pub blocked: Option<Blocked>,
    /// What git asks for beyond the accepted commit, or may: apps are what the accepted one asks for.
    #[serde(default)]
    pub unfollowed: Option<Unfollowed>,
    /// The accepted commit.
    pub last_commit: Option<CommitId>,
    /// The branch that is followed.
    pub branch: String,
    /// Where from; credentials redacted.
    pub repo_url: String,
    /// Apps that this node knows.
    pub app_count: usize,
    /// Those that are healthy.
    pub healthy_count: usize,
    /// Those that gave up or have a bad spec.
    pub failed_count: usize,
    /// Those with work left.
    pub pending_count: usize,
    /// The newest reconcile that ended.
    pub last_reconcile: Option<LastReconcile>,
    /// The mesh.
    pub mesh: MeshStatus,
    /// Osier's.
    pub version: String,
    /// Seconds since the daemon started.
    pub uptime_s: u64,
}

/// How the newest reconcile went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastReconcile {
    /// When it ended, RFC 3339.
    pub at: String,
    /// How long it took.
    pub duration_ms: u64,
    /// `ok` or `error`.
    pub result: String,
    /// Why not.
    pub error: Option<String>,
}

/// The mesh as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeshStatus {
    /// `off`, `connecting` or `on`.
    pub state: String,
    /// Connected peers.
    pub peers: usize,
}

/// What waits for an operator's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    /// Why.
    pub kind: BlockedKind,
    /// The commit that is not (wholly) applied.
    pub commit: CommitId,
    /// The apps that would be removed.
    pub apps: Vec<AppName>,
    /// The command that accepts it.
    pub accept: String,
}

/// Why a commit is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BlockedKind {
    /// It would remove too many apps.
    Prune,
    /// It does not descend from the accepted one.
    History,
    /// Its signature does not hold.
    Signature,
}

/// What an app's whole tree uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// CPU time since the instance began, in milliseconds.
    pub cpu_ms: u64,
    /// Resident memory, in bytes.
    pub memory_bytes: u64,
    /// Open file descriptors.
    pub open_files: u64,
    /// Processes.
    pub processes: u64,
}
