//! What a program is started with: everything that the keeper must know of an app.

use serde::{Deserialize, Serialize};

use super::LimitFault;
use crate::names::{AppName, InstanceId};

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
    /// Which files it may write; absent: those that its user may. A keeper before
    /// [`super::VERSION_THAT_CONFINES`] does not know this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confinement: Option<Confinement>,
    /// What its tree may use.
    pub limits: Limits,
    /// What to do about limits and a confinement that cannot be had.
    pub enforce: Enforce,
    /// The signal that ends it when the keeper itself has to.
    pub stop_signal: i32,
    /// How long it then has.
    pub stop_grace_ms: u64,
    /// How large and how many its log files may get.
    pub logs: LogLimits,
    /// Whether it is heard at [`NOTIFY_SOCKET`](super::NOTIFY_SOCKET) in its folder.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub notify: bool,
    /// Kept with the run and given back by [`super::Request::List`]: means nothing to the keeper. At most
    /// [`LABEL_BYTES_MAX`] long.
    pub label: String,
}

/// The name of the socket in an app's folder at which it is heard.
pub const NOTIFY_SOCKET: &str = "notify";

/// The longest [`Spawn::label`]: a list holds that of every app.
pub const LABEL_BYTES_MAX: usize = 128;

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

/// `sandbox.read_only`: everything is read-only to an app's whole tree, but for these folders, a `/tmp`, `/var/tmp` and
/// `/dev/shm` of its own, and the devices that every program needs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Confinement {
    /// What it may write, relative to the app's folder `apps/NAME`; made where it is missing. At most
    /// [`crate::specs::app_spec::WRITABLE_MAX`].
    pub writable: Vec<String>,
    /// Folders, absolute and without links, that it must see even where they lie below one that becomes its own: its
    /// artefact. The data directory is always seen. At most [`VISIBLE_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub visible: Vec<String>,
}

/// The longest [`Confinement::visible`].
pub const VISIBLE_MAX: usize = 4;

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
    pub(in crate::runtime::keeper) const ALL: Self = Self {
        memory_bytes: Some(u64::MAX),
        cpu_milli: Some(u64::MAX),
        pids: Some(u64::MAX),
        open_files: Some(u64::MAX),
    };
}

/// What to do about limits and a confinement that cannot be had.
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
