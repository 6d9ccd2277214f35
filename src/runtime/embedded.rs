//! Apps that are part of the host's own process: futures and actors from factories that the host registered by app name.
//!
//! An instance is a task of this runtime; it lives on when the actor that watches it is restarted, and ends with the
//! runtime. Its end is told as it was: done, an error, or a panic with its message. It is asked to stop, given its grace,
//! and then aborted; a future that blocks its thread cannot be aborted, and counts as not stopped until it ends.

mod factory;
mod instance;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;

use self::factory::{Body, Factory};
pub use self::factory::{EmbeddedContext, EmbeddedError, Factories, StopRequested};
use self::instance::Running;
use super::{Instance, Launch, Runtime, RuntimeError};
use crate::names::AppName;
use crate::specs::app_spec::StopPolicy;

/// Runs apps in the host's process.
#[derive(Debug)]
pub struct EmbeddedRuntime {
    factories: Factories,
    running: Mutex<BTreeMap<AppName, Arc<Running>>>,
}

impl EmbeddedRuntime {
    /// One that can run the apps of `factories`.
    #[must_use]
    pub fn new(factories: Factories) -> Self {
        Self {
            factories,
            running: Mutex::default(),
        }
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<AppName, Arc<Running>>> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|_, running| running.is_alive());
        running
    }

    fn find(&self, app: &AppName) -> Option<Arc<Running>> {
        self.running().get(app).map(Arc::clone)
    }

    /// Asks the host for the app. Whatever the factory does, a panic included, is an answer.
    async fn make(&self, factory: &Factory, context: EmbeddedContext) -> Result<Body, RuntimeError> {
        let app = context.spec.name.clone();
        match AssertUnwindSafe(async { factory(context).await })
            .catch_unwind()
            .await
        {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(error)) => Err(RuntimeError::Other(format!(
                "the factory of {app} failed: {error}"
            ))),
            Err(panic) => {
                let message = crate::supervisor::panic_message(&*panic);
                Err(RuntimeError::Other(format!(
                    "the factory of {app} panicked: {message}"
                )))
            }
        }
    }
}

impl Runtime for EmbeddedRuntime {
    async fn deploy(&self, launch: Launch) -> Result<Instance, RuntimeError> {
        let app = launch.spec.name.clone();
        let Some(factory) = self.factories.get(&app) else {
            return Err(RuntimeError::Prepare {
                what: format!("cannot make the embedded app {app}"),
                reason: "the host has registered no factory of this name".to_owned(),
            });
        };
        if self.find(&app).is_some() {
            return Err(RuntimeError::Other(format!("{app} runs already")));
        }
        let (stop, stop_requested) = StopRequested::new();
        let context = EmbeddedContext {
            spec: launch.spec,
            instance: launch.instance.clone(),
            node: launch.node,
            stop: stop_requested,
        };
        let body = self.make(factory, context).await?;
        let running = Running::begin(&app, launch.instance, launch.digest, stop, body).await?;
        let instance = running.handle(&app);
        self.running().insert(app, running);
        Ok(instance)
    }

    async fn remove(&self, app: &AppName, stop: StopPolicy) -> Result<(), RuntimeError> {
        if let Some(running) = self.find(app) {
            running.stop(stop.grace).await;
        }
        Ok(())
    }

    async fn current_state(&self) -> Result<BTreeMap<AppName, Instance>, RuntimeError> {
        let running = self.running();
        Ok(running
            .iter()
            .map(|(app, running)| (app.clone(), running.handle(app)))
            .collect())
    }

    async fn adopt(&self, app: &AppName) -> Result<Option<Instance>, RuntimeError> {
        Ok(self.find(app).map(|running| running.handle(app)))
    }
}
