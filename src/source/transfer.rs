//! How far a transfer has come, for those who look on.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::status::Progress;

/// Counted by whoever transfers, read by anybody.
#[derive(Debug)]
pub struct Transfer {
    done_bytes: AtomicU64,
    /// [`UNKNOWN`] where the server has not said.
    total_bytes: AtomicU64,
}

const UNKNOWN: u64 = u64::MAX;

impl Default for Transfer {
    fn default() -> Self {
        Self {
            done_bytes: AtomicU64::new(0),
            total_bytes: AtomicU64::new(UNKNOWN),
        }
    }
}

impl Transfer {
    /// So much is there.
    pub fn set_done(&self, bytes: u64) {
        self.done_bytes.store(bytes, Ordering::Relaxed);
    }

    /// So much there will be.
    pub fn set_total(&self, bytes: Option<u64>) {
        self.total_bytes
            .store(bytes.unwrap_or(UNKNOWN), Ordering::Relaxed);
    }

    /// As it is now.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let total = self.total_bytes.load(Ordering::Relaxed);
        Progress {
            done_bytes: self.done_bytes.load(Ordering::Relaxed),
            total_bytes: (total != UNKNOWN).then_some(total),
        }
    }
}
