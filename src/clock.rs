//! The wall clock, for what people read and what outlives the daemon. Intervals and windows use monotonic time instead.

use std::time::{SystemTime, UNIX_EPOCH};

pub use crate::status::time::rfc3339;

/// Milliseconds since the epoch.
#[must_use]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
