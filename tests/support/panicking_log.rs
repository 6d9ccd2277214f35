//! A host's log subscriber that panics when it is told to: the honest way to a panic in somebody else's handler.

use std::sync::{Arc, Mutex};

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Panics at the next event of a target, once.
#[derive(Default)]
pub struct PanickingLog {
    armed: Mutex<Option<&'static str>>,
}

impl PanickingLog {
    /// A runtime whose threads log here, and no others: it is nobody's global subscriber.
    pub fn runtime(self: &Arc<Self>) -> tokio::runtime::Runtime {
        let log = Arc::clone(self);
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(4)
            .enable_all()
            .on_thread_start(move || {
                // For as long as the thread lives.
                std::mem::forget(tracing::subscriber::set_default(Arc::clone(&log)));
            })
            .build()
            .unwrap()
    }

    /// The next event whose target begins so panics.
    pub fn arm(&self, target: &'static str) {
        *self.armed.lock().unwrap() = Some(target);
    }

    /// Has it not panicked yet?
    pub fn is_armed(&self) -> bool {
        self.armed.lock().unwrap().is_some()
    }
}

impl Subscriber for PanickingLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().starts_with("osier")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let is_meant = |target: &mut &'static str| event.metadata().target().starts_with(*target);
        let hit = self.armed.lock().unwrap().take_if(is_meant);
        assert!(hit.is_none(), "the host's log panics");
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
