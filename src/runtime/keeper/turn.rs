//! The keeper's loop: what it waits for, in which order it sees to it, and what has become due.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::time::Timespec;

use super::apps::Key;
use super::launch::BATCH_MAX;
use super::output::Output;
use super::protocol::Push;
use super::spawn::{self, CHILDREN_MAX, KeeperSignal};
use super::state::{Ending, Keeper};

/// How long a keeper without apps and without a daemon waits for either.
const IDLE_FOR: Duration = Duration::from_secs(10);
/// How often drops of output are told.
const TELL_DROPS_EVERY: Duration = Duration::from_secs(1);
/// How long after a start the keeper is quiet enough to give back what starts need.
const QUIET_AFTER: Duration = Duration::from_secs(1);
const EVENTS_MAX: usize = 256;

/// What an event is about, in the kernel's 64 bits: the kind above, the key below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Signals,
    Listener,
    Connection(Key),
    Report(Key),
    Output(Key),
    /// A main process that is watched by its descriptor.
    Watched(Key),
    /// Where an app is heard.
    Ear(Key),
    /// Where the command of a check reports a failure of its start.
    CheckReport(Key),
    /// What the command of a check says.
    CheckOutput(Key),
    /// The command of a check, watched by its descriptor.
    CheckMain(Key),
}

impl Source {
    /// As the kernel keeps it.
    pub(super) fn data(self) -> EventData {
        let (kind, key) = match self {
            Self::Signals => (0, 0),
            Self::Listener => (1, 0),
            Self::Connection(key) => (2, key),
            Self::Report(key) => (3, key),
            Self::Output(key) => (4, key),
            Self::Watched(key) => (5, key),
            Self::Ear(key) => (6, key),
            Self::CheckReport(key) => (7, key),
            Self::CheckOutput(key) => (8, key),
            Self::CheckMain(key) => (9, key),
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
            6 => Self::Ear(key),
            7 => Self::CheckReport(key),
            8 => Self::CheckOutput(key),
            9 => Self::CheckMain(key),
            _ => return None,
        })
    }
}

impl Keeper {
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
                Source::Watched(_) | Source::Report(_) | Source::CheckReport(_) | Source::CheckMain(_) => 1,
                Source::Connection(_) | Source::Listener => 2,
                Source::Output(_) | Source::Ear(_) | Source::CheckOutput(_) => 3,
            });
            for source in sources {
                self.see_to(source);
            }
            let count = self.next_batch();
            if count > 0 {
                self.give_back_at = Some(Instant::now() + QUIET_AFTER);
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
            Source::Ear(key) => self.hear(key),
            Source::CheckReport(key) => self.read_check_report(key),
            Source::CheckOutput(key) => self.read_check_output(key),
            Source::CheckMain(key) => self.check_main_ended(key),
        }
    }

    fn take_signals(&mut self) {
        let Some(signals) = &self.signals else {
            return;
        };
        let taken = spawn::read_signals(signals.as_fd());
        if taken.contains(&KeeperSignal::End) {
            self.end(Ending::LeaveApps);
        }
        if taken.contains(&KeeperSignal::Listen) && !self.is_ending() {
            self.listen_anew();
        }
        // Before their numbers are given away.
        self.end_checks_that_are_done();
        // One signal may stand for many children.
        while let Some(reaped) = spawn::reap() {
            self.child_ended(&reaped);
        }
        self.flush();
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
        let ears = self.listen_again(now);
        let checks = self.kill_overdue_checks(now);
        self.give_back(now);
        let (_, next) = self.apps.due(now);
        let drops = (!self.drops.is_empty()).then(|| self.drops_told_at + TELL_DROPS_EVERY);
        let times = [next, drops, self.give_back_at, ears, checks];
        times.into_iter().flatten().min()
    }

    /// Gives back what starts needed, once all is quiet.
    fn give_back(&mut self, now: Instant) {
        let is_due = self.give_back_at.is_some_and(|at| at <= now);
        if is_due && self.apps.launching_count > 0 {
            self.give_back_at = Some(now + QUIET_AFTER);
        } else if is_due {
            self.give_back_at = None;
            self.handover.let_go();
            spawn::give_back();
        }
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
}
