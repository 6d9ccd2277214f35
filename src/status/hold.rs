//! Why git is not applied to an app by somebody's word, and when that ends.

use serde::{Deserialize, Serialize};

/// When an operator's decision ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Until {
    /// When it is taken back.
    Revoked,
    /// At this time, milliseconds since the epoch.
    At(u64),
    /// At the next reconcile (the original's way with manual changes).
    NextReconcile,
    /// When a commit touches the app.
    Touched,
}

/// Why git is not applied to an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// It was deployed or upgraded by hand.
    Changed(Until),
    /// It was removed by hand.
    Removed(Until),
    /// An operator suspended it.
    Suspended(Until),
    /// An operator suspended the whole node.
    NodeSuspended(Until),
    /// Its spec says so.
    BySpec,
}
