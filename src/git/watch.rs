//! One operation under observation: its deadlines, its budget of bytes, its cancellation, and the first thing that went
//! wrong with it.
//!
//! gix reports what it makes of a failed read; what really happened (a timeout, a 401, a host key) is known only to
//! the transport that met it. The transport notes it here, and whoever started the operation reports it from here.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::error::GitError;
use super::settings::GitSettings;
use crate::repo_url::{ProxyUrl, RepoUrl};

/// The most that a server may send before the pack: capabilities and references (a million take about 60 MB).
const REFS_BYTES_MAX: u64 = 64 << 20;

/// Watches over one operation. Shared between the thread that carries it out and the future that waits for it.
pub(super) struct Watch {
    pub(super) url: RepoUrl,
    /// What stands between us and the server.
    pub(super) proxy: Option<ProxyUrl>,
    started_at: Instant,
    connect: Duration,
    idle: Duration,
    total: Duration,
    bytes_left: AtomicU64,
    bytes_limit: AtomicU64,
    what: Mutex<&'static str>,
    /// gix looks at it while it indexes a pack.
    pub(super) interrupted: AtomicBool,
    notify: Notify,
    wakeup: io::PipeReader,
    wakeup_writer: Mutex<Option<io::PipeWriter>>,
    failure: Mutex<Option<GitError>>,
    runtime: tokio::runtime::Handle,
}

impl Watch {
    /// Starts the clock. To be called within a tokio runtime, whose timers and sockets the operation uses.
    ///
    /// # Errors
    /// When the process has no descriptors left.
    pub(super) fn start(settings: &GitSettings) -> Result<Self, GitError> {
        let (wakeup, writer) =
            io::pipe().map_err(|error| GitError::io("open", std::path::Path::new("a pipe"), &error))?;
        Ok(Self {
            url: settings.url.clone(),
            proxy: settings.proxy.clone(),
            started_at: Instant::now(),
            connect: settings.deadlines.connect,
            idle: settings.deadlines.idle,
            total: settings.deadlines.total,
            bytes_left: AtomicU64::new(REFS_BYTES_MAX),
            bytes_limit: AtomicU64::new(REFS_BYTES_MAX),
            what: Mutex::new("references"),
            interrupted: AtomicBool::new(false),
            notify: Notify::new(),
            wakeup,
            wakeup_writer: Mutex::new(Some(writer)),
            failure: Mutex::new(None),
            runtime: tokio::runtime::Handle::current(),
        })
    }

    /// A conversation begins anew: references come first.
    pub(super) fn expect_references(&self) {
        self.expect("references", REFS_BYTES_MAX);
    }

    /// From now on a pack comes: its budget replaces that of the references.
    pub(super) fn expect_pack(&self, bytes_max: u64) {
        self.expect("a pack", bytes_max);
    }

    fn expect(&self, what: &'static str, bytes_max: u64) {
        if let Ok(mut expected) = self.what.lock() {
            *expected = what;
        }
        self.bytes_limit.store(bytes_max, Ordering::Relaxed);
        self.bytes_left.store(bytes_max, Ordering::Relaxed);
    }

    /// Ends the operation from outside. Every wait in it returns at once.
    pub(super) fn cancel(&self, why: GitError) {
        self.fail(why);
        self.interrupted.store(true, Ordering::SeqCst);
        // A closed pipe wakes whoever polls its other end, now and ever after.
        if let Ok(mut writer) = self.wakeup_writer.lock() {
            writer.take();
        }
        self.notify.notify_waiters();
        self.notify.notify_one();
    }

    /// Ends the operation because its deadline has passed.
    pub(super) fn total_passed(&self) {
        self.cancel(GitError::TimedOut {
            url: self.url.clone(),
            step: "the whole operation took",
            after: self.total,
        });
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.interrupted.load(Ordering::SeqCst)
    }

    /// Waits for `work` on the operation's own thread, for at most `wait` and no longer than the operation lives.
    ///
    /// # Errors
    /// When it was cancelled, or `step` took too long.
    pub(super) fn block_on<T>(
        &self,
        wait: Duration,
        step: &'static str,
        work: impl Future<Output = T>,
    ) -> io::Result<T> {
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.cancelled() => Err(io::Error::other("cancelled")),
                done = tokio::time::timeout(wait, work) => done.map_err(|_| self.timed_out(step, wait)),
            }
        })
    }

    /// Resolves once the operation is cancelled.
    async fn cancelled(&self) {
        while !self.is_cancelled() {
            let notified = self.notify.notified();
            if self.is_cancelled() {
                return;
            }
            notified.await;
        }
    }

    /// Becomes readable once the operation is cancelled.
    #[cfg(unix)]
    pub(super) fn wakeup(&self) -> &io::PipeReader {
        &self.wakeup
    }

    /// Notes the first thing that went wrong; later ones are its consequences.
    pub(super) fn fail(&self, error: GitError) -> io::Error {
        let text = error.to_string();
        if let Ok(mut failure) = self.failure.lock() {
            failure.get_or_insert(error);
        }
        io::Error::other(text)
    }

    /// What went wrong first, if the transport knows it.
    pub(super) fn failure(&self) -> Option<GitError> {
        self.failure.lock().ok().and_then(|failure| failure.clone())
    }

    /// The deadline of a whole operation.
    pub(super) fn total(&self) -> Duration {
        self.total
    }

    /// How long to wait for a connection, within the total.
    pub(super) fn connect_wait(&self) -> Duration {
        self.connect.min(self.remaining())
    }

    /// How long to wait for the next bytes, within the total.
    pub(super) fn idle_wait(&self) -> Duration {
        self.idle.min(self.remaining())
    }

    fn remaining(&self) -> Duration {
        self.total.saturating_sub(self.started_at.elapsed())
    }

    /// The wait for `step` was in vain.
    pub(super) fn timed_out(&self, step: &'static str, waited: Duration) -> io::Error {
        let error = if self.remaining().is_zero() {
            GitError::TimedOut {
                url: self.url.clone(),
                step: "the whole operation took",
                after: self.total,
            }
        } else {
            GitError::TimedOut {
                url: self.url.clone(),
                step,
                after: waited,
            }
        };
        self.fail(error)
    }

    /// Counts bytes that came.
    ///
    /// # Errors
    /// When the budget is used up.
    pub(super) fn received(&self, count: usize) -> io::Result<()> {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let before = self.bytes_left.fetch_sub(count, Ordering::Relaxed);
        if before >= count {
            return Ok(());
        }
        self.bytes_left.store(0, Ordering::Relaxed);
        Err(self.fail(GitError::TooMuch {
            url: self.url.clone(),
            what: self.what.lock().map_or("data", |what| *what),
            limit_bytes: self.bytes_limit.load(Ordering::Relaxed),
        }))
    }
}
