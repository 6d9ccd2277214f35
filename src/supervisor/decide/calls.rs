//! What others ask of a supervisor.
//!
//! A call about a child that is being restarted is answered at once (`restarting`, or the restart is dropped); one about a
//! child that is being started for the first time, or stopped, waits until that is over.

use super::super::admin::AdminError;
use super::super::flags::{CHILDREN_MAX, SpecError, check_spec};
use super::super::spec::{ChildId, ChildSpec};
use super::child::{After, State, Why};
use super::{Command, Core, Deferred, Mode, Phase, Request};

impl Request {
    pub(super) fn child(&self) -> &ChildId {
        match self {
            Self::Start(spec) => spec.id(),
            Self::Terminate(id) | Self::Restart(id) | Self::Delete(id) => id,
        }
    }
}

impl<H: Clone, R> Core<H, R> {
    pub(super) fn on_call(&mut self, request: Request, reply: R, out: &mut Vec<Command<H, R>>) {
        if matches!(self.phase, Phase::Ending(_) | Phase::Ended) {
            return refuse(reply, AdminError::NoProcess, out);
        }
        let id = request.child().clone();
        if let Some(State::Starting { why, .. }) = self.children.get(&id).map(|child| &child.state) {
            let is_restart = why.is_restart();
            match request {
                Request::Terminate(_) => return self.cancel(&id, Some(reply), out),
                Request::Start(_) if is_restart => return refuse(reply, AdminError::AlreadyPresent, out),
                Request::Restart(_) | Request::Delete(_) if is_restart => {
                    return refuse(reply, AdminError::Restarting, out);
                }
                Request::Start(_) | Request::Restart(_) | Request::Delete(_) => {}
            }
        }
        let lane = self.lane_of(&id);
        if self.is_busy(&lane) {
            return self.defer(lane, Deferred::Call { request, reply });
        }
        match request {
            Request::Start(spec) => self.start_child(spec, reply, out),
            Request::Terminate(id) => self.terminate_child(&id, reply, out),
            Request::Restart(id) => self.restart_child(&id, reply, out),
            Request::Delete(id) => self.delete_child(&id, reply, out),
        }
    }

    fn start_child(&mut self, spec: ChildSpec, reply: R, out: &mut Vec<Command<H, R>>) {
        match self.children.get(spec.id()).map(|child| &child.state) {
            Some(State::Running { handle, .. }) => {
                return refuse(reply, AdminError::AlreadyStarted(handle.clone()), out);
            }
            Some(
                State::Stopped
                | State::Restarting { .. }
                | State::Starting { .. }
                | State::Cancelling { .. }
                | State::Stopping { .. },
            ) => return refuse(reply, AdminError::AlreadyPresent, out),
            None => {}
        }
        if let Err(wrong) = self.check_new(&spec) {
            return refuse(reply, AdminError::Spec(wrong), out);
        }
        let id = spec.id().clone();
        self.add(spec);
        self.begin_start(&id, Why::Added(reply), out);
    }

    fn check_new(&self, spec: &ChildSpec) -> Result<(), SpecError> {
        if self.children.len() >= CHILDREN_MAX {
            return Err(SpecError::TooMany);
        }
        if self.mode == Mode::Dynamic && spec.is_significant() {
            return Err(SpecError::SignificantDynamic(spec.id().clone()));
        }
        check_spec(spec, self.flags.auto_shutdown)
    }

    fn terminate_child(&mut self, id: &ChildId, reply: R, out: &mut Vec<Command<H, R>>) {
        match self.children.get(id).map(|child| &child.state) {
            None => refuse(reply, AdminError::NotFound, out),
            Some(State::Running { .. }) => self.begin_stop(id, After::telling(reply), out),
            Some(State::Stopped | State::Restarting { .. }) => {
                self.keep_or_forget(id);
                out.push(Command::Reply {
                    to: reply,
                    answer: Ok(None),
                });
            }
            // The lane of such a child is busy, so the call was deferred.
            Some(State::Starting { .. } | State::Cancelling { .. } | State::Stopping { .. }) => {
                refuse(reply, AdminError::Restarting, out);
            }
        }
    }

    fn restart_child(&mut self, id: &ChildId, reply: R, out: &mut Vec<Command<H, R>>) {
        match self.children.get(id).map(|child| &child.state) {
            None => refuse(reply, AdminError::NotFound, out),
            Some(State::Stopped) => self.begin_start(id, Why::Manual(reply), out),
            Some(State::Restarting { .. } | State::Starting { .. } | State::Cancelling { .. }) => {
                refuse(reply, AdminError::Restarting, out);
            }
            Some(State::Running { .. } | State::Stopping { .. }) => refuse(reply, AdminError::Running, out),
        }
    }

    fn delete_child(&mut self, id: &ChildId, reply: R, out: &mut Vec<Command<H, R>>) {
        match self.children.get(id).map(|child| &child.state) {
            None => refuse(reply, AdminError::NotFound, out),
            Some(State::Stopped) => {
                self.forget(id);
                out.push(Command::Reply {
                    to: reply,
                    answer: Ok(None),
                });
            }
            Some(State::Restarting { .. } | State::Starting { .. } | State::Cancelling { .. }) => {
                refuse(reply, AdminError::Restarting, out);
            }
            Some(State::Running { .. } | State::Stopping { .. }) => refuse(reply, AdminError::Running, out),
        }
    }
}

pub(super) fn refuse<H, R>(to: R, error: AdminError<H>, out: &mut Vec<Command<H, R>>) {
    out.push(Command::Reply {
        to,
        answer: Err(error),
    });
}
