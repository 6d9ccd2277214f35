//! Taking over what an earlier keeper left behind.
//!
//! A record names a process by number; the number may be another's by now. So the descriptor is opened first, and only
//! then is looked whether the kernel still says what the record says: the same boot, the same start time, the same
//! user. Then what the descriptor names is the recorded process. A program may have changed its user since: then its
//! group, or the mark in its environment, must say that it is ours. The mark alone proves nothing: a program may erase
//! it, and anybody may write it.

use std::os::fd::{AsFd, OwnedFd};

use rustix::process::{Pid, PidfdFlags};

use super::apps::Run;
use super::ending::own_pid;
use super::launch;
use super::output::Output;
use super::proc::{self, ProcStat};
use super::protocol::{Exit, ExitHow};
use super::records::{Record, Recovered, StartRecord};
use super::state::{Keeper, epoch_ms};
use super::tree::{self, Root};

/// What the kernel says about a recorded process.
#[derive(Debug)]
pub enum Found {
    /// It lives; the descriptor names it.
    Alive(OwnedFd, ProcStat),
    /// It is gone, whoever has its number now.
    Gone,
    /// It was of another boot: nothing of it is left, and nothing is known of its end.
    OtherBoot,
}

/// Looks for the process of `record`; `is_in_group` tells whether a process is in the app's group.
#[must_use]
pub fn find(record: &StartRecord, boot_id: &str, is_in_group: impl Fn(i32) -> bool) -> Found {
    if record.boot_id != boot_id {
        return Found::OtherBoot;
    }
    let Some(pid) = Some(record.pid).filter(|pid| *pid > 0).and_then(Pid::from_raw) else {
        return Found::Gone;
    };
    let Ok(pidfd) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else {
        return Found::Gone;
    };
    let Some(stat) = ProcStat::of(record.pid) else {
        return Found::Gone;
    };
    if stat.start_ticks != record.start_ticks || stat.is_zombie() {
        return Found::Gone;
    }
    let is_user = proc::uid_of(record.pid) == Some(record.uid);
    let is_marked = || proc::mark_of(record.pid).as_deref() == Some(record.instance.as_str());
    if is_user || is_in_group(record.pid) || is_marked() {
        Found::Alive(pidfd, stat)
    } else {
        Found::Gone
    }
}

impl Keeper {
    /// Adopts what lives, sees off what its main process left, and remembers the ends that nobody saw.
    pub(super) fn adopt_all(&mut self, recovered: Recovered) {
        for exit in recovered.exits {
            self.remember(exit);
        }
        let mut settled = Vec::new();
        for record in recovered.starts {
            let groups = self.groups.of_process(&record.app, record.pid);
            match find(&record, &self.boot_id, |_| groups.hold_the_tree()) {
                Found::OtherBoot => settled.push(Record::Acknowledged {
                    instance: record.instance,
                }),
                Found::Gone => settled.push(Record::End(self.ended_unseen(record))),
                Found::Alive(pidfd, stat) => self.adopt(record, pidfd, stat),
            }
        }
        // What is in a group of ours but in no record (the file was lost) would stand in the way of its successor.
        for (app, groups) in self.groups.populated() {
            let runs = self
                .apps
                .find_app(&app)
                .is_some_and(|key| self.apps.run(key).is_some());
            if !runs {
                super::log(format_args!("processes of {app} without a record are killed"));
                groups.kill();
            }
        }
        if !settled.is_empty() {
            // If it fails, the next keeper settles them again.
            let _ = self.append_records(&settled);
        }
    }

    fn adopt(&mut self, record: StartRecord, pidfd: OwnedFd, stat: ProcStat) {
        let key = self.apps.key_of(&record.app, || true);
        let groups = self.groups.of_process(&record.app, record.pid);
        // After an exec of the keeper itself its children are still its children.
        let is_adopted = stat.parent != own_pid();
        if (is_adopted || self.is_thread()) && self.watch_main(key, pidfd.as_fd()).is_err() {
            super::log(format_args!(
                "cannot watch {} (pid {}): it is left alone",
                record.app, record.pid
            ));
            return;
        }
        match launch::open_pipe(self.handover.apps_folder(), &record.app) {
            Ok(pipe) => {
                let mut output = Output::new(&record.app, pipe, record.logs);
                output.begin(
                    &record.instance,
                    record.logs,
                    self.handover.apps_folder(),
                    &mut self.scratch,
                );
                let _ = self.watch_output(key, output);
            }
            Err(error) => super::log(format_args!("the output pipe of {} is lost: {error}", record.app)),
        }
        if record.notify {
            self.open_ear_again(key, &record);
        }
        if let Some(slot) = self.apps.slot_mut(key) {
            slot.groups = groups;
        }
        self.adopted_count += 1;
        self.apps.begin(
            key,
            Run {
                record,
                pidfd,
                is_adopted,
                has_lost_orphans: is_adopted || self.is_thread(),
                report: None,
                launching: None,
                failed: None,
                wanted: super::apps::Wanted::default(),
                is_asked: false,
                is_killed: false,
                kill_at: None,
                oom_kills_before: 0,
                ended: None,
            },
        );
    }

    /// A main process that ended while no keeper watched: what it left is killed, its end remembered.
    fn ended_unseen(&mut self, record: StartRecord) -> Exit {
        let root = Root {
            instance: record.instance.clone(),
            pid: record.pid,
            start_ticks: record.start_ticks,
            uid: record.uid,
            has_lost_orphans: true,
        };
        // The main process is gone, so its session proves less: only what bears the mark as well is killed.
        let leftovers_count = tree::kill_marked(&root, own_pid(), self.apps.mains());
        let exit = Exit {
            app: record.app,
            instance: record.instance,
            pid: record.pid.unsigned_abs(),
            how: ExitHow::Unknown,
            oom: false,
            asked: false,
            killed: false,
            leftovers_count: u32::try_from(leftovers_count).unwrap_or(u32::MAX),
            survivors_count: 0,
            started_at_ms: record.started_at_ms,
            at_ms: epoch_ms(),
            cpu_ms: None,
            label: record.label,
        };
        self.remember(exit.clone());
        exit
    }
}
