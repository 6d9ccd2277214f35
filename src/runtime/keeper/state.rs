//! The keeper itself: its state, and the loop that waits and hands out what happened.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fs::AtFlags;
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit};
use rustix::time::Timespec;

use super::KeeperOptions;
use super::apps::{Apps, Key};
use super::cgroup::Groups;
use super::connection::{Connection, Sent};
use super::launch::BATCH_MAX;
use super::output::{Output, Scratch};
use super::protocol::{Exit, LimitFault, Message, Push, Role, Spawn};
use super::records::{Record, Records};
use super::sockets;
use super::spawn::{self, CHILDREN_MAX, Handover, KeeperSignal};
use crate::names::AppName;

/// Exits remembered for a daemon: four a slot of a large node. Beyond, the oldest is forgotten and counted.
pub const EXITS_KEPT_MAX: usize = 4096;
/// Callers at a time: a daemon, its successor, and people with `doctor`.
const CONNECTIONS_MAX: usize = 16;
/// How long a keeper without apps and without a daemon waits for either.
const IDLE_FOR: Duration = Duration::from_secs(10);
/// How often drops of output are told.
const TELL_DROPS_EVERY: Duration = Duration::from_secs(1);
const EVENTS_MAX: usize = 256;

/// What an event is about, in the kernel's 64 bits: the kind above, the key below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Signals,
    Listener,
    Connection(Key),
    Report(Key),
    Output(Key),
    /// A main process that is watched by its descriptor.
    Watched(Key),
}

impl Source {
    fn data(self) -> EventData {
        let (kind, key) = match self {
            Self::Signals => (0, 0),
            Self::Listener => (1, 0),
            Self::Connection(key) => (2, key),
            Self::Report(key) => (3, key),
            Self::Output(key) => (4, key),
            Self::Watched(key) => (5, key),
        };
        EventData::new_u64((kind << 32) | u64::from(key))
    }

    fn of(data: EventData) -> Option<Self> {
        let data = data.u64();
        let key = u32::try_from(data & u64::from(u32::MAX)).ok()?;
        Some(match data >> 32 {
            0 => Self::Signals,
            1 => Self::Listener,
            2 => Self::Connection(key),
            3 => Self::Report(key),
            4 => Self::Output(key),
            5 => Self::Watched(key),
            _ => return None,
        })
    }
}

/// A running keeper.
#[derive(Debug)]
pub struct Keeper {
    pub(super) options: KeeperOptions,
    pub(super) data_dir: PathBuf,
    pub(super) data_folder: OwnedFd,
    pub(super) handover: Handover,
    pub(super) boot_id: String,
    pub(super) started_at_ms: u64,
    pub(super) records: Records,
    pub(super) torn_records_count: u32,
    pub(super) adopted_count: u32,
    pub(super) groups: Groups,
    /// Whether this kernel lets children be born into a version 2 group; true until it refuses.
    pub(super) births_into_groups: bool,
    /// The number of open files that apps get: what the keeper was started with.
    pub(super) open_files: (u64, u64),
    pub(super) apps: Apps,
    pub(super) exits: VecDeque<Exit>,
    pub(super) exits_lost_count: u64,
    pub(super) scratch: Scratch,
    pub(super) connections: BTreeMap<Key, Connection>,
    pub(super) waiting_spawns: VecDeque<Spawn>,
    /// Set when the keeper ends: no app is started any more. It leaves when nothing runs, or at once.
    pub(super) ending: Option<Ending>,
    epoll: OwnedFd,
    /// None: this keeper is a thread of a host, see [`super::in_process`].
    signals: Option<OwnedFd>,
    listener: OwnedFd,
    next_connection: Key,
    read_buffer: Vec<u8>,
    idle_since: Option<Instant>,
    had_daemon: bool,
    drops: Vec<Key>,
    drops_told_at: Instant,
}

/// How the keeper ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Apps live on.
    LeaveApps,
    /// When the last has been stopped.
    StopApps,
}

/// What a keeper is made of, opened by [`super::run`].
#[derive(Debug)]
pub(super) struct Parts {
    pub options: KeeperOptions,
    pub data_dir: PathBuf,
    pub data_folder: OwnedFd,
    pub handover: Handover,
    pub boot_id: String,
    pub records: Records,
    pub torn_records_count: u32,
    pub groups: Groups,
    pub open_files: (u64, u64),
    pub signals: Option<OwnedFd>,
    pub listener: OwnedFd,
}

impl Keeper {
    pub(super) fn new(parts: Parts) -> Result<Self, Errno> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        if let Some(signals) = &parts.signals {
            epoll::add(&epoll, signals, Source::Signals.data(), EventFlags::IN)?;
        }
        epoll::add(&epoll, &parts.listener, Source::Listener.data(), EventFlags::IN)?;
        Ok(Self {
            options: parts.options,
            data_dir: parts.data_dir,
            data_folder: parts.data_folder,
            handover: parts.handover,
            boot_id: parts.boot_id,
            started_at_ms: epoch_ms(),
            records: parts.records,
            torn_records_count: parts.torn_records_count,
            adopted_count: 0,
            groups: parts.groups,
            births_into_groups: true,
            open_files: parts.open_files,
            apps: Apps::default(),
            exits: VecDeque::new(),
            exits_lost_count: 0,
            scratch: Scratch::default(),
            connections: BTreeMap::new(),
            waiting_spawns: VecDeque::new(),
            ending: None,
            epoll,
            signals: parts.signals,
            listener: parts.listener,
            next_connection: 0,
            read_buffer: vec![0; 16 * 1024],
            idle_since: Some(Instant::now()),
            had_daemon: false,
            drops: Vec::new(),
            drops_told_at: Instant::now(),
        })
    }

    /// Waits and works until the keeper ends.
    pub(super) fn run(&mut self) {
        let mut events = Vec::with_capacity(EVENTS_MAX);
        loop {
            let next = self.see_to_due();
            self.flush();
            if self.is_done() {
                return;
            }
            // Asked for after `is_done`, which notes when the keeper became idle.
            let idle = self.idle_since.map(|since| since + IDLE_FOR);
            let timeout = self.timeout([next, idle].into_iter().flatten().min());
            events.clear();
            match epoll::wait(
                &self.epoll,
                rustix::buffer::spare_capacity(&mut events),
                timeout.as_ref(),
            ) {
                Ok(_) | Err(Errno::INTR) => {}
                // Nothing else can fail on a good descriptor; an endless loop would be worse than an end.
                Err(_) => return,
            }
            let mut sources: Vec<Source> = events.iter().filter_map(|event| Source::of(event.data)).collect();
            // Ends before everything: a restart waits for them. Output last: it can wait.
            sources.sort_by_key(|source| match source {
                Source::Signals => 0,
                Source::Watched(_) | Source::Report(_) => 1,
                Source::Connection(_) | Source::Listener => 2,
                Source::Output(_) => 3,
            });
            for source in sources {
                self.see_to(source);
            }
            let count = self.next_batch();
            if count > 0 {
                let batch = self.waiting_spawns.drain(..count).collect();
                self.start_batch(batch);
            }
        }
    }

    /// How many starts are to be made now.
    fn next_batch(&self) -> usize {
        let places = CHILDREN_MAX.saturating_sub(self.apps.launching_count);
        self.waiting_spawns.len().min(BATCH_MAX).min(places)
    }

    fn see_to(&mut self, source: Source) {
        match source {
            Source::Signals => self.take_signals(),
            Source::Listener => self.take_connections(),
            Source::Connection(key) => self.take_calls(key),
            Source::Report(key) => self.read_report(key),
            Source::Watched(key) => self.watched_ended(key),
            Source::Output(key) => self.take_output(key),
        }
    }

    fn take_signals(&mut self) {
        let Some(signals) = &self.signals else {
            return;
        };
        if spawn::read_signals(signals.as_fd()).contains(&KeeperSignal::End) {
            self.end(Ending::LeaveApps);
        }
        // One signal may stand for many children.
        while let Some(reaped) = spawn::reap() {
            self.child_ended(&reaped);
        }
        self.flush();
    }

    fn take_output(&mut self, key: Key) {
        let Some(output) = self.apps.slot_mut(key).and_then(|slot| slot.output.as_mut()) else {
            return;
        };
        let before = output.counters().dropped_bytes_count;
        output.pump(self.handover.apps_folder(), &mut self.scratch);
        if output.counters().dropped_bytes_count != before && !self.drops.contains(&key) {
            self.drops.push(key);
        }
    }

    /// Says, once a second, what was dropped since.
    fn tell_drops(&mut self, now: Instant) {
        if self.drops.is_empty() || now.saturating_duration_since(self.drops_told_at) < TELL_DROPS_EVERY {
            return;
        }
        self.drops_told_at = now;
        for key in std::mem::take(&mut self.drops) {
            let Some(slot) = self.apps.slot_mut(key) else {
                continue;
            };
            let app = slot.app.clone();
            let Some(output) = slot.output.as_mut() else {
                continue;
            };
            output.remark_dropped(self.handover.apps_folder(), &mut self.scratch);
            let output = output.counters();
            self.push(Push::OutputDropped { app, output });
        }
    }

    fn take_connections(&mut self) {
        while let Some(socket) = sockets::accept(self.listener.as_fd()) {
            if self.connections.len() >= CONNECTIONS_MAX {
                continue;
            }
            let key = self.next_connection;
            self.next_connection = self.next_connection.wrapping_add(1);
            let data = Source::Connection(key).data();
            if epoll::add(&self.epoll, &socket, data, EventFlags::IN).is_ok() {
                self.connections.insert(key, Connection::new(socket));
            }
        }
    }

    fn take_calls(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(&key) else {
            return;
        };
        let is_open = connection.fill(&mut self.read_buffer);
        loop {
            let Some(connection) = self.connections.get_mut(&key) else {
                return;
            };
            match connection.next_call() {
                Ok(Some(call)) => self.answer(key, call),
                Ok(None) => break,
                Err(error) => {
                    super::log(format_args!("a connection is closed: {error}"));
                    return self.close(key);
                }
            }
        }
        if !is_open {
            self.close(key);
        }
    }

    fn close(&mut self, key: Key) {
        let Some(connection) = self.connections.remove(&key) else {
            return;
        };
        self.unwatch(connection.socket());
        if connection.role == Some(Role::Daemon) && self.options.tied && !self.has_daemon() {
            self.end(Ending::StopApps);
        }
    }

    pub(super) fn has_daemon(&self) -> bool {
        self.connections
            .values()
            .any(|connection| connection.role == Some(Role::Daemon))
    }

    /// Notes that a daemon has said hello.
    pub(super) fn daemon_came(&mut self) {
        self.had_daemon = true;
    }

    /// Queues `message` for one caller.
    pub(super) fn reply(&mut self, key: Key, message: &Message) {
        if let Some(connection) = self.connections.get_mut(&key) {
            connection.queue(message);
        }
    }

    /// Queues `push` for every daemon.
    pub(super) fn push(&mut self, push: Push) {
        let message = Message::Push(push);
        for connection in self.connections.values_mut() {
            if connection.role == Some(Role::Daemon) {
                connection.queue(&message);
            }
        }
    }

    /// Sends what is queued.
    pub(super) fn flush(&mut self) {
        let mut broken = Vec::new();
        for (key, connection) in &mut self.connections {
            if !connection.has_unsent() && !connection.waits_for_room {
                continue;
            }
            let waits = match connection.send() {
                Sent::All => false,
                Sent::Part => true,
                Sent::Broken => {
                    broken.push(*key);
                    continue;
                }
            };
            if waits != connection.waits_for_room {
                let flags = if waits {
                    EventFlags::IN | EventFlags::OUT
                } else {
                    EventFlags::IN
                };
                let data = Source::Connection(*key).data();
                if epoll::modify(&self.epoll, connection.socket(), data, flags).is_err() {
                    broken.push(*key);
                }
                connection.waits_for_room = waits;
            }
        }
        for key in broken {
            self.close(key);
        }
    }

    /// Begins the keeper's end. Apps of a tied keeper do not live on, so they are stopped before they would be killed.
    pub(super) fn end(&mut self, ending: Ending) {
        if self.ending.is_some() {
            return;
        }
        let ending = if self.options.tied {
            Ending::StopApps
        } else {
            ending
        };
        self.ending = Some(ending);
        for spawn in std::mem::take(&mut self.waiting_spawns) {
            self.push(Push::SpawnFailed {
                app: spawn.app,
                instance: spawn.instance,
                fault: super::protocol::SpawnFault::Ending,
            });
        }
        if ending == Ending::StopApps {
            for key in self.apps.running() {
                self.stop_as_recorded(key);
            }
        }
    }

    /// Whether this keeper is a thread of a host: it sees the ends of its children by their descriptors, since the
    /// signal for them is the host's, and is no subreaper, since the host's orphans are none of its business.
    pub(super) fn is_thread(&self) -> bool {
        self.signals.is_none()
    }

    pub(super) fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// Cleans up behind itself, as far as apps allow.
    pub(super) fn leave(&mut self) {
        self.flush();
        self.groups.remove_all();
        let all = live(&self.apps, &self.exits, &[]);
        let _ = self.records.rewrite(&all);
        let _ = rustix::fs::unlinkat(&self.data_folder, sockets::SOCKET, AtFlags::empty());
    }

    /// Removes an app's output pipe.
    pub(super) fn remove_pipe(&self, app: &AppName) {
        let _ = rustix::fs::unlinkat(
            self.handover.apps_folder(),
            super::launch::pipe_path(app),
            AtFlags::empty(),
        );
    }

    fn is_done(&mut self) -> bool {
        match self.ending {
            Some(Ending::LeaveApps) => return true,
            Some(Ending::StopApps) => return self.apps.is_idle(),
            None => {}
        }
        let is_idle = self.apps.is_idle() && self.waiting_spawns.is_empty() && !self.has_daemon();
        if !is_idle {
            self.idle_since = None;
            return false;
        }
        let since = *self.idle_since.get_or_insert_with(Instant::now);
        since.elapsed() >= IDLE_FOR
    }

    /// Carries out what has become due. When the next thing is.
    fn see_to_due(&mut self) -> Option<Instant> {
        let now = Instant::now();
        if self.options.tied && !self.had_daemon && !self.apps.is_idle() {
            // Apps of a tied keeper that was killed: whoever they were started for is gone or will say so.
            self.end(Ending::StopApps);
        }
        let (due, _) = self.apps.due(now);
        for key in due {
            self.run_is_due(key, now);
        }
        self.tell_drops(now);
        let (_, next) = self.apps.due(now);
        let drops = (!self.drops.is_empty()).then(|| self.drops_told_at + TELL_DROPS_EVERY);
        [next, drops].into_iter().flatten().min()
    }

    fn timeout(&self, next: Option<Instant>) -> Option<Timespec> {
        let wait = if self.next_batch() == 0 {
            next?.saturating_duration_since(Instant::now())
        } else {
            Duration::ZERO
        };
        // Whole milliseconds, rounded up: the older epoll call knows no less, and less would only spin.
        let millis = u64::try_from(wait.as_micros().div_ceil(1000))
            .unwrap_or(u64::MAX)
            .min(3_600_000);
        Timespec::try_from(Duration::from_millis(millis)).ok()
    }

    /// Appends to the record file.
    pub(super) fn append_records(&mut self, records: &[Record]) -> Result<(), Errno> {
        let (apps, exits) = (&self.apps, &self.exits);
        let result = self.records.append(records, || live(apps, exits, records));
        if let Err(error) = result {
            super::log(format_args!("its records cannot be written: {error}"));
        }
        result
    }

    pub(super) fn watch_output(&mut self, key: Key, output: Output) -> Result<(), Errno> {
        epoll::add(
            &self.epoll,
            output.pipe(),
            Source::Output(key).data(),
            EventFlags::IN,
        )?;
        if let Some(slot) = self.apps.slot_mut(key) {
            slot.output = Some(output);
        }
        Ok(())
    }

    pub(super) fn watch_report(&self, key: Key, report: BorrowedFd<'_>) -> Result<(), Errno> {
        epoll::add(&self.epoll, report, Source::Report(key).data(), EventFlags::IN)
    }

    pub(super) fn watch_main(&self, key: Key, pidfd: BorrowedFd<'_>) -> Result<(), Errno> {
        epoll::add(&self.epoll, pidfd, Source::Watched(key).data(), EventFlags::IN)
    }

    /// Before a descriptor is closed: a child on its way to exec still holds a copy, for which the kernel would go on
    /// telling of events.
    pub(super) fn unwatch(&self, fd: BorrowedFd<'_>) {
        let _ = epoll::delete(&self.epoll, fd);
    }

    /// The number of open files that this start asks for, or gets by default.
    pub(super) fn open_files(&self, spawn: &Spawn) -> (u64, u64) {
        let (soft, hard) = self.open_files;
        match spawn.limits.open_files {
            Some(count) if self.open_files_fault(spawn).is_none() => (count, count),
            Some(_) => (hard, hard),
            None => (soft, hard),
        }
    }

    /// Why the number of open files that was asked for cannot be had.
    pub(super) fn open_files_fault(&self, spawn: &Spawn) -> Option<LimitFault> {
        let count = spawn.limits.open_files?;
        let (_, hard) = self.open_files;
        (count > hard).then(|| LimitFault {
            limit: "open_files".into(),
            why: format!("this system allows {hard} at most"),
        })
    }
}

/// What a rewritten record file must hold beside `besides`.
fn live(apps: &Apps, exits: &VecDeque<Exit>, besides: &[Record]) -> Vec<Record> {
    let is_beside = |start: &Record| besides.contains(start);
    let starts = apps
        .iter()
        .filter_map(|(_, slot)| Some(Record::Start(slot.run.as_ref()?.record.clone())));
    let exits = exits.iter().cloned().map(Record::End);
    starts.filter(|start| !is_beside(start)).chain(exits).collect()
}

/// Raises the keeper's own number of open files as far as it may. What it was before: that is what apps get.
pub(super) fn raise_open_files() -> (u64, u64) {
    let before = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: before.maximum,
        maximum: before.maximum,
    };
    let _ = rustix::process::setrlimit(Resource::Nofile, raised);
    open_files_of(&before)
}

/// Soft and hard number of open files.
pub(super) fn open_files_of(limit: &Rlimit) -> (u64, u64) {
    let number = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
    (number(limit.current), number(limit.maximum))
}

/// Milliseconds since the epoch, by the clock that people set.
pub(super) fn epoch_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
