//! Handlers of the host, each on a thread of its own behind a bounded queue.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use super::lock;
use crate::telemetry::EventRecord;

/// The most events that wait for a handler.
pub const HANDLER_QUEUE_MAX: usize = 1_024;

/// How a handler fares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HandlerCounts {
    /// Events that it was called with and came back from.
    pub handled: u64,
    /// Events that it was too slow for.
    pub dropped: u64,
    /// Events at which it panicked.
    pub panicked: u64,
}

#[derive(Default)]
pub(super) struct Handlers(Mutex<Vec<Lane>>);

struct Lane {
    queue: SyncSender<Arc<EventRecord>>,
    counters: Arc<LaneCounters>,
}

#[derive(Default)]
struct LaneCounters {
    handled: AtomicU64,
    dropped: AtomicU64,
    panicked: AtomicU64,
}

impl Handlers {
    pub fn add(&self, handler: impl Fn(&EventRecord) + Send + 'static) {
        let (queue, waiting) = sync_channel(HANDLER_QUEUE_MAX);
        let counters = Arc::new(LaneCounters::default());
        let counted = Arc::clone(&counters);
        // The thread ends when the telemetry goes; one that hangs in the host's code is left to it.
        let started = thread::Builder::new()
            .name("osier-handler".to_owned())
            .spawn(move || handle_all(&waiting, &handler, &counted));
        if let Err(error) = started {
            tracing::error!(%error, "a handler of events cannot be started; it is called with none");
        }
        lock(&self.0).push(Lane { queue, counters });
    }

    pub fn tell(&self, record: &Arc<EventRecord>) {
        for lane in &*lock(&self.0) {
            if lane.queue.try_send(Arc::clone(record)).is_err() {
                lane.counters.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub fn counts(&self) -> Vec<HandlerCounts> {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let lanes = lock(&self.0);
        let counts = lanes.iter().map(|lane| HandlerCounts {
            handled: count(&lane.counters.handled),
            dropped: count(&lane.counters.dropped),
            panicked: count(&lane.counters.panicked),
        });
        counts.collect()
    }
}

fn handle_all(
    waiting: &Receiver<Arc<EventRecord>>,
    handler: &impl Fn(&EventRecord),
    counters: &LaneCounters,
) {
    while let Ok(record) = waiting.recv() {
        let counter = match catch_unwind(AssertUnwindSafe(|| handler(&record))) {
            Ok(()) => &counters.handled,
            Err(_) => &counters.panicked,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
