//! What a start comes to: an actor, nothing, or an error.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use ractor::{ActorCell, ActorRef, SpawnErr};
use tokio::task::JoinHandle;

use super::brood::{Brood, Live};
use super::flags::SpecError;
use super::spec::ChildId;

/// Something that a start hands to whoever asked for it (OTP's extra return value).
pub type Info = Arc<dyn Any + Send + Sync>;

/// What a start came to.
#[derive(Debug)]
pub struct Started(pub(crate) Option<StartedActor>);

#[derive(Debug)]
pub(crate) struct StartedActor {
    pub(crate) live: Live,
    pub(crate) info: Option<Info>,
}

impl Started {
    /// It runs as this actor, whose task is `join`: the next incarnation waits for that task, so that what its state holds
    /// (a port, a lock) is free by then.
    #[must_use]
    pub fn actor<M>(actor: &ActorRef<M>, join: JoinHandle<()>) -> Self {
        Self::live(Live::new(actor.get_cell(), Some(join), None))
    }

    /// It runs as this actor, whose task is not known. Prefer [`Started::actor`].
    #[must_use]
    pub fn cell(cell: ActorCell) -> Self {
        Self::live(Live::new(cell, None, None))
    }

    /// It does not want to run now (OTP's `ignore`): no error, and no actor.
    #[must_use]
    pub fn ignored() -> Self {
        Self(None)
    }

    /// Hands something to whoever asked for this start; see [`ChildRef::info`].
    #[must_use]
    pub fn with_info<T: Any + Send + Sync>(mut self, info: T) -> Self {
        if let Some(actor) = &mut self.0 {
            actor.info = Some(Arc::new(info));
        }
        self
    }

    /// A supervisor, whose children must be gone as well before it is started again.
    pub(crate) fn supervisor(cell: ActorCell, join: JoinHandle<()>, brood: Brood) -> Self {
        Self::live(Live::new(cell, Some(join), Some(brood)))
    }

    fn live(live: Live) -> Self {
        Self(Some(StartedActor { live, info: None }))
    }

    /// Takes over what was started.
    pub(crate) fn accept(mut self) -> Option<StartedActor> {
        self.0.take()
    }
}

/// A start that is dropped, or that panics, after its actor came up leaves nothing behind.
impl Drop for Started {
    fn drop(&mut self) {
        if let Some(actor) = &self.0 {
            actor.live.cell.kill();
        }
    }
}

/// A running child.
#[derive(Clone)]
pub struct ChildRef {
    pub(crate) cell: ActorCell,
    pub(crate) info: Option<Info>,
}

impl ChildRef {
    /// The actor of this incarnation.
    #[must_use]
    pub fn cell(&self) -> &ActorCell {
        &self.cell
    }

    /// What its start handed over: for a supervisor its [`super::SupervisorRef`] or [`super::DynamicSupervisor`], else
    /// what [`Started::with_info`] got.
    #[must_use]
    pub fn info<T: Any + Send + Sync + Clone>(&self) -> Option<T> {
        self.info
            .as_ref()
            .and_then(|info| info.downcast_ref::<T>())
            .cloned()
    }
}

impl PartialEq for ChildRef {
    fn eq(&self, other: &Self) -> bool {
        self.cell.get_id() == other.cell.get_id()
    }
}

impl fmt::Debug for ChildRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ChildRef").field(&self.cell.get_id()).finish()
    }
}

/// Why a start failed. Cheap to clone.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StartError {
    /// What it would start runs already, started by somebody else; it was not adopted.
    #[error("it is already started as actor {}", .0.get_id())]
    AlreadyStarted(ActorCell),
    /// Its start returned an error, or its `pre_start` did or panicked.
    #[error("{0}")]
    Failed(Arc<dyn std::error::Error + Send + Sync>),
    /// Its start panicked.
    #[error("its start panicked: {0}")]
    Panicked(String),
    /// A supervisor could not start this child; those started before it were stopped again.
    #[error("child {child:?} failed to start: {error}")]
    Child {
        /// Which child.
        child: ChildId,
        /// Why.
        #[source]
        error: Box<StartError>,
    },
    /// A supervisor's flags or child specs are wrong.
    #[error(transparent)]
    Spec(#[from] SpecError),
}

impl StartError {
    /// A failure with this cause.
    pub fn failed(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::of_boxed(cause.into())
    }

    /// A start error that travelled through ractor as a box is taken out of it.
    fn of_boxed(cause: Box<dyn std::error::Error + Send + Sync>) -> Self {
        match cause.downcast::<Self>() {
            Ok(error) => *error,
            Err(cause) => Self::Failed(Arc::from(cause)),
        }
    }
}

impl From<SpawnErr> for StartError {
    fn from(error: SpawnErr) -> Self {
        match error {
            SpawnErr::StartupFailed(cause) => Self::of_boxed(cause),
            SpawnErr::ActorAlreadyRegistered(name) => match ractor::registry::where_is(name.clone()) {
                Some(stranger) => Self::AlreadyStarted(stranger),
                None => Self::Failed(Arc::new(SpawnErr::ActorAlreadyRegistered(name))),
            },
            SpawnErr::ActorAlreadyStarted => Self::Failed(Arc::new(SpawnErr::ActorAlreadyStarted)),
        }
    }
}
