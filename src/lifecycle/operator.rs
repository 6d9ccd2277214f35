//! What an operator does to an app by hand, and why it could not be done.

use crate::names::AppName;

pub use crate::rpc::procedures::Operation;

/// Names one request, so that its answer finds the one who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperatorId(pub u64);

/// Why an operation was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OperatorError {
    /// Nothing has ever been deployed of it, and its spec is bad or not there.
    #[error("{app} has nothing to run: {reason}")]
    NothingToRun {
        /// Which app.
        app: AppName,
        /// Why.
        reason: String,
    },
    /// Its first start waits for others.
    #[error("{app} waits for {}", list(.waits_for))]
    Waiting {
        /// Which app.
        app: AppName,
        /// For whom.
        waits_for: Vec<AppName>,
    },
    /// It was tried and failed.
    #[error("{app}: {reason}")]
    Failed {
        /// Which app.
        app: AppName,
        /// Why.
        reason: String,
    },
    /// A later request took its place before it was done.
    #[error("{app}: another request took the place of this one")]
    Superseded {
        /// Which app.
        app: AppName,
    },
    /// The app is being removed.
    #[error("{app} is being removed")]
    Removed {
        /// Which app.
        app: AppName,
    },
}

fn list(apps: &[AppName]) -> String {
    apps.iter().map(AppName::as_str).collect::<Vec<_>>().join(", ")
}
