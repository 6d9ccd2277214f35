//! Carries out what was decided, each in a task of its own that reports back: the supervisor itself never waits.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use ractor::{ActorCell, ActorStatus};
use tokio::sync::mpsc::UnboundedSender;

use super::brood::{Brood, KILL_WAIT, Member, Remains};
use super::decide::Incarnation;
use super::exit::{ExitReason, SHUTDOWN, panic_message};
use super::message::{Message, Report};
use super::spec::{Shutdown, StartFn};
use super::start::{StartError, Started};

/// Where the tasks of one supervisor report to. As many reports wait there as commands are in flight.
#[derive(Clone)]
pub(super) struct Reporter {
    pub(super) supervisor: ActorCell,
    pub(super) reports: UnboundedSender<Report>,
    pub(super) brood: Brood,
}

impl Reporter {
    /// Reports through a channel that is read while the supervisor starts and stops as well, and wakes it where it is in between.
    fn report(&self, report: Report) {
        if self.reports.send(report).is_ok() {
            let _ = self.supervisor.send_message(Message::Wake);
        }
    }

    /// Starts a child once nothing is left of its last incarnation.
    pub(super) fn start(&self, incarnation: Incarnation, start: StartFn, last: Option<Remains>) {
        let reporter = self.clone();
        self.brood.spawn_start(incarnation, async move {
            let supervisor = reporter.supervisor.clone();
            let run = async {
                if let Some(last) = last {
                    last.gone().await;
                }
                start(supervisor).await
            };
            let outcome = tokio::select! {
                biased;
                outcome = AssertUnwindSafe(run).catch_unwind() => outcome,
                _ = reporter.supervisor.wait(None) => return,
            };
            let outcome =
                outcome.unwrap_or_else(|panic| Err(StartError::Panicked(panic_message(panic.as_ref()))));
            reporter.started(incarnation, outcome).await;
        });
    }

    async fn started(self, incarnation: Incarnation, outcome: Result<Started, StartError>) {
        let actor = match outcome.map(Started::accept) {
            Ok(Some(actor)) => actor,
            Ok(None) => return self.nothing_started(incarnation, Ok(None)),
            Err(error) => return self.nothing_started(incarnation, Err(error)),
        };
        let cell = actor.live.cell.clone();
        cell.link(self.supervisor.clone());
        let is_linked = cell
            .try_get_supervisor()
            .is_some_and(|supervisor| supervisor.get_id() == self.supervisor.get_id());
        self.brood.insert(incarnation, Member::Live(actor.live));
        self.report(Report::Started {
            incarnation,
            outcome: Ok(Some(super::start::ChildRef {
                cell: cell.clone(),
                info: actor.info,
            })),
        });
        if !is_linked {
            self.watch_unlinked(incarnation, cell).await;
        }
    }

    fn nothing_started(
        self,
        incarnation: Incarnation,
        outcome: Result<Option<super::start::ChildRef>, StartError>,
    ) {
        self.brood.remove(incarnation);
        self.report(Report::Started { incarnation, outcome });
    }

    /// An actor cannot be linked when it has ended already, when it drains, or when the supervisor is ending. Its end is
    /// told all the same, and it does not outlive the supervisor.
    async fn watch_unlinked(self, incarnation: Incarnation, cell: ActorCell) {
        if self.supervisor.get_status() >= ActorStatus::Stopping {
            return cell.kill();
        }
        tokio::select! {
            _ = cell.wait(None) => {
                // As a message, behind the exit that ractor may have told with its true reason.
                let _ = self.supervisor.send_message(Message::Gone { incarnation });
            }
            _ = self.supervisor.wait(None) => cell.kill(),
        }
    }

    /// Drops a start that is in flight. One that is just over has reported already.
    pub(super) fn cancel(&self, incarnation: Incarnation) {
        match self.brood.remove(incarnation) {
            Some(Member::Starting(task)) => {
                let reporter = self.clone();
                tokio::spawn(async move {
                    task.abort();
                    let _ = tokio::time::timeout(KILL_WAIT, task).await;
                    reporter.report(Report::Cancelled { incarnation });
                });
            }
            Some(over @ (Member::Live(_) | Member::Remains(_))) => self.brood.insert(incarnation, over),
            None => {}
        }
    }

    /// Stops an actor, and waits until nothing is left of it.
    pub(super) fn stop(&self, incarnation: Incarnation, cell: ActorCell, shutdown: Shutdown) {
        let reporter = self.clone();
        tokio::spawn(async move {
            let reason = stop(&cell, shutdown).await;
            if let Some(remains) = reporter.brood.leave(incarnation) {
                remains.gone().await;
            }
            reporter.report(Report::Stopped {
                incarnation,
                actor: cell.get_id(),
                reason,
            });
        });
    }
}

async fn stop(cell: &ActorCell, shutdown: Shutdown) -> ExitReason {
    let patience = match shutdown {
        Shutdown::Brutal => return kill(cell).await,
        Shutdown::Timeout(patience) => Some(patience),
        Shutdown::Infinity => None,
    };
    cell.stop(Some(SHUTDOWN.to_owned()));
    match cell.wait(patience).await {
        Ok(()) => ExitReason::Shutdown(None),
        Err(_) => kill(cell).await,
    }
}

async fn kill(cell: &ActorCell) -> ExitReason {
    cell.kill();
    match cell.wait(Some(KILL_WAIT)).await {
        Ok(()) => ExitReason::Killed,
        Err(_) => ExitReason::Unresponsive,
    }
}
