//! What a supervisor tells about its children: as they change (notices), and when asked.

use std::sync::Arc;
use std::time::Duration;

use ractor::ActorId;

use super::exit::ExitReason;
use super::flags::Flags;
use super::spec::{ChildId, Kind, Restart};
use super::start::{ChildRef, StartError};

/// Gets each [`Notice`] of a supervisor, in order, on the supervisor's own task: it must not block. If it panics, the
/// supervisor fails as any actor does.
pub type Observer = Arc<dyn Fn(&Notice) + Send + Sync>;

/// Something happened to a child.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Notice {
    /// It runs, for the first time or because somebody asked.
    Started {
        /// Which child.
        child: ChildId,
    },
    /// Its start failed: the first one, one by hand, or a restart (which is then tried again).
    StartFailed {
        /// Which child.
        child: ChildId,
        /// Why.
        error: StartError,
    },
    /// It ended.
    Exited {
        /// Which child.
        child: ChildId,
        /// Why.
        reason: ExitReason,
        /// How often it was restarted so far.
        restarts: u64,
        /// What follows.
        consequence: Consequence,
    },
    /// It was restarted and runs.
    Restarted {
        /// Which child.
        child: ChildId,
        /// How often it was restarted so far.
        restarts: u64,
    },
    /// One restart too many: the supervisor stops all its children and ends.
    GaveUp {
        /// The child whose restart was one too many.
        child: ChildId,
        /// Why it ended last.
        reason: ExitReason,
        /// How many restarts were allowed.
        intensity: u32,
        /// Within which time.
        period: Duration,
    },
    /// The supervisor has stopped all its children and ends.
    Ended {
        /// With this reason.
        reason: ExitReason,
    },
}

/// What follows from the exit of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consequence {
    /// It is restarted, unless that is one restart too many.
    Restart,
    /// It stays down.
    StaysDown,
    /// Nothing: its supervisor had stopped it, because somebody asked or for the sake of its group.
    Asked,
}

/// Where a child is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChildState {
    /// Its first start is under way.
    Starting,
    /// It runs.
    Running,
    /// It ended and is being started again.
    Restarting,
    /// It is being stopped.
    Stopping,
    /// It is listed, and down.
    Stopped,
}

impl ChildState {
    /// The word for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Restarting => "restarting",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }
}

/// One child, as it is now.
#[derive(Debug, Clone)]
pub struct ChildInfo {
    /// Its name among its siblings.
    pub id: ChildId,
    /// What it is.
    pub kind: Kind,
    /// When it is restarted.
    pub restart: Restart,
    /// May its own end end its supervisor?
    pub is_significant: bool,
    /// Where it is in its life.
    pub state: ChildState,
    /// The actor that runs.
    pub child: Option<ChildRef>,
    /// How often its supervisor restarted it.
    pub restarts: u64,
    /// How long ago its current or last incarnation was started.
    pub started_ago: Option<Duration>,
    /// Why it ended last.
    pub last_exit: Option<LastExit>,
}

impl ChildInfo {
    /// The id of the actor that runs.
    #[must_use]
    pub fn pid(&self) -> Option<ActorId> {
        self.child.as_ref().map(|child| child.cell.get_id())
    }
}

/// Why and when a child ended last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastExit {
    /// Why.
    pub reason: ExitReason,
    /// How long ago.
    pub ago: Duration,
}

/// How many children there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// All that are listed.
    pub specs: usize,
    /// Those that run.
    pub active: usize,
    /// Supervisors among the listed, running or not.
    pub supervisors: usize,
    /// Workers among the listed, running or not.
    pub workers: usize,
}

impl Counts {
    pub(crate) fn of<'a>(children: impl IntoIterator<Item = &'a ChildInfo>) -> Self {
        let mut counts = Self::default();
        for child in children {
            counts.specs += 1;
            counts.active += usize::from(child.state == ChildState::Running);
            match child.kind {
                Kind::Supervisor => counts.supervisors += 1,
                Kind::Worker => counts.workers += 1,
            }
        }
        counts
    }
}

/// A supervisor and all below it, as it is now.
#[derive(Debug, Clone)]
pub struct Tree {
    /// What holds for it as a whole.
    pub flags: Flags,
    /// Do its children come and go?
    pub is_dynamic: bool,
    /// Its children in start order, each with what is below it where it is a supervisor that answered.
    pub children: Vec<(ChildInfo, Option<Tree>)>,
}
