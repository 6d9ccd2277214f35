//! What a node remembers: records of apps and of the node, what happened, and what was deployed.
//!
//! Two redb files in the data directory. `state.redb` holds the records that a start needs: small, verified whole at each
//! start, and mirrored in memory. `events.redb` holds events and deployments: large, opened when it is first needed, so
//! that no start waits for it. Writes return at once and are written behind by one thread in batches of at most a second;
//! reads see them at once. Nothing here refuses to start: a file that cannot be read is set aside and reported, and while
//! the disk fails the node goes on in memory and writes when it can again ([`health`]).
//!
//! Rooms: [`data_dir`] the folder, its lock and its id; [`small_file`] files that are written whole or not at all;
//! [`record`] how values are encoded; `database` opening, setting aside; `batch` what is not written yet; `writer` the
//! thread, `tables` what it reads and writes; [`events`] the ring; [`deployments`] the history; [`health`] what is wrong.

mod batch;
pub mod data_dir;
mod database;
pub mod deployments;
pub mod events;
pub mod health;
pub mod record;
mod records;
pub mod small_file;
mod tables;
mod writer;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

pub use data_dir::{DataDir, DataDirError, DataDirId};
pub use deployments::Deployment;
pub use events::{EventQuery, Urgency};
pub use health::{StoreHealth, StoreProblem};
pub use record::{Key, Record};

use crate::names::AppName;
use batch::Slot;
use database::Databases;
use record::{decode, encode};
use writer::{Progress, Shared};

/// How long an event may be kept, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// `[telemetry] retention`.
    pub age: Duration,
    /// At most [`EVENTS_MAX`].
    pub count: u64,
}

/// The most events that are kept, whatever the configuration says.
pub const EVENTS_MAX: u64 = 100_000;

impl Default for Retention {
    fn default() -> Self {
        Self {
            age: Duration::from_secs(30 * 86_400),
            count: EVENTS_MAX,
        }
    }
}

/// A node's memory. Cheap to clone; the last clone that goes writes what is left and ends the thread.
#[derive(Clone)]
pub struct Store {
    owner: Arc<Owner>,
}

struct Owner {
    shared: Arc<Shared>,
    /// The newest event's counter.
    counter: AtomicU64,
    id: DataDirId,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.owner.id)
    }
}

impl Store {
    /// Opens the memory of the node whose data lies in `data_dir`. Never fails: see [`Self::health`].
    #[must_use]
    pub fn open(data_dir: &DataDir, retention: Retention) -> Self {
        let floor = if data_dir.is_new() {
            0
        } else {
            events::counter_floor(data_dir.path())
        };
        Self::start(
            Databases::on_disk(data_dir.path()),
            data_dir.id().clone(),
            floor,
            retention,
        )
    }

    /// A memory without a disk: for tests of hosts, and for nodes that need remember nothing.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::start(
            Databases::in_memory(),
            DataDirId::random(),
            0,
            Retention::default(),
        )
    }

    fn start(databases: Databases, id: DataDirId, floor: u64, retention: Retention) -> Self {
        let loaded = databases.load_records();
        let shared = Arc::new(Shared::new(databases, loaded.records, retention));
        shared.note_set_aside(loaded.set_aside);
        shared.note_problem(loaded.problem.map(Arc::new));
        let thread = writer::spawn(&shared);
        let owner = Owner {
            shared,
            counter: AtomicU64::new(floor),
            id,
            thread: Mutex::new(thread),
        };
        Self {
            owner: Arc::new(owner),
        }
    }

    /// What is wrong with it, if anything.
    #[must_use]
    pub fn health(&self) -> StoreHealth {
        self.owner.shared.health.borrow().clone()
    }

    /// Resolves at each change of its health.
    #[must_use]
    pub fn watch_health(&self) -> watch::Receiver<StoreHealth> {
        self.owner.shared.health.subscribe()
    }

    /// The id of the data directory: the first half of every event's id.
    #[must_use]
    pub fn id(&self) -> &DataDirId {
        &self.owner.id
    }

    /// The record of the node under `key`; none: never written, or unreadable (which is reported).
    #[must_use]
    pub fn get<T: Record>(&self, key: &Key<T>) -> Option<T> {
        let bytes = self
            .owner
            .shared
            .read_record(&Slot::Node(key.name().to_owned()))?;
        self.decoded(key.name(), &bytes)
    }

    /// Keeps `value` under `key`. Returns at once; see [`Self::flush`].
    pub fn put<T: Record>(&self, key: &Key<T>, value: &T) {
        self.write(Slot::Node(key.name().to_owned()), key.name(), value);
    }

    /// Forgets what is kept under `key`.
    pub fn delete<T: Record>(&self, key: &Key<T>) {
        self.owner.shared.put(Slot::Node(key.name().to_owned()), None);
    }

    /// The records of all apps. Those that cannot be read are left out and reported.
    #[must_use]
    pub fn apps<T: Record>(&self) -> BTreeMap<AppName, T> {
        let records = self.owner.shared.read_apps();
        let named = records
            .into_iter()
            .filter_map(|(name, bytes)| Some((name.parse::<AppName>().ok()?, bytes)));
        named
            .filter_map(|(name, bytes)| Some((name.clone(), self.decoded(name.as_str(), &bytes)?)))
            .collect()
    }

    /// The record of one app.
    #[must_use]
    pub fn app<T: Record>(&self, app: &AppName) -> Option<T> {
        let bytes = self.owner.shared.read_record(&Slot::App(app.to_string()))?;
        self.decoded(app.as_str(), &bytes)
    }

    /// Keeps the record of one app. Returns at once.
    pub fn put_app<T: Record>(&self, app: &AppName, value: &T) {
        self.write(Slot::App(app.to_string()), app.as_str(), value);
    }

    /// Forgets the record of one app.
    pub fn delete_app(&self, app: &AppName) {
        self.owner.shared.put(Slot::App(app.to_string()), None);
    }

    /// Resolves when everything that was handed over before is on the disk.
    ///
    /// # Errors
    /// When the disk fails: it is still remembered, and written as soon as the disk is well again.
    pub async fn flush(&self) -> Result<(), Arc<StoreProblem>> {
        let mut progress = self.owner.shared.progress.subscribe();
        let (wanted, failed_before) = self.owner.shared.hurry();
        let reached = |progress: &Progress| {
            progress.durable >= wanted || progress.failed_count > failed_before || progress.is_closed
        };
        match progress.wait_for(reached).await {
            Ok(progress) if progress.durable >= wanted => Ok(()),
            Ok(progress) => Err(progress
                .problem
                .clone()
                .unwrap_or_else(|| Arc::new(StoreProblem::Closed))),
            Err(_) => Err(Arc::new(StoreProblem::Closed)),
        }
    }

    /// Writes what is left, ends the thread and closes the files: another store may open them. What is handed over later is
    /// remembered no longer than this process.
    pub fn close(&self) {
        self.owner.close();
    }

    fn write<T: Record>(&self, slot: Slot, name: &str, value: &T) {
        let bytes = match encode(value) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                tracing::error!(record = name, %error, "a record cannot be encoded; its last state stays");
                return;
            }
        };
        self.owner.shared.put(slot, bytes);
    }

    fn decoded<T: Record>(&self, name: &str, bytes: &[u8]) -> Option<T> {
        match decode(bytes) {
            Ok(value) => Some(value),
            Err(error) => {
                self.owner.shared.report_unreadable(name, &error);
                None
            }
        }
    }
}

impl Owner {
    fn close(&self) {
        self.shared.close();
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the store's thread ended by a panic");
        }
        self.shared.close_files();
    }

    /// The next event's counter. Never one that was used before: it follows the clock in microseconds, and goes on by
    /// one where the clock stands or goes back.
    fn next_counter(&self, now_us: u64) -> u64 {
        let next = |last: u64| Some(events::counter_after(last, now_us));
        let last = self
            .counter
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, next)
            .unwrap_or_else(|last| last);
        events::counter_after(last, now_us)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.close();
    }
}

/// A lock whose holders leave the value whole even when they panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
