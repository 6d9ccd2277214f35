//! A specs repository as a user has one: made with git, followed by file://.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// A work tree with a bare repository that it pushes to.
pub struct Specs {
    folder: TempDir,
}

impl Specs {
    /// An empty one.
    pub fn new() -> Self {
        let specs = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let bare = specs.folder.path().join("specs.git");
        specs.run(&["init", "-q", "--bare", "-b", "main", bare.to_str().unwrap()]);
        // Nothing goes on behind the back of a test that pushes a thousand times.
        specs.run(&["-C", bare.to_str().unwrap(), "config", "receive.autogc", "false"]);
        std::fs::create_dir(specs.work()).unwrap();
        specs.git(&["init", "-q", "-b", "main"]);
        specs.git(&["remote", "add", "origin", bare.to_str().unwrap()]);
        specs
    }

    /// What a node is told to follow.
    pub fn url(&self) -> String {
        format!("file://{}/specs.git", self.folder.path().display())
    }

    /// The bare repository that nodes fetch from.
    pub fn bare(&self) -> PathBuf {
        self.folder.path().join("specs.git")
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// Writes a file, folders included.
    pub fn put(&self, path: &str, text: &str) {
        let path = self.work().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Removes a file.
    pub fn remove(&self, path: &str) {
        std::fs::remove_file(self.work().join(path)).unwrap();
    }

    /// Commits everything and pushes; returns the commit's id.
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.git(&["push", "-q", "--force", "origin", "main"]);
        self.head()
    }

    /// The newest commit.
    pub fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    /// Runs git in the work tree.
    pub fn git(&self, words: &[&str]) -> String {
        let work = self.work();
        let mut all = vec![
            "-C",
            work.to_str().unwrap(),
            "-c",
            "user.name=Ada",
            "-c",
            "user.email=ada@example.org",
        ];
        all.extend(["-c", "commit.gpgsign=false", "-c", "gc.auto=0"]);
        all.extend(words);
        self.run(&all)
    }

    fn run(&self, words: &[&str]) -> String {
        let done = Command::new("git")
            .args(words)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "git {words:?}: {}, {}",
            done.status,
            String::from_utf8_lossy(&done.stderr)
        );
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }
}
