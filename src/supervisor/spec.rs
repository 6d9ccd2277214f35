//! What a supervisor must know of a child: how it is started, when it is restarted, how it is stopped.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use ractor::{Actor, ActorCell};

use super::flags::SpecError;
use super::start::{ChildRef, StartError, Started};

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
    /// that, so that no exit is ever lost. Once the actor is up, return it without a further `await`, or a start that is
    /// dropped there leaves an actor behind that nobody restarts.
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
