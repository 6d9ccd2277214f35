//! The thread that writes. It sleeps while nothing is to be written: an idle node wakes nobody.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use redb::Database;
use tokio::sync::watch;

use super::batch::{Batch, Slot};
use super::database::{Databases, Fault, Kind, Records, guarded};
use super::deployments::{DEPLOYMENTS_MAX, Deployment};
use super::events::{Direction, EventQuery};
use super::health::{SetAside, StoreHealth, StoreProblem, UNREADABLE_RECORDS_MAX};
use super::record::RecordError;
use super::tables::{deployments_of, events_of, write_events, write_records};
use super::{EVENTS_MAX, Retention, lock};
use crate::names::AppName;
use crate::telemetry::EventRecord;

/// How long writes are gathered before they go to the disk together.
const GATHER: Duration = Duration::from_secs(1);
/// The first pause after a failed write; it doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_secs(1);
/// The longest pause between two tries of a disk that fails.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// How far the writes have come.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    /// Every write up to this one is on the disk.
    pub durable: u64,
    /// How many batches failed.
    pub failed_count: u64,
    /// Why the last one failed.
    pub problem: Option<Arc<StoreProblem>>,
    /// Nobody writes any more.
    pub is_closed: bool,
}

/// What the thread and everybody else share.
pub(super) struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    databases: Mutex<Databases>,
    pub progress: watch::Sender<Progress>,
    pub health: watch::Sender<StoreHealth>,
    retention: Retention,
}

struct Queue {
    /// Every record as it is now. Reads never wait for the disk, and a lost file is written anew from it.
    mirror: Records,
    waiting: Batch,
    /// What the thread is writing.
    writing: Arc<Batch>,
    sequence: u64,
    due_at: Option<Instant>,
    pause: Duration,
    /// The file is new, and not everything of the mirror is in it yet.
    lacks_records: bool,
    is_closing: bool,
}

impl Shared {
    pub fn new(databases: Databases, mirror: Records, retention: Retention) -> Self {
        let queue = Queue {
            mirror,
            waiting: Batch::default(),
            writing: Arc::default(),
            sequence: 0,
            due_at: None,
            pause: RETRY_MIN,
            lacks_records: false,
            is_closing: false,
        };
        Self {
            queue: Mutex::new(queue),
            wake: Condvar::new(),
            databases: Mutex::new(databases),
            progress: watch::Sender::new(Progress::default()),
            health: watch::Sender::new(StoreHealth::default()),
            retention: Retention {
                count: retention.count.clamp(1, EVENTS_MAX),
                ..retention
            },
        }
    }

    /// Keeps a record, or forgets it.
    pub fn put(&self, slot: Slot, bytes: Option<Vec<u8>>) {
        let mut queue = lock(&self.queue);
        let is_known = match &bytes {
            Some(bytes) => queue.mirror.get(&slot).is_some_and(|known| **known == **bytes),
            None => !queue.mirror.contains_key(&slot),
        };
        if is_known {
            return;
        }
        match bytes {
            Some(bytes) => queue.mirror.insert(slot.clone(), bytes.into()),
            None => queue.mirror.remove(&slot),
        };
        queue.waiting.records.insert(slot);
        self.written(&mut queue);
    }

    /// Keeps events and deployments.
    pub fn append(&self, change: impl FnOnce(&mut Batch)) {
        let mut queue = lock(&self.queue);
        change(&mut queue.waiting);
        let dropped = queue.waiting.trim();
        self.written(&mut queue);
        drop(queue);
        self.count_dropped(dropped);
    }

    fn written(&self, queue: &mut Queue) {
        queue.sequence += 1;
        queue.waiting.sequence = queue.sequence;
        if queue.due_at.is_none() {
            queue.due_at = Some(Instant::now() + GATHER);
            self.wake.notify_one();
        }
    }

    fn count_dropped(&self, dropped: u64) {
        if dropped > 0 {
            self.health.send_modify(|health| health.dropped_events += dropped);
        }
    }

    /// Writes what waits as soon as the disk can. Returns the number of the newest write, and how many batches failed.
    pub fn hurry(&self) -> (u64, u64) {
        let mut queue = lock(&self.queue);
        if !queue.waiting.is_empty() {
            queue.due_at = Some(Instant::now());
            self.wake.notify_one();
        }
        (queue.sequence, self.progress.borrow().failed_count)
    }

    /// Ends the thread after a last batch.
    pub fn close(&self) {
        lock(&self.queue).is_closing = true;
        self.wake.notify_all();
    }

    /// Closes the files for good. A reader that has one open keeps it until it is done.
    pub fn close_files(&self) {
        lock(&self.databases).close();
    }

    pub fn read_record(&self, slot: &Slot) -> Option<Arc<[u8]>> {
        lock(&self.queue).mirror.get(slot).cloned()
    }

    pub fn read_apps(&self) -> Vec<(String, Arc<[u8]>)> {
        let queue = lock(&self.queue);
        let apps = queue.mirror.iter().filter_map(|(slot, bytes)| match slot {
            Slot::App(name) => Some((name.clone(), Arc::clone(bytes))),
            Slot::Node(_) => None,
        });
        apps.collect()
    }

    /// A record that was kept and cannot be read: told once, in health and log.
    pub fn report_unreadable(&self, name: &str, error: &RecordError) {
        let is_news = self.health.send_if_modified(|health| {
            let is_news = health.unreadable_records.len() < UNREADABLE_RECORDS_MAX
                && !health.unreadable_records.iter().any(|known| known == name);
            if is_news {
                health.unreadable_records.push(name.to_owned());
            }
            is_news
        });
        if is_news {
            tracing::warn!(record = name, %error, "a kept record cannot be read; the node goes on without it");
        }
    }

    /// Events of the disk and those that are not there yet.
    pub fn read_events(
        &self,
        query: &EventQuery,
        max: usize,
        direction: Direction,
    ) -> Vec<(u64, Arc<EventRecord>)> {
        let mut found: BTreeMap<u64, Arc<EventRecord>> = BTreeMap::new();
        // First what waits, then the disk: an event that is written in between is found twice, never missed.
        {
            let queue = lock(&self.queue);
            for batch in [&queue.waiting, &*queue.writing] {
                let matching = batch
                    .events
                    .iter()
                    .filter(|(counter, record)| query.matches(**counter, record));
                found.extend(matching.map(|(counter, record)| (*counter, Arc::clone(record))));
            }
        }
        found.extend(
            self.on_disk(Kind::Events, |database| {
                events_of(database, query, max, direction)
            })
            .unwrap_or_default(),
        );
        match direction {
            Direction::Forward => found.into_iter().take(max).collect(),
            Direction::Backward => found.into_iter().rev().take(max).collect(),
        }
    }

    pub fn read_deployments(&self, app: Option<&AppName>, max: usize) -> Vec<Deployment> {
        let mut found: BTreeMap<u64, Deployment> = BTreeMap::new();
        {
            let queue = lock(&self.queue);
            for batch in [&queue.waiting, &*queue.writing] {
                let is_of = |name: &AppName| app.is_none_or(|app| name == app);
                let of_app = batch.deployments.iter().filter(|((name, _), _)| is_of(name));
                found.extend(of_app.map(|((_, counter), deployment)| (*counter, deployment.clone())));
            }
        }
        found.extend(
            self.on_disk(Kind::Events, |database| deployments_of(database, app))
                .unwrap_or_default(),
        );
        let max = app.map_or(max, |_| max.min(DEPLOYMENTS_MAX));
        found.into_values().rev().take(max).collect()
    }

    /// Reads a database; none: it cannot be read at present. A damaged one is set aside.
    fn on_disk<T>(&self, kind: Kind, read: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Option<T> {
        let (database, path) = {
            let mut databases = lock(&self.databases);
            let opened = databases.get(kind).ok()?;
            self.note_set_aside(opened.set_aside);
            (opened.database, databases.path(kind))
        };
        match guarded(path.as_deref().unwrap_or(Path::new("memory")), || read(&database)) {
            Ok(value) => Some(value),
            Err(fault) => {
                drop(database);
                let (_, aside) = lock(&self.databases).discard(kind, fault);
                self.note_set_aside(aside);
                None
            }
        }
    }

    pub fn note_set_aside(&self, aside: Option<SetAside>) {
        let Some(aside) = aside else { return };
        // The event that the node makes of it is the line that a person sees.
        tracing::debug!(
            file = %aside.file.display(),
            kept_as = aside.kept_as.as_ref().map(|path| path.display().to_string()),
            reason = aside.reason,
            "a state file cannot be read and was set aside; the node goes on without it"
        );
        self.health.send_modify(|health| health.set_aside.push(aside));
    }

    /// Waits until there is something to write. None: the store is closed and nothing is left.
    fn next_batch(&self) -> Option<Arc<Batch>> {
        let mut queue = lock(&self.queue);
        loop {
            if queue.is_closing && queue.waiting.is_empty() {
                return None;
            }
            let now = Instant::now();
            queue = match queue.due_at {
                _ if queue.is_closing => break,
                Some(due) if due <= now => break,
                Some(due) => {
                    let waited = self.wake.wait_timeout(queue, due - now);
                    waited.unwrap_or_else(std::sync::PoisonError::into_inner).0
                }
                None => self
                    .wake
                    .wait(queue)
                    .unwrap_or_else(std::sync::PoisonError::into_inner),
            };
        }
        queue.due_at = None;
        queue.writing = Arc::new(std::mem::take(&mut queue.waiting));
        Some(Arc::clone(&queue.writing))
    }

    /// Writes a batch: records first, they matter more.
    fn write(&self, batch: &Batch) -> Result<(), StoreProblem> {
        if !batch.records.is_empty() {
            self.commit(Kind::State, |database, is_new| {
                let records = self.current(&batch.records, is_new);
                write_records(database, &records)
            })?;
            lock(&self.queue).lacks_records = false;
        }
        if !batch.events.is_empty() || !batch.deployments.is_empty() {
            self.commit(Kind::Events, |database, _| {
                write_events(database, batch, self.retention)
            })?;
        }
        Ok(())
    }

    /// What the records in `slots` are now; of a new file, all there are.
    fn current(
        &self,
        slots: &std::collections::BTreeSet<Slot>,
        is_new: bool,
    ) -> BTreeMap<Slot, Option<Arc<[u8]>>> {
        let mut queue = lock(&self.queue);
        queue.lacks_records |= is_new;
        let changed = slots
            .iter()
            .map(|slot| (slot.clone(), queue.mirror.get(slot).cloned()));
        let all = queue
            .mirror
            .iter()
            .filter(|_| queue.lacks_records)
            .map(|(slot, bytes)| (slot.clone(), Some(Arc::clone(bytes))));
        changed.chain(all).collect()
    }

    /// Writes to a database. One whose file shows its damage only now is set aside, and its successor is written to.
    fn commit(
        &self,
        kind: Kind,
        write: impl Fn(&Database, bool) -> Result<(), redb::Error>,
    ) -> Result<(), StoreProblem> {
        match self.try_commit(kind, &write) {
            Err(Fault::Unreadable(reason)) => {
                self.discard(kind, Fault::Unreadable(reason));
                self.try_commit(kind, &write)
            }
            result => result,
        }
        .map_err(|fault| self.discard(kind, fault))
    }

    fn try_commit(
        &self,
        kind: Kind,
        write: impl Fn(&Database, bool) -> Result<(), redb::Error>,
    ) -> Result<(), Fault> {
        let (opened, path) = {
            let mut databases = lock(&self.databases);
            (databases.get(kind).map_err(Fault::Disk)?, databases.path(kind))
        };
        self.note_set_aside(opened.set_aside);
        guarded(path.as_deref().unwrap_or(Path::new("memory")), || {
            write(&opened.database, opened.is_new)
        })
    }

    fn discard(&self, kind: Kind, fault: Fault) -> StoreProblem {
        let (problem, aside) = lock(&self.databases).discard(kind, fault);
        self.note_set_aside(aside);
        problem
    }

    /// A batch is written, or goes back to what waits.
    fn settle(&self, batch: &Batch, result: Result<(), StoreProblem>) {
        let mut queue = lock(&self.queue);
        queue.writing = Arc::default();
        match result {
            Ok(()) => {
                queue.pause = RETRY_MIN;
                drop(queue);
                self.progress
                    .send_modify(|progress| progress.durable = batch.sequence);
                self.note_problem(None);
            }
            Err(problem) => {
                let dropped = put_back(&mut queue.waiting, batch);
                queue.due_at = Some(Instant::now() + queue.pause);
                queue.pause = (queue.pause * 2).min(RETRY_MAX);
                drop(queue);
                self.count_dropped(dropped);
                let problem = Arc::new(problem);
                self.note_problem(Some(Arc::clone(&problem)));
                self.progress.send_modify(|progress| {
                    progress.failed_count += 1;
                    progress.problem = Some(problem);
                });
            }
        }
    }

    /// Tells a change of the disk's state once, not at each try.
    pub fn note_problem(&self, problem: Option<Arc<StoreProblem>>) {
        let is_news = self.health.send_if_modified(|health| {
            let is_news = health.problem != problem;
            health.problem.clone_from(&problem);
            is_news
        });
        match problem {
            Some(problem) if is_news => tracing::debug!(%problem, "state cannot be written"),
            None if is_news => tracing::debug!("state is written again"),
            Some(_) | None => {}
        }
    }
}

/// What a failed batch held waits again; newer writes of the same records go before.
fn put_back(waiting: &mut Batch, batch: &Batch) -> u64 {
    waiting.records.extend(batch.records.iter().cloned());
    for (counter, record) in &batch.events {
        waiting
            .events
            .entry(*counter)
            .or_insert_with(|| Arc::clone(record));
    }
    for (key, deployment) in &batch.deployments {
        waiting
            .deployments
            .entry(key.clone())
            .or_insert_with(|| deployment.clone());
    }
    waiting.sequence = waiting.sequence.max(batch.sequence);
    waiting.trim()
}

/// Starts the thread. None: there are no threads left; then everything stays in memory.
pub(super) fn spawn(shared: &Arc<Shared>) -> Option<thread::JoinHandle<()>> {
    let writer = Arc::clone(shared);
    let spawned = thread::Builder::new()
        .name("osier-store".to_owned())
        .spawn(move || {
            let writer = Ending(writer);
            while let Some(batch) = writer.0.next_batch() {
                let result = writer.0.write(&batch);
                let is_last_try = result.is_err() && lock(&writer.0.queue).is_closing;
                writer.0.settle(&batch, result);
                if is_last_try {
                    return;
                }
            }
        });
    match spawned {
        Ok(thread) => Some(thread),
        Err(error) => {
            tracing::error!(%error, "the store's thread cannot be started; nothing is written");
            drop(Ending(Arc::clone(shared)));
            None
        }
    }
}

/// However the thread ends, nobody waits for it any longer.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.progress.send_modify(|progress| progress.is_closed = true);
    }
}
