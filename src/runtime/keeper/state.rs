//! The keeper itself: its state, how it is made, and how it ends. Its loop is in `turn`, its callers in `callers`.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Instant;

use rustix::event::epoll::{self, EventFlags};
use rustix::fs::AtFlags;
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit};

use super::KeeperOptions;
use super::apps::{Apps, Key};
use super::cgroup::Groups;
use super::checks::Checks;
use super::connection::Connection;
use super::output::Scratch;
use super::protocol::{Exit, LimitFault, Push, Spawn};
use super::records::{Record, Records};
use super::sandbox::Means;
use super::sockets;
use super::spawn::Handover;
use super::turn::Source;
use crate::names::AppName;

/// Exits remembered for a daemon: four a slot of a large node. Beyond, the oldest is forgotten and counted.
pub const EXITS_KEPT_MAX: usize = 4096;

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
    /// What this machine gives to confine apps, as it was found last.
    pub(super) sandbox_means: Option<Means>,
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
    pub(super) epoll: OwnedFd,
    /// None: this keeper is a thread of a host, see [`super::in_process`].
    pub(super) signals: Option<OwnedFd>,
    pub(super) listener: OwnedFd,
    /// Which file the listener is bound to.
    pub(super) listener_place: Option<(u64, u64)>,
    pub(super) next_connection: Key,
    pub(super) read_buffer: Vec<u8>,
    pub(super) idle_since: Option<Instant>,
    pub(super) had_daemon: bool,
    /// When what only starts needed goes back to the system.
    pub(super) give_back_at: Option<Instant>,
    /// Ears that rest for a moment, and until when.
    pub(super) resting_ears: VecDeque<(Instant, Key)>,
    pub(super) checks: Checks,
    pub(super) drops: Vec<Key>,
    pub(super) drops_told_at: Instant,
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
        let listener_place = sockets::place_of(parts.data_folder.as_fd());
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
            sandbox_means: None,
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
            listener_place,
            listener: parts.listener,
            next_connection: 0,
            read_buffer: vec![0; 16 * 1024],
            idle_since: Some(Instant::now()),
            had_daemon: false,
            // The keeper's own start was one as well.
            give_back_at: Some(Instant::now()),
            resting_ears: VecDeque::new(),
            checks: Checks::default(),
            drops: Vec::new(),
            drops_told_at: Instant::now(),
        })
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
        if self.listener_place == sockets::place_of(self.data_folder.as_fd()) {
            let _ = rustix::fs::unlinkat(&self.data_folder, sockets::SOCKET, AtFlags::empty());
        }
    }

    /// Removes an app's output pipe.
    pub(super) fn remove_pipe(&self, app: &AppName) {
        let _ = rustix::fs::unlinkat(
            self.handover.apps_folder(),
            super::launch::pipe_path(app),
            AtFlags::empty(),
        );
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
        (count > hard).then(|| LimitFault::new("open_files", format!("this system allows {hard} at most")))
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
