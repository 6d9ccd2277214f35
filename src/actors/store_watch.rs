//! The store's place in the tree: tells the node when its memory fails and when it is well again, and has what is left
//! written when the node ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::mailbox::{self, Depth, Mailbox};
use crate::store::{Store, StoreHealth};
use crate::supervisor::ChildSpec;
use crate::telemetry::{Event, EventSink};

/// How long the end of a node waits for the disk.
const LAST_WRITE_MAX: Duration = Duration::from_secs(2);

/// Told with each change why nothing reaches the disk; none: all is well.
pub type StoreReport = Arc<dyn Fn(Option<String>) + Send + Sync>;

/// What the actor works with.
#[derive(Clone)]
pub struct StoreWatchArguments {
    /// The node's memory.
    pub store: Store,
    /// Where changes are told.
    pub events: Arc<dyn EventSink>,
    /// Where the present state is shown.
    pub report: StoreReport,
}

/// The store, as a child of the node's supervisor.
#[must_use]
pub fn child_spec(arguments: StoreWatchArguments) -> ChildSpec {
    let told = Arc::new(Told::default());
    mailbox::child("store", move |depth| {
        (StoreWatch(depth), (arguments.clone(), Arc::clone(&told)))
    })
}

/// What was told already: each change is told once, however often the actor is restarted.
#[derive(Debug, Default)]
pub struct Told {
    set_aside: AtomicUsize,
    is_failing: AtomicBool,
}

/// The actor.
#[derive(Debug, Clone)]
pub struct StoreWatch(Depth);

/// What it is told.
#[derive(Debug)]
pub enum StoreWatchMsg {
    /// The store's health is another than before.
    Changed(StoreHealth),
}

/// What it knows.
pub struct StoreWatchState {
    arguments: StoreWatchArguments,
    told: Arc<Told>,
    listener: tokio::task::JoinHandle<()>,
}

impl Actor for StoreWatch {
    type Msg = StoreWatchMsg;
    type State = StoreWatchState;
    type Arguments = (StoreWatchArguments, Arc<Told>);

    async fn pre_start(
        &self,
        myself: ActorRef<StoreWatchMsg>,
        (arguments, told): Self::Arguments,
    ) -> Result<StoreWatchState, ActorProcessingErr> {
        let myself = Mailbox::new(myself, self.0.clone());
        let mut health = arguments.store.watch_health();
        health.mark_changed();
        let listener = tokio::spawn(async move {
            while health.changed().await.is_ok() {
                let now = health.borrow_and_update().clone();
                if myself.cast(StoreWatchMsg::Changed(now)).is_err() {
                    break;
                }
            }
        });
        Ok(StoreWatchState {
            arguments,
            told,
            listener,
        })
    }

    async fn handle(
        &self,
        _: ActorRef<StoreWatchMsg>,
        StoreWatchMsg::Changed(health): StoreWatchMsg,
        state: &mut StoreWatchState,
    ) -> Result<(), ActorProcessingErr> {
        self.0.taken();
        state.changed(&health);
        Ok(())
    }

    async fn post_stop(
        &self,
        _: ActorRef<StoreWatchMsg>,
        state: &mut StoreWatchState,
    ) -> Result<(), ActorProcessingErr> {
        match tokio::time::timeout(LAST_WRITE_MAX, state.arguments.store.flush()).await {
            Ok(Ok(())) => {}
            Ok(Err(problem)) => tracing::warn!(%problem, "the last state was not written"),
            Err(_) => tracing::warn!("the disk takes too long; the last state was not written"),
        }
        Ok(())
    }
}

impl StoreWatchState {
    fn changed(&mut self, health: &StoreHealth) {
        let events = &self.arguments.events;
        let told = self.told.set_aside.swap(health.set_aside.len(), Ordering::AcqRel);
        for aside in health.set_aside.iter().skip(told) {
            events.emit(Event::StoreSetAside {
                file: aside.file.display().to_string(),
                kept_as: aside.kept_as.as_ref().map(|path| path.display().to_string()),
                error: aside.reason.clone(),
            });
        }
        let was_failing = self
            .told
            .is_failing
            .swap(health.problem.is_some(), Ordering::AcqRel);
        match &health.problem {
            Some(problem) if !was_failing => {
                events.emit(Event::StoreFailing {
                    code: problem.code().to_owned(),
                    error: problem.to_string(),
                });
            }
            None if was_failing => events.emit(Event::StoreRecovered),
            Some(_) | None => {}
        }
        (self.arguments.report)(health.problem.as_ref().map(ToString::to_string));
    }
}

/// However the actor ends, nobody listens for it any longer.
impl Drop for StoreWatchState {
    fn drop(&mut self) {
        self.listener.abort();
    }
}
