//! What must survive the actor and the daemon: everything that cannot be found again by looking.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::budget::Budget;
use super::trial::{BadVersion, GoodVersion, Trial};
use crate::names::{AppName, CommitId, InstanceId, SpecDigest};
use crate::rpc::procedures::PastExit;
use crate::specs::DesiredApp;
use crate::status::AppError;

/// How many past ends are kept of an app, for `show` and `why`.
pub const PAST_EXITS_MAX: usize = 20;

/// One app's memory. Written at each transition that changes it, read when its actor starts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AppRecord {
    /// What runs, or ran last.
    pub applied: Option<Arc<DesiredApp>>,
    /// The commit that asked for it.
    pub commit: Option<CommitId>,
    /// The instance that runs it. In-place changes of `applied` are in force in this instance alone.
    pub instance: Option<InstanceId>,
    /// That one was found, and not started from `applied`: nobody knows its spec.
    pub is_stranger: bool,
    /// It is being stopped or replaced on purpose: an end that nobody saw is no crash.
    pub expects_end: bool,
    /// An operator's restart of this instance is under way: whoever finds it running goes on with that.
    pub restarting: Option<InstanceId>,
    /// This instance was well when it was last heard of: whoever finds it running goes on from there.
    pub well: Option<InstanceId>,
    /// This instance is not well and is being stopped for it: whoever finds it running goes on with that.
    pub unhealthy: Option<InstanceId>,
    /// The digest that the budget is for.
    pub tried: Option<SpecDigest>,
    /// Stopped by hand, when this digest was asked for. Holds until `start` or another digest.
    pub stopped_by_hand: Option<SpecDigest>,
    /// What is applied was well.
    pub is_proven: bool,
    /// Versions before it that were, newest first, at most [`super::trial::GOOD_MAX`].
    pub good: VecDeque<GoodVersion>,
    /// Digests that did not prove themselves, oldest first: none of them is tried again.
    pub bad: VecDeque<BadVersion>,
    /// What runs has yet to prove itself.
    pub trial: Option<Trial>,
    /// It gave up on this digest.
    pub failed: Option<SpecDigest>,
    /// It ended and is done with this digest (transient and temporary apps).
    pub finished: Option<SpecDigest>,
    /// Restarts so far.
    pub budget: Budget,
    /// It is to be started again then, milliseconds since the epoch.
    pub start_at_ms: Option<u64>,
    /// The start that is due is a restart, and counts as one when it is carried out.
    pub is_restart_due: bool,
    /// What went wrong last and is not over.
    pub last_error: Option<AppError>,
    /// Its newest ends, oldest first, at most [`PAST_EXITS_MAX`].
    pub past_exits: VecDeque<Arc<PastExit>>,
}

impl AppRecord {
    /// No start is due any more.
    pub(super) fn forget_start(&mut self) {
        self.start_at_ms = None;
        self.is_restart_due = false;
    }
}

/// Keeps what must survive the daemon. Both calls return at once; the store writes behind.
pub trait AppRecords: Send + Sync + 'static {
    /// Keeps `record` in the place of the one before.
    fn save(&self, app: &AppName, record: Arc<AppRecord>);
    /// The app is gone from this node.
    fn forget(&self, app: &AppName);
}
