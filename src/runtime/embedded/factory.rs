//! How a host says what its embedded apps are.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use ractor::ActorCell;
use tokio::sync::watch;

use crate::names::{AppName, InstanceId, NameError, NodeName};
use crate::specs::AppSpec;

/// Why an embedded app could not be made, or ended.
pub type EmbeddedError = Box<dyn std::error::Error + Send + Sync>;

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What an instance is given.
#[derive(Debug, Clone)]
pub struct EmbeddedContext {
    /// Its spec: version, environment, whatever the host made of it.
    pub spec: Arc<AppSpec>,
    /// Which run of it this is.
    pub instance: InstanceId,
    /// The node that runs it.
    pub node: NodeName,
    /// Resolves when it is asked to stop. (An actor is stopped as an actor and needs not look.)
    pub stop: StopRequested,
}

/// Tells an instance that it is asked to stop. Clones tell the same.
#[derive(Debug, Clone)]
pub struct StopRequested(watch::Receiver<bool>);

impl StopRequested {
    pub(super) fn new() -> (watch::Sender<bool>, Self) {
        let (stop, requested) = watch::channel(false);
        (stop, Self(requested))
    }

    /// Resolves when the instance is asked to stop, at once if it was asked before. Cancel-safe.
    pub async fn wait(&mut self) {
        // An error means that the runtime is gone, which is as much a reason to stop.
        let _ = self.0.wait_for(|is_requested| *is_requested).await;
    }

    /// Was it asked to stop?
    #[must_use]
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }
}

/// What a factory makes.
pub(super) enum Body {
    Future(BoxFuture<Result<(), EmbeddedError>>),
    Actor(ActorCell),
}

pub(super) type Factory =
    Arc<dyn Fn(EmbeddedContext) -> BoxFuture<Result<Body, EmbeddedError>> + Send + Sync>;

/// The embedded apps of a host, by name.
#[derive(Clone, Default)]
pub struct Factories {
    by_name: BTreeMap<AppName, Factory>,
    mistakes: Vec<NameError>,
}

impl Factories {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// `app` is a future: it ends when it is done, and its error is a crash. It is dropped when it does not end within its
    /// grace after [`EmbeddedContext::stop`]. Another one of this name is replaced.
    #[must_use]
    pub fn future<Make, Body, Error>(mut self, app: impl AsRef<str>, make: Make) -> Self
    where
        Make: Fn(EmbeddedContext) -> Body + Send + Sync + 'static,
        Body: Future<Output = Result<(), Error>> + Send + 'static,
        Error: Into<EmbeddedError>,
    {
        let factory: Factory = Arc::new(move |context| {
            let body = make(context);
            let body = Box::pin(async move { body.await.map_err(Into::into) });
            Box::pin(async move { Ok(self::Body::Future(body)) })
        });
        self.add(app.as_ref(), factory);
        self
    }

    /// `app` is an actor, which `make` spawns without a supervisor: the runtime links it to one of its own. It is stopped,
    /// and killed when it does not stop within its grace. Another one of this name is replaced.
    #[must_use]
    pub fn actor<Make, Spawned, Error>(mut self, app: impl AsRef<str>, make: Make) -> Self
    where
        Make: Fn(EmbeddedContext) -> Spawned + Send + Sync + 'static,
        Spawned: Future<Output = Result<ActorCell, Error>> + Send + 'static,
        Error: Into<EmbeddedError>,
    {
        let factory: Factory = Arc::new(move |context| {
            let spawned = make(context);
            Box::pin(async move { spawned.await.map(Body::Actor).map_err(Into::into) })
        });
        self.add(app.as_ref(), factory);
        self
    }

    fn add(&mut self, app: &str, factory: Factory) {
        match app.parse() {
            Ok(app) => drop(self.by_name.insert(app, factory)),
            Err(mistake) => self.mistakes.push(mistake),
        }
    }

    /// The names of all apps.
    pub fn names(&self) -> impl Iterator<Item = &AppName> {
        self.by_name.keys()
    }

    /// Names that no app can have. A node with such a factory does not start.
    pub fn mistakes(&self) -> impl Iterator<Item = &NameError> {
        self.mistakes.iter()
    }

    pub(super) fn get(&self, app: &AppName) -> Option<&Factory> {
        self.by_name.get(app)
    }
}

impl fmt::Debug for Factories {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_name.keys()).finish()
    }
}
