//! Starting apps: folders, output pipe, groups, fork, record, go.
//!
//! Starts that wait are taken a batch at a time: all of a batch are forked, recorded in one append, and told to go by
//! one write. Between batches the loop sees to everything else.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::apps::{Key, Run, Wanted};
use super::cgroup::Entrance;
use super::output::Output;
use super::proc::ProcStat;
use super::protocol::{Enforce, LABEL_BYTES_MAX, LimitFault, Push, Spawn, SpawnFault, SpawnStep, Spawned};
use super::records::{Record, StartRecord};
use super::spawn::{self, Born, Handover, Program};
use super::state::{Keeper, epoch_ms};
use crate::names::AppName;

/// Starts that share one record append and one go.
pub const BATCH_MAX: usize = 16;
/// The output pipe's name in an app's folder.
const PIPE: &str = "output";

impl Keeper {
    /// Starts `spawns`, at most [`BATCH_MAX`]; each fate is pushed, a success once its exec is seen.
    pub fn start_batch(&mut self, spawns: Vec<Spawn>) {
        let mut begun = Vec::with_capacity(spawns.len());
        for spawn in spawns {
            match self.begin(&spawn) {
                Ok(Some(key)) => begun.push((key, spawn)),
                Ok(None) => {}
                Err(fault) => self.spawn_failed(&spawn, fault),
            }
        }
        if begun.is_empty() {
            return;
        }
        let records: Vec<Record> = begun
            .iter()
            .filter_map(|(key, _)| Some(Record::Start(self.apps.run(*key)?.record.clone())))
            .collect();
        let recorded = self.append_records(&records);
        for (key, _) in &begun {
            let Some(run) = self.apps.run_mut(*key) else {
                continue;
            };
            // Unrecorded nothing may run.
            run.failed = recorded
                .err()
                .map(|error| (SpawnStep::Record, error.raw_os_error()));
            if let Some(launching) = &run.launching {
                launching.tell(run.failed.is_none());
            }
        }
        for (key, _) in &begun {
            let report = self
                .apps
                .run(*key)
                .and_then(|run| run.report.as_ref())
                .map(AsFd::as_fd);
            // A report that cannot be waited for is read when the child is reaped.
            let _ = report.map(|report| self.watch_report(*key, report));
        }
    }

    fn spawn_failed(&mut self, spawn: &Spawn, fault: SpawnFault) {
        self.push(Push::SpawnFailed {
            app: spawn.app.clone(),
            instance: spawn.instance.clone(),
            fault,
        });
    }

    /// Forks one. None: this instance is known already, and its fate told again.
    fn begin(&mut self, spawn: &Spawn) -> Result<Option<Key>, SpawnFault> {
        if self.is_ending() {
            return Err(SpawnFault::Ending);
        }
        if self.tell_again(spawn) {
            return Ok(None);
        }
        let key = self
            .apps
            .key_of(&spawn.app, || self.groups.is_inherited(&spawn.app));
        if let Some(run) = self.apps.run(key) {
            return Err(SpawnFault::AlreadyRunning {
                instance: run.instance().clone(),
                pid: run.pid().unsigned_abs(),
            });
        }
        if spawn.label.len() > LABEL_BYTES_MAX {
            return Err(SpawnFault::Malformed {
                why: format!("its label is longer than {LABEL_BYTES_MAX} bytes"),
            });
        }
        let (program, wanted) = self.program(spawn)?;
        self.make_folders(key, spawn)
            .map_err(|error| system(SpawnStep::Folders, &format!("apps/{}", spawn.app), error))?;
        self.open_ear(key, spawn)?;
        let entrance = self.enter_groups(key, spawn)?;
        let (sandbox, faults) = self.confine(spawn)?;
        let program = program.confined_by(sandbox);
        let born = self
            .handover
            .bear(program, entrance.birth.as_ref().map(AsFd::as_fd), &entrance.join);
        let born = match born {
            Err(error) if entrance.birth.is_some() && spawn::is_no_birth(error) => {
                self.births_into_groups = false;
                let entrance = self.entrance_by_joining(key);
                let program = self.program(spawn)?.0.confined_by(self.confine(spawn)?.0);
                self.handover.bear(program, None, &entrance.join)
            }
            born => born,
        };
        let refused = |error| system(SpawnStep::Fork, spawn.app.as_str(), error);
        let born = born.map_err(refused)?;
        if self.is_thread()
            && let Err(error) = self.watch_main(key, born.pidfd.as_fd())
        {
            Handover::abandon(born);
            return Err(refused(error));
        }
        self.note(key, spawn, born, wanted, faults);
        Ok(Some(key))
    }

    /// What the child needs to know, and the names for its errors.
    fn program(&self, spawn: &Spawn) -> Result<(Program, Wanted), SpawnFault> {
        let program = spawn.command.first().filter(|program| !program.is_empty());
        let Some(program) = program else {
            return Err(SpawnFault::Malformed {
                why: "the command is empty".into(),
            });
        };
        let data = self.data_dir.join("apps").join(spawn.app.as_str()).join("data");
        let working_dir = data.join(&spawn.working_dir);
        let environment = spawn
            .environment
            .iter()
            .map(|(name, value)| text(&format!("{name}={value}")));
        let user = spawn.user.as_ref();
        let wanted = Wanted {
            program: program.clone(),
            working_dir: working_dir.display().to_string(),
            user: user.map_or_else(String::new, |user| format!("{}:{}", user.uid, user.gid)),
            open_files: spawn
                .limits
                .open_files
                .map_or_else(String::new, |count| count.to_string()),
        };
        let program = Program {
            paths: paths(program, &spawn.environment)?,
            arguments: spawn
                .command
                .iter()
                .map(|argument| text(argument))
                .collect::<Result<_, _>>()?,
            environment: environment.collect::<Result<_, _>>()?,
            working_dir: CString::new(working_dir.into_os_string().into_encoded_bytes())
                .map_err(|_| nul())?,
            output: text(&pipe_path(&spawn.app))?,
            open_files: self.open_files(spawn),
            user: user.map(|user| (user.uid, user.gid, user.groups.clone())),
            umask: spawn.umask,
            no_new_privileges: spawn.no_new_privileges,
            sandbox: None,
            dies_with_keeper: self.options.tied,
            resets_signals: self.is_thread(),
        };
        Ok((program, wanted))
    }

    /// Whether this instance was started before, by a call whose answer was lost; then that answer is given again.
    fn tell_again(&mut self, spawn: &Spawn) -> bool {
        if let Some(run) = self.apps.find(&spawn.instance).and_then(|key| self.apps.run(key)) {
            if run.report.is_none() {
                let spawned = spawned(run);
                self.push(Push::Spawned(spawned));
            }
            return true;
        }
        let exit = self.exits.iter().find(|exit| exit.instance == spawn.instance);
        let Some(exit) = exit.cloned() else {
            return false;
        };
        self.push(Push::Spawned(Spawned {
            app: exit.app.clone(),
            instance: exit.instance.clone(),
            pid: exit.pid,
            started_at_ms: exit.started_at_ms,
            not_in_force: Vec::new(),
        }));
        self.push(Push::Exited(exit));
        true
    }

    /// The app's folders and its output pipe, once a keeper and owner.
    fn make_folders(&mut self, key: Key, spawn: &Spawn) -> Result<(), Errno> {
        let owner = spawn.user.as_ref().map(|user| (user.uid, user.gid));
        let Some(slot) = self.apps.slot(key) else {
            return Err(Errno::NOENT);
        };
        if slot.output.is_none() || slot.owner != owner {
            let pipe = make_folders(self.handover.apps_folder(), &spawn.app, owner)?;
            if slot.output.is_none() {
                self.watch_output(key, Output::new(&spawn.app, pipe, spawn.logs))?;
            }
            if let Some(slot) = self.apps.slot_mut(key) {
                slot.owner = owner;
            }
        }
        if let Some(output) = self.apps.slot_mut(key).and_then(|slot| slot.output.as_mut()) {
            output.begin(
                &spawn.instance,
                spawn.logs,
                self.handover.apps_folder(),
                &mut self.scratch,
            );
        }
        Ok(())
    }

    /// Makes and limits the app's groups, unless they are already as they should be.
    fn enter_groups(&mut self, key: Key, spawn: &Spawn) -> Result<Entrance, SpawnFault> {
        let open_files_fault = self.open_files_fault(spawn);
        let Some(slot) = self.apps.slot_mut(key) else {
            return Ok(Entrance::default());
        };
        if slot.is_group_spent {
            // Somebody who escaped an earlier keeper may still hold the app's port.
            if slot.groups.is_empty() == Some(false) {
                slot.groups.kill();
            }
            slot.is_group_spent = !self.groups.remove(&spawn.app);
            slot.limits = None;
        }
        let set = slot.limits.as_ref().map(|(limits, _)| *limits);
        if set != Some(spawn.limits) {
            let (groups, faults) = self.groups.prepare(&spawn.app, &spawn.limits, set.as_ref());
            slot.groups = groups;
            slot.limits = Some((spawn.limits, faults));
        }
        let faults = slot.limits.iter().flat_map(|(_, faults)| faults.clone());
        let faults: Vec<_> = faults.chain(open_files_fault).collect();
        if spawn.enforce == Enforce::Strict && !faults.is_empty() {
            return Err(SpawnFault::Limits { faults });
        }
        if self.births_into_groups && !slot.is_group_spent {
            Ok(slot.groups.entrance())
        } else {
            Ok(slot.groups.entrance_by_joining())
        }
    }

    /// How a child gets into the groups of a running app.
    pub fn entrance(&self, key: Key) -> Entrance {
        let slot = self.apps.slot(key);
        if self.births_into_groups && slot.is_some_and(|slot| !slot.is_group_spent) {
            slot.map(|slot| slot.groups.entrance()).unwrap_or_default()
        } else {
            self.entrance_by_joining(key)
        }
    }

    /// The same where none can be born into them.
    pub fn entrance_by_joining(&self, key: Key) -> Entrance {
        let slot = self.apps.slot(key);
        slot.map(|slot| slot.groups.entrance_by_joining())
            .unwrap_or_default()
    }

    /// Enters a child into the tables.
    fn note(&mut self, key: Key, spawn: &Spawn, born: Born, wanted: Wanted, faults: Vec<LimitFault>) {
        let pid = born.pid.as_raw_nonzero().get();
        let uid = spawn
            .user
            .as_ref()
            .map_or_else(|| rustix::process::geteuid().as_raw(), |user| user.uid);
        let slot = self.apps.slot(key);
        let oom_kills_before = slot.filter(|_| spawn.limits.memory_bytes.is_some());
        let oom_kills_before = oom_kills_before
            .and_then(|slot| slot.groups.oom_kills())
            .unwrap_or(0);
        let mut not_in_force = slot
            .and_then(|slot| slot.limits.as_ref())
            .map(|(_, faults)| faults.clone())
            .unwrap_or_default();
        not_in_force.extend(self.open_files_fault(spawn));
        not_in_force.extend(faults);
        let record = StartRecord {
            app: spawn.app.clone(),
            instance: spawn.instance.clone(),
            pid,
            // A child that is not reaped has an entry, if it is a zombie by now.
            start_ticks: ProcStat::of(pid).map_or(0, |stat| stat.start_ticks),
            boot_id: self.boot_id.clone(),
            uid,
            started_at_ms: epoch_ms(),
            stop_signal: spawn.stop_signal,
            stop_grace_ms: spawn.stop_grace_ms,
            logs: spawn.logs,
            not_in_force,
            label: spawn.label.clone(),
            notify: spawn.notify,
        };
        let run = Run {
            record,
            pidfd: born.pidfd,
            is_adopted: false,
            has_lost_orphans: self.is_thread(),
            report: Some(born.report),
            launching: Some(born.launching),
            failed: None,
            wanted,
            is_asked: false,
            is_killed: false,
            kill_at: None,
            oom_kills_before,
            ended: None,
        };
        self.apps.begin(key, run);
    }

    /// Reads what the child of `key` reported, if it has: its program runs, or a step failed.
    pub fn read_report(&mut self, key: Key) {
        let Some(run) = self.apps.run_mut(key) else {
            return;
        };
        let Some(report) = &run.report else {
            return;
        };
        let mut bytes = [0u8; 16];
        let count = match rustix::io::read(report, &mut bytes) {
            Ok(count) => count,
            Err(Errno::AGAIN | Errno::INTR) => return,
            Err(_) => 0,
        };
        if let Some(report) = self.apps.run_mut(key).and_then(|run| run.report.take()) {
            self.unwatch(report.as_fd());
        }
        let said = spawn::read_report(bytes.get(..count).unwrap_or_default());
        let Some(run) = self.apps.run_mut(key) else {
            return;
        };
        // The child has left the keeper's memory, by exec or for good.
        let launching = run.launching.take();
        let came_to_exec = launching
            .as_ref()
            .is_none_or(|launching| launching.came_to_exec());
        // Neither a word nor an exec: somebody killed it on the way.
        let killed = (!came_to_exec).then_some((SpawnStep::Exec, libc::EINTR));
        run.failed = run.failed.or(said).or(killed);
        if run.failed.is_none() {
            // Names for errors of the start: there were none.
            run.wanted = Wanted::default();
            let spawned = spawned(run);
            self.push(Push::Spawned(spawned));
        }
        if let Some(launching) = launching {
            self.apps.launching_count -= 1;
            self.handover.take_back(launching);
        }
    }

    /// The child whose start failed is reaped.
    pub fn start_failed(&mut self, key: Key, (step, errno): (SpawnStep, i32)) {
        let Some(run) = self.apps.end(key) else {
            return;
        };
        if step.is_of_the_sandbox() {
            // It was there before: looked for anew at the next start.
            self.sandbox_means = None;
        }
        if let Some(slot) = self.apps.slot_mut(key) {
            // Somebody removed what was there: the next start makes it anew.
            slot.limits = None;
            slot.owner = Some((u32::MAX, u32::MAX));
        }
        let wanted = run.wanted;
        let path = match step {
            SpawnStep::Exec => wanted.program,
            SpawnStep::WorkingDir => wanted.working_dir,
            SpawnStep::User => wanted.user,
            SpawnStep::OpenFiles => wanted.open_files,
            SpawnStep::Streams => format!("apps/{}/{PIPE}", run.record.app),
            _ => run.record.app.to_string(),
        };
        let instance = run.record.instance.clone();
        // It never ran, so a failure to write this costs the next keeper a look at a process that is not there.
        let _ = self.append_records(&[Record::Acknowledged { instance }]);
        self.push(Push::SpawnFailed {
            app: run.record.app,
            instance: run.record.instance,
            fault: SpawnFault::System { step, path, errno },
        });
    }
}

fn spawned(run: &Run) -> Spawned {
    Spawned {
        app: run.record.app.clone(),
        instance: run.record.instance.clone(),
        pid: run.record.pid.unsigned_abs(),
        started_at_ms: run.record.started_at_ms,
        not_in_force: run.record.not_in_force.clone(),
    }
}

pub(super) fn system(step: SpawnStep, path: &str, error: Errno) -> SpawnFault {
    SpawnFault::System {
        step,
        path: path.to_owned(),
        errno: error.raw_os_error(),
    }
}

/// Makes `apps/NAME`, `apps/NAME/data` for its user alone, and the output pipe; opens the pipe to read.
fn make_folders(apps: BorrowedFd<'_>, app: &AppName, owner: Option<(u32, u32)>) -> Result<OwnedFd, Errno> {
    let searchable = Mode::RWXU | Mode::XGRP | Mode::XOTH;
    let folder = app.as_str();
    make(rustix::fs::mkdirat(apps, folder, searchable))?;
    let data = format!("{folder}/data");
    make(rustix::fs::mkdirat(apps, data.as_str(), Mode::RWXU))?;
    let pipe = open_pipe(apps, app)?;
    if let Some((uid, gid)) = owner {
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        rustix::fs::chownat(apps, data.as_str(), uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        // So that the app can open /dev/stdout, which leads here.
        rustix::fs::fchown(&pipe, uid, gid)?;
    }
    Ok(pipe)
}

/// Opens the output pipe of `app`, made if it is not there.
///
/// # Errors
/// When the folder is missing, or what has the pipe's name is none.
pub fn open_pipe(apps: BorrowedFd<'_>, app: &AppName) -> Result<OwnedFd, Errno> {
    let path = pipe_path(app);
    make(rustix::fs::mkfifoat(apps, path.as_str(), Mode::RUSR | Mode::WUSR))?;
    // Both ways: with a writer of its own the keeper never reads an end when the app is between two runs.
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let pipe = rustix::fs::openat(apps, path.as_str(), flags, Mode::empty())?;
    let kind = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&pipe)?.st_mode);
    if kind == rustix::fs::FileType::Fifo {
        Ok(pipe)
    } else {
        Err(Errno::EXIST)
    }
}

/// Where the output pipe of `app` is, seen from the folder of all apps.
#[must_use]
pub fn pipe_path(app: &AppName) -> String {
    format!("{app}/{PIPE}")
}

pub(super) fn make(made: Result<(), Errno>) -> Result<(), Errno> {
    match made {
        Err(Errno::EXIST) => Ok(()),
        made => made,
    }
}

/// The paths to try for `program`, as `execvp` does.
pub(super) fn paths(program: &str, environment: &[(String, String)]) -> Result<Vec<CString>, SpawnFault> {
    if program.contains('/') {
        return Ok(vec![text(program)?]);
    }
    let path = environment
        .iter()
        .find(|(name, _)| name == "PATH")
        .map_or("", |(_, value)| value);
    let folders = path.split(':').filter(|folder| !folder.is_empty());
    folders
        .map(|folder| text(&format!("{folder}/{program}")))
        .collect()
}

pub(super) fn text(text: &str) -> Result<CString, SpawnFault> {
    CString::new(text).map_err(|_| nul())
}

pub(super) fn nul() -> SpawnFault {
    SpawnFault::Malformed {
        why: "a NUL byte stands in the command, the environment or the working directory".into(),
    }
}
