//! Functions of the host that know how its apps fare, by name.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::{Either, select};
use tokio::sync::{Semaphore, oneshot};

use crate::names::{InstanceId, NodeName};
use crate::runtime::embedded::EmbeddedError;
use crate::specs::AppSpec;

/// What such a function is told.
#[derive(Debug, Clone)]
pub struct HealthContext {
    /// The app's spec; `health.port` and `health.path` are for the function to read.
    pub spec: Arc<AppSpec>,
    /// Which run of it.
    pub instance: InstanceId,
    /// The node that runs it.
    pub node: NodeName,
}

type Answer = Pin<Box<dyn Future<Output = Result<(), EmbeddedError>> + Send>>;

/// One function.
type Function = Arc<dyn Fn(HealthContext) -> Answer + Send + Sync>;

/// The functions of a host.
#[derive(Clone, Default)]
pub struct HealthChecks {
    by_name: BTreeMap<String, Function>,
}

impl HealthChecks {
    /// `check` is what specs mean by `health: { type: custom, module: NAME }`.
    pub fn add<Check, Checked, Error>(&mut self, name: impl Into<String>, check: Check)
    where
        Check: Fn(HealthContext) -> Checked + Send + Sync + 'static,
        Checked: Future<Output = Result<(), Error>> + Send + 'static,
        Error: Into<EmbeddedError>,
    {
        let function: Function = Arc::new(move |context| {
            let checked = check(context);
            Box::pin(async move { checked.await.map_err(Into::into) })
        });
        self.by_name.insert(name.into(), function);
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.by_name.keys()
    }

    /// The function of this name, for one app.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<CustomProbe> {
        self.by_name.get(name).map(|function| CustomProbe {
            function: Arc::clone(function),
            turn: Arc::new(Semaphore::new(1)),
        })
    }
}

impl fmt::Debug for HealthChecks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_name.keys()).finish()
    }
}

/// One function, asked about one app.
#[derive(Clone)]
pub struct CustomProbe {
    function: Function,
    /// Held by a call until it has ended, however long ago somebody stopped waiting for it.
    turn: Arc<Semaphore>,
}

impl fmt::Debug for CustomProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomProbe")
    }
}

impl CustomProbe {
    /// Asks. On a thread that may block, so that a function that does holds up nobody; one that was given up and still
    /// runs is not called beside itself. Whatever it does, a panic included, is an answer.
    ///
    /// # Errors
    /// With a reason in words.
    pub async fn ask(&self, context: HealthContext) -> Result<(), String> {
        let Ok(turn) = Arc::clone(&self.turn).try_acquire_owned() else {
            return Err("the call before has not ended yet".to_owned());
        };
        let function = Arc::clone(&self.function);
        let runtime = tokio::runtime::Handle::current();
        // Dropped with this call: a future that never ends is given up then, and its thread is free again.
        let (wanted, unwanted) = oneshot::channel::<()>();
        let called = tokio::task::spawn_blocking(move || {
            let answer = AssertUnwindSafe(async { function(context).await }).catch_unwind();
            let answer = runtime.block_on(select(Box::pin(answer), unwanted));
            drop(turn);
            match answer {
                Either::Left((answer, _)) => Some(answer),
                Either::Right(_) => None,
            }
        });
        let answer = called.await;
        drop(wanted);
        match answer {
            Ok(Some(Ok(Ok(())))) => Ok(()),
            Ok(Some(Ok(Err(error)))) => Err(error.to_string()),
            Ok(Some(Err(panic))) => Err(format!(
                "it panicked: {}",
                crate::supervisor::panic_message(&*panic)
            )),
            Ok(None) => Err("it was given up".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> HealthContext {
        HealthContext {
            spec: Arc::new(AppSpec::new("web".parse().unwrap(), "1".parse().unwrap())),
            instance: InstanceId::random(),
            node: "n1".parse().unwrap(),
        }
    }

    #[tokio::test]
    async fn an_error_and_a_panic_are_answers() {
        let mut checks = HealthChecks::default();
        checks.add("good", |context: HealthContext| async move {
            assert_eq!(context.spec.name.as_str(), "web");
            Ok::<(), std::io::Error>(())
        });
        checks.add("bad", |_| async {
            Err(std::io::Error::other("the queue is full"))
        });
        checks.add("ugly", |_| async {
            if true {
                panic!("boo");
            }
            Ok::<(), std::io::Error>(())
        });
        let ask = async |name: &str| checks.get(name).unwrap().ask(context()).await;
        assert_eq!(ask("good").await, Ok(()));
        assert_eq!(ask("bad").await, Err("the queue is full".to_owned()));
        assert_eq!(ask("ugly").await, Err("it panicked: boo".to_owned()));
        assert!(checks.get("other").is_none());
    }

    #[tokio::test]
    async fn a_call_that_was_given_up_and_still_runs_has_no_second_beside_it() {
        let (release, released) = std::sync::mpsc::channel::<()>();
        let released = std::sync::Mutex::new(released);
        let released = Arc::new(released);
        let mut checks = HealthChecks::default();
        checks.add("blocks", move |_| {
            let released = Arc::clone(&released);
            async move {
                let _ = released.lock().unwrap().recv();
                Ok::<(), std::io::Error>(())
            }
        });
        let probe = checks.get("blocks").unwrap();
        let mut first = Box::pin(probe.ask(context()));
        assert!(futures::poll!(&mut first).is_pending());
        drop(first);
        assert_eq!(
            probe.ask(context()).await,
            Err("the call before has not ended yet".to_owned())
        );
        release.send(()).unwrap();
        drop(release);
        while probe.ask(context()).await.is_err() {
            tokio::task::yield_now().await;
        }
    }
}
