//! What can go wrong with a repository, in the words of somebody who can do something about it.
//!
//! No variant holds a credential: addresses are [`RepoUrl`]s, which redact themselves, and texts of servers and tools
//! are escaped and cut by [`super::foreign_text`].

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::foreign_text::{causes, chain_text};
use super::tool::Tool;
use crate::names::{BranchName, CommitId};
use crate::repo_url::{RepoUrl, RepoUrlError};
use crate::specs::tree::TreeError;

/// A failed operation on a repository. Cheap to clone: it travels into status, events and logs.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GitError {
    /// The address may not be used.
    #[error(transparent)]
    RefusedUrl(#[from] RepoUrlError),
    /// A setting besides the address cannot be used: a token, key or certificate file.
    #[error("{setting}: {reason}")]
    BadSetting {
        /// The setting's name in the configuration.
        setting: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// No connection came about: name resolution, refused, no route.
    #[error("cannot reach {url}: {reason}")]
    Unreachable {
        /// Where.
        url: RepoUrl,
        /// What the network said.
        reason: String,
    },
    /// A step took longer than its deadline. Whatever had come was thrown away.
    #[error("{url} timed out: {step} for {after:?}")]
    TimedOut {
        /// Where.
        url: RepoUrl,
        /// What was waited for.
        step: &'static str,
        /// The deadline.
        after: Duration,
    },
    /// The caller gave up, or the node is stopping.
    #[error("the operation was cancelled")]
    Cancelled,
    /// The server wants other credentials, or grants these no access.
    #[error("{url} refuses access: {reason}")]
    Unauthorized {
        /// Where.
        url: RepoUrl,
        /// What the server said, and what to set.
        reason: String,
    },
    /// The ssh server's host key is unknown or has changed.
    #[error("the host key of {url} cannot be verified: {reason}")]
    HostKey {
        /// Where.
        url: RepoUrl,
        /// What ssh said, and what to set.
        reason: String,
    },
    /// The TLS certificate of the server was not accepted.
    #[error("the certificate of {url} was not accepted: {reason}")]
    Certificate {
        /// Where.
        url: RepoUrl,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no repository at this address (or these credentials may not know of it).
    #[error("there is no repository at {url}: {reason}")]
    NotFound {
        /// Where.
        url: RepoUrl,
        /// What the server said.
        reason: String,
    },
    /// The server sends elsewhere. Followed only within the same scheme, host and port.
    #[error("{url} redirects to {to}: if you trust it, write that address into `repo.url`")]
    Redirected {
        /// Where.
        url: RepoUrl,
        /// Where it sends to, escaped and without credentials.
        to: String,
    },
    /// The server answered with an error of its own.
    #[error("{url} answered {reason}")]
    Server {
        /// Where.
        url: RepoUrl,
        /// Its status or message.
        reason: String,
    },
    /// What answered does not speak git, or broke off in the middle.
    #[error("the answer of {url} is broken: {reason}")]
    Broken {
        /// Where.
        url: RepoUrl,
        /// What was wrong with it.
        reason: String,
    },
    /// The server sends more than is allowed. Nothing of it was kept.
    #[error("{url} sends more than {limit_bytes} bytes of {what}")]
    TooMuch {
        /// Where.
        url: RepoUrl,
        /// Of what.
        what: &'static str,
        /// The limit that was reached.
        limit_bytes: u64,
    },
    /// The repository has commits, but no such branch (any more). What was accepted before stays in force.
    #[error("{url} has no branch `{branch}`{}", others_hint(others))]
    BranchGone {
        /// Where.
        url: RepoUrl,
        /// The branch that is asked for.
        branch: BranchName,
        /// Branches that there are, at most eight, escaped.
        others: Vec<String>,
    },
    /// The repository has no commit at all. What was accepted before stays in force.
    #[error("{url} is empty: it has no commit yet")]
    EmptyRepository {
        /// Where.
        url: RepoUrl,
    },
    /// The branch's head does not descend from the accepted commit. Nothing is applied until somebody says so.
    #[error(
        "history was rewritten: {new} does not descend from {old}, which is accepted; `osier reconcile --accept {}` accepts it",
        new.short()
    )]
    HistoryRewritten {
        /// The accepted commit.
        old: CommitId,
        /// The branch's head now.
        new: CommitId,
    },
    /// The server names objects by another hash than before: it holds another repository.
    #[error("{url} is another repository now: it names objects by {hash}; to follow it, remove {}", path.display())]
    HashChanged {
        /// Where.
        url: RepoUrl,
        /// The hash's name.
        hash: String,
        /// The clone of the former one.
        path: PathBuf,
    },
    /// The branch's head is no commit, or its history or tree is malformed.
    #[error("{url}: {commit} cannot be used: {reason}")]
    BadCommit {
        /// Where.
        url: RepoUrl,
        /// The object that the branch points to.
        commit: CommitId,
        /// What is wrong with it.
        reason: String,
    },
    /// A tree that git itself would refuse, or one that cannot be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// No such commit in the local clone.
    #[error("there is no commit {revision} here")]
    NoSuchCommit {
        /// What was asked for, escaped.
        revision: String,
    },
    /// The local clone is damaged. It is set aside and cloned again by the next fetch.
    #[error("the local clone in {} is damaged: {reason}", path.display())]
    Damaged {
        /// The clone.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// A program that this kind of address needs is not installed.
    #[error("{url} needs the program `{}`, which is not there: {}", tool.name, tool.remedy())]
    ToolMissing {
        /// Where.
        url: RepoUrl,
        /// The program.
        tool: Tool,
    },
    /// No space left, or the quota is used up.
    #[error("no space left for {}", path.display())]
    DiskFull {
        /// What was to be written.
        path: PathBuf,
    },
    /// The file system refused something else.
    #[error("cannot {action} {}: {reason}", path.display())]
    Io {
        /// What was tried ("open", "write", "remove").
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// An operation that was given up still holds its thread; nothing new is begun before it ends.
    #[error("an operation on {url} hangs and was given up; nothing new is begun before it ends")]
    Stuck {
        /// Where.
        url: RepoUrl,
    },
    /// This platform has no support for this kind of address.
    #[error("{url}: this kind of address is not supported on this platform")]
    Unsupported {
        /// Where.
        url: RepoUrl,
    },
}

fn others_hint(others: &[String]) -> String {
    if others.is_empty() {
        String::new()
    } else {
        format!("; it has {}", others.join(", "))
    }
}

impl From<crate::web::BadSetting> for GitError {
    fn from(bad: crate::web::BadSetting) -> Self {
        Self::BadSetting {
            setting: bad.setting,
            reason: bad.reason,
        }
    }
}

impl GitError {
    /// A stable word for programs: `last_error.code`, metrics, tests.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::RefusedUrl(_) => "refused_url",
            Self::BadSetting { .. } => "bad_setting",
            Self::Unreachable { .. } => "unreachable",
            Self::TimedOut { .. } => "timed_out",
            Self::Cancelled => "cancelled",
            Self::Unauthorized { .. } => "unauthorized",
            Self::HostKey { .. } => "host_key",
            Self::Certificate { .. } => "certificate",
            Self::NotFound { .. } => "not_found",
            Self::Redirected { .. } => "redirected",
            Self::Server { .. } => "server_error",
            Self::Broken { .. } => "broken_answer",
            Self::TooMuch { .. } => "too_much",
            Self::BranchGone { .. } => "branch_gone",
            Self::EmptyRepository { .. } => "empty_repository",
            Self::HistoryRewritten { .. } => "history_rewritten",
            Self::HashChanged { .. } => "hash_changed",
            Self::BadCommit { .. } => "bad_commit",
            Self::Tree(TreeError::Malformed { .. }) => "malformed_tree",
            Self::Tree(TreeError::TooLarge { .. }) => "tree_too_large",
            Self::Tree(TreeError::Unreadable { .. }) => "unreadable_tree",
            Self::NoSuchCommit { .. } => "no_such_commit",
            Self::Damaged { .. } => "damaged_clone",
            Self::ToolMissing { .. } => "tool_missing",
            Self::DiskFull { .. } => "disk_full",
            Self::Io { .. } => "io",
            Self::Stuck { .. } => "stuck",
            Self::Unsupported { .. } => "unsupported",
        }
    }

    /// May the same call succeed later without anybody changing this node's configuration or the repository's content?
    ///
    /// A poll is repeated either way (with a longer back-off): this says how alarming the failure is.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Cancelled
            | Self::Server { .. }
            | Self::Broken { .. }
            | Self::Damaged { .. }
            | Self::DiskFull { .. }
            | Self::Io { .. }
            | Self::Stuck { .. }
            | Self::Tree(TreeError::Unreadable { .. }) => true,
            Self::RefusedUrl(_)
            | Self::BadSetting { .. }
            | Self::Unauthorized { .. }
            | Self::HostKey { .. }
            | Self::Certificate { .. }
            | Self::NotFound { .. }
            | Self::Redirected { .. }
            | Self::TooMuch { .. }
            | Self::BranchGone { .. }
            | Self::EmptyRepository { .. }
            | Self::HistoryRewritten { .. }
            | Self::HashChanged { .. }
            | Self::BadCommit { .. }
            | Self::Tree(TreeError::Malformed { .. } | TreeError::TooLarge { .. })
            | Self::NoSuchCommit { .. }
            | Self::ToolMissing { .. }
            | Self::Unsupported { .. } => false,
        }
    }

    /// A failed call to the file system; a full disk has a variant of its own.
    pub(super) fn io(action: &'static str, path: &Path, error: &std::io::Error) -> Self {
        if is_disk_full(error.kind()) {
            return Self::DiskFull {
                path: path.to_owned(),
            };
        }
        Self::Io {
            action,
            path: path.to_owned(),
            reason: error.to_string(),
        }
    }
}

/// Errors of gix that come from the local disk rather than from the other side, else what the other side did wrong.
pub(super) fn from_gix(error: &gix::Error, url: &RepoUrl, clone: &Path) -> GitError {
    for cause in causes(error) {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            if is_disk_full(io.kind()) {
                return GitError::DiskFull {
                    path: clone.to_owned(),
                };
            }
            if matches!(
                io.kind(),
                std::io::ErrorKind::ReadOnlyFilesystem | std::io::ErrorKind::PermissionDenied
            ) {
                return GitError::io("write", clone, io);
            }
        }
    }
    let reason = chain_text(error);
    let lower = reason.to_ascii_lowercase();
    let not_found = [
        "not exported",
        "does not appear to be a git repository",
        "repository not found",
        "no such repository",
    ];
    if not_found.iter().any(|text| lower.contains(text)) {
        return GitError::NotFound {
            url: url.clone(),
            reason,
        };
    }
    GitError::Broken {
        url: url.clone(),
        reason,
    }
}

fn is_disk_full(kind: std::io::ErrorKind) -> bool {
    matches!(
        kind,
        std::io::ErrorKind::StorageFull
            | std::io::ErrorKind::QuotaExceeded
            | std::io::ErrorKind::FileTooLarge
    )
}
