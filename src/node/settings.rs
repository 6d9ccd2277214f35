//! What a node is made from, however it is started: by a configuration file or by a host's builder.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::git::GitSettings;
use crate::names::NodeName;

/// What a node is made from.
#[derive(Debug, Clone)]
pub struct NodeSettings {
    /// Its name.
    pub name: NodeName,
    /// Its labels, for placement and overrides.
    pub labels: BTreeMap<String, String>,
    /// Where everything of it lies; one node at a time.
    pub data_dir: PathBuf,
    /// The specs repository.
    pub repo: GitSettings,
    /// The folder of apps in it. Default `apps`.
    pub apps_dir: String,
    /// How often to look at it. Default 60 s.
    pub interval: Duration,
    /// The largest share of its apps that a commit may remove without an operator's word. Default 0.5.
    pub prune_share_max: f64,
    /// Absolute folders that source `path` may name.
    pub source_paths: Vec<PathBuf>,
    /// How long the folders of a removed app are kept. Default 7 days.
    pub removed_data_kept: Duration,
    /// How apps run as processes; none: this node runs no processes.
    pub processes: Option<ProcessSettings>,
}

/// How apps run as processes of their own.
#[derive(Debug, Clone)]
pub struct ProcessSettings {
    /// The program that is started as keeper, with the word `keeper`: an installed `osier`, or a host that calls
    /// [`crate::runtime::keeper::run_if_asked`] first thing in its `main`. None: the running program.
    pub keeper: Option<PathBuf>,
    /// The keeper and its apps end with this node, however it ends.
    pub ends_with_node: bool,
    /// Who runs apps that do not say; default: whoever runs the node.
    pub app_user: Option<String>,
    /// What cannot be enforced fails the app; else it is shown. Default true.
    pub is_strict: bool,
    /// The size at which an app's log is rotated. Default 10 MiB.
    pub log_bytes_max: u64,
    /// How many rotated logs are kept. Default 5.
    pub logs_kept: u32,
}

impl Default for ProcessSettings {
    fn default() -> Self {
        Self {
            keeper: None,
            ends_with_node: false,
            app_user: None,
            is_strict: true,
            log_bytes_max: 10 << 20,
            logs_kept: 5,
        }
    }
}
