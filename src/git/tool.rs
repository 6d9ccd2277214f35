//! The programs that some kinds of addresses need: which one, and whether it is there.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::repo_url::{RepoScheme, RepoUrl};

/// Where programs are looked for in an environment without `PATH`: what the C library takes.
const PATH_DEFAULT: &str = "/bin:/usr/bin";

/// A program that an address needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tool {
    /// Its name.
    pub name: &'static str,
    /// The Debian package that brings it.
    pub package: &'static str,
}

impl Tool {
    /// Reads repositories of this machine.
    pub const GIT: Self = Self {
        name: "git",
        package: "git",
    };

    /// Reaches repositories by ssh.
    pub const SSH: Self = Self {
        name: "ssh",
        package: "openssh-client",
    };

    /// What `url` needs; http, https and git need nothing.
    #[must_use]
    pub fn needed_for(url: &RepoUrl) -> Option<Self> {
        match url.scheme() {
            RepoScheme::File => Some(Self::GIT),
            RepoScheme::Ssh => Some(Self::SSH),
            RepoScheme::Https | RepoScheme::Http | RepoScheme::Git => None,
        }
    }

    /// Where this process would find it.
    #[must_use]
    pub fn find(self) -> Option<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from(PATH_DEFAULT));
        std::env::split_paths(&path)
            .map(|folder| folder.join(self.name))
            .find(|file| is_program(file))
    }

    /// The one next step where it is missing.
    #[must_use]
    pub fn remedy(self) -> String {
        format!(
            "install it (Debian package: {}), or follow the repository by https",
            self.package
        )
    }
}

#[cfg(unix)]
fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata()
        .is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(file: &Path) -> bool {
    file.is_file()
}
