//! How runs end: asked, killed, or by themselves; and how their trees are seen off.
//!
//! A run is over when its main process has ended and nothing of its tree is left. Only then is the exit pushed,
//! recorded and the app free to start again.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::Signal;

use super::apps::{Ended, Key, Run};
use super::proc;
use super::protocol::{Exit, ExitHow, Push, Refusal, Spawn, SpawnFault, SpawnStep};
use super::records::Record;
use super::spawn::{self, Reaped};
use super::state::{EXITS_KEPT_MAX, Keeper, epoch_ms};
use super::tree;
use crate::names::InstanceId;

/// The first look whether a killed tree is gone; each next waits twice as long.
const LOOK_FIRST: Duration = Duration::from_millis(1);
/// The longest wait between two looks.
const LOOK_EVERY_MAX: Duration = Duration::from_millis(100);
/// When what KILL did not end is given up and counted: it is stuck in the kernel.
const SEEING_OFF_MAX: Duration = Duration::from_secs(10);

impl Keeper {
    /// Asks a run to end, and kills it after `grace`. Asked again, the shorter grace counts. One that waits for its turn
    /// does not run, and will not.
    pub(super) fn stop(
        &mut self,
        instance: &InstanceId,
        signal: Signal,
        grace: Duration,
    ) -> Result<(), Refusal> {
        let Some(key) = self.apps.find(instance) else {
            self.call_off(|spawn| spawn.instance == *instance);
            return Err(not_running(instance));
        };
        self.ask(key, signal, grace)
    }

    /// Takes starts that wait for their turn out of the queue. Whoever asked for one may have given it up long ago: begun
    /// later it would be nobody's.
    pub(super) fn call_off(&mut self, is_meant: impl Fn(&Spawn) -> bool) {
        while let Some(at) = self.waiting_spawns.iter().position(&is_meant) {
            let Some(spawn) = self.waiting_spawns.remove(at) else {
                return;
            };
            let fault = SpawnFault::System {
                step: SpawnStep::Fork,
                path: spawn.app.to_string(),
                errno: Errno::CANCELED.raw_os_error(),
            };
            self.push(Push::SpawnFailed {
                app: spawn.app,
                instance: spawn.instance,
                fault,
            });
        }
    }

    fn ask(&mut self, key: Key, signal: Signal, grace: Duration) -> Result<(), Refusal> {
        let Some(run) = self.apps.run_mut(key) else {
            return Ok(());
        };
        run.is_asked = true;
        let kill_at = Instant::now().checked_add(grace);
        run.kill_at = match (run.kill_at, kill_at) {
            (Some(before), Some(now)) => Some(before.min(now)),
            (before, now) => before.or(now),
        };
        let sent = run.signal(signal);
        // A stopped process would not see it.
        let _ = run.signal(Signal::CONT);
        self.apps.attend(key);
        match sent {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(Refusal::System {
                what: "the stop signal was not sent".into(),
                errno: error.raw_os_error(),
            }),
        }
    }

    /// Asks as the start's own record says: the keeper has to end it.
    pub(super) fn stop_as_recorded(&mut self, key: Key) {
        let Some(record) = self.apps.run(key).map(|run| run.record.clone()) else {
            return;
        };
        let signal = Signal::from_named_raw(record.stop_signal).unwrap_or(Signal::TERM);
        let _ = self.ask(key, signal, Duration::from_millis(record.stop_grace_ms));
    }

    /// A run's time has come: its grace is over, or its tree wants another look.
    pub(super) fn run_is_due(&mut self, key: Key, now: Instant) {
        let Some(run) = self.apps.run_mut(key) else {
            return;
        };
        if run.ended.is_some() {
            return self.look_at_tree(key, now);
        }
        if run.kill_at.is_some_and(|at| at <= now) {
            // Again in a while, should it hang on to life in the kernel.
            run.kill_at = now.checked_add(LOOK_EVERY_MAX);
            run.is_killed = true;
            let _ = run.signal(Signal::KILL);
            self.kill_tree(key);
        }
    }

    /// A child of the keeper's was reaped: a main process, or an orphan of some tree.
    pub(super) fn child_ended(&mut self, reaped: &Reaped) {
        let Some(key) = self.apps.find_child(reaped.pid) else {
            return self.check_was_reaped(reaped);
        };
        // First what it said about its start: a program may end before the keeper learns that it ran.
        self.read_report(key);
        self.apps.main_is_gone(key);
        self.main_ended(key, reaped.how, Some(reaped.cpu_ms));
    }

    /// A main process that is watched by its descriptor has ended.
    pub(super) fn watched_ended(&mut self, key: Key) {
        let Some(run) = self.apps.run(key) else {
            return;
        };
        let (pid, is_adopted) = (run.pid(), run.is_adopted);
        self.unwatch(run.pidfd.as_fd());
        match (!is_adopted).then(|| spawn::reap_child(pid)).flatten() {
            Some(reaped) => self.child_ended(&reaped),
            // Its code is its parent's to know: of an adopted one that is somebody else, and a host that waits for
            // any child of its process may have taken it away.
            None => {
                self.read_report(key);
                self.main_ended(key, ExitHow::Unknown, None);
            }
        }
    }

    fn main_ended(&mut self, key: Key, how: ExitHow, cpu_ms: Option<u64>) {
        if let Some(failed) = self.apps.run(key).and_then(|run| run.failed) {
            return self.start_failed(key, failed);
        }
        let now = Instant::now();
        let apps_folder = self.handover.apps_folder();
        let Some(slot) = self.apps.slot_mut(key) else {
            return;
        };
        let Some(run) = slot.run.as_mut().filter(|run| run.ended.is_none()) else {
            return;
        };
        run.ended = Some(Ended {
            how,
            cpu_ms,
            at_ms: epoch_ms(),
            since: now,
            leftovers_count: 0,
            look_at: now,
            look_every: LOOK_FIRST,
        });
        if let Some(output) = slot.output.as_mut() {
            output.drain(apps_folder, &mut self.scratch);
        }
        self.look_at_tree(key, now);
    }

    /// Whether the tree of an ended main process is gone; if not, it is killed and looked at again.
    fn look_at_tree(&mut self, key: Key, now: Instant) {
        let left = self.left_of_tree(key);
        if left == 0 {
            return self.finish(key, 0);
        }
        let Some(ended) = self.apps.run_mut(key).and_then(|run| run.ended.as_mut()) else {
            return;
        };
        ended.leftovers_count = ended.leftovers_count.max(left);
        if now.saturating_duration_since(ended.since) > SEEING_OFF_MAX {
            return self.finish(key, left);
        }
        ended.look_at = now + ended.look_every;
        ended.look_every = (ended.look_every * 2).min(LOOK_EVERY_MAX);
        self.kill_tree(key);
        self.apps.attend(key);
    }

    /// How many processes of the tree live on; the number may be estimated, zero is exact.
    fn left_of_tree(&mut self, key: Key) -> u32 {
        let Some(slot) = self.apps.slot(key) else {
            return 0;
        };
        match slot.groups.is_empty() {
            Some(true) => return 0,
            Some(false) => {
                let count = slot.groups.members().map_or(1, |members| members.len());
                return u32::try_from(count).unwrap_or(u32::MAX).max(1);
            }
            None => {}
        }
        let Some(run) = &slot.run else {
            return 0;
        };
        if !run.has_lost_orphans && tree::no_orphans(self.apps.mains()) {
            return 0;
        }
        let members = tree::members(&run.root(), &proc::all_processes(), own_pid(), self.apps.mains());
        let others = members.iter().filter(|member| member.pid != run.pid());
        u32::try_from(others.count()).unwrap_or(u32::MAX)
    }

    fn kill_tree(&mut self, key: Key) {
        let Some(slot) = self.apps.slot_mut(key) else {
            return;
        };
        slot.is_group_spent = true;
        if slot.groups.kill() {
            return;
        }
        if let Some(run) = self.apps.run(key) {
            tree::kill(&run.root(), own_pid(), self.apps.mains());
        }
    }

    /// The run is over: tells, records and remembers it.
    fn finish(&mut self, key: Key, survivors_count: u32) {
        let oom_kills = self.apps.slot(key).filter(|slot| {
            let limits = slot.limits.as_ref();
            limits.is_some_and(|(limits, _)| limits.memory_bytes.is_some())
        });
        let oom_kills = oom_kills.and_then(|slot| slot.groups.oom_kills()).unwrap_or(0);
        let Some(run) = self.apps.end(key) else {
            return;
        };
        let is_oom = oom_kills > run.oom_kills_before;
        let Some(exit) = exit_of(run, is_oom, survivors_count) else {
            return;
        };
        self.end_checks_of(&exit.instance);
        self.push(Push::Exited(exit.clone()));
        self.flush();
        self.remember(exit.clone());
        // The daemon knows already; what is lost if this fails is the next keeper's word about it.
        let _ = self.append_records(&[Record::End(exit)]);
    }

    /// Keeps an exit until it is acknowledged.
    pub(super) fn remember(&mut self, exit: Exit) {
        if self.exits.len() >= EXITS_KEPT_MAX {
            self.exits.pop_front();
            self.exits_lost_count += 1;
        }
        self.exits.push_back(exit);
    }

    /// Forgets exits that a daemon knows.
    pub(super) fn acknowledge(&mut self, instances: Vec<InstanceId>) {
        let before = self.exits.len();
        self.exits.retain(|exit| !instances.contains(&exit.instance));
        if self.exits.len() < before {
            let known: Vec<Record> = instances
                .into_iter()
                .map(|instance| Record::Acknowledged { instance })
                .collect();
            // If this fails the exits are told once more after the next start of a keeper.
            let _ = self.append_records(&known);
        }
    }
}

fn exit_of(run: Run, oom: bool, survivors_count: u32) -> Option<Exit> {
    let ended = run.ended?;
    Some(Exit {
        app: run.record.app,
        instance: run.record.instance,
        pid: run.record.pid.unsigned_abs(),
        how: ended.how,
        oom,
        asked: run.is_asked,
        killed: run.is_killed,
        leftovers_count: ended.leftovers_count,
        survivors_count,
        started_at_ms: run.record.started_at_ms,
        at_ms: ended.at_ms,
        cpu_ms: ended.cpu_ms,
        label: run.record.label,
    })
}

pub(super) fn not_running(instance: &InstanceId) -> Refusal {
    Refusal::NotRunning {
        instance: instance.clone(),
    }
}

pub(super) fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}
