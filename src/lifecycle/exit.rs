//! How an instance of an app ended.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How an instance ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Code, signal or reason.
    pub how: ExitKind,
    /// The kernel killed it for its memory.
    pub is_out_of_memory: bool,
    /// Its stop signal was not heeded and KILL followed.
    pub was_killed_after_grace: bool,
    /// Milliseconds since the epoch.
    pub at_ms: u64,
}

impl Exit {
    /// Did it end as a program does that is done?
    #[must_use]
    pub fn is_normal(&self) -> bool {
        matches!(self.how, ExitKind::Code(0) | ExitKind::Finished)
    }
}

/// Code, signal or reason of an end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitKind {
    /// The process ended with this code.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
    /// An embedded app is done.
    Finished,
    /// An embedded app crashed.
    Crashed(String),
    /// It ended while nobody who could know looked (its keeper was gone). Counts as abnormal.
    Unknown,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.how {
            ExitKind::Code(code) => write!(f, "exit {code}")?,
            ExitKind::Signal(signal) => write!(f, "signal {signal}")?,
            ExitKind::Finished => f.write_str("finished")?,
            ExitKind::Crashed(reason) => write!(f, "crashed: {reason}")?,
            ExitKind::Unknown => f.write_str("an unknown status (nobody was there to see it)")?,
        }
        if self.is_out_of_memory {
            f.write_str(" (out of memory)")?;
        }
        Ok(())
    }
}
