//! A clock that never jumps: the wall's time at its start, and from there on monotonic.

use std::time::Duration;

use tokio::time::Instant;

/// Milliseconds since the epoch that never go back and never leap, whatever happens to the wall clock.
///
/// It follows tokio's time, so that a test can pause it.
#[derive(Debug, Clone, Copy)]
pub struct SteadyClock {
    origin: Instant,
    origin_ms: u64,
}

impl SteadyClock {
    /// A clock that begins with the wall's time.
    #[must_use]
    pub fn new() -> Self {
        Self {
            origin: Instant::now(),
            origin_ms: crate::clock::now_ms(),
        }
    }

    /// Now, in milliseconds since the epoch.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        let elapsed_ms = u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.origin_ms.saturating_add(elapsed_ms)
    }

    /// When it will be `at_ms`.
    #[must_use]
    pub fn instant_of(&self, at_ms: u64) -> Instant {
        self.origin + Duration::from_millis(at_ms.saturating_sub(self.origin_ms))
    }
}

impl Default for SteadyClock {
    fn default() -> Self {
        Self::new()
    }
}
