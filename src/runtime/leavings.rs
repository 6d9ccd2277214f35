//! What removed apps leave on the node: their folders are kept for seven days, in case they come back, and then removed.
//!
//! The seven days are counted by a clock that nobody sets: the time since the machine started, suspended or not. Time
//! between two boots does not count, because only the wall clock knows of it, and that one may be wrong by years. So a
//! folder is kept for at least seven days of a running machine, however clocks jump; never less, sometimes longer.
//!
//! [`Leavings`] is what must be remembered, a plain value; [`folders`] does what it says on the disk.

pub mod folders;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::names::AppName;

/// How long the folders of a removed app are kept (SPEC_FORMAT.md, "Running").
pub const KEPT_FOR: Duration = Duration::from_secs(7 * 86_400);

/// A time on the clock that nobody sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Which start of the machine it counts from.
    pub boot: String,
    /// Milliseconds since then.
    pub ms: u64,
}

impl Moment {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let clock = rustix::time::ClockId::Boottime;
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let clock = rustix::time::ClockId::Monotonic;
        let now = rustix::time::clock_gettime(clock);
        let ms = now.tv_sec.unsigned_abs().saturating_mul(1_000) + now.tv_nsec.unsigned_abs() / 1_000_000;
        Self { boot: boot(), ms }
    }
}

/// Names this start of the machine. Where the system does not tell, each process counts for itself.
fn boot() -> String {
    let told = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    told.map_or_else(
        |_| format!("process {}", std::process::id()),
        |boot| boot.trim().to_owned(),
    )
}

/// The removed apps whose folders are kept, and how much longer. Survives the daemon in its store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Leavings {
    /// Which boot [`Self::seen_ms`] belongs to.
    boot: String,
    /// When time was taken off last.
    seen_ms: u64,
    /// What is left of each app's time.
    left_ms: BTreeMap<AppName, u64>,
}

impl Leavings {
    /// Takes off what has passed since it was last told the time.
    pub fn advance(&mut self, now: &Moment) {
        if self.boot == now.boot {
            let passed = now.ms.saturating_sub(self.seen_ms);
            for left in self.left_ms.values_mut() {
                *left = left.saturating_sub(passed);
            }
        }
        now.boot.clone_into(&mut self.boot);
        self.seen_ms = now.ms;
    }

    /// An app has left: its folders are kept from now on for so long. Does nothing if they are kept already.
    pub fn keep(&mut self, app: AppName, time: Duration) {
        let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.left_ms.entry(app).or_insert(time);
    }

    /// Is this one of them?
    #[must_use]
    pub fn holds(&self, app: &AppName) -> bool {
        self.left_ms.contains_key(app)
    }

    /// How much of its time an app has left.
    #[must_use]
    pub fn time_left(&self, app: &AppName) -> Option<Duration> {
        self.left_ms.get(app).copied().map(Duration::from_millis)
    }

    /// The app is back, or nothing of it is there any more.
    pub fn let_go(&mut self, app: &AppName) {
        self.left_ms.remove(app);
    }

    /// Keeps in mind only those of which `is_there` says that there is something.
    pub fn retain(&mut self, is_there: impl Fn(&AppName) -> bool) {
        self.left_ms.retain(|app, _| is_there(app));
    }

    /// Those whose time is over.
    #[must_use]
    pub fn expired(&self) -> Vec<AppName> {
        let over = self.left_ms.iter().filter(|(_, left)| **left == 0);
        over.map(|(app, _)| app.clone()).collect()
    }

    /// When the next one's time is over.
    #[must_use]
    pub fn next(&self) -> Option<Duration> {
        self.left_ms.values().min().copied().map(Duration::from_millis)
    }

    /// Is there nothing to remember?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.left_ms.is_empty()
    }
}

#[cfg(test)]
mod tests;
