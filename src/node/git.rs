//! Which repository a node follows, as its host says it.

use std::num::NonZeroU32;
use std::path::PathBuf;

use crate::config::Config;
use crate::config::values::AbsolutePath;
use crate::git::GitSettings;
use crate::names::BranchName;
use crate::repo_url::{ProxyUrl, RepoUrl};

/// A specs repository: its URL, its branch, and how to log in.
#[derive(Debug, Clone)]
pub struct Git {
    /// Parsed at once; a mistake is reported by `start`, with all others.
    url: Result<RepoUrl, String>,
    branch: String,
    depth: Option<NonZeroU32>,
    ssh_key: Option<PathBuf>,
    known_hosts: Option<PathBuf>,
    token_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    proxy: Option<String>,
}

impl Git {
    /// The repository at `url`: file, https, http, ssh, git, `user@host:path` or an absolute path.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into().parse().map_err(|error| format!("{error}")),
            branch: "main".to_owned(),
            depth: None,
            ssh_key: None,
            known_hosts: None,
            token_file: None,
            ca_file: None,
            proxy: None,
        }
    }

    /// The branch to follow. Default `main`.
    #[must_use]
    pub fn branch(self, branch: impl Into<String>) -> Self {
        Self {
            branch: branch.into(),
            ..self
        }
    }

    /// How many commits of history are fetched. Default: all.
    #[must_use]
    pub fn depth(self, depth: NonZeroU32) -> Self {
        Self {
            depth: Some(depth),
            ..self
        }
    }

    /// The key and the file of known hosts for ssh.
    #[must_use]
    pub fn ssh(self, key: impl Into<PathBuf>, known_hosts: impl Into<PathBuf>) -> Self {
        Self {
            ssh_key: Some(key.into()),
            known_hosts: Some(known_hosts.into()),
            ..self
        }
    }

    /// A file with the token for http and https.
    #[must_use]
    pub fn token_file(self, file: impl Into<PathBuf>) -> Self {
        Self {
            token_file: Some(file.into()),
            ..self
        }
    }

    /// Certificates (PEM) that are trusted besides those of the system.
    #[must_use]
    pub fn ca_file(self, file: impl Into<PathBuf>) -> Self {
        Self {
            ca_file: Some(file.into()),
            ..self
        }
    }

    /// An HTTP proxy, `http://host:port`.
    #[must_use]
    pub fn proxy(self, proxy: impl Into<String>) -> Self {
        Self {
            proxy: Some(proxy.into()),
            ..self
        }
    }

    /// What the floors below want to know; each mistake goes to `mistakes`.
    pub(super) fn settings(self, mistakes: &mut Vec<String>) -> Option<GitSettings> {
        let mut noted =
            |about: &str, mistake: &dyn std::fmt::Display| mistakes.push(format!("{about}: {mistake}"));
        let url = self.url.map_err(|error| noted("repository", &error)).ok();
        let branch: Result<BranchName, _> = self.branch.parse();
        let branch = branch.map_err(|error| noted("branch", &error)).ok();
        let proxy = self.proxy.map(|proxy| proxy.parse()).transpose();
        let proxy = proxy.map_err(|error| noted("proxy", &error)).ok();
        let mut settings = GitSettings::new(url?, branch?);
        settings.depth = self.depth;
        settings.auth.ssh_key = self.ssh_key;
        settings.auth.known_hosts = self.known_hosts;
        settings.auth.token_file = self.token_file;
        settings.ca_file = self.ca_file;
        settings.proxy = proxy?;
        Some(settings)
    }

    /// The repository of a configuration.
    pub(super) fn of_config(config: &Config) -> Self {
        let path = |path: &AbsolutePath| path.as_path().to_owned();
        Self {
            url: Ok(config.repo.url.clone()),
            branch: config.repo.branch.to_string(),
            depth: config.repo.depth.get(),
            ssh_key: config.repo.auth.ssh_key.as_ref().map(path),
            known_hosts: config.repo.auth.known_hosts.as_ref().map(path),
            token_file: config.repo.auth.token_file.as_ref().map(path),
            ca_file: config.sources.ca_file.as_ref().map(path),
            proxy: config.sources.proxy.as_ref().map(ProxyUrl::reveal),
        }
    }
}
