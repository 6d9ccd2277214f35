//! Commands that tell how a running app fares.
//!
//! One is a part of the app that it looks after: it is born into the app's groups, under its limits, with its user and its
//! mark. So whoever sees off the app's tree sees it off too, this keeper or the next one, and it needs no record of its own.
//! If the keeper dies, the kernel kills it (`PR_SET_PDEATHSIG`). It has a session of its own; when it ends, or its time is
//! over, its process group is killed. One runs for an app at a time.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventFlags};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Signal};

use super::apps::Key;
use super::launch::{paths, system, text};
use super::protocol::{CHECK_OUTPUT_BYTES_MAX, Check, CheckEnd, ExitHow, Push, SpawnFault, SpawnStep};
use super::spawn::{self, Launching, Program, Reaped};
use super::state::Keeper;
use super::tree;
use super::turn::Source;
use crate::names::{AppName, InstanceId};

/// Commands at a time, of all apps.
const CHECKS_MAX: usize = 256;
/// The longest time that one may have.
const TIMEOUT_MAX: Duration = Duration::from_secs(3_600);
/// The name of the pipe in an app's folder that one says something to, for the moment of its start.
const PIPE: &str = "check";
/// Reads of its output in one turn.
const READS_IN_A_TURN_MAX: usize = 4;

/// All that run.
#[derive(Debug, Default)]
pub struct Checks {
    running: BTreeMap<Key, RunningCheck>,
    next_key: Key,
}

/// One of them.
#[derive(Debug)]
struct RunningCheck {
    id: InstanceId,
    /// Whom it looks after.
    instance: InstanceId,
    pid: i32,
    start_ticks: u64,
    pidfd: OwnedFd,
    report: Option<OwnedFd>,
    launching: Option<Box<Launching>>,
    failed: Option<(SpawnStep, i32)>,
    program: String,
    working_dir: String,
    output: OwnedFd,
    said: Vec<u8>,
    kill_at: Instant,
    is_overdue: bool,
}

impl Keeper {
    /// Starts `check`; its fate is pushed.
    pub(super) fn begin_check(&mut self, check: Box<Check>) {
        self.end_checks_of(&check.instance);
        if let Err(fault) = self.start_check(&check) {
            let result = Err(fault);
            self.push(Push::Checked { id: check.id, result });
        }
    }

    fn start_check(&mut self, check: &Check) -> Result<(), SpawnFault> {
        if self.is_ending() {
            return Err(SpawnFault::Ending);
        }
        let failed = |error| system(SpawnStep::Fork, check.app.as_str(), error);
        let key = self.apps.find(&check.instance);
        let run = key.and_then(|key| Some((key, self.apps.run(key)?)));
        let is_there = |run: &super::apps::Run| run.report.is_none() && run.ended.is_none();
        let Some((app, _)) = run.filter(|(_, run)| is_there(run)) else {
            return Err(failed(Errno::SRCH));
        };
        if self.checks.running.len() >= CHECKS_MAX {
            return Err(failed(Errno::AGAIN));
        }
        let output = open_pipe(self.handover.apps_folder(), check)
            .map_err(|error| system(SpawnStep::Streams, &pipe_path(&check.app), error))?;
        let born = self.bear_check(app, check);
        let born = born.and_then(|born| match born {
            Ok(born) => Ok(born),
            Err(error) => Err(failed(error)),
        })?;
        // It is a part of what is recorded.
        born.launching.tell(true);
        self.checks.next_key = self.checks.next_key.wrapping_add(1);
        let key = self.checks.next_key;
        let pid = born.pid.as_raw_nonzero().get();
        let timeout = Duration::from_millis(check.timeout_ms).min(TIMEOUT_MAX);
        let running = RunningCheck {
            id: check.id.clone(),
            instance: check.instance.clone(),
            pid,
            start_ticks: super::proc::ProcStat::of(pid).map_or(0, |stat| stat.start_ticks),
            pidfd: born.pidfd,
            report: Some(born.report),
            launching: Some(born.launching),
            failed: None,
            program: check.command.first().cloned().unwrap_or_default(),
            working_dir: check.working_dir.clone(),
            output,
            said: Vec::new(),
            kill_at: Instant::now() + timeout,
            is_overdue: false,
        };
        self.watch_check(key, &running);
        self.checks.running.insert(key, running);
        Ok(())
    }

    /// A descriptor that cannot be waited for is read when the command ends, or its time is over.
    fn watch_check(&self, key: Key, check: &RunningCheck) {
        let report = check.report.as_ref().map(AsFd::as_fd);
        let watched = [
            (report, Source::CheckReport(key)),
            (Some(check.output.as_fd()), Source::CheckOutput(key)),
            (Some(check.pidfd.as_fd()), Source::CheckMain(key)),
        ];
        for (fd, source) in watched {
            let _ = fd.map(|fd| epoll::add(&self.epoll, fd, source.data(), EventFlags::IN));
        }
    }

    fn bear_check(&mut self, app: Key, check: &Check) -> Result<Result<spawn::Born, Errno>, SpawnFault> {
        let entrance = self.entrance(app);
        let group = entrance.birth.as_ref().map(AsFd::as_fd);
        let program = self.check_program(check)?.confined_by(self.confine(check)?.0);
        let born = self.handover.bear(program, group, &entrance.join);
        Ok(match born {
            Err(error) if entrance.birth.is_some() && spawn::is_no_birth(error) => {
                self.births_into_groups = false;
                let entrance = self.entrance_by_joining(app);
                let program = self.check_program(check)?.confined_by(self.confine(check)?.0);
                self.handover.bear(program, None, &entrance.join)
            }
            born => born,
        })
    }

    fn check_program(&self, check: &Check) -> Result<Program, SpawnFault> {
        let program = check.command.first().filter(|program| !program.is_empty());
        let program = program.ok_or_else(|| SpawnFault::Malformed {
            why: "the command is empty".into(),
        })?;
        let texts = |words: &[String]| words.iter().map(|word| text(word)).collect::<Result<Vec<_>, _>>();
        let environment: Vec<String> = check
            .environment
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let data = self.data_dir.join("apps").join(check.app.as_str()).join("data");
        let working_dir = data.join(&check.working_dir).display().to_string();
        let (soft, hard) = self.open_files;
        let open_files = match check.open_files {
            Some(count) => (count.min(hard), count.min(hard)),
            None => (soft, hard),
        };
        Ok(Program {
            paths: paths(program, &check.environment)?,
            arguments: texts(&check.command)?,
            environment: texts(&environment)?,
            working_dir: text(&working_dir)?,
            output: text(&pipe_path(&check.app))?,
            open_files,
            user: check
                .user
                .as_ref()
                .map(|user| (user.uid, user.gid, user.groups.clone())),
            umask: check.umask,
            no_new_privileges: check.no_new_privileges,
            sandbox: None,
            dies_with_keeper: true,
            resets_signals: self.is_thread(),
        })
    }

    /// Reads whether the command runs, or why not.
    pub(super) fn read_check_report(&mut self, key: Key) {
        let Some(check) = self.checks.running.get_mut(&key) else {
            return;
        };
        let Some(report) = &check.report else { return };
        let mut bytes = [0u8; 16];
        let count = match rustix::io::read(report, &mut bytes) {
            Ok(count) => count,
            Err(Errno::AGAIN | Errno::INTR) => return,
            Err(_) => 0,
        };
        check.failed = spawn::read_report(bytes.get(..count).unwrap_or_default());
        let (report, launching) = (check.report.take(), check.launching.take());
        let came_to_exec = launching
            .as_ref()
            .is_none_or(|launching| launching.came_to_exec());
        if check.failed.is_none() && !came_to_exec {
            check.failed = Some((SpawnStep::Exec, libc::EINTR));
        }
        if let Some(report) = report {
            self.unwatch(report.as_fd());
        }
        if let Some(launching) = launching {
            self.handover.take_back(launching);
        }
    }

    /// Takes what the command says. What is beyond the kept is read and forgotten, so that it is not held up.
    pub(super) fn read_check_output(&mut self, key: Key) {
        let Some(check) = self.checks.running.get_mut(&key) else {
            return;
        };
        for _ in 0..READS_IN_A_TURN_MAX {
            match rustix::io::read(&check.output, &mut self.read_buffer[..]) {
                Ok(0) => {
                    // Nobody is left who could say anything: the end comes by another way.
                    let _ = epoll::delete(&self.epoll, &check.output);
                    return;
                }
                Ok(count) => {
                    let room = CHECK_OUTPUT_BYTES_MAX.saturating_sub(check.said.len());
                    let said = self.read_buffer.get(..count.min(room)).unwrap_or_default();
                    check.said.extend_from_slice(said);
                }
                Err(_) => return,
            }
        }
    }

    /// Ends those whose main process has ended, while its number is still its own. Before any child is reaped.
    pub(super) fn end_checks_that_are_done(&mut self) {
        let is_done = |check: &RunningCheck| {
            let mut looked = [rustix::event::PollFd::from_borrowed_fd(
                check.pidfd.as_fd(),
                rustix::event::PollFlags::IN,
            )];
            let at_once = rustix::time::Timespec::default();
            rustix::event::poll(&mut looked, Some(&at_once)).is_ok_and(|count| count > 0)
        };
        let checks = self.checks.running.iter();
        let done: Vec<Key> = checks
            .filter(|(_, check)| is_done(check))
            .map(|(key, _)| *key)
            .collect();
        for key in done {
            self.check_main_ended(key);
        }
    }

    /// The main process of a check has ended and is not reaped yet.
    pub(super) fn check_main_ended(&mut self, key: Key) {
        let Some(check) = self.checks.running.get(&key) else {
            return;
        };
        let pid = check.pid;
        kill_group(pid);
        let how = spawn::reap_child(pid).map_or(ExitHow::Unknown, |reaped| reaped.how);
        self.finish_check(key, how);
    }

    /// The main process of a check was reaped before it was seen to: rarely, between two looks.
    pub(super) fn check_was_reaped(&mut self, reaped: &Reaped) {
        let mut checks = self.checks.running.iter();
        let Some((key, check)) = checks.find(|(_, check)| check.pid == reaped.pid) else {
            return;
        };
        let key = *key;
        // Its number may be another's from now on: only what is told by session and descent is killed.
        let root = tree::Root {
            instance: InstanceId::random(),
            pid: check.pid,
            start_ticks: check.start_ticks,
            uid: u32::MAX,
            has_lost_orphans: false,
        };
        tree::kill(&root, super::ending::own_pid(), self.apps.mains());
        self.finish_check(key, reaped.how);
    }

    /// Everything of it has ended: what it said and how it ended is told.
    fn finish_check(&mut self, key: Key, how: ExitHow) {
        self.read_check_report(key);
        self.read_check_output(key);
        let Some(mut check) = self.checks.running.remove(&key) else {
            return;
        };
        self.unwatch(check.output.as_fd());
        self.unwatch(check.pidfd.as_fd());
        if let Some(launching) = check.launching.take() {
            // It is reaped, so it has left the keeper's memory.
            self.handover.take_back(launching);
        }
        let result = match check.failed {
            Some((step, errno)) => {
                let path = if step == SpawnStep::WorkingDir {
                    check.working_dir
                } else {
                    check.program
                };
                Err(SpawnFault::System { step, path, errno })
            }
            None => Ok(CheckEnd {
                how: (!check.is_overdue).then_some(how),
                output: String::from_utf8_lossy(&check.said).into_owned(),
            }),
        };
        self.push(Push::Checked { id: check.id, result });
    }

    /// Kills those whose time is over. When the next one's is.
    pub(super) fn kill_overdue_checks(&mut self, now: Instant) -> Option<Instant> {
        /// One that is stuck in the kernel is killed again.
        const AGAIN_AFTER: Duration = Duration::from_secs(1);
        for check in self
            .checks
            .running
            .values_mut()
            .filter(|check| check.kill_at <= now)
        {
            check.is_overdue = true;
            check.kill_at = now + AGAIN_AFTER;
            kill_check(check);
        }
        self.checks.running.values().map(|check| check.kill_at).min()
    }

    /// Kills the commands that look after this run; their ends follow.
    pub(super) fn end_checks_of(&mut self, instance: &InstanceId) {
        let checks = self.checks.running.values_mut();
        for check in checks.filter(|check| check.instance == *instance) {
            check.is_overdue = true;
            kill_check(check);
        }
    }
}

fn kill_check(check: &RunningCheck) {
    let _ = rustix::process::pidfd_send_signal(&check.pidfd, Signal::KILL);
    // It is in the table, so it is not reaped, and its number is its own.
    kill_group(check.pid);
}

/// The group of a child that is the leader of its session, and not reaped yet.
fn kill_group(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    }
}

/// The pipe that the command's start finds by its name; opened to read.
fn open_pipe(apps: BorrowedFd<'_>, check: &Check) -> Result<OwnedFd, Errno> {
    let path = pipe_path(&check.app);
    match rustix::fs::unlinkat(apps, path.as_str(), AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error),
    }
    rustix::fs::mkfifoat(apps, path.as_str(), Mode::RUSR | Mode::WUSR)?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::openat(apps, path.as_str(), flags, Mode::empty())
}

fn pipe_path(app: &AppName) -> String {
    format!("{app}/{PIPE}")
}
