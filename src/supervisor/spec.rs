//! What a supervisor must know of a child: how it is started, when it is restarted, how it is stopped.

use std::any::Any;
use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use ractor::{Actor, ActorCell, ActorRef, SpawnErr};
use tokio::task::JoinHandle;

use super::brood::{Brood, Live};
use super::flags::SpecError;

/// The longest id of a child, in bytes.
pub const CHILD_ID_BYTES_MAX: usize = 1024;
/// How long a worker has between the polite stop and the kill, where its spec does not say (OTP's default).
pub const WORKER_SHUTDOWN_DEFAULT: Duration = Duration::from_secs(5);

/// A child's name among its siblings. Any text; it is in no registry.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChildId(Arc<str>);

impl ChildId {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// # Errors
    /// It is empty or too long.
    pub(crate) fn check(&self) -> Result<(), SpecError> {
        if self.0.is_empty() || self.0.len() > CHILD_ID_BYTES_MAX {
            return Err(SpecError::IdLength(self.0.len()));
        }
        Ok(())
    }
}

impl<T: Into<Arc<str>>> From<T> for ChildId {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl Borrow<str> for ChildId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// When a child that ended is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Restart {
    /// Always.
    #[default]
    Permanent,
    /// Only when it ended abnormally ([`super::ExitReason::is_normal`]).
    Transient,
    /// Never; it is forgotten when it ends.
    Temporary,
}

/// How a child is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// It is killed at once; its `post_stop` does not run.
    Brutal,
    /// It is asked, and killed when it has not ended within this time.
    Timeout(Duration),
    /// It is asked and waited for without limit: for supervisors, which limit their own children.
    Infinity,
}

/// What a child is, for counting and for the default of [`ChildSpec::shutdown`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// Does the work.
    #[default]
    Worker,
    /// Is a supervisor itself.
    Supervisor,
}

/// Starts one incarnation of a child. It gets the supervisor's cell, to spawn the actor linked to it.
pub(crate) type StartFn =
    Arc<dyn Fn(ActorCell) -> BoxFuture<'static, Result<Started, StartError>> + Send + Sync>;

/// Something that a start hands to whoever asked for it (OTP's extra return value).
pub type Info = Arc<dyn Any + Send + Sync>;

/// How a child is started, when it is restarted, how it is stopped. Cheap to clone. Defaults are OTP's.
#[derive(Clone)]
pub struct ChildSpec {
    id: ChildId,
    start: StartFn,
    restart: Restart,
    shutdown: Option<Shutdown>,
    kind: Kind,
    significant: bool,
}

impl ChildSpec {
    /// A permanent worker that `start` starts. `start` is called for each incarnation, in a task of its own (it may take
    /// its time; a supervisor that is told to stop drops it), with the cell of the supervisor: spawn the actor linked to
    /// that, so that no exit is ever lost.
    pub fn new<F, Fut>(id: impl Into<ChildId>, start: F) -> Self
    where
        F: Fn(ActorCell) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Started, StartError>> + Send + 'static,
    {
        Self {
            id: id.into(),
            start: Arc::new(move |supervisor| Box::pin(start(supervisor))),
            restart: Restart::default(),
            shutdown: None,
            kind: Kind::default(),
            significant: false,
        }
    }

    /// A permanent worker that is an actor without a name, made anew by `make` for each incarnation.
    pub fn actor<A, F>(id: impl Into<ChildId>, make: F) -> Self
    where
        A: Actor,
        F: Fn() -> (A, A::Arguments) + Send + Sync + 'static,
    {
        Self::new(id, move |supervisor| {
            let (actor, arguments) = make();
            async move {
                let (actor, join) = supervisor.spawn_linked(None, actor, arguments).await?;
                Ok(Started::actor(&actor, join))
            }
        })
    }

    /// Calls `hook` with each incarnation as soon as it runs, before anybody hears that it does. It must not block.
    #[must_use]
    pub fn on_start(mut self, hook: impl Fn(&ChildRef) + Send + Sync + 'static) -> Self {
        let (start, hook) = (self.start, Arc::new(hook));
        self.start = Arc::new(move |supervisor| {
            let (started, hook) = (start(supervisor), Arc::clone(&hook));
            Box::pin(async move {
                let started = started.await?;
                if let Some(actor) = &started.0 {
                    hook(&ChildRef {
                        cell: actor.live.cell.clone(),
                        info: actor.info.clone(),
                    });
                }
                Ok(started)
            })
        });
        self
    }

    /// Sets when it is restarted. Default: always.
    #[must_use]
    pub fn restart(self, restart: Restart) -> Self {
        Self { restart, ..self }
    }

    /// Sets how it is stopped. Default: 5 s for a worker, without limit for a supervisor.
    #[must_use]
    pub fn shutdown(self, shutdown: Shutdown) -> Self {
        Self {
            shutdown: Some(shutdown),
            ..self
        }
    }

    /// Sets what it is. Default: a worker.
    #[must_use]
    pub fn kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// Sets whether its own end may end its supervisor ([`super::AutoShutdown`]). Default: no.
    #[must_use]
    pub fn significant(self, significant: bool) -> Self {
        Self { significant, ..self }
    }

    /// Its name among its siblings.
    #[must_use]
    pub fn id(&self) -> &ChildId {
        &self.id
    }

    /// When it is restarted.
    #[must_use]
    pub fn restart_type(&self) -> Restart {
        self.restart
    }

    /// How it is stopped, defaults applied.
    #[must_use]
    pub fn shutdown_type(&self) -> Shutdown {
        self.shutdown.unwrap_or(match self.kind {
            Kind::Worker => Shutdown::Timeout(WORKER_SHUTDOWN_DEFAULT),
            Kind::Supervisor => Shutdown::Infinity,
        })
    }

    /// What it is.
    #[must_use]
    pub fn kind_type(&self) -> Kind {
        self.kind
    }

    /// May its own end end its supervisor?
    #[must_use]
    pub fn is_significant(&self) -> bool {
        self.significant
    }

    pub(crate) fn start_fn(&self) -> StartFn {
        Arc::clone(&self.start)
    }
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSpec")
            .field("id", &self.id)
            .field("restart", &self.restart)
            .field("shutdown", &self.shutdown_type())
            .field("kind", &self.kind)
            .field("significant", &self.significant)
            .finish_non_exhaustive()
    }
}

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
