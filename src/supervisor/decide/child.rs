//! The state of one child.

use std::time::Instant;

use super::super::exit::ExitReason;
use super::super::spec::{ChildSpec, Restart};
use super::Incarnation;

/// One child of a supervisor.
pub(crate) struct Child<H, R> {
    pub(crate) spec: ChildSpec,
    pub(super) position: u64,
    pub(crate) state: State<H, R>,
    /// How often it was restarted by the supervisor.
    pub(crate) restarts: u64,
    pub(crate) started_at: Option<Instant>,
    pub(crate) last_exit: Option<(ExitReason, Instant)>,
}

/// Where a child is in its life.
pub(crate) enum State<H, R> {
    /// Listed, not running.
    Stopped,
    /// A restart failed; its next turn has this ticket.
    Restarting { ticket: Incarnation },
    /// Its start is in flight.
    Starting { incarnation: Incarnation, why: Why<R> },
    /// Its start is being dropped.
    Cancelling { after: After<R> },
    /// It runs. `exited`: it does not any more, but its lane was busy when it ended.
    Running {
        incarnation: Incarnation,
        handle: H,
        exited: Option<ExitReason>,
    },
    /// It is being stopped.
    Stopping {
        handle: H,
        exited: Option<ExitReason>,
        after: After<R>,
    },
}

/// Why a child is being started.
pub(crate) enum Why<R> {
    /// It is the first start of the supervisor.
    Boot,
    /// Somebody added it.
    Added(R),
    /// Somebody started it again.
    Manual(R),
    /// It is restarted alone.
    Restart,
    /// It is restarted with its group.
    Group,
}

/// What is to be done once a child is down.
pub(crate) struct After<R> {
    /// Who waits for it.
    pub(super) waiter: Option<R>,
    /// It was never listed: its first start was cancelled.
    pub(super) forget: bool,
}

impl<R> Default for After<R> {
    fn default() -> Self {
        Self {
            waiter: None,
            forget: false,
        }
    }
}

impl<R> After<R> {
    /// Somebody waits for it.
    pub(super) fn telling(waiter: R) -> Self {
        Self {
            waiter: Some(waiter),
            forget: false,
        }
    }
}

impl<H, R> Child<H, R> {
    pub(super) fn new(spec: ChildSpec, position: u64) -> Self {
        Self {
            spec,
            position,
            state: State::Stopped,
            restarts: 0,
            started_at: None,
            last_exit: None,
        }
    }

    pub(super) fn is_temporary(&self) -> bool {
        self.spec.restart_type() == Restart::Temporary
    }

    /// Is it to be restarted after this exit?
    pub(super) fn is_restarted_after(&self, reason: &ExitReason) -> bool {
        match self.spec.restart_type() {
            Restart::Permanent => true,
            Restart::Transient => !reason.is_normal(),
            Restart::Temporary => false,
        }
    }
}

impl<H, R> State<H, R> {
    /// Is an answer of the outer world awaited?
    pub(super) fn is_in_flight(&self) -> bool {
        match self {
            Self::Starting { .. } | Self::Cancelling { .. } | Self::Stopping { .. } => true,
            Self::Stopped | Self::Restarting { .. } | Self::Running { .. } => false,
        }
    }
}

impl<R> Why<R> {
    /// Does a start for this reason replace an incarnation that ended?
    pub(crate) fn is_restart(&self) -> bool {
        match self {
            Self::Restart | Self::Group => true,
            Self::Boot | Self::Added(_) | Self::Manual(_) => false,
        }
    }
}
