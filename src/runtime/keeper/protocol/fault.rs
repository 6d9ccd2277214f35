//! Why a program was not started, a limit cannot be had, or a call was not carried out.

use serde::{Deserialize, Serialize};

use crate::names::{AppName, InstanceId};

/// Why a program was not started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum SpawnFault {
    /// A system call failed on the way; nothing runs.
    #[error("{step} {path}: {}", step.reason(*errno))]
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
    /// Limits or a confinement that were asked for cannot be had here.
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
    /// Making or opening a folder that a confined app may write.
    Writable = 12,
    /// A user namespace of its own, without which an ordinary user gets no mount namespace.
    UserNamespace = 13,
    /// A mount namespace of its own.
    MountNamespace = 14,
    /// Making every mount read-only.
    ReadOnlyMounts = 15,
    /// Keeping what it may write writable.
    WritableMounts = 16,
    /// A `/tmp` of its own.
    PrivateFolders = 17,
    /// Its Landlock rules.
    Landlock = 18,
}

impl SpawnStep {
    /// All of them, in order.
    pub const ALL: [Self; 18] = [
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
        Self::Writable,
        Self::UserNamespace,
        Self::MountNamespace,
        Self::ReadOnlyMounts,
        Self::WritableMounts,
        Self::PrivateFolders,
        Self::Landlock,
    ];

    /// Why it failed, in words. For namespaces and mounts the kernel's words do not mean what they say.
    #[must_use]
    pub fn reason(self, errno: i32) -> String {
        if self.is_of_the_sandbox() && errno == libc::ENOSPC {
            return "user.max_user_namespaces, user.max_mnt_namespaces or fs.mount-max allows no more"
                .to_owned();
        }
        errno_text(errno)
    }

    /// Whether a failure means that this machine does not give what confines an app.
    #[must_use]
    pub fn is_of_the_sandbox(self) -> bool {
        match self {
            Self::UserNamespace
            | Self::MountNamespace
            | Self::ReadOnlyMounts
            | Self::WritableMounts
            | Self::PrivateFolders
            | Self::Landlock => true,
            Self::Folders
            | Self::Fork
            | Self::Record
            | Self::Session
            | Self::Groups
            | Self::OpenFiles
            | Self::Streams
            | Self::WorkingDir
            | Self::User
            | Self::Privileges
            | Self::Exec
            | Self::Writable => false,
        }
    }
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
            Self::Writable => "cannot open the writable folder",
            Self::UserNamespace => "cannot make a user namespace for",
            Self::MountNamespace => "cannot make a mount namespace for",
            Self::ReadOnlyMounts => "cannot make all mounts read-only for",
            Self::WritableMounts => "cannot keep the writable folders of",
            Self::PrivateFolders => "cannot make a private /tmp for",
            Self::Landlock => "cannot set the Landlock rules of",
        })
    }
}

/// The longest [`LimitFault::why`].
pub(in crate::runtime::keeper) const FAULT_WHY_BYTES_MAX: usize = 200;

/// A limit or a rule of the sandbox that cannot be had, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}: {why}", self.key())]
pub struct LimitFault {
    /// `memory`, `cpus`, `pids` or `open_files` of the spec's `limits`; what is of another part of the spec is written
    /// with that: `sandbox.read_only`.
    pub limit: String,
    /// In words.
    pub why: String,
}

impl LimitFault {
    /// Of `limit`. A longer `why` is cut: a list holds these of every app.
    pub(in crate::runtime::keeper) fn new(limit: &str, mut why: String) -> Self {
        why.truncate(why.floor_char_boundary(FAULT_WHY_BYTES_MAX));
        Self {
            limit: limit.to_owned(),
            why,
        }
    }

    /// What it is about, as a path from the spec's top.
    #[must_use]
    pub fn key(&self) -> String {
        if self.limit.contains('.') {
            self.limit.clone()
        } else {
            format!("limits.{}", self.limit)
        }
    }
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
    /// The kernel refused.
    #[error("{what}: {}", errno_text(*errno))]
    System {
        /// What was tried.
        what: String,
        /// The kernel's error number.
        errno: i32,
    },
}
