//! Tests of two halves: one looks on while the other, the same test in a process of its own, is killed or has the only log.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Set in the process of the other half: the folder that both share.
const FOLDER: &str = "OSIER_TEST_FOLDER";

/// In the process of the other half: the folder that both share.
pub fn folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

/// Runs `test` (`module::name`) again, as the other half.
pub fn of(test: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(FOLDER, folder);
    command
}
