//! Pictures of a supervisor's children for whoever asks.

use std::time::Instant;

use super::decide::{Child, Core, Mode, State};
use super::flags::Flags;
use super::observe::{ChildInfo, ChildState, LastExit};
use super::spec::{ChildId, ChildSpec};
use super::start::ChildRef;

/// All children at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) flags: Flags,
    pub(crate) is_dynamic: bool,
    pub(crate) children: Vec<ChildInfo>,
}

/// All children in start order.
pub(crate) fn take<R>(core: &Core<ChildRef, R>, at: Instant) -> Snapshot {
    Snapshot {
        flags: *core.flags(),
        is_dynamic: core.mode() == Mode::Dynamic,
        children: core.children().map(|child| info(child, at)).collect(),
    }
}

/// One child with its spec.
pub(crate) fn child<R>(
    core: &Core<ChildRef, R>,
    id: &ChildId,
    at: Instant,
) -> Option<(ChildSpec, ChildInfo)> {
    let child = core.child(id)?;
    Some((child.spec.clone(), info(child, at)))
}

fn info<R>(child: &Child<ChildRef, R>, at: Instant) -> ChildInfo {
    let (state, running) = match &child.state {
        State::Stopped => (ChildState::Stopped, None),
        State::Restarting { .. } => (ChildState::Restarting, None),
        State::Starting { why, .. } if why.is_restart() => (ChildState::Restarting, None),
        State::Starting { .. } => (ChildState::Starting, None),
        State::Running { handle, .. } => (ChildState::Running, Some(handle.clone())),
        State::Stopping { handle, .. } => (ChildState::Stopping, Some(handle.clone())),
        State::Cancelling { .. } => (ChildState::Stopping, None),
    };
    ChildInfo {
        id: child.spec.id().clone(),
        kind: child.spec.kind_type(),
        restart: child.spec.restart_type(),
        is_significant: child.spec.is_significant(),
        state,
        child: running,
        restarts: child.restarts,
        started_ago: child.started_at.map(|then| at.saturating_duration_since(then)),
        last_exit: child.last_exit.as_ref().map(|(reason, then)| LastExit {
            reason: reason.clone(),
            ago: at.saturating_duration_since(*then),
        }),
    }
}
