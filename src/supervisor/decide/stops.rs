//! Stops of a single child, and what is kept of one that is down.

use std::time::Instant;

use super::super::exit::ExitReason;
use super::super::observe::{Consequence, Notice};
use super::super::spec::ChildId;
use super::child::{After, State};
use super::{Command, Core, Incarnation, Mode};

impl<H: Clone, R> Core<H, R> {
    /// Stops a running child.
    pub(super) fn begin_stop(&mut self, id: &ChildId, after: After<R>, out: &mut Vec<Command<H, R>>) {
        let Some(child) = self.children.get_mut(id) else {
            return;
        };
        let shutdown = child.spec.shutdown_type();
        child.state = match std::mem::replace(&mut child.state, State::Stopped) {
            State::Running {
                incarnation,
                handle,
                exited,
            } => {
                self.in_flight += 1;
                out.push(Command::Stop {
                    incarnation,
                    handle: handle.clone(),
                    shutdown,
                });
                State::Stopping {
                    handle,
                    exited,
                    after,
                }
            }
            other => other,
        };
    }

    pub(super) fn on_stopped(
        &mut self,
        incarnation: Incarnation,
        reason: ExitReason,
        at: Instant,
        out: &mut Vec<Command<H, R>>,
    ) {
        let Some(id) = self.incarnations.get(&incarnation).cloned() else {
            return;
        };
        let Some(child) = self.children.get_mut(&id) else {
            return;
        };
        match std::mem::replace(&mut child.state, State::Stopped) {
            State::Stopping { exited, after, .. } => {
                let reason = exited.unwrap_or(reason);
                child.last_exit = Some((reason.clone(), at));
                out.push(Command::Notice(Notice::Exited {
                    child: id.clone(),
                    reason,
                    restarts: child.restarts,
                    consequence: Consequence::Asked,
                }));
                self.down(&id, incarnation, after, out);
            }
            state @ (State::Stopped
            | State::Restarting { .. }
            | State::Starting { .. }
            | State::Cancelling { .. }
            | State::Running { .. }) => child.state = state,
        }
    }

    /// A child that was stopped or cancelled is down.
    pub(super) fn down(
        &mut self,
        id: &ChildId,
        incarnation: Incarnation,
        after: After<R>,
        out: &mut Vec<Command<H, R>>,
    ) {
        self.in_flight -= 1;
        self.incarnations.remove(&incarnation);
        self.freed.push(self.lane_of(id));
        if after.forget {
            self.forget(id);
        } else {
            self.keep_or_forget(id);
        }
        if let Some(waiter) = after.waiter {
            out.push(Command::Reply {
                to: waiter,
                answer: Ok(None),
            });
        }
    }

    /// What happens to the spec of a child that is down for good: a static supervisor keeps it unless it is temporary.
    pub(super) fn keep_or_forget(&mut self, id: &ChildId) {
        let Some(child) = self.children.get_mut(id) else {
            return;
        };
        child.state = State::Stopped;
        if self.mode == Mode::Dynamic || child.is_temporary() {
            self.forget(id);
        }
    }
}
