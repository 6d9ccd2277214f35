//! One running embedded app: its task or actor, the way to stop it, and its end.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, ActorStatus, SupervisionEvent};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::Body;
use crate::clock::now_ms;
use crate::names::{AppName, InstanceId, SpecDigest};
use crate::runtime::{Exit, ExitKind, Instance, RuntimeError};

/// One instance. Dropping it ends what it runs: without its runtime nobody could.
#[derive(Debug)]
pub(super) struct Running {
    id: InstanceId,
    digest: SpecDigest,
    started_at_ms: u64,
    stop: watch::Sender<bool>,
    /// Its grace is over.
    is_killed: Arc<AtomicBool>,
    engine: Engine,
    exit: watch::Receiver<Option<Exit>>,
}

#[derive(Debug)]
enum Engine {
    Task(AbortHandle),
    Actor(ActorCell),
}

impl Engine {
    fn kill(&self) {
        match self {
            Self::Task(task) => task.abort(),
            Self::Actor(actor) => actor.kill(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.engine.kill();
    }
}

/// Tells the end, once, whoever comes to know of it.
#[derive(Debug)]
struct Ending {
    exit: watch::Sender<Option<Exit>>,
    is_killed: Arc<AtomicBool>,
}

impl Ending {
    fn tell(&self, how: ExitKind) {
        let exit = Exit {
            how,
            is_out_of_memory: false,
            was_killed_after_grace: self.is_killed.load(Ordering::Acquire),
            at_ms: now_ms(),
        };
        self.exit.send_if_modified(|told| {
            let is_first = told.is_none();
            told.get_or_insert(exit);
            is_first
        });
    }
}

impl Drop for Ending {
    /// A task that is aborted tells its end by being dropped. So does an actor that had ended before it was watched.
    fn drop(&mut self) {
        let is_killed = self.is_killed.load(Ordering::Acquire);
        self.tell(if is_killed {
            ExitKind::Crashed("aborted".to_owned())
        } else {
            ExitKind::Unknown
        });
    }
}

impl Running {
    /// Runs what the factory made.
    pub(super) async fn begin(
        app: &AppName,
        id: InstanceId,
        digest: SpecDigest,
        stop: watch::Sender<bool>,
        body: Body,
    ) -> Result<Arc<Self>, RuntimeError> {
        let (told, exit) = watch::channel(None);
        let is_killed = Arc::new(AtomicBool::new(false));
        let ending = Ending {
            exit: told,
            is_killed: Arc::clone(&is_killed),
        };
        let engine = match body {
            Body::Future(body) => Engine::Task(tokio::spawn(run(body, ending)).abort_handle()),
            Body::Actor(actor) => Engine::Actor(guard(app, actor, ending).await?),
        };
        Ok(Arc::new(Self {
            id,
            digest,
            started_at_ms: now_ms(),
            stop,
            is_killed,
            engine,
            exit,
        }))
    }

    pub(super) fn is_alive(&self) -> bool {
        self.exit.borrow().is_none()
    }

    pub(super) fn handle(&self, app: &AppName) -> Instance {
        let exit = self.exit.clone();
        Instance {
            app: app.clone(),
            id: self.id.clone(),
            digest: self.digest.clone(),
            os_pid: None,
            started_at_ms: self.started_at_ms,
            not_enforced: Vec::new(),
            exited: Box::pin(ended(exit)),
        }
    }

    /// Asks, waits for the grace, kills, and returns when it has ended.
    pub(super) async fn stop(&self, grace: Duration) {
        self.stop.send_replace(true);
        if let Engine::Actor(actor) = &self.engine {
            actor.stop(Some("stopped by its node".to_owned()));
        }
        if tokio::time::timeout(grace, ended(self.exit.clone()))
            .await
            .is_err()
        {
            self.is_killed.store(true, Ordering::Release);
            self.engine.kill();
            ended(self.exit.clone()).await;
        }
    }
}

#[cfg(test)]
impl Running {
    pub(super) fn actor(&self) -> &ActorCell {
        match &self.engine {
            Engine::Actor(actor) => actor,
            Engine::Task(_) => panic!("a task"),
        }
    }
}

async fn ended(mut exit: watch::Receiver<Option<Exit>>) -> Exit {
    let told = exit.wait_for(Option::is_some).await.map(|exit| exit.clone());
    // The sender tells the end before it is dropped, so there always is one.
    told.ok().flatten().unwrap_or_else(|| Exit {
        how: ExitKind::Unknown,
        is_out_of_memory: false,
        was_killed_after_grace: false,
        at_ms: now_ms(),
    })
}

async fn run(body: impl Future<Output = Result<(), super::EmbeddedError>>, ending: Ending) {
    let how = match AssertUnwindSafe(body).catch_unwind().await {
        Ok(Ok(())) => ExitKind::Finished,
        Ok(Err(error)) => ExitKind::Crashed(error.to_string()),
        Err(panic) => ExitKind::Crashed(crate::supervisor::panic_message(&*panic)),
    };
    ending.tell(how);
}

/// Puts `actor` under a supervisor that tells its end.
async fn guard(app: &AppName, actor: ActorCell, ending: Ending) -> Result<ActorCell, RuntimeError> {
    let spawned = Actor::spawn(None, Guard, (actor.clone(), ending)).await;
    let (guard, _) = spawned.map_err(|error| RuntimeError::Other(format!("cannot watch {app}: {error}")))?;
    actor.link(guard.get_cell());
    // An actor that ended before it was linked has told nobody.
    if matches!(actor.get_status(), ActorStatus::Stopping | ActorStatus::Stopped) {
        guard.stop(None);
    }
    Ok(actor)
}

/// The supervisor of one embedded actor. It restarts nothing: whether and when is the app actor's business.
struct Guard;

struct GuardState {
    actor: ActorCell,
    ending: Ending,
}

impl Actor for Guard {
    type Msg = ();
    type State = GuardState;
    type Arguments = (ActorCell, Ending);

    async fn pre_start(
        &self,
        _myself: ActorRef<()>,
        (actor, ending): Self::Arguments,
    ) -> Result<GuardState, ActorProcessingErr> {
        Ok(GuardState { actor, ending })
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<()>,
        event: SupervisionEvent,
        state: &mut GuardState,
    ) -> Result<(), ActorProcessingErr> {
        let how = match event {
            SupervisionEvent::ActorTerminated(actor, ..) if actor.get_id() != state.actor.get_id() => {
                return Ok(());
            }
            SupervisionEvent::ActorFailed(actor, _) if actor.get_id() != state.actor.get_id() => {
                return Ok(());
            }
            // ractor tells a kill as a termination for this reason.
            SupervisionEvent::ActorTerminated(_, _, Some(reason)) if reason == "killed" => {
                ExitKind::Crashed(reason)
            }
            SupervisionEvent::ActorTerminated(..) => ExitKind::Finished,
            SupervisionEvent::ActorFailed(_, error) => ExitKind::Crashed(error.to_string()),
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => return Ok(()),
        };
        state.ending.tell(how);
        myself.stop(None);
        Ok(())
    }
}
