//! Moving many children in order: the first start, the restart of a group, the end.

use std::collections::VecDeque;

use super::super::admin::AdminError;
use super::super::exit::ExitReason;
use super::super::spec::ChildId;
use super::super::start::StartError;
use super::calls::refuse;
use super::child::{After, State, Why};
use super::{Command, Core, Deferred, Mode, Phase};

/// Children to be stopped, then children to be started, one after another.
pub(super) struct Job {
    is_boot: bool,
    /// In start order; stopped from its end.
    stop: Vec<ChildId>,
    start: VecDeque<ChildId>,
}

/// Children to be stopped before the supervisor ends.
pub(super) struct Ending {
    outcome: Outcome,
    /// In start order; stopped from its end.
    stop: Vec<ChildId>,
}

/// How a supervisor ends.
#[derive(Clone)]
pub(super) enum Outcome {
    End(ExitReason),
    StartFailed(StartError),
}

impl<H: Clone, R> Core<H, R> {
    pub(super) fn begin_boot(&mut self) {
        let start = self.order.values().cloned().collect();
        self.phase = Phase::Group(Job {
            is_boot: true,
            stop: Vec::new(),
            start,
        });
    }

    /// Stops all from this position on, in reverse start order, then starts them in start order. Temporary ones are only
    /// stopped; those that were down are started too, as in OTP.
    pub(super) fn begin_group_restart(&mut self, from: u64) {
        let group: Vec<ChildId> = self.order.range(from..).map(|(_, id)| id.clone()).collect();
        let start = group.iter().cloned().collect();
        self.phase = Phase::Group(Job {
            is_boot: false,
            stop: group,
            start,
        });
    }

    /// The next step of the job; whether it is over.
    pub(super) fn step_group(&mut self, out: &mut Vec<Command<H, R>>) -> bool {
        loop {
            if self.in_flight > 0 {
                return false;
            }
            let Phase::Group(job) = &mut self.phase else {
                return true;
            };
            if let Some(id) = job.stop.pop() {
                self.bring_down(&id, out);
                continue;
            }
            if let Some(id) = job.start.pop_front() {
                let why = if job.is_boot { Why::Boot } else { Why::Group };
                if self.children.contains_key(&id) {
                    self.begin_start(&id, why, out);
                }
                continue;
            }
            if job.is_boot {
                out.push(Command::Up);
            }
            self.phase = Phase::Up;
            self.free_all();
            return true;
        }
    }

    /// Begins to end; `outcome` is what comes after. Whoever waits for something hears that nobody is there any more.
    pub(super) fn begin_ending(&mut self, outcome: Outcome, out: &mut Vec<Command<H, R>>) {
        if matches!(self.phase, Phase::Ending(_) | Phase::Ended) {
            return;
        }
        for deferred in std::mem::take(&mut self.deferred).into_values().flatten() {
            match deferred {
                Deferred::Call { reply, .. } => refuse(reply, AdminError::NoProcess, out),
                Deferred::Exit { .. } | Deferred::Retry { .. } => {}
            }
        }
        let stop: Vec<ChildId> = self.order.values().cloned().collect();
        for id in &stop {
            self.cancel(id, None, out);
        }
        match self.mode {
            Mode::Static => self.phase = Phase::Ending(Ending { outcome, stop }),
            Mode::Dynamic => {
                self.phase = Phase::Ending(Ending {
                    outcome,
                    stop: Vec::new(),
                });
                for id in &stop {
                    self.bring_down(id, out);
                }
            }
        }
    }

    pub(super) fn step_ending(&mut self, out: &mut Vec<Command<H, R>>) {
        loop {
            let Phase::Ending(ending) = &mut self.phase else {
                return;
            };
            if let Some(id) = ending.stop.last().cloned() {
                self.bring_down(&id, out);
                if self
                    .children
                    .get(&id)
                    .is_some_and(|child| child.state.is_in_flight())
                {
                    return;
                }
                if let Phase::Ending(ending) = &mut self.phase {
                    ending.stop.pop();
                }
                continue;
            }
            if self.in_flight > 0 {
                return;
            }
            out.push(match &ending.outcome {
                Outcome::End(reason) => Command::End(reason.clone()),
                Outcome::StartFailed(error) => Command::StartFailed(error.clone()),
            });
            self.phase = Phase::Ended;
        }
    }

    /// Begins to stop a child that runs; settles one that does not.
    fn bring_down(&mut self, id: &ChildId, out: &mut Vec<Command<H, R>>) {
        match self.children.get(id).map(|child| &child.state) {
            Some(State::Running { .. }) => self.begin_stop(id, After::default(), out),
            Some(State::Stopped | State::Restarting { .. }) => self.keep_or_forget(id),
            Some(State::Starting { .. } | State::Cancelling { .. } | State::Stopping { .. }) | None => {}
        }
    }

    /// All queues may go on.
    pub(super) fn free_all(&mut self) {
        self.freed.extend(self.deferred.keys().cloned());
    }
}
