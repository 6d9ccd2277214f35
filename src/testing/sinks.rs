//! Where events and records go in a test.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::lifecycle::{AppRecord, AppRecords};
use crate::names::AppName;
use crate::telemetry::{Event, EventSink};

/// Every event so far. Clones share the list.
#[derive(Debug, Clone, Default)]
pub struct EventLog(Arc<Mutex<Vec<Event>>>);

impl EventLog {
    /// All events, oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<Event> {
        lock(&self.0).clone()
    }
}

impl EventSink for EventLog {
    fn emit(&self, event: Event) {
        lock(&self.0).push(event);
    }
}

/// Records in memory. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct MemoryRecords(Arc<Mutex<BTreeMap<AppName, Arc<AppRecord>>>>);

impl MemoryRecords {
    /// What is remembered of `app`.
    #[must_use]
    pub fn get(&self, app: &AppName) -> Option<Arc<AppRecord>> {
        lock(&self.0).get(app).map(Arc::clone)
    }
}

impl AppRecords for MemoryRecords {
    fn save(&self, app: &AppName, record: Arc<AppRecord>) {
        lock(&self.0).insert(app.clone(), record);
    }

    fn forget(&self, app: &AppName) {
        lock(&self.0).remove(app);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
