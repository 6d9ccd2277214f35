//! What the admin calls of a supervisor answer when they cannot do what they are asked.

use super::flags::SpecError;
use super::start::{ChildRef, StartError};

/// Why a call was refused. `H` is what stands for a running child.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AdminError<H = ChildRef> {
    /// A child of this id runs already (or, from a start: somebody else runs what it would start).
    #[error("it is already started")]
    AlreadyStarted(H),
    /// A child of this id is listed, but not running: restart or delete it.
    #[error("a child of this id is already listed")]
    AlreadyPresent,
    /// There is no child of this id.
    #[error("there is no such child")]
    NotFound,
    /// It is running: terminate it first.
    #[error("it is running")]
    Running,
    /// It is being restarted by its supervisor: terminate it to end that.
    #[error("it is being restarted")]
    Restarting,
    /// The supervisor is not there, or is ending.
    #[error("the supervisor is not there")]
    NoProcess,
    /// The start was dropped because somebody terminated the child meanwhile.
    #[error("its start was cancelled")]
    Cancelled,
    /// It could not be started. An added child is not kept; one that was restarted by hand stays listed.
    #[error("it could not be started: {0}")]
    StartFailed(#[source] StartError),
    /// The spec or the flags are wrong; nothing was changed.
    #[error(transparent)]
    Spec(#[from] SpecError),
}
