//! One actor per app: brings about its target, and keeps what runs of it running.
//!
//! Thin over [`crate::lifecycle`]: a message becomes an [`AppEvent`], `step` answers with effects, and each effect runs in
//! a task of its own, with a deadline, that casts its outcome back. The handler awaits nothing.
//!
//! Kill the actor at any point and no process is lost or doubled: effects under way are not cancelled but finish, the
//! successor waits for its turn and looks what really runs. Nothing here stops a process by `Drop`.

mod clock;
mod effects;
mod health;
pub mod services;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use tokio::sync::watch;
use tokio::task::AbortHandle;

pub use self::clock::SteadyClock;
use self::effects::Worker;
use self::health::HealthChild;
pub use self::services::{AppReport, AppServices, Turns};
use super::board::Posted;
use super::mailbox::{Depth, Mailbox};
pub use crate::lifecycle::AppRecords;
use crate::lifecycle::{AppEvent, AppRecord, Effect, Jitter, Lifecycle, Now, Standing};
use crate::lifecycle::{Operation, OperatorError, OperatorId, Target, step};
use crate::names::AppName;
use crate::status::AppState;

/// What an app actor may be told.
#[derive(Debug)]
pub enum AppMsg {
    /// Bring this about. The same again changes nothing; each one is answered with an [`AppReport`].
    Target(Target),
    /// By hand. The answer comes when it is done or has failed.
    Operator {
        /// What to do.
        command: Operation,
        /// Who waits for it.
        reply: RpcReplyPort<Result<(), OperatorError>>,
    },
    /// From the actor's own tasks.
    #[doc(hidden)]
    Happened(Happened),
    /// The actor that checks the app's health has died, some time ago.
    #[doc(hidden)]
    HealthDied,
}

/// Something that one of the actor's own tasks tells it.
#[derive(Debug)]
pub struct Happened(AppEvent);

/// What an app actor starts with, and is started with again.
#[derive(Clone)]
pub struct AppArguments {
    /// The app.
    pub name: AppName,
    /// Everything it works with.
    pub services: Arc<AppServices>,
    /// What the store remembers of it; what an earlier incarnation of the actor knew goes before it.
    pub record: Option<AppRecord>,
}

/// The actor. It ends by itself, normally, when its app is gone: run it as a transient child.
#[derive(Debug, Clone, Default)]
pub struct AppActor(pub Depth);

/// What the actor holds. All of it can be found or decided again.
pub struct AppActorState {
    life: Option<Lifecycle>,
    worker: Worker,
    /// Dropped with the state, however the actor ends: tells the tasks that wait for an instance's end.
    _alive: watch::Sender<()>,
    replies: BTreeMap<OperatorId, RpcReplyPort<Result<(), OperatorError>>>,
    reply_count: u64,
    timer: Option<Timer>,
    health: Option<HealthChild>,
    /// The app's own folder, as it is shown.
    path: String,
    told: Option<(Arc<AppState>, Standing)>,
    record: Arc<AppRecord>,
}

struct Timer {
    at_ms: u64,
    task: AbortHandle,
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Actor for AppActor {
    type Msg = AppMsg;
    type State = AppActorState;
    type Arguments = AppArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<AppMsg>,
        arguments: AppArguments,
    ) -> Result<AppActorState, ActorProcessingErr> {
        let myself = Mailbox::new(myself, self.0.clone());
        Ok(AppActorState::new(myself, arguments))
    }

    async fn post_start(
        &self,
        _myself: ActorRef<AppMsg>,
        state: &mut AppActorState,
    ) -> Result<(), ActorProcessingErr> {
        state.happened(AppEvent::Began);
        // Without a target: the reconciler hands it over.
        state.report();
        Ok(())
    }

    async fn handle(
        &self,
        _myself: ActorRef<AppMsg>,
        message: AppMsg,
        state: &mut AppActorState,
    ) -> Result<(), ActorProcessingErr> {
        self.0.taken();
        match message {
            AppMsg::Target(target) => {
                state.happened(AppEvent::Target(Arc::new(target)));
                // Even where nothing has changed: whoever handed it over learns how it stands.
                state.report();
            }
            AppMsg::Operator { command, reply } => {
                state.reply_count += 1;
                let id = OperatorId(state.reply_count);
                state.replies.insert(id, reply);
                state.happened(AppEvent::Operator { id, command });
            }
            AppMsg::Happened(Happened(event)) => state.happened(event),
            AppMsg::HealthDied => state.begin_checks_again(),
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<AppMsg>,
        event: SupervisionEvent,
        state: &mut AppActorState,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorTerminated(who, ..) | SupervisionEvent::ActorFailed(who, _) = event {
            state.health_ended(&who);
        }
        Ok(())
    }
}

impl AppActorState {
    fn new(myself: Mailbox<AppMsg>, arguments: AppArguments) -> Self {
        let AppArguments {
            name,
            services,
            record,
        } = arguments;
        let turn = services.turns.enter(&name, myself.clone());
        let record = turn.record.or_else(|| record.map(Arc::new)).unwrap_or_default();
        let life = Lifecycle::new(name.clone(), AppRecord::clone(&record), services.clock.now_ms());
        let (alive, is_alive) = watch::channel(());
        let path = services.data_dir.join("apps").join(name.as_str());
        Self {
            life: Some(life),
            _alive: alive,
            replies: BTreeMap::new(),
            reply_count: 0,
            timer: None,
            health: None,
            path: path.display().to_string(),
            told: None,
            record,
            worker: Worker {
                app: name,
                services,
                myself,
                turn: turn.lock,
                is_alive,
            },
        }
    }

    /// One step: what runs is touched first, then it is told.
    fn happened(&mut self, event: AppEvent) {
        let Some(life) = self.life.take() else { return };
        if matches!(event, AppEvent::Woke) {
            // Its task may not have ended yet; no further word will come of it.
            self.timer = None;
        }
        let now = Now {
            at_ms: self.worker.services.clock.now_ms(),
            jitter: Jitter::from_random(fastrand::u64(..)),
        };
        let (mut life, effects) = step(life, event, now);
        let is_record_changed = life.take_record_change();
        let wake_at_ms = life.wake_at_ms(now.at_ms);
        self.life = Some(life);
        let (work, news): (Vec<_>, Vec<_>) = effects
            .into_iter()
            .partition(|effect| effect.deadline().is_some());
        for effect in work {
            self.worker.begin(effect);
        }
        self.wake_at(wake_at_ms);
        for effect in news {
            self.tell(effect);
        }
        self.see_to_health();
        if is_record_changed {
            self.save();
        }
        self.publish(is_record_changed);
    }

    /// Carries out an effect that has no outcome.
    fn tell(&mut self, effect: Effect) {
        match effect {
            Effect::Emit(event) => self.worker.services.events.emit(event),
            Effect::Reply { to, result } => {
                if let Some(reply) = self.replies.remove(&to) {
                    // Whoever asked may have given up waiting.
                    let _ = reply.send(result);
                }
            }
            Effect::Forget => self.forget(),
            Effect::Look { .. }
            | Effect::Fetch { .. }
            | Effect::Start { .. }
            | Effect::Replace { .. }
            | Effect::Stop { .. } => {}
        }
    }

    /// A timer that is early is kept: what it wakes finds nothing due and asks for the next one.
    fn wake_at(&mut self, at_ms: Option<u64>) {
        let Some(at_ms) = at_ms else { return };
        if let Some(timer) = &self.timer
            && timer.at_ms <= at_ms
            && !timer.task.is_finished()
        {
            return;
        }
        let worker = self.worker.clone();
        let at = worker.services.clock.instant_of(at_ms);
        let task = tokio::spawn(async move {
            tokio::time::sleep_until(at).await;
            worker.send(AppEvent::Woke);
        });
        self.timer = Some(Timer {
            at_ms,
            task: task.abort_handle(),
        });
    }

    fn save(&mut self) {
        let Some(life) = &self.life else { return };
        self.record = Arc::new(life.record().clone());
        let services = &self.worker.services;
        services
            .turns
            .remember(&self.worker.app, Arc::clone(&self.record));
        services.records.save(&self.worker.app, Arc::clone(&self.record));
    }

    /// Posts the state and tells the reconciler, if either would see something new.
    fn publish(&mut self, is_record_changed: bool) {
        let Some(life) = &self.life else { return };
        let (state, standing) = (
            life.state(self.worker.services.node.as_str(), &self.path),
            life.standing(),
        );
        let is_same = self
            .told
            .as_ref()
            .is_some_and(|(old, stood)| **old == state && *stood == standing);
        if is_same && !is_record_changed {
            return;
        }
        let state = Arc::new(state);
        self.told = Some((Arc::clone(&state), standing));
        if !standing.gone {
            let posted = Posted {
                state,
                record: Arc::clone(&self.record),
            };
            self.worker.services.board.post(&self.worker.app, posted);
        }
        if !is_same {
            self.report();
        }
    }

    fn report(&self) {
        let (Some(life), Some((state, standing))) = (&self.life, &self.told) else {
            return;
        };
        (self.worker.services.report)(AppReport {
            app: self.worker.app.clone(),
            target: life.target().map(Arc::clone),
            applied: life.record().applied.clone(),
            kept: life.record().artefacts_kept(),
            state: Arc::clone(state),
            settled: standing.settled,
            satisfied: standing.satisfied,
            gone: standing.gone,
            failed: standing.failed,
        });
    }

    /// The app is off the node.
    fn forget(&self) {
        let (app, services) = (&self.worker.app, &self.worker.services);
        services.records.forget(app);
        services.board.take_down(app);
        services.turns.forget(app);
        self.worker.myself.actor().stop(None);
    }
}
