//! Commands that tell how a running app fares.

use serde::{Deserialize, Serialize};

use super::{Confinement, Enforce, ExitHow, User};
use crate::names::{AppName, InstanceId};

/// What a command said is kept up to here.
pub const CHECK_OUTPUT_BYTES_MAX: usize = 4096;

/// One command to run beside a running app: in its groups, ended with it, and never beside another one of the same app.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Names this run of the command.
    pub id: InstanceId,
    /// Which app.
    pub app: AppName,
    /// Which run of it must be there.
    pub instance: InstanceId,
    /// As of a start.
    pub command: Vec<String>,
    /// As of a start.
    pub environment: Vec<(String, String)>,
    /// As of a start.
    pub working_dir: String,
    /// As of a start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
    /// As of a start.
    pub umask: u32,
    /// As of a start.
    pub no_new_privileges: bool,
    /// As of a start: it may write what the app may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confinement: Option<Confinement>,
    /// As of a start.
    pub enforce: Enforce,
    /// As of a start; the other limits are those of the app's groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_files: Option<u64>,
    /// How long it has; then its process group is killed.
    pub timeout_ms: u64,
}

/// How it ended. Nothing of its process group is left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckEnd {
    /// Its exit; none: its time was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how: Option<ExitHow>,
    /// The beginning of what it said, at most [`CHECK_OUTPUT_BYTES_MAX`] bytes; what is no UTF-8 is replaced.
    pub output: String,
}
