//! What the keeper tells of itself, of what runs, and of what ended.

use serde::{Deserialize, Serialize};

use super::LimitFault;
use crate::names::{AppName, InstanceId};
use crate::runtime::notice::Notice;

/// Who the keeper is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The version that both speak from now on.
    pub version: u32,
    /// The keeper's process id.
    pub pid: u32,
    /// The release of Osier that it is.
    pub release: String,
    /// When it started, ms since the epoch.
    pub started_at_ms: u64,
    /// Apps that it adopted from a keeper before it.
    pub adopted_count: u32,
    /// Lines of the record file that it could not read.
    pub torn_records_count: u32,
}

/// What runs and what ended.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct List {
    /// Runs that have not ended.
    pub running: Vec<Running>,
    /// Ends that nobody acknowledged, oldest first.
    pub exits: Vec<Exit>,
    /// Ends forgotten unacknowledged because there were too many.
    pub exits_lost_count: u64,
    /// Starts that wait for their turn. None of them has a process yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<Waiting>,
}

/// A start that waits for its turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Whose.
    pub app: AppName,
    /// The run that it is to become.
    pub instance: InstanceId,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Running {
    /// Whose.
    pub app: AppName,
    /// Its id.
    pub instance: InstanceId,
    /// Its main process.
    pub pid: u32,
    /// When it started, ms since the epoch.
    pub started_at_ms: u64,
    /// Whether a keeper before this one started it: its exit code cannot be known.
    pub adopted: bool,
    /// Whether it was asked to end.
    pub stopping: bool,
    /// Its output so far, as this keeper saw it.
    pub output: OutputCounters,
    /// What of its limits is not in force.
    pub not_in_force: Vec<LimitFault>,
    /// As it was given at the start.
    pub label: String,
    /// What it has said about itself; none: it is not heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<Notice>,
}

/// An app's output in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OutputCounters {
    /// Lines written to the log.
    pub lines_count: u64,
    /// Bytes of the app's written to the log.
    pub bytes_count: u64,
    /// Lines dropped because there were too many or the disk took them not.
    pub dropped_lines_count: u64,
    /// Bytes dropped.
    pub dropped_bytes_count: u64,
}

/// A run that ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exit {
    /// Whose.
    pub app: AppName,
    /// Its id.
    pub instance: InstanceId,
    /// What its main process was.
    pub pid: u32,
    /// How the main process ended.
    pub how: ExitHow,
    /// Whether the kernel killed it because memory ran out.
    pub oom: bool,
    /// Whether it was asked to end.
    pub asked: bool,
    /// Whether the keeper had to kill the main process.
    pub killed: bool,
    /// Processes of the tree that outlived the main process and were killed.
    pub leftovers_count: u32,
    /// Processes that even KILL did not end in time (stuck in the kernel).
    pub survivors_count: u32,
    /// When it started, ms since the epoch.
    pub started_at_ms: u64,
    /// When the main process was seen to have ended, ms since the epoch.
    pub at_ms: u64,
    /// CPU time of the main process and the children that it waited for; unknown for adopted ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_ms: Option<u64>,
    /// As it was given at the start.
    pub label: String,
}

/// How a main process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitHow {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// It was not this keeper's child, or no keeper watched: counts as abnormal.
    Unknown,
}

/// What an app's tree uses now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeUsage {
    /// Which run.
    pub instance: InstanceId,
    /// Processes of the tree.
    pub processes_count: u32,
    /// CPU time since its start, as far as its living processes and their waited-for children tell.
    pub cpu_ms: u64,
    /// Memory: the group's where it is accounted, else the sum of resident sets (shared pages counted each time).
    pub memory_bytes: u64,
    /// Open files of all its processes.
    pub open_files_count: u32,
}

/// How trees are killed and limits enforced here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// How a whole tree is found and killed.
    pub tree_kill: TreeKill,
    /// Limits that can be had, by the spec's names, each with its mechanism.
    pub limits: Vec<(String, String)>,
    /// Limits that cannot.
    pub missing: Vec<LimitFault>,
    /// What confines an app to its files; absent: the keeper is of a release that cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<SandboxMeans>,
}

/// What of the means that confine an app is there, tried out by a child.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxMeans {
    /// The kernel's version of Landlock; 0: it has none, or a filter hides it.
    pub landlock_abi: u32,
    /// How an app gets a mount namespace of its own, in words; none: it cannot.
    pub mounts: Option<String>,
    /// What of `sandbox.read_only` therefore cannot be had, for an app of the keeper's own user.
    pub missing: Vec<LimitFault>,
}

/// How a whole tree is found and killed, from the surest to the least sure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TreeKill {
    /// Control group v2 with `cgroup.kill` (Linux 5.14).
    CgroupKill,
    /// Control group v2: frozen, then each member killed.
    CgroupFreeze,
    /// Control group v1: frozen, then each member killed.
    FreezerV1,
    /// By session, descent and mark.
    Walk,
}

impl TreeKill {
    /// What this way cannot catch, for `doctor`; none: nothing escapes.
    #[must_use]
    pub fn blind_spot(self) -> Option<&'static str> {
        match self {
            Self::CgroupKill | Self::CgroupFreeze | Self::FreezerV1 => None,
            Self::Walk => Some(
                "a process that left its session, lost its parent and erased OSIER_INSTANCE from its environment \
                 is not recognised as an app's",
            ),
        }
    }
}
