//! How often each event happened: for metrics, status and tests. Only the router writes them.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::lock;
use crate::telemetry::EventRecord;

/// Counts by name and outcome.
#[derive(Default)]
pub(super) struct Counters(Mutex<BTreeMap<(String, &'static str), u64>>);

/// What was counted at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// In the order of names.
    pub events: Vec<Count>,
    /// Events that found the queue full.
    pub dropped: u64,
}

/// How often one event had one outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// `deploy.stop`.
    pub name: String,
    /// `ok`, `error`, or nothing.
    pub outcome: &'static str,
    /// So often, since the start.
    pub count: u64,
}

impl Counts {
    /// How often the event `name` happened, whatever came of it.
    #[must_use]
    pub fn of(&self, name: &str) -> u64 {
        self.events
            .iter()
            .filter(|count| count.name == name)
            .map(|count| count.count)
            .sum()
    }
}

impl Counters {
    pub fn count(&self, record: &EventRecord) {
        *lock(&self.0)
            .entry((record.name(), record.outcome()))
            .or_default() += 1;
    }

    pub fn snapshot(&self, dropped: u64) -> Counts {
        let counts = lock(&self.0);
        let events = counts.iter().map(|((name, outcome), count)| Count {
            name: name.clone(),
            outcome,
            count: *count,
        });
        Counts {
            events: events.collect(),
            dropped,
        }
    }
}
