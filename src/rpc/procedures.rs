//! Every procedure with its request and reply.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Procedure;
use crate::names::{AppName, CommitId, SpecDigest, Version};
use crate::plan::Diff;
use crate::specs::DesiredApp;
use crate::status::origin::Origin;
use crate::status::{AppState, NodeStatus, Usage};
use crate::telemetry::EventRecord;

/// Declares procedures: type, wire name, request, reply.
macro_rules! procedures {
    ($($(#[$doc:meta])* $name:ident = $wire:literal: $request:ty => $reply:ty;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy)]
            pub enum $name {}

            impl Procedure for $name {
                const NAME: &'static str = $wire;
                type Request = $request;
                type Reply = $reply;
            }
        )*

        /// Every wire name.
        pub const NAMES: &[&str] = &[$($wire),*];
    };
}

procedures! {
    /// The node's headline.
    Status = "bc_gitops.status": Nothing => NodeStatus;
    /// All apps.
    State = "bc_gitops.state": Nothing => BTreeMap<AppName, AppState>;
    /// Fetch and reconcile now.
    Reconcile = "bc_gitops.reconcile": ReconcileRequest => ReconcileReply;
    /// What a reconcile would do.
    DiffNow = "bc_gitops.diff": DiffRequest => Diff;
    /// What runs and what this node is, so that a caller can plan by itself.
    Current = "bc_gitops.current": Nothing => CurrentReply;
    /// Everything about one app.
    ShowApp = "bc_gitops.show": AppRequest => AppDetails;
    /// One paragraph about one app.
    Why = "bc_gitops.why": AppRequest => WhyReply;
    /// Deploys a spec by hand, beside git.
    Deploy = "bc_gitops.deploy": DeployRequest => ActionReply;
    /// Gives an app another version by hand, beside git.
    Upgrade = "bc_gitops.upgrade": UpgradeRequest => ActionReply;
    /// Removes an app by hand, beside git.
    Remove = "bc_gitops.remove": RemoveRequest => ActionReply;
    /// Brings a version back that was good before, until a commit touches the app.
    Rollback = "bc_gitops.rollback": RollbackRequest => ActionReply;
    /// Restarts, stops or starts apps by hand.
    Operate = "bc_gitops.operate": OperateRequest => Vec<ActionReply>;
    /// Stops or resumes applying git.
    Suspend = "bc_gitops.suspend": SuspendRequest => SuspendReply;
    /// An app's output. A stream.
    Logs = "bc_gitops.logs": LogsRequest => LogLine;
    /// What happened. A stream.
    Events = "bc_gitops.events": EventsRequest => EventRecord;
    /// An item whenever the state of the node or of an app may have changed, at most five a second. A stream.
    Watch = "bc_gitops.watch": Nothing => Nothing;
    /// What was deployed when, newest first.
    History = "bc_gitops.history": HistoryRequest => Vec<HistoryEntry>;
    /// The supervision tree.
    Tree = "bc_gitops.tree": Nothing => TreeNode;
    /// Kills an actor (debug builds only).
    TreeKill = "bc_gitops.tree_kill": TreeKillRequest => Nothing;
    /// What of the machine is there and what is missing.
    Doctor = "bc_gitops.doctor": Nothing => Vec<Check>;
    /// The configuration in force.
    Config = "bc_gitops.config": Nothing => ConfigReply;
}

/// No arguments, or no answer but that it is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nothing {}

/// See [`Reconcile`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReconcileRequest {
    /// Only this app's outcome is waited for and reported.
    pub app: Option<AppName>,
    /// Answer when every action is carried out; else when all are handed over.
    pub wait: bool,
    /// The operator's word for the mass removal of the commit that is held back.
    pub prune: bool,
    /// The operator's word for a rewritten history: this revision (a full id or at least seven digits of it).
    pub accept: Option<String>,
    /// For the audit.
    pub reason: Option<String>,
}

/// How a reconcile went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReconcileReply {
    /// The commit that was reconciled to.
    pub commit: Option<CommitId>,
    /// `synced`, or the node's state after it (`degraded`, `pending`, `error`).
    pub result: String,
    /// Why not, in one sentence.
    pub reason: Option<String>,
    /// Each action and how it went.
    pub actions: Vec<ActionReply>,
}

/// One action and how it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionReply {
    /// `deploy`, `upgrade`, `reconfigure`, `remove`, `restart`, `stop`, `start`.
    pub action: String,
    /// Which app.
    pub app: AppName,
    /// `ok`, `pending` or `error`.
    pub result: String,
    /// Why not.
    pub error: Option<String>,
    /// What else is worth knowing: where a rollback went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// See [`DiffNow`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffRequest {
    /// A revision that the node has; default: what the branch points to now.
    pub rev: Option<String>,
}

/// See [`Current`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurrentReply {
    /// The node's name.
    pub node: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Where its data lies.
    pub data_dir: String,
    /// The folder of apps in the repository.
    pub apps_dir: String,
    /// The words in `isolation` that this node can run.
    pub runtimes: Vec<String>,
    /// The embedded apps that its host registered.
    pub factories: Vec<String>,
    /// The health functions that its host registered.
    #[serde(default)]
    pub health_checks: Vec<String>,
    /// The share of apps that a reconcile may remove.
    pub prune_max: f64,
    /// Git is applied to no app at all.
    #[serde(default)]
    pub is_suspended: bool,
    /// Apps that were removed by hand and are held against git.
    #[serde(default)]
    pub removed_by_hand: Vec<AppName>,
    /// What is managed.
    pub apps: Vec<ManagedApp>,
}

/// One managed app.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManagedApp {
    /// What it was deployed from.
    pub applied: DesiredApp,
    /// Git is not applied to it.
    pub is_held: bool,
    /// Its removal was refused as part of too many.
    #[serde(default)]
    pub is_removal_refused: bool,
}

/// Names one app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppRequest {
    /// Which. A plain text, so that a wrong name is answered with the nearest right one.
    pub app: String,
}

/// See [`ShowApp`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppDetails {
    /// Its state, as in [`State`].
    pub state: AppState,
    /// What git asks for.
    pub desired: Option<DesiredApp>,
    /// What it was deployed from.
    pub applied: Option<DesiredApp>,
    /// What its tree uses now.
    pub usage: Option<Usage>,
    /// Its newest ends, newest first.
    pub exits: Vec<PastExit>,
    /// The last lines of its output.
    pub last_words: Vec<LogLine>,
    /// Bytes of its output that were dropped since its keeper knows it: it said too much at once.
    #[serde(default)]
    pub dropped_output_bytes: u64,
    /// The newest events about it, newest first.
    pub events: Vec<EventRecord>,
    /// Who changed it last, and where.
    #[serde(default)]
    pub origin: Option<Origin>,
    /// The same paragraph as [`Why`].
    pub why: String,
}

/// One past end of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastExit {
    /// RFC 3339.
    pub at: String,
    /// `exit 1`, `signal 9`, …
    pub how: String,
    /// How long the instance had run.
    pub ran_ms: u64,
}

/// See [`Why`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyReply {
    /// Which app.
    pub app: AppName,
    /// The paragraph.
    pub text: String,
}

/// See [`Deploy`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployRequest {
    /// The file's name: its ending says the format.
    pub file: String,
    /// Its text.
    pub text: String,
    /// Hold it so long against git, in milliseconds; none: until the next reconcile.
    pub hold_ms: Option<u64>,
}

/// See [`Upgrade`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradeRequest {
    /// Which app.
    pub app: String,
    /// To which version.
    pub version: Version,
    /// The new artefact's digest, where the source has one.
    pub sha256: Option<String>,
    /// As in [`DeployRequest`].
    pub hold_ms: Option<u64>,
}

/// See [`Remove`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveRequest {
    /// Which app.
    pub app: String,
    /// As in [`DeployRequest`].
    pub hold_ms: Option<u64>,
}

/// See [`Rollback`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackRequest {
    /// Which app.
    pub app: String,
    /// To which version; none: the last one that was good before.
    pub to: Option<Version>,
    /// For the audit.
    pub reason: Option<String>,
}

/// See [`Operate`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperateRequest {
    /// What to do.
    pub operation: Operation,
    /// Which app; none: all.
    pub app: Option<String>,
}

/// What an operator does to an app by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// Stop and start; does not count as a crash.
    Restart,
    /// Stop until `start` or a commit that touches the app.
    Stop,
    /// Start again; a failed app too.
    Start,
}

/// See [`Suspend`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuspendRequest {
    /// Which app; none: the node.
    pub app: Option<String>,
    /// `false` resumes.
    pub suspend: bool,
    /// Ends by itself after so many milliseconds.
    pub for_ms: Option<u64>,
    /// For the audit.
    pub reason: Option<String>,
}

/// What [`Suspend`] left as it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuspendReply {
    /// Of a node that was resumed: apps to which git is still not applied, by a word about each of them.
    #[serde(default)]
    pub still_held: Vec<AppName>,
}

/// See [`Logs`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogsRequest {
    /// Which app.
    pub app: String,
    /// The last so many lines; none: all that is kept.
    pub tail: Option<usize>,
    /// Only lines since then, milliseconds since the epoch.
    pub since_ms: Option<i64>,
    /// The previous instance's.
    pub previous: bool,
    /// Go on with new lines.
    pub follow: bool,
}

/// One line of an app's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When, milliseconds since the epoch; in JSON `at`, RFC 3339.
    #[serde(rename = "at", with = "crate::status::time::as_rfc3339")]
    pub at_ms: i64,
    /// Which instance wrote it.
    pub instance: String,
    /// Its text; control characters and invalid bytes escaped.
    pub text: String,
}

/// See [`Events`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsRequest {
    /// Only those after this id.
    pub after: Option<String>,
    /// Only those since then, milliseconds since the epoch.
    pub since_ms: Option<i64>,
    /// Only those about this app.
    pub app: Option<String>,
    /// Go on with new ones.
    pub follow: bool,
}

/// See [`History`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryRequest {
    /// Only of this app, also of one that is gone; none: of all.
    pub app: Option<String>,
}

/// One action on an app that was carried out, or failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// When it ended, RFC 3339.
    pub at: String,
    /// Which app.
    pub app: AppName,
    /// `deploy`, `upgrade`, `reconfigure`, `remove`, `rollback`.
    pub action: String,
    /// What ran before.
    pub from_version: Option<Version>,
    /// What was to run; none: it was removed.
    pub to_version: Option<Version>,
    /// Of what was to run.
    pub digest: Option<SpecDigest>,
    /// The commit that asked for it; none: an operator did.
    pub commit: Option<CommitId>,
    /// Who wrote that commit, where it is still known here.
    pub author: Option<String>,
    /// Its first line.
    pub subject: Option<String>,
    /// Who asked for it by hand.
    pub by: Option<String>,
    /// How long it took.
    pub duration_ms: u64,
    /// `ok` or `error`.
    pub result: String,
    /// Why not.
    pub error: Option<String>,
}

/// One actor or supervisor of the tree.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeNode {
    /// Its name among its siblings.
    pub name: String,
    /// `supervisor`, `actor` or `process`.
    pub kind: String,
    /// A supervisor's strategy and intensity, in words.
    pub detail: Option<String>,
    /// `running`, `restarting`, `stopped`, `failed`, …
    pub state: String,
    /// How often it was restarted.
    pub restarts: u64,
    /// The messages that wait for it, where that is known.
    pub mailbox: Option<u64>,
    /// Milliseconds since its start.
    pub age_ms: Option<u64>,
    /// Why it ended last.
    pub last_exit: Option<String>,
    /// The operating system's process.
    pub os_pid: Option<u32>,
    /// In start order.
    pub children: Vec<TreeNode>,
}

/// See [`TreeKill`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeKillRequest {
    /// `core/apps/web`.
    pub path: String,
}

/// One thing that `osier doctor` looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// How it is.
    pub state: CheckState,
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub fix: Option<String>,
}

impl Check {
    /// What was looked at, how it is, what was found, and what to do about it.
    #[must_use]
    pub fn new(name: &str, state: CheckState, found: impl Into<String>, fix: Option<&str>) -> Self {
        Self {
            name: name.to_owned(),
            state,
            found: found.into(),
            fix: fix.map(str::to_owned),
        }
    }
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckState {
    /// Something that is asked for cannot work.
    Bad,
    /// Something is weaker than it could be.
    Warning,
    /// As it should be.
    Good,
}

/// See [`Config`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigReply {
    /// In the order of the reference.
    pub values: Vec<ConfigValue>,
    /// What has become of the file, the environment and the flags since they were read; none: the node was built from a
    /// program's own words.
    #[serde(default)]
    pub now: Option<Check>,
}

/// One value of the configuration in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigValue {
    /// `repo.branch`.
    pub key: String,
    /// As TOML; credentials redacted.
    pub value: String,
    /// `default`, `/etc/osier/osier.toml:3`, `OSIER_REPO__BRANCH`, `--…`.
    pub origin: String,
}
