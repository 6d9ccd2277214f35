//! How the keeper hands a child what it needs: a few low descriptors, and memory that stays until the child has left.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::AtomicU32;
use std::time::Instant;

use rustix::io::Errno;
use rustix::process::Pid;

use super::birth::{bear, can_unshare};
use super::stack::Stack;
use super::{BORN, CHILD_FDS_MAX, CHILDREN_MAX, Launching, Program, READY_WITHIN, StringArray, read_report};
use crate::runtime::keeper::protocol::SpawnStep;

/// A child that waits for its go.
#[derive(Debug)]
pub struct Born {
    /// Its process id.
    pub pid: Pid,
    /// Names it for good.
    pub pidfd: OwnedFd,
    /// Where it reports a failure.
    pub report: OwnedFd,
    /// What it reads.
    pub launching: Box<Launching>,
}

/// Places among the lowest descriptors through which the keeper hands things to a child.
#[derive(Debug)]
pub struct Handover {
    dev_null: OwnedFd,
    apps_folder: OwnedFd,
    report: OwnedFd,
    groups: Vec<OwnedFd>,
    ruleset: OwnedFd,
    keeper: i32,
    pub(super) shares_descriptors: bool,
    /// Stacks that no child uses now.
    stacks: Vec<Stack>,
    /// [`bear`], but for tests of what it falls back to.
    pub(super) bear: Bear,
}

pub(super) type Bear = fn(&Launching, Option<BorrowedFd<'_>>) -> Result<(Pid, OwnedFd), Errno>;

/// A process joins a group of version 2 and three of version 1 at most.
const GROUPS_MAX: usize = 4;

impl Handover {
    /// Reserves the places. To be called while few descriptors are open.
    ///
    /// # Errors
    /// When no more descriptors may be opened.
    pub fn new(dev_null: OwnedFd, apps_folder: OwnedFd) -> Result<Self, Errno> {
        let place = || rustix::io::fcntl_dupfd_cloexec(&dev_null, 3);
        let report = place()?;
        let groups: Vec<OwnedFd> = (0..GROUPS_MAX).map(|_| place()).collect::<Result<_, _>>()?;
        let ruleset = place()?;
        let is_low = |fd: &OwnedFd| u32::try_from(fd.as_raw_fd()).is_ok_and(|fd| fd < CHILD_FDS_MAX);
        let are_low = groups
            .iter()
            .chain([&report, &ruleset, &dev_null, &apps_folder])
            .all(is_low);
        Ok(Self {
            keeper: rustix::process::getpid().as_raw_nonzero().get(),
            shares_descriptors: are_low && can_unshare(),
            report,
            groups,
            ruleset,
            dev_null,
            apps_folder,
            stacks: Vec::new(),
            bear,
        })
    }

    /// The folder of all apps.
    #[must_use]
    pub fn apps_folder(&self) -> BorrowedFd<'_> {
        self.apps_folder.as_fd()
    }

    /// Bears a child for `program`, into the version 2 group `group` if one is given; it joins the groups whose
    /// `cgroup.procs` are in `join` by itself, then waits for its go.
    ///
    /// # Errors
    /// When no process can be made; [`is_no_birth`] tells whether only `group` stands in the way.
    pub fn bear(
        &mut self,
        program: Program,
        group: Option<BorrowedFd<'_>>,
        join: &[OwnedFd],
    ) -> Result<Born, Errno> {
        let (report, report_write) =
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK)?;
        let ruleset = program
            .sandbox
            .as_ref()
            .and_then(|sandbox| sandbox.ruleset.as_ref());
        self.place(&report_write, join, ruleset.map(AsFd::as_fd))?;
        drop(report_write);
        let stack = self.stacks.pop().map_or_else(Stack::new, Ok)?;
        let launching = Box::new(self.launching(program, join.len(), stack));
        let born = (self.bear)(&launching, group).and_then(|(pid, pidfd)| {
            if launching.wait_ready(pidfd.as_fd()) {
                return Ok((pid, pidfd));
            }
            // Dead, or stopped by somebody: it must not see what the places hold next. What it reads stays for good.
            let _ = rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::KILL);
            Err(Errno::CHILD)
        });
        self.clear();
        match born {
            Ok((pid, pidfd)) => Ok(Born {
                pid,
                pidfd,
                report,
                launching,
            }),
            Err(error) => {
                if error == Errno::CHILD {
                    Box::leak(launching);
                }
                Err(error)
            }
        }
    }

    /// Bears a child that goes the whole way of `program` and leaves before its last step. To be used where no other
    /// child can tell whether this machine gives what is asked for.
    ///
    /// # Errors
    /// The step that failed, with its error number.
    pub fn try_out(&mut self, program: Program) -> Result<(), (SpawnStep, i32)> {
        let fork = |error: Errno| (SpawnStep::Fork, error.raw_os_error());
        let born = self.bear(program, None, &[]).map_err(fork)?;
        born.launching.tell(false);
        if !wait_for_end(&born.pidfd) {
            Self::abandon(born);
            return Err(fork(Errno::TIMEDOUT));
        }
        let mut bytes = [0; 16];
        let count = rustix::io::read(&born.report, &mut bytes).unwrap_or(0);
        let said = read_report(bytes.get(..count).unwrap_or_default());
        let _ = super::reap_child(born.pid.as_raw_nonzero().get());
        self.take_back(born.launching);
        match said {
            Some((SpawnStep::Record, libc::ECANCELED)) => Ok(()),
            Some(failed) => Err(failed),
            None => Err((SpawnStep::Fork, libc::EINTR)),
        }
    }

    /// Ends a child that cannot be kept. What it reads stays for good: it may still be on its way.
    pub fn abandon(born: Born) {
        let _ = rustix::process::pidfd_send_signal(&born.pidfd, rustix::process::Signal::KILL);
        Box::leak(born.launching);
    }

    /// Forgets the stacks that are kept for the next children.
    pub fn let_go(&mut self) {
        self.stacks = Vec::new();
    }

    /// Takes back what a child read, which has left.
    pub fn take_back(&mut self, launching: Box<Launching>) {
        if self.stacks.len() < CHILDREN_MAX {
            self.stacks.push(launching.stack);
        }
    }

    fn place(
        &mut self,
        report: &OwnedFd,
        join: &[OwnedFd],
        ruleset: Option<BorrowedFd<'_>>,
    ) -> Result<(), Errno> {
        let cloexec = rustix::io::DupFlags::CLOEXEC;
        rustix::io::dup3(report, &mut self.report, cloexec)?;
        for (group, place) in join.iter().zip(&mut self.groups) {
            rustix::io::dup3(group, place, cloexec)?;
        }
        if let Some(ruleset) = ruleset {
            rustix::io::dup3(ruleset, &mut self.ruleset, cloexec)?;
        }
        Ok(())
    }

    /// Closes what was handed over: the report pipe must have no end but the child's.
    fn clear(&mut self) {
        let cloexec = rustix::io::DupFlags::CLOEXEC;
        let _ = rustix::io::dup3(&self.dev_null, &mut self.report, cloexec);
        for place in &mut self.groups {
            let _ = rustix::io::dup3(&self.dev_null, place, cloexec);
        }
        let _ = rustix::io::dup3(&self.dev_null, &mut self.ruleset, cloexec);
    }

    fn launching(&self, mut program: Program, groups_count: usize, stack: Stack) -> Launching {
        let take = |texts: &mut Vec<CString>| StringArray::new(std::mem::take(texts));
        let sandbox = program.sandbox.as_ref();
        let has_ruleset = sandbox.is_some_and(|sandbox| sandbox.ruleset.is_some());
        Launching {
            status: AtomicU32::new(BORN),
            keeper: self.keeper,
            shares_descriptors: self.shares_descriptors,
            paths: take(&mut program.paths),
            arguments: take(&mut program.arguments),
            environment: take(&mut program.environment),
            ruleset: has_ruleset.then(|| self.ruleset.as_raw_fd()),
            program,
            dev_null: self.dev_null.as_raw_fd(),
            apps_folder: self.apps_folder.as_raw_fd(),
            report: self.report.as_raw_fd(),
            groups: self
                .groups
                .iter()
                .take(groups_count)
                .map(AsRawFd::as_raw_fd)
                .collect(),
            stack,
        }
    }
}

/// Waits until the process of this descriptor has ended. False when it takes too long.
fn wait_for_end(pidfd: &OwnedFd) -> bool {
    let begun = Instant::now();
    loop {
        let left = READY_WITHIN.saturating_sub(begun.elapsed());
        let left = rustix::time::Timespec::try_from(left).unwrap_or_default();
        let mut looked = [rustix::event::PollFd::new(pidfd, rustix::event::PollFlags::IN)];
        match rustix::event::poll(&mut looked, Some(&left)) {
            Err(Errno::INTR) => {}
            polled => return polled.is_ok_and(|count| count > 0),
        }
    }
}
