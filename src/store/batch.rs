//! What is not written yet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::deployments::Deployment;
use crate::names::AppName;
use crate::telemetry::EventRecord;

/// The place of a record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Slot {
    Node(String),
    App(String),
}

/// Writes that go to the disk together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Records that are others than on the disk; what they are now stands in the mirror.
    pub records: BTreeSet<Slot>,
    /// Events by counter.
    pub events: BTreeMap<u64, Arc<EventRecord>>,
    /// Deployments by app and counter.
    pub deployments: BTreeMap<(AppName, u64), Deployment>,
    /// The number of the newest write in it.
    pub sequence: u64,
}

/// The most events that wait for a disk that fails; the oldest are dropped and counted.
pub(super) const EVENTS_WAITING_MAX: usize = 10_000;

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.events.is_empty() && self.deployments.is_empty()
    }

    /// Drops the oldest events beyond the bound. Returns how many.
    pub fn trim(&mut self) -> u64 {
        let mut dropped = 0;
        while self.events.len() > EVENTS_WAITING_MAX {
            self.events.pop_first();
            dropped += 1;
        }
        while self.deployments.len() > EVENTS_WAITING_MAX {
            self.deployments.pop_first();
        }
        dropped
    }
}
