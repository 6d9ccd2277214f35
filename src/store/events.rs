//! The ring of events: counters that are never used twice, retention by count and age, pages for readers.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use super::Store;
use super::deployments::Deployment;
use crate::names::AppName;
use crate::telemetry::EventRecord;

/// How soon a write has to be on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// Within a second.
    Behind,
    /// As soon as the disk can.
    Now,
}

/// Which events are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// Only those after this counter.
    pub after: Option<u64>,
    /// Only those since then, milliseconds since the epoch.
    pub since_ms: Option<i64>,
    /// Only those about this app.
    pub app: Option<AppName>,
}

impl EventQuery {
    /// Does `record`, whose counter is `counter`, belong to what is asked for?
    #[must_use]
    pub fn matches(&self, counter: u64, record: &EventRecord) -> bool {
        let is_app =
            |app: &AppName| record.metadata.get("app").and_then(|value| value.as_str()) == Some(app.as_str());
        self.after.is_none_or(|after| counter > after)
            && self.since_ms.is_none_or(|since| record.timestamp >= since)
            && self.app.as_ref().is_none_or(is_app)
    }

    /// The first counter that can match. A counter is never below its event's time in microseconds, so the time is a
    /// bound for both.
    pub(super) fn first_counter(&self) -> u64 {
        let after = self.after.map_or(0, |after| after.saturating_add(1));
        let since = self
            .since_ms
            .and_then(|since| u64::try_from(since).ok())
            .unwrap_or(0);
        after.max(since.saturating_mul(1_000))
    }
}

/// The most events of one page.
pub const EVENTS_PAGE_MAX: usize = 1_000;

impl Store {
    /// The counter for an event that happens now. Each is larger than every one before, across restarts, crashes, lost
    /// files and clocks that go back.
    #[must_use]
    pub fn next_event_counter(&self) -> u64 {
        self.owner.next_counter(now_us())
    }

    /// Keeps an event under its counter. Returns at once.
    pub fn append_event(&self, counter: u64, record: Arc<EventRecord>, urgency: Urgency) {
        let shared = &self.owner.shared;
        shared.append(|batch| {
            batch.events.insert(counter, record);
        });
        if urgency == Urgency::Now {
            shared.hurry();
        }
    }

    /// The first `max` (at most [`EVENTS_PAGE_MAX`]) events that `query` asks for, oldest first, with their counters. It
    /// reads the disk: not for an actor's handler.
    #[must_use]
    pub fn events(&self, query: &EventQuery, max: usize) -> Vec<(u64, Arc<EventRecord>)> {
        self.owner
            .shared
            .read_events(query, max.min(EVENTS_PAGE_MAX), Direction::Forward)
    }

    /// The newest `max` (at most [`EVENTS_PAGE_MAX`]) events that `query` asks for, oldest first, with their counters. It
    /// reads the disk: not for an actor's handler.
    #[must_use]
    pub fn newest_events(&self, query: &EventQuery, max: usize) -> Vec<(u64, Arc<EventRecord>)> {
        let mut found = self
            .owner
            .shared
            .read_events(query, max.min(EVENTS_PAGE_MAX), Direction::Backward);
        found.reverse();
        found
    }

    /// Keeps a deployment in the history of its app, under the counter of its event. Returns at once.
    pub fn append_deployment(&self, counter: u64, deployment: Deployment) {
        self.owner.shared.append(|batch| {
            batch
                .deployments
                .insert((deployment.app.clone(), counter), deployment);
        });
    }

    /// The history of an app, or of all apps, newest first, at most `max`. It reads the disk: not for an actor's handler.
    #[must_use]
    pub fn deployments(&self, app: Option<&AppName>, max: usize) -> Vec<Deployment> {
        self.owner.shared.read_deployments(app, max)
    }

    /// The newest event's counter.
    #[must_use]
    pub fn last_event_counter(&self) -> u64 {
        self.owner.counter.load(Ordering::Acquire)
    }
}

/// From the oldest, or from the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Forward,
    Backward,
}

/// The counter that follows `last` at the time `now_us`.
pub(super) fn counter_after(last: u64, now_us: u64) -> u64 {
    now_us.max(last.saturating_add(1))
}

/// Events of the last moments before a crash may have been told to followers and never written: no counter of those
/// either is used again.
const UNWRITTEN_US: u64 = 2_000_000;

/// What no counter may go below: the time of the newest write in the data directory. It holds when the events themselves
/// are lost, and when the clock has gone back.
pub(super) fn counter_floor(folder: &Path) -> u64 {
    let time = |entry: fs::DirEntry| entry.metadata().ok()?.modified().ok();
    let newest = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(time)
        .max();
    newest.map_or(0, |time| as_us(time).saturating_add(UNWRITTEN_US))
}

pub(super) fn now_us() -> u64 {
    as_us(SystemTime::now())
}

fn as_us(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_follows_the_clock_and_never_goes_back() {
        assert_eq!(counter_after(0, 1_000), 1_000);
        assert_eq!(counter_after(1_000, 1_000), 1_001, "the clock stands");
        assert_eq!(counter_after(5_000, 1_000), 5_001, "the clock goes back");
        assert_eq!(counter_after(u64::MAX, 0), u64::MAX, "no overflow");
    }
}
