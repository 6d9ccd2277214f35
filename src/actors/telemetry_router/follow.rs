//! Reading events: first from the ring, then as they happen, without a gap and without one twice.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::future::BoxFuture;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::{Numbered, Telemetry, lock};
use crate::names::NameError;
use crate::rpc::procedures::EventsRequest;
use crate::store::EventQuery;
use crate::store::events::EVENTS_PAGE_MAX;
use crate::telemetry::EventRecord;

/// How many past events somebody sees who follows without saying from where.
const FOLLOWED_BACK: usize = 10;

/// Events cannot be asked for like this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventsError {
    /// `after` names no event of this node.
    #[error("this node never had an event `{shown}`: its ids are `{example}`")]
    UnknownEvent {
        /// What was asked for, escaped and cut.
        shown: String,
        /// What an id of this node looks like.
        example: String,
    },
    /// No app can have this name.
    #[error(transparent)]
    App(#[from] NameError),
}

/// Events in order. It holds one page at most, however slow its reader is.
pub struct EventStream {
    telemetry: Telemetry,
    query: EventQuery,
    /// Read, and not handed out yet.
    page: VecDeque<Arc<EventRecord>>,
    /// There may be more in the ring behind the page.
    has_backlog: bool,
    /// None: it ends with the ring.
    live: Option<Receiver<Arc<Numbered>>>,
    /// Resolves when nobody will tell anything more.
    ended: BoxFuture<'static, ()>,
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EventStream({:?})", self.query)
    }
}

impl EventStream {
    pub(super) fn new(telemetry: Telemetry, request: &EventsRequest) -> Result<Self, EventsError> {
        let after = request
            .after
            .as_deref()
            .map(|id| counter_of(&telemetry, id))
            .transpose()?;
        let app = request.app.as_deref().map(str::parse).transpose()?;
        // Listened to before the ring is read: what happens in between is in both, and told once.
        let live = request.follow.then(|| telemetry.0.followers.subscribe());
        let mut query = EventQuery {
            after,
            since_ms: request.since_ms,
            app,
        };
        if request.follow && after.is_none() && request.since_ms.is_none() {
            let newest = telemetry.0.store.newest_events(&query, FOLLOWED_BACK);
            query.after = Some(
                newest
                    .first()
                    .map_or(telemetry.0.delivered.load(Ordering::Acquire), |(counter, _)| {
                        counter.saturating_sub(1)
                    }),
            );
        }
        Ok(Self {
            telemetry,
            query,
            page: VecDeque::new(),
            has_backlog: true,
            live,
            ended: Box::pin(std::future::pending()),
        })
    }

    /// Lets it end when `ended` resolves, after what was told until then. It holds the telemetry itself, and would wait
    /// for ever for a node that is gone.
    pub(crate) fn until(self, ended: impl Future<Output = ()> + Send + 'static) -> Self {
        Self {
            ended: Box::pin(ended),
            ..self
        }
    }

    /// What happens from now on.
    pub(super) fn from_now(telemetry: Telemetry) -> Self {
        let live = Some(telemetry.0.followers.subscribe());
        let query = EventQuery {
            after: Some(telemetry.0.delivered.load(Ordering::Acquire)),
            ..EventQuery::default()
        };
        Self {
            telemetry,
            query,
            page: VecDeque::new(),
            has_backlog: false,
            live,
            ended: Box::pin(std::future::pending()),
        }
    }

    /// The next event; none: there are no more. A follower waits for more as long as it is asked; it may be dropped while
    /// it waits.
    pub async fn next(&mut self) -> Option<Arc<EventRecord>> {
        loop {
            if let Some(record) = self.page.pop_front() {
                return Some(record);
            }
            if self.has_backlog {
                self.read_page().await;
                continue;
            }
            let told = tokio::select! {
                biased;
                told = self.live.as_mut()?.recv() => told,
                () = &mut self.ended => Err(RecvError::Closed),
            };
            match told {
                Ok(told) if self.query.matches(told.counter, &told.record) => {
                    self.query.after = Some(told.counter);
                    return Some(Arc::clone(&told.record));
                }
                Ok(_) => {}
                // Too slow for the live ones: the ring has them.
                Err(RecvError::Lagged(_)) => self.has_backlog = true,
                Err(RecvError::Closed) => {
                    self.live = None;
                    return None;
                }
            }
        }
    }

    /// Reads what comes next in the ring, and the routine events of the same stretch. Of what happens meanwhile a follower
    /// is told: the ring would have some of it already, and not what came before.
    async fn read_page(&mut self) {
        let upto = match self.live {
            Some(_) => self.telemetry.0.delivered.load(Ordering::Acquire),
            None => u64::MAX,
        };
        let (telemetry, query) = (self.telemetry.clone(), self.query.clone());
        let read =
            tokio::task::spawn_blocking(move || telemetry.0.store.events(&query, EVENTS_PAGE_MAX)).await;
        let kept = read.unwrap_or_default();
        let last_kept = kept.last().map(|(counter, _)| *counter);
        self.has_backlog = kept.len() >= EVENTS_PAGE_MAX && last_kept.is_some_and(|last| last <= upto);
        let end = last_kept.filter(|_| self.has_backlog).unwrap_or(upto);
        let mut found: BTreeMap<u64, Arc<EventRecord>> = kept.into_iter().collect();
        for routine in &*lock(&self.telemetry.0.routine) {
            if self.query.matches(routine.counter, &routine.record) {
                found.insert(routine.counter, Arc::clone(&routine.record));
            }
        }
        found.retain(|counter, _| *counter <= end);
        let last = found.last_key_value().map(|(counter, _)| *counter);
        let reached = if self.live.is_some() { Some(end) } else { last };
        self.query.after = self.query.after.max(reached);
        self.page = found.into_values().collect();
    }
}

/// The counter in an id. Its first half must be this node's, or that of an event that is still in the ring (the id of the
/// data directory is made anew when it is lost).
fn counter_of(telemetry: &Telemetry, id: &str) -> Result<u64, EventsError> {
    let error = || unknown(telemetry, id);
    let (place, counter) = id.rsplit_once(':').ok_or_else(error)?;
    let counter: u64 = counter.parse().map_err(|_| error())?;
    let store = &telemetry.0.store;
    let is_kept = || {
        let query = EventQuery {
            after: Some(counter.saturating_sub(1)),
            ..EventQuery::default()
        };
        store
            .events(&query, 1)
            .first()
            .is_some_and(|(_, record)| record.id == id)
    };
    let is_ours = place == store.id().as_str() && counter <= store.last_event_counter();
    if is_ours || is_kept() {
        Ok(counter)
    } else {
        Err(error())
    }
}

fn unknown(telemetry: &Telemetry, text: &str) -> EventsError {
    EventsError::UnknownEvent {
        shown: crate::names::shown(text),
        example: format!("{}:…", telemetry.0.store.id()),
    }
}
