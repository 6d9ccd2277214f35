//! What the node's configuration says about its repository.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use crate::names::BranchName;
use crate::repo_url::{ProxyUrl, RepoUrl};

/// Which branch of which repository, how to get in, and how long to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitSettings {
    /// The repository.
    pub url: RepoUrl,
    /// The one branch that is fetched.
    pub branch: BranchName,
    /// How many commits of history are fetched; `None`: all.
    pub depth: Option<NonZeroU32>,
    /// How to log in.
    pub auth: GitAuth,
    /// Certificates (PEM) trusted besides those of the system.
    pub ca_file: Option<PathBuf>,
    /// An HTTP proxy. Nothing is taken from the environment.
    pub proxy: Option<ProxyUrl>,
    /// How long each step may take.
    pub deadlines: Deadlines,
    /// The most that one fetch may bring, in bytes.
    pub fetch_bytes_max: u64,
}

impl GitSettings {
    /// Settings for `url` and `branch` with all defaults.
    #[must_use]
    pub fn new(url: RepoUrl, branch: BranchName) -> Self {
        Self {
            url,
            branch,
            depth: None,
            auth: GitAuth::default(),
            ca_file: None,
            proxy: None,
            deadlines: Deadlines::default(),
            fetch_bytes_max: FETCH_BYTES_MAX,
        }
    }
}

/// The most that one fetch may bring unless set otherwise: a specs repository is text.
pub const FETCH_BYTES_MAX: u64 = 1 << 30;

/// How to log in. Files are read anew for each operation, so a rotated token needs no restart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GitAuth {
    /// The private key for ssh; without it, ssh's defaults and agent.
    pub ssh_key: Option<PathBuf>,
    /// The only file of known hosts for ssh; without it, ssh's defaults. An unknown host is always refused.
    pub known_hosts: Option<PathBuf>,
    /// A file with a token for http and https: its first line, `token` or `user:token`.
    pub token_file: Option<PathBuf>,
}

/// How long the steps of an operation may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// Until there is a connection, and until the first answer.
    pub connect: Duration,
    /// Without a single byte.
    pub idle: Duration,
    /// For a whole poll or fetch, whatever comes.
    pub total: Duration,
}

/// Connect: two SYN retransmissions (1 + 2 + 4 s) and a slow TLS. Idle: git's servers send a keep-alive every 5 s.
impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            total: Duration::from_secs(600),
        }
    }
}
