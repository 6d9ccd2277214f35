//! What was deployed when, by app: for `history`, `why` and `rollback`.

use serde::{Deserialize, Serialize};

use super::record::Record;
use crate::names::{AppName, CommitId, SpecDigest, Version};
use crate::telemetry::ActionKind;

/// How many deployments are kept of each app.
pub const DEPLOYMENTS_MAX: usize = 50;

/// One action on an app that was carried out, or failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Which app.
    pub app: AppName,
    /// What was done.
    pub action: ActionKind,
    /// From which version.
    #[serde(default)]
    pub from: Option<Version>,
    /// To which version; none: it was removed.
    #[serde(default)]
    pub to: Option<Version>,
    /// What was to run.
    #[serde(default)]
    pub digest: Option<SpecDigest>,
    /// The commit that asked for it; none: it was done by hand.
    #[serde(default)]
    pub commit: Option<CommitId>,
    /// Milliseconds since the epoch.
    pub at_ms: u64,
    /// How long it took.
    pub duration_ms: u64,
    /// Why it failed; none: it worked.
    #[serde(default)]
    pub error: Option<String>,
}

impl Record for Deployment {
    const VERSION: u8 = 1;
}
