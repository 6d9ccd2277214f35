//! What was deployed when, by app: for `history`, `why` and `rollback`.

use serde::{Deserialize, Serialize};

use super::record::Record;
use crate::names::{AppName, CommitId, SpecDigest, Version};
use crate::telemetry::text::safe;
use crate::telemetry::{ActionKind, Event};

/// How many deployments are kept of each app.
pub const DEPLOYMENTS_MAX: usize = 50;

/// How many of all apps, also of those that are gone; beyond that the oldest go.
pub const DEPLOYMENTS_OF_ALL_MAX: u64 = 50_000;

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
    /// Who asked for it by hand; none: git did.
    #[serde(default)]
    pub by: Option<String>,
    /// Why it failed; none: it worked.
    #[serde(default)]
    pub error: Option<String>,
}

impl Deployment {
    /// The one that `event` tells of, if it ends one.
    #[must_use]
    pub fn of(event: &Event, at_ms: u64) -> Option<Self> {
        let Event::ActionStop {
            action,
            app,
            from,
            to,
            commit,
            digest,
            by,
            duration_ms,
            error,
        } = event
        else {
            return None;
        };
        Some(Self {
            app: app.clone(),
            action: *action,
            from: from.clone(),
            to: to.clone(),
            digest: digest.clone(),
            commit: commit.clone(),
            at_ms,
            duration_ms: *duration_ms,
            by: by.clone(),
            error: error.as_deref().map(safe),
        })
    }
}

impl Record for Deployment {
    const VERSION: u8 = 1;
}
