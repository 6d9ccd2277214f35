//! Starts of a single child: begun, dropped, and what they come to.

use std::time::Instant;

use super::super::admin::AdminError;
use super::super::observe::Notice;
use super::super::spec::{ChildId, Shutdown};
use super::super::start::StartError;
use super::calls::refuse;
use super::child::{After, State, Why};
use super::group::Outcome;
use super::{Command, Core, Incarnation, Mode, Phase};

impl<H: Clone, R> Core<H, R> {
    pub(super) fn begin_start(&mut self, id: &ChildId, why: Why<R>, out: &mut Vec<Command<H, R>>) {
        let incarnation = self.new_incarnation();
        let Some(child) = self.children.get_mut(id) else {
            return;
        };
        child.state = State::Starting { incarnation, why };
        self.in_flight += 1;
        self.starting += 1;
        self.incarnations.insert(incarnation, id.clone());
        out.push(Command::Start {
            incarnation,
            child: id.clone(),
            start: child.spec.start_fn(),
        });
    }

    /// Drops a start that is in flight; `waiter` hears when it is gone.
    pub(super) fn cancel(&mut self, id: &ChildId, waiter: Option<R>, out: &mut Vec<Command<H, R>>) {
        let Some(child) = self.children.get_mut(id) else {
            return;
        };
        child.state = match std::mem::replace(&mut child.state, State::Stopped) {
            State::Starting { incarnation, why } => {
                out.push(Command::Cancel { incarnation });
                let forget = match why {
                    Why::Added(reply) => {
                        refuse(reply, AdminError::Cancelled, out);
                        true
                    }
                    Why::Manual(reply) => {
                        refuse(reply, AdminError::Cancelled, out);
                        false
                    }
                    Why::Boot | Why::Restart | Why::Group => false,
                };
                State::Cancelling {
                    after: After { waiter, forget },
                }
            }
            other => other,
        };
    }

    pub(super) fn on_started(
        &mut self,
        incarnation: Incarnation,
        outcome: Result<Option<H>, StartError>,
        at: Instant,
        out: &mut Vec<Command<H, R>>,
    ) {
        let Some(id) = self.incarnations.get(&incarnation).cloned() else {
            // It was cancelled, but took too long to notice.
            if let Ok(Some(handle)) = outcome {
                out.push(Command::Stop {
                    incarnation,
                    handle,
                    shutdown: Shutdown::Brutal,
                });
            }
            return;
        };
        let Some(child) = self.children.get_mut(&id) else {
            return;
        };
        match std::mem::replace(&mut child.state, State::Stopped) {
            State::Starting { why, .. } => {
                self.in_flight -= 1;
                self.starting -= 1;
                self.freed.push(self.lane_of(&id));
                match outcome {
                    Ok(Some(handle)) => self.runs(&id, incarnation, handle, why, at, out),
                    Ok(None) => self.ignored(&id, incarnation, why, out),
                    Err(error) => self.start_failed(&id, incarnation, why, error, out),
                }
            }
            State::Cancelling { after, .. } => match outcome {
                Ok(Some(handle)) => {
                    self.starting -= 1;
                    self.in_flight -= 1;
                    child.state = State::Running {
                        incarnation,
                        handle,
                        exited: None,
                    };
                    self.stop_just_started(&id, after, out);
                }
                Ok(None) | Err(_) => self.cancelled(&id, incarnation, after, out),
            },
            // The answer to a start comes once, so these have none in flight.
            state @ (State::Stopped
            | State::Restarting { .. }
            | State::Running { .. }
            | State::Stopping { .. }) => {
                child.state = state;
            }
        }
    }

    /// A start was over before it could be cancelled. Where the supervisor ends in order, its turn to be stopped comes.
    fn stop_just_started(&mut self, id: &ChildId, after: After<R>, out: &mut Vec<Command<H, R>>) {
        let has_its_turn = self.mode == Mode::Static && matches!(self.phase, Phase::Ending(_));
        if !has_its_turn || after.waiter.is_some() {
            self.begin_stop(id, after, out);
        }
    }

    fn runs(
        &mut self,
        id: &ChildId,
        incarnation: Incarnation,
        handle: H,
        why: Why<R>,
        at: Instant,
        out: &mut Vec<Command<H, R>>,
    ) {
        let Some(child) = self.children.get_mut(id) else {
            return;
        };
        if why.is_restart() {
            child.restarts += 1;
        }
        child.started_at = Some(at);
        child.state = State::Running {
            incarnation,
            handle: handle.clone(),
            exited: None,
        };
        out.push(Command::Notice(match &why {
            Why::Restart | Why::Group => Notice::Restarted {
                child: id.clone(),
                restarts: child.restarts,
            },
            Why::Boot | Why::Added(_) | Why::Manual(_) => Notice::Started { child: id.clone() },
        }));
        if let Why::Added(reply) | Why::Manual(reply) = why {
            out.push(Command::Reply {
                to: reply,
                answer: Ok(Some(handle)),
            });
        }
    }

    fn ignored(&mut self, id: &ChildId, incarnation: Incarnation, why: Why<R>, out: &mut Vec<Command<H, R>>) {
        self.incarnations.remove(&incarnation);
        self.keep_or_forget(id);
        if let Why::Added(reply) | Why::Manual(reply) = why {
            out.push(Command::Reply {
                to: reply,
                answer: Ok(None),
            });
        }
    }

    fn start_failed(
        &mut self,
        id: &ChildId,
        incarnation: Incarnation,
        why: Why<R>,
        error: StartError,
        out: &mut Vec<Command<H, R>>,
    ) {
        self.incarnations.remove(&incarnation);
        out.push(Command::Notice(Notice::StartFailed {
            child: id.clone(),
            error: error.clone(),
        }));
        match why {
            Why::Added(reply) => {
                self.forget(id);
                refuse(reply, AdminError::StartFailed(error), out);
            }
            Why::Manual(reply) => refuse(reply, AdminError::StartFailed(error), out),
            Why::Boot => {
                let error = StartError::Child {
                    child: id.clone(),
                    error: Box::new(error),
                };
                self.begin_ending(Outcome::StartFailed(error), out);
            }
            Why::Restart => self.try_again(id, out),
            Why::Group => {
                self.phase = Phase::Up;
                self.free_all();
                self.try_again(id, out);
            }
        }
    }

    pub(super) fn on_cancelled(&mut self, incarnation: Incarnation, out: &mut Vec<Command<H, R>>) {
        let Some(id) = self.incarnations.get(&incarnation).cloned() else {
            return;
        };
        let Some(child) = self.children.get_mut(&id) else {
            return;
        };
        match std::mem::replace(&mut child.state, State::Stopped) {
            State::Cancelling { after, .. } => self.cancelled(&id, incarnation, after, out),
            // The start was over before it could be cancelled.
            state @ (State::Stopped
            | State::Restarting { .. }
            | State::Starting { .. }
            | State::Running { .. }
            | State::Stopping { .. }) => child.state = state,
        }
    }

    fn cancelled(
        &mut self,
        id: &ChildId,
        incarnation: Incarnation,
        after: After<R>,
        out: &mut Vec<Command<H, R>>,
    ) {
        self.starting -= 1;
        self.down(id, incarnation, after, out);
    }
}
