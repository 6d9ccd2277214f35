//! Exits that nobody asked for, and what follows: a restart, a group restart, or the end of the supervisor.

use std::time::Instant;

use super::super::budget::Spent;
use super::super::exit::ExitReason;
use super::super::flags::{AutoShutdown, Strategy};
use super::super::observe::{Consequence, Notice};
use super::super::spec::ChildId;
use super::child::{State, Why};
use super::group::Outcome;
use super::{Command, Core, Deferred, Incarnation, Mode, Phase};

impl<H: Clone, R> Core<H, R> {
    pub(super) fn on_exit(
        &mut self,
        incarnation: Incarnation,
        reason: ExitReason,
        at: Instant,
        out: &mut Vec<Command<H, R>>,
    ) {
        let Some(id) = self.incarnations.get(&incarnation).cloned() else {
            return;
        };
        let lane = self.lane_of(&id);
        let (is_ending, is_busy) = (
            matches!(self.phase, Phase::Ending(_) | Phase::Ended),
            self.is_busy(&lane),
        );
        let Some(child) = self.children.get_mut(&id) else {
            return;
        };
        match &mut child.state {
            State::Stopping { exited, .. } => *exited = Some(reason),
            State::Running { exited, .. } if is_busy && !is_ending => {
                *exited = Some(reason.clone());
                self.defer(lane, Deferred::Exit { incarnation, reason });
            }
            State::Running { .. } => self.ended(&id, incarnation, reason, at, out),
            State::Stopped | State::Restarting { .. } | State::Starting { .. } | State::Cancelling { .. } => {
            }
        }
    }

    /// A running child ended by itself.
    fn ended(
        &mut self,
        id: &ChildId,
        incarnation: Incarnation,
        reason: ExitReason,
        at: Instant,
        out: &mut Vec<Command<H, R>>,
    ) {
        self.incarnations.remove(&incarnation);
        let is_ending = matches!(self.phase, Phase::Ending(_) | Phase::Ended);
        let Some(child) = self.children.get_mut(id) else {
            return;
        };
        child.state = State::Stopped;
        child.last_exit = Some((reason.clone(), at));
        let is_restarted = !is_ending && child.is_restarted_after(&reason);
        let consequence = if is_restarted {
            Consequence::Restart
        } else {
            Consequence::StaysDown
        };
        let (restarts, is_significant) = (child.restarts, child.spec.is_significant());
        out.push(Command::Notice(Notice::Exited {
            child: id.clone(),
            reason,
            restarts,
            consequence,
        }));
        if is_ending {
            return;
        }
        if is_restarted {
            return self.restart(id, at, out);
        }
        self.keep_or_forget(id);
        if is_significant && self.is_over() {
            let detail = format!("its significant child {id} ended");
            self.begin_ending(Outcome::End(ExitReason::shutdown_because(&detail)), out);
        }
    }

    /// Does the end of a significant child end the supervisor?
    fn is_over(&self) -> bool {
        match self.flags.auto_shutdown {
            AutoShutdown::Never => false,
            AutoShutdown::AnySignificant => true,
            AutoShutdown::AllSignificant => !self
                .children
                .values()
                .any(|child| child.spec.is_significant() && !matches!(child.state, State::Stopped)),
        }
    }

    /// Restarts a child that is down, and whoever shares its fate; or gives up.
    fn restart(&mut self, id: &ChildId, at: Instant, out: &mut Vec<Command<H, R>>) {
        match self.budget.spend(at, self.flags.intensity, self.flags.period) {
            Spent::Exceeded => self.give_up(id, out),
            Spent::Within => match (self.mode, self.flags.strategy) {
                (Mode::Dynamic, _) | (Mode::Static, Strategy::OneForOne) => {
                    self.begin_start(id, Why::Restart, out);
                }
                (Mode::Static, Strategy::OneForAll) => self.begin_group_restart(0),
                (Mode::Static, Strategy::RestForOne) => {
                    let Some(position) = self.children.get(id).map(|child| child.position) else {
                        return;
                    };
                    self.begin_group_restart(position);
                }
            },
        }
    }

    fn give_up(&mut self, id: &ChildId, out: &mut Vec<Command<H, R>>) {
        let (intensity, period) = (self.flags.intensity, self.flags.period);
        let last = self.children.get(id).and_then(|child| child.last_exit.as_ref());
        let reason = last.map_or(ExitReason::Lost, |(reason, _)| reason.clone());
        let detail =
            format!("gave up on {id}: more than {intensity} restarts in {period:?}; last exit: {reason}");
        out.push(Command::Notice(Notice::GaveUp {
            child: id.clone(),
            reason,
            intensity,
            period,
        }));
        self.keep_or_forget(id);
        self.begin_ending(Outcome::End(ExitReason::shutdown_because(&detail)), out);
    }

    /// A failed restart is tried again through the own mailbox, so that calls get in between.
    pub(super) fn try_again(&mut self, id: &ChildId, out: &mut Vec<Command<H, R>>) {
        let ticket = self.new_incarnation();
        let Some(child) = self.children.get_mut(id) else {
            return;
        };
        child.state = State::Restarting { ticket };
        out.push(Command::Retry {
            child: id.clone(),
            ticket,
        });
    }

    pub(super) fn on_retry(
        &mut self,
        id: ChildId,
        ticket: Incarnation,
        at: Instant,
        out: &mut Vec<Command<H, R>>,
    ) {
        if matches!(self.phase, Phase::Ending(_) | Phase::Ended) {
            return;
        }
        let is_due = self.children.get(&id).is_some_and(|child| match &child.state {
            State::Restarting { ticket: own } => *own == ticket,
            State::Stopped
            | State::Starting { .. }
            | State::Cancelling { .. }
            | State::Running { .. }
            | State::Stopping { .. } => false,
        });
        if !is_due {
            return;
        }
        let lane = self.lane_of(&id);
        if self.is_busy(&lane) {
            return self.defer(lane, Deferred::Retry { child: id, ticket });
        }
        self.restart(&id, at, out);
    }
}
