//! What the daemon and the keeper say to each other over `keeper.sock`.
//!
//! The daemon sends [`Call`]s, each with an id; the keeper answers every call with one [`Message::Reply`] of that id
//! and sends [`Message::Push`]es of its own accord. A spawn's fate comes as a push of its instance, because many spawns
//! travel in one call and none waits for another. Every request may be repeated: spawning an instance that is known
//! already, stopping one that has ended or acknowledging twice changes nothing. So the link resends after a reconnect.
//!
//! Fields may be added with `#[serde(default)]`; anything else raises [`VERSION`], and the two versions before stay
//! understood.

use serde::{Deserialize, Serialize};

use crate::names::{AppName, InstanceId};

/// The version that this keeper and this daemon speak.
pub const VERSION: u32 = 1;
/// The oldest version that is still understood: two back, once there are that many.
pub const VERSION_OLDEST: u32 = 1;

/// One request with its id, chosen by the caller and used once a connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Comes back in the reply.
    pub id: u64,
    /// What is asked.
    pub request: Request,
}

/// What may be asked of the keeper. The first call of a connection is [`Request::Hello`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Who speaks and in which version. Answered by [`Reply::Hello`].
    Hello {
        /// The caller's [`VERSION`].
        version: u32,
        /// What the caller is.
        role: Role,
    },
    /// Start these. Answered at once; each fate follows as [`Push::Spawned`] or [`Push::SpawnFailed`].
    Spawn {
        /// At most [`SPAWNS_IN_A_CALL_MAX`].
        spawns: Vec<Spawn>,
    },
    /// Ask the main process to end, and kill the whole tree after the grace. [`Push::Exited`] tells the end.
    Stop {
        /// Which run.
        instance: InstanceId,
        /// The signal that asks, by number.
        signal: i32,
        /// How long it has.
        grace_ms: u64,
    },
    /// Kill the whole tree now.
    Kill {
        /// Which run.
        instance: InstanceId,
    },
    /// Send the main process a signal.
    Signal {
        /// Which run.
        instance: InstanceId,
        /// By number.
        signal: i32,
    },
    /// Everything that runs and every exit that nobody acknowledged. Answered by [`Reply::List`].
    List,
    /// These exits are known and may be forgotten.
    Acknowledge {
        /// Whose exits.
        instances: Vec<InstanceId>,
    },
    /// What the trees of these use. Answered by [`Reply::Stats`].
    Stats {
        /// Which runs; empty: all.
        instances: Vec<InstanceId>,
    },
    /// Give a running app other limits.
    SetLimits {
        /// Which run.
        instance: InstanceId,
        /// The new limits; what is absent becomes unlimited.
        limits: Limits,
        /// What to do about limits that cannot be had.
        enforce: Enforce,
    },
    /// The app is removed: its groups and its output pipe go. Its data and logs stay.
    Forget {
        /// Which app; it must not run.
        app: AppName,
    },
    /// How trees are killed and limits enforced here. Answered by [`Reply::Capabilities`].
    Capabilities,
    /// End the keeper; the apps are stopped first or live on.
    Shutdown {
        /// Whether to stop them, each by its own signal and grace.
        stop_apps: bool,
    },
}

/// How many spawns one call may hold.
pub const SPAWNS_IN_A_CALL_MAX: usize = 256;

/// What a caller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It gets the pushes, keeps the keeper alive, and a tied keeper ends with it.
    Daemon,
    /// It asks and leaves.
    Observer,
}

/// One app to start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spawn {
    /// Whose process; names its folders, its output and its groups.
    pub app: AppName,
    /// The new run's id. An id that is known already is not started again.
    pub instance: InstanceId,
    /// The program and its arguments, never empty. A program with `/` is a path (relative: to `working_dir`), any
    /// other is looked up in the `PATH` of `environment`.
    pub command: Vec<String>,
    /// The whole environment, verbatim: nothing is inherited.
    pub environment: Vec<(String, String)>,
    /// Where it starts: absolute, or relative to the app's data folder.
    pub working_dir: String,
    /// Whom it runs as; absent: as the keeper itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
    /// The file mode creation mask.
    pub umask: u32,
    /// Whether set-uid programs shall give it nothing.
    pub no_new_privileges: bool,
    /// What its tree may use.
    pub limits: Limits,
    /// What to do about limits that cannot be had.
    pub enforce: Enforce,
    /// The signal that ends it when the keeper itself has to.
    pub stop_signal: i32,
    /// How long it then has.
    pub stop_grace_ms: u64,
    /// How large and how many its log files may get.
    pub logs: LogLimits,
    /// Kept with the run and given back by [`Request::List`]: means nothing to the keeper.
    pub label: String,
}

/// Whom a process runs as, by number: names are resolved before the keeper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary group ids.
    pub groups: Vec<u32>,
}

/// What an app's whole tree may use; absent is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Thousandths of a core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_milli: Option<u64>,
    /// Processes and threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids: Option<u64>,
    /// Open files of each process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_files: Option<u64>,
}

impl Limits {
    /// Stands for "some limit of every kind" where it is not known which were set.
    pub(super) const ALL: Self = Self {
        memory_bytes: Some(u64::MAX),
        cpu_milli: Some(u64::MAX),
        pids: Some(u64::MAX),
        open_files: Some(u64::MAX),
    };
}

/// What to do about limits that cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enforce {
    /// The app is not started.
    Strict,
    /// It is, and told is what is not in force.
    BestEffort,
}

/// How large an app's log may get: `files_max` files of `file_bytes_max`, the current one among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLimits {
    /// Bytes a file.
    pub file_bytes_max: u64,
    /// How many files.
    pub files_max: u32,
}

impl Default for LogLimits {
    /// `[logs]` of the configuration: 10 MiB, 5 files.
    fn default() -> Self {
        Self {
            file_bytes_max: 10 * 1024 * 1024,
            files_max: 5,
        }
    }
}

/// What the keeper says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// The answer to the call of this id.
    Reply {
        /// The call's.
        id: u64,
        /// Its result.
        result: Result<Reply, Refusal>,
    },
    /// Something happened.
    Push(Push),
}

/// Answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// To [`Request::Hello`].
    Hello(Hello),
    /// Done, or begun where a push tells the end.
    Done,
    /// To [`Request::List`].
    List(List),
    /// To [`Request::Stats`].
    Stats(Vec<TreeUsage>),
    /// To [`Request::SetLimits`] under [`Enforce::BestEffort`]: what is not in force.
    NotInForce(Vec<LimitFault>),
    /// To [`Request::Capabilities`].
    Capabilities(Capabilities),
}

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

/// What the keeper tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Push {
    /// The program runs (its exec succeeded).
    Spawned(Spawned),
    /// It does not.
    SpawnFailed {
        /// Whose.
        app: AppName,
        /// The run that never was.
        instance: InstanceId,
        /// Why.
        fault: SpawnFault,
    },
    /// A run is over: the main process has ended, and its whole tree with it. [`Request::List`] tells it again until it
    /// is acknowledged.
    Exited(Exit),
    /// Output was dropped since the last such message (at most one a second and app).
    OutputDropped {
        /// Whose.
        app: AppName,
        /// All counters so far.
        output: OutputCounters,
    },
}

/// A run that began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spawned {
    /// Whose.
    pub app: AppName,
    /// Its id.
    pub instance: InstanceId,
    /// Its main process.
    pub pid: u32,
    /// When, ms since the epoch.
    pub started_at_ms: u64,
    /// Under [`Enforce::BestEffort`]: what is not in force.
    pub not_in_force: Vec<LimitFault>,
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
    /// Whether it was asked to end (stop or kill).
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

/// Why a program was not started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum SpawnFault {
    /// A system call failed on the way; nothing runs.
    #[error("{step} {path}: {}", errno_text(*errno))]
    System {
        /// Which step of the start.
        step: SpawnStep,
        /// The file or folder that it was about; for limits and users what was asked.
        path: String,
        /// The kernel's error number.
        errno: i32,
    },
    /// Another run of this app has not ended.
    #[error("{instance} of this app still runs (pid {pid})")]
    AlreadyRunning {
        /// That run.
        instance: InstanceId,
        /// Its main process.
        pid: u32,
    },
    /// Limits that were asked for cannot be had here.
    #[error("cannot enforce {}", join(faults))]
    Limits {
        /// Each with its reason.
        faults: Vec<LimitFault>,
    },
    /// The request itself is wrong (an empty command, a NUL byte).
    #[error("the start is malformed: {why}")]
    Malformed {
        /// In words.
        why: String,
    },
    /// The keeper is ending.
    #[error("the keeper is ending")]
    Ending,
}

fn join(faults: &[LimitFault]) -> String {
    let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

/// The kernel's words for an error number, with the number.
#[must_use]
pub fn errno_text(errno: i32) -> String {
    std::io::Error::from_raw_os_error(errno).to_string()
}

/// A step of a start that can fail. The number is its place on the pipe from child to keeper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum SpawnStep {
    /// Making the app's folders and its output pipe.
    Folders = 1,
    /// Creating the process.
    Fork = 2,
    /// Writing its record.
    Record = 3,
    /// A session of its own.
    Session = 4,
    /// Joining its groups.
    Groups = 5,
    /// Its number of open files.
    OpenFiles = 6,
    /// Its standard streams.
    Streams = 7,
    /// Its working directory.
    WorkingDir = 8,
    /// Its user and groups.
    User = 9,
    /// Its privileges.
    Privileges = 10,
    /// Running the program.
    Exec = 11,
}

impl SpawnStep {
    /// All of them, in order.
    pub const ALL: [Self; 11] = [
        Self::Folders,
        Self::Fork,
        Self::Record,
        Self::Session,
        Self::Groups,
        Self::OpenFiles,
        Self::Streams,
        Self::WorkingDir,
        Self::User,
        Self::Privileges,
        Self::Exec,
    ];
}

impl std::fmt::Display for SpawnStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Folders => "cannot make",
            Self::Fork => "cannot create a process for",
            Self::Record => "cannot record the start in",
            Self::Session => "cannot begin a session for",
            Self::Groups => "cannot join the control groups of",
            Self::OpenFiles => "cannot set the number of open files to",
            Self::Streams => "cannot open the output pipe",
            Self::WorkingDir => "cannot enter the working directory",
            Self::User => "cannot become user",
            Self::Privileges => "cannot give up privileges for",
            Self::Exec => "cannot run",
        })
    }
}

/// A limit that cannot be had, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("limits.{limit}: {why}")]
pub struct LimitFault {
    /// `memory`, `cpus`, `pids` or `open_files`, as in the spec.
    pub limit: String,
    /// In words.
    pub why: String,
}

/// Why a call was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// No version is understood by both.
    #[error("the keeper speaks versions {oldest} to {newest}, asked was {asked}")]
    Version {
        /// The oldest that it speaks.
        oldest: u32,
        /// The newest.
        newest: u32,
        /// The caller's.
        asked: u32,
    },
    /// The connection has not said hello.
    #[error("say hello first")]
    NoHello,
    /// No such run: it has ended, or never was.
    #[error("{instance} does not run")]
    NotRunning {
        /// Which.
        instance: InstanceId,
    },
    /// The app still runs.
    #[error("{app} still runs")]
    StillRunning {
        /// Which.
        app: AppName,
    },
    /// More than one call may hold.
    #[error("{count} in one call, {max} at most")]
    TooMany {
        /// How many there were.
        count: u64,
        /// How many there may be.
        max: u64,
    },
    /// No such signal.
    #[error("there is no signal {signal}")]
    NoSuchSignal {
        /// Its number.
        signal: i32,
    },
    /// Limits that were asked for cannot be had here.
    #[error("cannot enforce {}", join(faults))]
    Limits {
        /// Each with its reason.
        faults: Vec<LimitFault>,
    },
    /// The kernel refused.
    #[error("{what}: {}", errno_text(*errno))]
    System {
        /// What was tried.
        what: String,
        /// The kernel's error number.
        errno: i32,
    },
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
