//! A repository as its author has it: made by the real `git`, isolated from the configuration of whoever runs the tests.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use osier::git::{GitRepository, GitSettings};
use osier::names::CommitId;
use tempfile::TempDir;

/// A work tree with its `.git`, and room beside it for whatever the test needs.
pub struct Source {
    pub room: TempDir,
    pub path: PathBuf,
    clock: AtomicU64,
}

impl Source {
    /// An empty repository with the branch `main`.
    pub fn empty() -> Self {
        Self::empty_with(&[])
    }

    pub fn empty_with(init_options: &[&str]) -> Self {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("source");
        std::fs::create_dir(&path).unwrap();
        let source = Self {
            room,
            path,
            clock: AtomicU64::new(1_700_000_000),
        };
        source.git(&[&["init", "-q", "-b", "main"], init_options].concat());
        source
    }

    /// A repository with one commit that holds `files`.
    pub fn with(files: &[(&str, &str)]) -> Self {
        let source = Self::empty();
        source.commit("first", files);
        source
    }

    /// Runs git in the work tree and gives what it prints.
    pub fn git(&self, args: &[&str]) -> String {
        self.git_with_input(args, None)
    }

    pub fn git_with_input(&self, args: &[&str], input: Option<&[u8]>) -> String {
        use std::io::Write as _;
        // Each command a second later: history has an order that does not depend on the machine's speed.
        let now = format!("{} +0000", self.clock.fetch_add(1, Ordering::Relaxed));
        let mut child = Command::new("git")
            .args(args)
            .current_dir(&self.path)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.room.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_NAME", "Ada Author")
            .env("GIT_AUTHOR_EMAIL", "ada@example.com")
            .env("GIT_COMMITTER_NAME", "Ada Author")
            .env("GIT_COMMITTER_EMAIL", "ada@example.com")
            .env("GIT_AUTHOR_DATE", &now)
            .env("GIT_COMMITTER_DATE", &now)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("these tests need git (Debian package: git)");
        let mut stdin = child.stdin.take().unwrap();
        if let Some(input) = input {
            stdin.write_all(input).unwrap();
        }
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "git {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Writes `files` and commits everything.
    pub fn commit(&self, message: &str, files: &[(&str, &str)]) -> CommitId {
        for (path, text) in files {
            let path = self.path.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.head()
    }

    /// A commit on `main` that changes the file `a` alone, by one process; the work tree stays behind.
    pub fn quick_commit(&self, text: &str) -> CommitId {
        let at = self.clock.fetch_add(1, Ordering::Relaxed);
        let script = format!(
            "commit refs/heads/main\ncommitter A <a@example.com> {at} +0000\ndata 5\nquick\nfrom refs/heads/main^0\n\
             M 644 inline a\ndata {}\n{text}\n",
            text.len()
        );
        self.git_with_input(&["fast-import", "--quiet"], Some(script.as_bytes()));
        let head = std::fs::read_to_string(self.path.join(".git/refs/heads/main")).unwrap();
        head.trim().parse().unwrap()
    }

    /// The commit that is checked out.
    pub fn head(&self) -> CommitId {
        self.git(&["rev-parse", "HEAD"]).parse().unwrap()
    }

    /// `file://` and the work tree's path.
    pub fn url(&self) -> String {
        format!("file://{}", self.path.display())
    }

    /// Where a test keeps its clone.
    pub fn clone_folder(&self) -> PathBuf {
        self.room.path().join("clone")
    }

    /// A node's clone of `main` by `file://`.
    pub async fn open(&self) -> GitRepository {
        open(&self.url(), &self.clone_folder()).await
    }
}

pub fn settings(url: &str) -> GitSettings {
    GitSettings::new(url.parse().unwrap(), "main".parse().unwrap())
}

pub async fn open(url: &str, folder: &Path) -> GitRepository {
    GitRepository::open(settings(url), folder.to_owned())
        .await
        .unwrap()
}
