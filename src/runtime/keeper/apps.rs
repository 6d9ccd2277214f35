//! The apps that a keeper knows: a slot each, which outlives restarts, with at most one run in it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::cgroup::AppGroups;
use super::ears::Ear;
use super::output::Output;
use super::protocol::{ExitHow, LimitFault, Limits, OutputCounters, Running, SpawnStep};
use super::records::StartRecord;
use super::spawn::Launching;
use super::tree::Root;
use crate::names::{AppName, InstanceId};

/// Names a slot for as long as the keeper lives; never used twice.
pub type Key = u32;

/// What stays of an app between its runs.
#[derive(Debug)]
pub struct Slot {
    /// Which app.
    pub app: AppName,
    /// Its output, once its folders were made.
    pub output: Option<Output>,
    /// Its groups, and the limits that they were given.
    pub groups: AppGroups,
    /// `cgroup.kill` was used on its version 2 group, or may have been: since Linux 6.14 whatever is born into such a
    /// group is killed as well (the kernel compares the group's count of kills with the parent's group's), so it is
    /// made anew before the next birth.
    pub is_group_spent: bool,
    /// The limits of the last start and what of them is not in force; none: they have to be set.
    pub limits: Option<(Limits, Vec<LimitFault>)>,
    /// Whom its folders belong to.
    pub owner: Option<(u32, u32)>,
    /// Where it is heard, if it is.
    pub ear: Option<Ear>,
    /// The run that has not ended.
    pub run: Option<Run>,
}

/// One run of an app.
#[derive(Debug)]
pub struct Run {
    /// As recorded.
    pub record: StartRecord,
    /// Names the main process for good.
    pub pidfd: OwnedFd,
    /// A keeper before this one started it.
    pub is_adopted: bool,
    /// What its tree leaves behind does not become the keeper's child: an earlier keeper started it, or this one is a
    /// thread, and no subreaper.
    pub has_lost_orphans: bool,
    /// Where the child tells of a failure; gone once the program runs.
    pub report: Option<OwnedFd>,
    /// What the child reads until it has left the keeper's memory.
    pub launching: Option<Box<Launching>>,
    /// A step of its start failed; told when the child is reaped, so that the next start does not meet it.
    pub failed: Option<(SpawnStep, i32)>,
    /// What was asked for, to name in errors: the program, the working directory, the user.
    pub wanted: Wanted,
    /// It was asked to end.
    pub is_asked: bool,
    /// The keeper killed it.
    pub is_killed: bool,
    /// When its grace is over.
    pub kill_at: Option<Instant>,
    /// OOM kills of its group before it began.
    pub oom_kills_before: u64,
    /// Set once the main process has ended: its tree is being seen off.
    pub ended: Option<Ended>,
}

/// Names for errors of a start.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The program.
    pub program: String,
    /// The working directory.
    pub working_dir: String,
    /// The user and group, by number.
    pub user: String,
    /// The number of open files.
    pub open_files: String,
}

/// A main process that has ended.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub how: ExitHow,
    /// CPU time, if known.
    pub cpu_ms: Option<u64>,
    /// When, ms since the epoch.
    pub at_ms: u64,
    /// The same by the monotonic clock.
    pub since: Instant,
    /// Processes killed after it.
    pub leftovers_count: u32,
    /// When to look again whether the tree is gone.
    pub look_at: Instant,
    /// How long to wait after that look.
    pub look_every: Duration,
}

impl Run {
    /// Its instance.
    #[must_use]
    pub fn instance(&self) -> &InstanceId {
        &self.record.instance
    }

    /// Its main process.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.record.pid
    }

    /// Sends the main process a signal, by descriptor.
    ///
    /// # Errors
    /// `SRCH` when it has ended.
    pub fn signal(&self, signal: Signal) -> Result<(), rustix::io::Errno> {
        if self.ended.is_some() {
            return Err(rustix::io::Errno::SRCH);
        }
        rustix::process::pidfd_send_signal(&self.pidfd, signal)
    }

    /// How to find its tree by walking.
    #[must_use]
    pub fn root(&self) -> Root {
        Root {
            instance: self.record.instance.clone(),
            pid: self.record.pid,
            start_ticks: self.record.start_ticks,
            uid: self.record.uid,
            has_lost_orphans: self.has_lost_orphans,
        }
    }

    /// When the keeper must look at it next.
    #[must_use]
    pub fn due_at(&self) -> Option<Instant> {
        self.ended.as_ref().map(|ended| ended.look_at).or(self.kill_at)
    }
}

impl Slot {
    fn new(app: AppName, is_group_spent: bool) -> Self {
        Self {
            app,
            output: None,
            groups: AppGroups::default(),
            is_group_spent,
            limits: None,
            owner: None,
            ear: None,
            run: None,
        }
    }

    /// How its log is bounded.
    #[must_use]
    pub fn output_counters(&self) -> OutputCounters {
        self.output.as_ref().map(Output::counters).unwrap_or_default()
    }
}

/// Every app, found by key, name, instance and process.
#[derive(Debug, Default)]
pub struct Apps {
    slots: BTreeMap<Key, Slot>,
    next_key: Key,
    by_name: HashMap<AppName, Key>,
    by_instance: HashMap<InstanceId, Key>,
    by_pid: HashMap<i32, Key>,
    /// The same, for walking trees.
    mains: BTreeSet<i32>,
    /// Children between birth and exec.
    pub launching_count: usize,
    /// Those with something due at some time.
    attended: BTreeSet<Key>,
}

impl Apps {
    /// The slot of `app`, made if there is none; then `has_old_group` tells whether an earlier keeper's group is there.
    pub fn key_of(&mut self, app: &AppName, has_old_group: impl FnOnce() -> bool) -> Key {
        if let Some(key) = self.by_name.get(app) {
            return *key;
        }
        let key = self.next_key;
        self.next_key += 1;
        self.by_name.insert(app.clone(), key);
        self.slots.insert(key, Slot::new(app.clone(), has_old_group()));
        key
    }

    /// A slot.
    #[must_use]
    pub fn slot(&self, key: Key) -> Option<&Slot> {
        self.slots.get(&key)
    }

    /// A slot, to change.
    pub fn slot_mut(&mut self, key: Key) -> Option<&mut Slot> {
        self.slots.get_mut(&key)
    }

    /// A run, to change.
    pub fn run_mut(&mut self, key: Key) -> Option<&mut Run> {
        self.slots.get_mut(&key)?.run.as_mut()
    }

    /// A run.
    #[must_use]
    pub fn run(&self, key: Key) -> Option<&Run> {
        self.slots.get(&key)?.run.as_ref()
    }

    /// The slot of an app.
    #[must_use]
    pub fn find_app(&self, app: &AppName) -> Option<Key> {
        self.by_name.get(app).copied()
    }

    /// The slot where `instance` runs.
    #[must_use]
    pub fn find(&self, instance: &InstanceId) -> Option<Key> {
        self.by_instance.get(instance).copied()
    }

    /// The slot whose main process is the keeper's child `pid`.
    #[must_use]
    pub fn find_child(&self, pid: i32) -> Option<Key> {
        self.by_pid.get(&pid).copied()
    }

    /// Puts a run into its slot.
    pub fn begin(&mut self, key: Key, run: Run) {
        self.by_instance.insert(run.instance().clone(), key);
        if !run.is_adopted {
            self.by_pid.insert(run.pid(), key);
        }
        self.mains.insert(run.pid());
        self.launching_count += usize::from(run.launching.is_some());
        if let Some(slot) = self.slots.get_mut(&key) {
            slot.run = Some(run);
        }
    }

    /// The main process was reaped: its number may be another's from now on.
    pub fn main_is_gone(&mut self, key: Key) {
        if let Some(pid) = self.run(key).map(Run::pid) {
            self.by_pid.remove(&pid);
            self.mains.remove(&pid);
        }
    }

    /// Takes a run out of its slot.
    pub fn end(&mut self, key: Key) -> Option<Run> {
        self.main_is_gone(key);
        self.attended.remove(&key);
        let run = self.slots.get_mut(&key)?.run.take()?;
        self.by_instance.remove(run.instance());
        self.launching_count -= usize::from(run.launching.is_some());
        Some(run)
    }

    /// Removes a slot without a run.
    pub fn forget(&mut self, key: Key) {
        if let Some(slot) = self.slots.remove(&key) {
            self.by_name.remove(&slot.app);
        }
    }

    /// The main processes of all runs.
    #[must_use]
    pub fn mains(&self) -> &BTreeSet<i32> {
        &self.mains
    }

    /// All slots.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &Slot)> {
        self.slots.iter().map(|(key, slot)| (*key, slot))
    }

    /// Keys of all slots with a run.
    #[must_use]
    pub fn running(&self) -> Vec<Key> {
        let running = self.iter().filter(|(_, slot)| slot.run.is_some());
        running.map(|(key, _)| key).collect()
    }

    /// Whether nothing runs.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.by_instance.is_empty()
    }

    /// Notes that a run has become due at some time.
    pub fn attend(&mut self, key: Key) {
        self.attended.insert(key);
    }

    /// The runs whose time has come, and when the next one's comes.
    #[must_use]
    pub fn due(&mut self, now: Instant) -> (Vec<Key>, Option<Instant>) {
        let mut due = Vec::new();
        let mut next: Option<Instant> = None;
        let slots = &self.slots;
        self.attended.retain(|key| {
            let at = slots
                .get(key)
                .and_then(|slot| slot.run.as_ref())
                .and_then(Run::due_at);
            match at {
                Some(at) if at <= now => due.push(*key),
                Some(at) => next = Some(next.map_or(at, |next| next.min(at))),
                None => return false,
            }
            true
        });
        (due, next)
    }

    /// What runs of those apps, for a list.
    #[must_use]
    pub fn list(&self, is_asked_for: impl Fn(&AppName) -> bool) -> Vec<Running> {
        let runs = self
            .slots
            .values()
            .filter(|slot| is_asked_for(&slot.app))
            .filter_map(|slot| Some((slot, slot.run.as_ref()?)));
        runs.map(|(slot, run)| Running {
            app: slot.app.clone(),
            instance: run.record.instance.clone(),
            pid: run.record.pid.unsigned_abs(),
            started_at_ms: run.record.started_at_ms,
            adopted: run.is_adopted,
            stopping: run.is_asked,
            output: slot.output_counters(),
            not_in_force: run.record.not_in_force.clone(),
            label: run.record.label.clone(),
            notice: slot.ear.as_ref().map(|ear| ear.notice.clone()),
        })
        .collect()
    }
}
