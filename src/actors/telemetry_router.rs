//! Takes every event of a node to its sinks: log, ring, counters, followers, handlers of the host.
//!
//! Whoever has something to tell holds a [`Telemetry`]: it puts the event into a bounded queue and goes on. The router's
//! actor takes events out one by one, gives each its id, and hands it to each sink exactly once, in order. What outlives
//! the actor (queue, counters, followers, handlers) is shared, so a router that is killed loses nothing that waits, and
//! the next one goes on where it stopped. No sink can delay it: those that may be slow have bounded queues of their own.

mod counters;
mod follow;
mod handlers;
mod log;
pub mod logging;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::{broadcast, oneshot};

pub use counters::{Count, Counts};
pub use follow::{EventStream, EventsError};
pub use handlers::HandlerCounts;

use crate::clock::now_ms;
use crate::names::NodeName;
use crate::rpc::procedures::EventsRequest;
use crate::store::{Deployment, Store, Urgency};
use crate::supervisor::{ChildSpec, Started};
use crate::telemetry::{Event, EventRecord, EventSink};
use counters::Counters;
use handlers::Handlers;

/// The most events that wait for the router: a few seconds of a node that deploys a thousand apps at once.
pub const QUEUE_MAX: usize = 8_192;
/// So many more are taken when they are urgent: a flood of others does not push out what an operator did.
const QUEUE_URGENT_EXTRA: usize = 1_024;
/// How many events one message takes, so that a flood does not keep the router from being stopped.
const BATCH_MAX: usize = 256;
/// How far a follower may be behind before it goes on from the ring.
const FOLLOWERS_LAG_MAX: usize = 1_024;
/// How many routine events are kept, in memory.
const ROUTINE_MAX: usize = 256;

/// A node's telemetry: takes events, and lets them be read. Cheap to clone; lives as long as anybody holds it.
#[derive(Clone)]
pub struct Telemetry(Arc<Hub>);

/// What outlives the router's actor.
struct Hub {
    node: NodeName,
    store: Store,
    queue: Mutex<VecDeque<Waiting>>,
    dropped: AtomicU64,
    router: RwLock<Option<ActorRef<RouterMsg>>>,
    counters: Counters,
    followers: broadcast::Sender<Arc<Numbered>>,
    /// The newest event that is where it is kept. Followers are told after that: who listens first and reads this then
    /// finds each event either kept, up to this one, or told.
    delivered: AtomicU64,
    routine: Mutex<VecDeque<Arc<Numbered>>>,
    handlers: Handlers,
}

struct Waiting {
    event: Event,
    at_ms: u64,
    /// Told when it is handed to the store.
    delivered: Option<oneshot::Sender<()>>,
}

/// An event with its counter.
#[derive(Debug)]
struct Numbered {
    counter: u64,
    record: Arc<EventRecord>,
}

impl std::fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Telemetry({})", self.0.node)
    }
}

impl Telemetry {
    /// The telemetry of the node `node`, whose ring is in `store`. Events wait until [`Self::child_spec`] runs.
    #[must_use]
    pub fn new(node: NodeName, store: Store) -> Self {
        // Above all that is kept already, below all that comes.
        let before = store.next_event_counter();
        Self(Arc::new(Hub {
            node,
            store,
            queue: Mutex::default(),
            dropped: AtomicU64::new(0),
            router: RwLock::default(),
            counters: Counters::default(),
            followers: broadcast::Sender::new(FOLLOWERS_LAG_MAX),
            delivered: AtomicU64::new(before),
            routine: Mutex::default(),
            handlers: Handlers::default(),
        }))
    }

    /// The router, as a child of the node's supervisor.
    #[must_use]
    pub fn child_spec(&self) -> ChildSpec {
        let telemetry = self.clone();
        ChildSpec::new("telemetry_router", move |supervisor| {
            let telemetry = telemetry.clone();
            async move {
                let (actor, join) = supervisor
                    .spawn_linked(None, TelemetryRouter, telemetry.clone())
                    .await?;
                // What waits for it is in the queue; its mailbox holds but the word to look there.
                Ok(Started::actor(&actor, join).with_info(telemetry))
            }
        })
    }

    /// Calls `handler` with each event from now on, on a thread of its own. One that is slow loses events, one that panics
    /// loses that event; both are counted ([`Self::handlers`]).
    pub fn add_handler(&self, handler: impl Fn(&EventRecord) + Send + 'static) {
        self.0.handlers.add(handler);
    }

    /// How the handlers fare, in the order in which they were added.
    #[must_use]
    pub fn handlers(&self) -> Vec<HandlerCounts> {
        self.0.handlers.counts()
    }

    /// How often each event happened since the start. Never waits for the router.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.0.counters.snapshot(self.0.dropped.load(Ordering::Relaxed))
    }

    /// Events that wait for the router.
    #[must_use]
    pub fn waiting_count(&self) -> usize {
        lock(&self.0.queue).len()
    }

    /// The events that `request` asks for, oldest first. With `follow` it goes on with new ones: without a beginning
    /// (`after`, `since_ms`) after the newest few. A reader that is slow goes on from the ring; it delays nobody.
    /// Blocking: where it begins may have to be looked up on the disk.
    ///
    /// # Errors
    /// When `after` is no event of this node, or `app` no name.
    pub fn events(&self, request: &EventsRequest) -> Result<EventStream, EventsError> {
        EventStream::new(self.clone(), request)
    }

    /// The events from now on. A reader that is slow goes on from the ring; it delays nobody.
    #[must_use]
    pub fn follow(&self) -> EventStream {
        EventStream::from_now(self.clone())
    }

    fn wake(&self) {
        let router = self
            .0
            .router
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(router) = router {
            // A router that is being restarted looks into the queue when it starts.
            let _ = router.cast(RouterMsg::Look);
        }
    }

    /// Takes the oldest event to all sinks. `false`: none waits.
    fn deliver_one(&self) -> bool {
        let Some(waiting) = lock(&self.0.queue).pop_front() else {
            return false;
        };
        self.deliver(&waiting);
        if let Some(delivered) = waiting.delivered {
            let _ = delivered.send(());
        }
        true
    }

    fn deliver(&self, waiting: &Waiting) {
        let hub = &*self.0;
        let event = &waiting.event;
        let counter = hub.store.next_event_counter();
        let id = format!("{}:{counter}", hub.store.id());
        let timestamp = i64::try_from(waiting.at_ms).unwrap_or(i64::MAX);
        let record = Arc::new(event.record(id, &hub.node, timestamp));
        hub.counters.count(&record);
        if let Some(deployment) = Deployment::of(event, waiting.at_ms) {
            hub.store.append_deployment(counter, deployment);
        }
        let numbered = Arc::new(Numbered {
            counter,
            record: Arc::clone(&record),
        });
        // First where it is kept, then who is told: a follower that reads back finds what it was told.
        if event.is_routine() {
            hub.keep_routine(Arc::clone(&numbered));
        } else {
            let urgency = if event.is_urgent() {
                Urgency::Now
            } else {
                Urgency::Behind
            };
            hub.store.append_event(counter, Arc::clone(&record), urgency);
        }
        hub.delivered.store(counter, Ordering::Release);
        hub.handlers.tell(&record);
        // Nobody follows: that is no error.
        let _ = hub.followers.send(numbered);
        // Last, because it runs code of the host here (its subscriber): if that panics, the others have theirs.
        log::write(&record);
    }
}

impl Hub {
    fn keep_routine(&self, numbered: Arc<Numbered>) {
        let mut routine = lock(&self.routine);
        if routine.len() >= ROUTINE_MAX {
            routine.pop_front();
        }
        routine.push_back(numbered);
    }
}

impl EventSink for Telemetry {
    fn emit(&self, event: Event) {
        self.enqueue(event, None);
    }
}

impl Telemetry {
    /// Takes an event and returns when it is on the disk, or cannot be at present.
    pub async fn keep(&self, event: Event) {
        let (delivered, is_delivered) = oneshot::channel();
        self.enqueue(event, Some(delivered));
        if is_delivered.await.is_ok() {
            // A disk that fails is told elsewhere; the event is written when it is well again.
            let _ = self.0.store.flush().await;
        }
    }

    fn enqueue(&self, event: Event, delivered: Option<oneshot::Sender<()>>) {
        let mut queue = lock(&self.0.queue);
        let most = if event.is_urgent() {
            QUEUE_MAX + QUEUE_URGENT_EXTRA
        } else {
            QUEUE_MAX
        };
        if queue.len() >= most {
            drop(queue);
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let is_first = queue.is_empty();
        queue.push_back(Waiting {
            event,
            at_ms: now_ms(),
            delivered,
        });
        drop(queue);
        if is_first {
            self.wake();
        }
    }
}

/// What the router is told.
#[derive(Debug)]
pub enum RouterMsg {
    /// Events wait.
    Look,
}

/// The actor. Its state is what it shares with those who hold the [`Telemetry`].
#[derive(Debug, Clone, Copy)]
pub struct TelemetryRouter;

impl Actor for TelemetryRouter {
    type Msg = RouterMsg;
    type State = Telemetry;
    type Arguments = Telemetry;

    async fn pre_start(
        &self,
        myself: ActorRef<RouterMsg>,
        telemetry: Telemetry,
    ) -> Result<Telemetry, ActorProcessingErr> {
        *telemetry.0.router.write().unwrap_or_else(PoisonError::into_inner) = Some(myself);
        telemetry.wake();
        Ok(telemetry)
    }

    async fn handle(
        &self,
        myself: ActorRef<RouterMsg>,
        RouterMsg::Look: RouterMsg,
        telemetry: &mut Telemetry,
    ) -> Result<(), ActorProcessingErr> {
        for _ in 0..BATCH_MAX {
            if !telemetry.deliver_one() {
                return Ok(());
            }
        }
        myself.cast(RouterMsg::Look)?;
        Ok(())
    }

    /// What waits when the node ends in order is delivered still.
    async fn post_stop(
        &self,
        _: ActorRef<RouterMsg>,
        telemetry: &mut Telemetry,
    ) -> Result<(), ActorProcessingErr> {
        while telemetry.deliver_one() {}
        Ok(())
    }
}

/// A lock whose holders leave the value whole even when they panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
