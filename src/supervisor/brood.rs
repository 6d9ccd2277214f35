//! The live actors of one supervisor, known to its own supervisor as well.
//!
//! When an actor is killed or fails, ractor kills its children but waits for none of them, and drops the state of the
//! actor only after it has told the supervisor. So whoever restarts a child first waits until all that is left of the
//! last incarnation (its task, and the brood of a supervisor) is gone: its names, ports and locks are free by then.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use ractor::ActorCell;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::decide::Incarnation;

/// How long a killed actor may take to end. A kill takes effect when the actor awaits; one that blocks its thread longer is
/// left behind, so that a stop never hangs for ever.
pub(crate) const KILL_WAIT: Duration = Duration::from_secs(5);

/// The live actors and the starts in flight of one supervisor, and what is left of those that ended.
#[derive(Clone, Default)]
pub(crate) struct Brood(Arc<Mutex<HashMap<Incarnation, Member>>>);

pub(crate) enum Member {
    /// Its start is under way in this task.
    Starting(JoinHandle<()>),
    /// It lives.
    Live(Live),
    /// It has ended.
    Remains(Remains),
}

/// What is left of an actor that has ended. A task of its own sees to it that it goes, whoever waits for that or gives up.
#[derive(Debug, Clone)]
pub(crate) struct Remains(watch::Receiver<()>);

impl Remains {
    pub(crate) fn are_gone(&self) -> bool {
        self.0.has_changed().is_err()
    }

    /// Waits until nothing is left, [`KILL_WAIT`] for each generation at most.
    pub(crate) async fn gone(mut self) {
        while self.0.changed().await.is_ok() {}
    }
}

/// An actor that lives, and what must be gone after its end before it may be started again.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) cell: ActorCell,
    join: Option<JoinHandle<()>>,
    brood: Option<Brood>,
}

impl Live {
    pub(crate) fn new(cell: ActorCell, join: Option<JoinHandle<()>>, brood: Option<Brood>) -> Self {
        Self { cell, join, brood }
    }

    /// Is nothing left of it?
    fn is_gone(&self) -> bool {
        self.join.as_ref().is_none_or(JoinHandle::is_finished)
            && self.brood.as_ref().is_none_or(Brood::is_empty)
    }

    /// Waits, after it has ended, until nothing is left of it; kills what outlived it.
    async fn gone(self) {
        if let Some(join) = self.join {
            let _ = tokio::time::timeout(KILL_WAIT, join).await;
        }
        if let Some(brood) = self.brood {
            brood.kill().await;
        }
    }
}

impl Brood {
    /// Spawns a start and enters it, in one step: the start's own entries come after.
    pub(crate) fn spawn_start(
        &self,
        incarnation: Incarnation,
        start: impl Future<Output = ()> + Send + 'static,
    ) {
        let mut members = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        members.insert(incarnation, Member::Starting(tokio::spawn(start)));
    }

    /// A start has ended with an actor.
    pub(crate) fn insert(&self, incarnation: Incarnation, member: Member) {
        let mut members = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        members.insert(incarnation, member);
    }

    /// Takes a member out.
    pub(crate) fn remove(&self, incarnation: Incarnation) -> Option<Member> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&incarnation)
    }

    /// An actor has ended. What is left of it stays a member until it is gone, so that whoever ends or kills the supervisor
    /// waits for it as well.
    pub(crate) fn leave(&self, incarnation: Incarnation) -> Option<Remains> {
        let mut members = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let live = match members.remove(&incarnation)? {
            Member::Live(live) if live.is_gone() => return None,
            Member::Live(live) => live,
            other @ (Member::Starting(_) | Member::Remains(_)) => {
                members.insert(incarnation, other);
                return None;
            }
        };
        let (is_there, remains) = watch::channel(());
        let remains = Remains(remains);
        members.insert(incarnation, Member::Remains(remains.clone()));
        let brood = self.clone();
        tokio::spawn(async move {
            live.gone().await;
            brood.remove(incarnation);
            drop(is_there);
        });
        Some(remains)
    }

    /// Waits until nothing is left of all that have ended.
    pub(crate) async fn remains_gone(&self) {
        let remains = self.remains();
        join_all(remains.into_iter().map(Remains::gone)).await;
    }

    fn remains(&self) -> Vec<Remains> {
        let members = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let remains = members.values().filter_map(|member| match member {
            Member::Remains(remains) => Some(remains.clone()),
            Member::Starting(_) | Member::Live(_) => None,
        });
        remains.collect()
    }

    fn take(&self) -> HashMap<Incarnation, Member> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Kills all members, and their broods, and waits until they are gone.
    pub(super) fn kill(&self) -> BoxFuture<'static, ()> {
        let brood = self.clone();
        Box::pin(async move {
            // Again, because a start that was just over when it was aborted has entered its actor meanwhile.
            loop {
                let members = brood.take();
                if members.is_empty() {
                    return;
                }
                join_all(members.into_values().map(Member::kill)).await;
            }
        })
    }
}

impl Member {
    async fn kill(self) {
        match self {
            Self::Starting(task) => {
                task.abort();
                let _ = tokio::time::timeout(KILL_WAIT, task).await;
            }
            Self::Live(live) => {
                live.cell.kill();
                let _ = live.cell.wait(Some(KILL_WAIT)).await;
                live.gone().await;
            }
            Self::Remains(remains) => remains.gone().await,
        }
    }
}

impl std::fmt::Debug for Brood {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Brood").finish_non_exhaustive()
    }
}
