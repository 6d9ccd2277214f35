//! Carries out what a step asks for: each effect in a task of its own, in the app's turn, under its deadline.
//!
//! A task is never cancelled when its actor ends: a start or a stop that was begun is finished, so that the successor, who
//! waits for the turn, finds either all of it or nothing. Only the wait for an instance's end is given up with the actor.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use futures::FutureExt as _;
use futures::StreamExt as _;
use futures::future::{Either, join_all, select};
use futures::stream::FuturesUnordered;
use tokio::sync::{Mutex, OwnedMutexGuard, watch};

use super::{AppMsg, AppServices, Happened};
use crate::actors::deadline::Deadline;
use crate::actors::mailbox::Mailbox;
use crate::lifecycle::{AppEvent, Effect, EffectId, Found, Outcome, Trouble};
use crate::names::{AppName, InstanceId};
use crate::runtime::{DynRuntime, Instance, Launch};
use crate::specs::DesiredApp;
use crate::specs::app_spec::StopPolicy;
use crate::telemetry::ActionKind;

/// What the tasks of one actor share.
#[derive(Clone)]
pub(super) struct Worker {
    pub(super) app: AppName,
    pub(super) services: Arc<AppServices>,
    pub(super) myself: Mailbox<AppMsg>,
    /// Held by whoever touches the app's processes.
    pub(super) turn: Arc<Mutex<()>>,
    /// Closed when the actor is gone, however it ended.
    pub(super) is_alive: watch::Receiver<()>,
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Worker {
    /// Begins an effect that has an outcome; none for one that has not.
    pub(super) fn begin(&self, effect: Effect) {
        let Some(deadline) = effect.deadline().map(Deadline::after) else {
            return;
        };
        let worker = self.clone();
        let task: Task = match effect {
            Effect::Look { effect, runtime } => Box::pin(worker.look(effect, runtime, deadline)),
            Effect::Fetch { effect, app } => Box::pin(worker.fetch(effect, app, deadline)),
            Effect::Start {
                effect,
                app,
                artefact,
            } => {
                let launch = self.launch(&app, artefact);
                Box::pin(worker.start(effect, launch, None, deadline))
            }
            Effect::Replace {
                effect,
                kind,
                app,
                artefact,
                stop,
            } => {
                let launch = self.launch(&app, artefact);
                Box::pin(worker.start(effect, launch, Some((kind, stop)), deadline))
            }
            Effect::Stop {
                effect,
                runtime,
                stop,
            } => Box::pin(worker.stop(effect, runtime, stop, deadline)),
            Effect::Emit(_) | Effect::Reply { .. } | Effect::Forget => return,
        };
        poll_now_then_spawn(task);
    }

    fn launch(&self, app: &DesiredApp, artefact: Option<PathBuf>) -> Launch {
        Launch {
            spec: Arc::clone(&app.spec),
            instance: InstanceId::random(),
            digest: app.digest.clone(),
            artefact,
            node: self.services.node.clone(),
        }
    }

    async fn look(self, effect: EffectId, runtime: Option<String>, deadline: Deadline) {
        let result = match deadline.turn(self.take_turn()).await {
            Ok(_turn) => self.find(runtime.as_deref(), deadline).await,
            Err(trouble) => Err(trouble),
        };
        match result {
            Ok(Some((name, instance))) => {
                let found = found(&instance, &name);
                self.tell(effect, Outcome::Looked(Ok(Some(found))));
                self.watch(instance).await;
            }
            Ok(None) => self.tell(effect, Outcome::Looked(Ok(None))),
            Err(trouble) => self.tell(effect, Outcome::Looked(Err(trouble))),
        }
    }

    /// What runs, in any runtime. All are asked at once: one that does not answer keeps nobody from what another runs.
    async fn find(
        &self,
        runtime: Option<&str>,
        deadline: Deadline,
    ) -> Result<Option<(String, Instance)>, Trouble> {
        let ask = async |(name, runtime): (&str, &Arc<dyn DynRuntime>)| {
            (name.to_owned(), deadline.call(runtime.adopt(&self.app)).await)
        };
        let mut answers: FuturesUnordered<_> = self.runtimes(runtime).map(ask).collect();
        let mut result = Ok(None);
        while let Some((name, answer)) = answers.next().await {
            match answer {
                Ok(Some(instance)) => return Ok(Some((name, instance))),
                Ok(None) => {}
                Err(trouble) => result = Err(trouble),
            }
        }
        result
    }

    async fn fetch(self, effect: EffectId, app: Arc<DesiredApp>, deadline: Deadline) {
        let fetched = deadline.guarded(self.services.artefacts.fetch(app)).await;
        let result = match fetched {
            Ok(Ok(path)) => Ok(path),
            Ok(Err(error)) => Err(Trouble {
                code: error.code,
                message: error.message,
                is_unsure: false,
                is_counted: false,
            }),
            Err(trouble) => Err(trouble),
        };
        self.tell(effect, Outcome::Fetched(result));
    }

    /// A start, or with `replaced` the start of one instance in the place of another; then the wait for its end.
    async fn start(
        self,
        effect: EffectId,
        launch: Launch,
        replaced: Option<(ActionKind, StopPolicy)>,
        deadline: Deadline,
    ) {
        let name = launch.spec.isolation().as_str().to_owned();
        let Some(runtime) = self.services.runtimes.get(&name).map(Arc::clone) else {
            return self.tell(effect, Outcome::Started(Err(no_runtime(&name))));
        };
        let started = match deadline.turn(self.take_turn()).await {
            Ok(_turn) => match replaced {
                None => deadline.call(runtime.deploy(launch)).await,
                Some((ActionKind::Upgrade, stop)) => deadline.call(runtime.upgrade(launch, stop)).await,
                Some((_, stop)) => deadline.call(runtime.reconfigure(launch, stop)).await,
            },
            Err(trouble) => Err(trouble),
        };
        match started {
            Ok(instance) => {
                self.tell(effect, Outcome::Started(Ok(found(&instance, &name))));
                self.watch(instance).await;
            }
            Err(trouble) => self.tell(effect, Outcome::Started(Err(trouble))),
        }
    }

    async fn stop(self, effect: EffectId, runtime: Option<String>, stop: StopPolicy, deadline: Deadline) {
        let result = match deadline.turn(self.take_turn()).await {
            Ok(_turn) => {
                let runtimes = self.runtimes(runtime.as_deref());
                let stops = runtimes.map(|(_, runtime)| deadline.call(runtime.remove(&self.app, stop)));
                join_all(stops).await.into_iter().collect()
            }
            Err(trouble) => Err(trouble),
        };
        self.tell(effect, Outcome::Stopped(result));
    }

    /// Tells when `instance` has ended. Given up when the actor is gone: its successor watches by itself.
    async fn watch(self, instance: Instance) {
        let id = instance.id;
        let mut is_alive = self.is_alive.clone();
        let exited = std::pin::pin!(AssertUnwindSafe(instance.exited).catch_unwind());
        let gone = std::pin::pin!(is_alive.changed());
        let event = match select(exited, gone).await {
            Either::Left((Ok(exit), _)) => AppEvent::Exited { instance: id, exit },
            Either::Left((Err(_), _)) => AppEvent::Lost { instance: id },
            Either::Right(_) => return,
        };
        self.send(event);
    }

    /// The runtime of this name, or all of them.
    fn runtimes<'a>(
        &'a self,
        name: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a str, &'a Arc<dyn DynRuntime>)> + 'a {
        let runtimes = &self.services.runtimes;
        let named = name.filter(|name| runtimes.contains_key(*name));
        let is_meant = move |key: &str| named.is_none_or(|name| name == key);
        runtimes
            .iter()
            .map(|(key, runtime)| (key.as_str(), runtime))
            .filter(move |(key, _)| is_meant(key))
    }

    async fn take_turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.turn).lock_owned().await
    }

    fn tell(&self, effect: EffectId, outcome: Outcome) {
        self.send(AppEvent::Done { effect, outcome });
    }

    /// Nobody hears it when the actor is gone; its successor looks for itself.
    pub(super) fn send(&self, event: AppEvent) {
        let _ = self.myself.cast(AppMsg::Happened(Happened(event)));
    }
}

/// Polls `task` at once, in the handler's own turn, so that its request is out before anything else is done; what is left
/// of it goes on by itself.
fn poll_now_then_spawn(mut task: Task) {
    let first = task.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    if first.is_pending() {
        tokio::spawn(task);
    }
}

fn no_runtime(name: &str) -> Trouble {
    Trouble {
        code: "osier::runtime::unknown".to_owned(),
        message: format!("this node has no runtime `{name}`"),
        is_unsure: false,
        is_counted: true,
    }
}

fn found(instance: &Instance, runtime: &str) -> Found {
    Found {
        id: instance.id.clone(),
        digest: instance.digest.clone(),
        os_pid: instance.os_pid,
        started_at_ms: instance.started_at_ms,
        not_enforced: instance.not_enforced.clone(),
        runtime: runtime.to_owned(),
    }
}
