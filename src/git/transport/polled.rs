//! Blocking reads and writes that end: each waits with `poll` for its descriptor, the cancellation and the deadline.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::git::watch::Watch;

/// A descriptor in non-blocking mode under a [`Watch`].
pub(super) struct Polled<F> {
    inner: F,
    watch: Arc<Watch>,
}

impl<F: AsFd> Polled<F> {
    pub(super) fn new(inner: F, watch: Arc<Watch>) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&inner, true)?;
        Ok(Self { inner, watch })
    }

    fn wait(&self, flags: PollFlags, step: &'static str) -> io::Result<()> {
        let wait = self.watch.idle_wait();
        match ready(&self.inner, flags, &self.watch, wait)? {
            true => Ok(()),
            false => Err(self.watch.timed_out(step, wait)),
        }
    }
}

/// Waits until `fd` is ready (true) or `wait` has passed (false).
///
/// # Errors
/// When the operation was cancelled, or `poll` fails.
pub(super) fn ready(fd: &impl AsFd, flags: PollFlags, watch: &Watch, wait: Duration) -> io::Result<bool> {
    let until = Instant::now() + wait;
    loop {
        if watch.is_cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).unwrap_or(Timespec {
            tv_sec: 1,
            tv_nsec: 0,
        });
        let mut fds = [PollFd::new(fd, flags), PollFd::new(watch.wakeup(), PollFlags::IN)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(0) => return Ok(false),
            Ok(_) => {
                let [fd, _] = &fds;
                if !fd.revents().is_empty() {
                    return Ok(true);
                }
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

impl<F: AsFd + Read> Read for Polled<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.inner.read(buffer) {
                Ok(count) => {
                    self.watch.received(count)?;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait(PollFlags::IN, "no data came")?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl<F: AsFd + Write> Write for Polled<F> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        loop {
            match self.inner.write(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait(PollFlags::OUT, "no data was taken")?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
