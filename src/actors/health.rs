//! One actor per instance that is checked, beneath its app's: asks it how it fares, and tells the app what is new.
//!
//! One check at a time: a task waits until it is due, asks, and sends what it found; only then the next one is begun. One
//! that hangs ends by its timeout and delays nobody. What follows from what was found, [`Checkup`] decides. An app that is
//! well as before costs its own actor nothing. Killed, this actor is begun anew by the app's, with the last word as its
//! beginning.

mod prober;

use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use self::prober::{Prober, has_not_said_ready};
use super::app::AppServices;
use crate::lifecycle::Watched;
use crate::lifecycle::checkup::{Checkup, Finding, Weight};
use crate::runtime::Notice;
use crate::specs::app_spec::{Health, HealthKind, HealthPolicy};
use crate::status::HealthState;
use crate::status::health::HealthReport;

/// What the actor is told, by its own tasks alone.
#[derive(Debug)]
pub enum HealthMsg {
    /// The check that was due has found this.
    Found(Finding),
    /// The instance says something about itself.
    Noticed(Notice),
    /// The longest silence may be over.
    Silence,
}

/// What the actor starts with.
pub struct HealthArguments {
    /// Whom it checks.
    pub watched: Watched,
    /// With what.
    pub services: Arc<AppServices>,
    /// Told of each report that is another than before; false: nobody hears it any more.
    pub tell: Box<dyn Fn(Arc<HealthReport>) -> bool + Send + Sync>,
}

/// The actor.
#[derive(Debug, Clone, Copy)]
pub struct HealthActor;

/// What it holds. All of it is begun anew with another one.
pub struct HealthActorState {
    myself: ActorRef<HealthMsg>,
    arguments: HealthArguments,
    policy: HealthPolicy,
    checkup: Checkup,
    prober: Prober,
    round: Option<Task>,
    ear: Option<Ear>,
}

/// For checks by notify.
struct Ear {
    /// The instance said that it is ready, to this actor or to one before it.
    is_ready: bool,
    heard: Notice,
    /// When it last said that it lives; none: it need not yet, or nobody can hear it.
    alive_at_ms: Option<u64>,
    _listens: Option<Task>,
    silence: Option<Task>,
}

/// Ends with its owner.
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn begin(work: impl Future<Output = ()> + Send + 'static) -> Task {
    Task(tokio::spawn(work).abort_handle())
}

impl Actor for HealthActor {
    type Msg = HealthMsg;
    type State = HealthActorState;
    type Arguments = HealthArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<HealthMsg>,
        arguments: HealthArguments,
    ) -> Result<HealthActorState, ActorProcessingErr> {
        Ok(HealthActorState::new(myself, arguments))
    }

    async fn post_start(
        &self,
        _myself: ActorRef<HealthMsg>,
        state: &mut HealthActorState,
    ) -> Result<(), ActorProcessingErr> {
        state.listen();
        state.begin_round();
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<HealthMsg>,
        message: HealthMsg,
        state: &mut HealthActorState,
    ) -> Result<(), ActorProcessingErr> {
        let now_ms = state.now_ms();
        let before = state.checkup.health();
        let is_news = match message {
            HealthMsg::Found(finding) => {
                let is_news = state.checkup.take(&finding, now_ms);
                state.begin_round();
                is_news
            }
            HealthMsg::Noticed(notice) => state.noticed(notice, now_ms),
            HealthMsg::Silence => state.silent(now_ms),
        };
        if state.ear.is_some() && state.checkup.health() != before {
            // What the check under way would say is no longer so.
            state.begin_round();
        }
        if is_news && !(state.arguments.tell)(Arc::new(state.checkup.report())) {
            // Its app's actor is gone, and began another one.
            myself.stop(None);
        }
        Ok(())
    }
}

impl HealthActorState {
    fn new(myself: ActorRef<HealthMsg>, arguments: HealthArguments) -> Self {
        let HealthArguments {
            watched, services, ..
        } = &arguments;
        let health = watched.app.spec.health.as_ref();
        let policy = health.map_or_else(HealthPolicy::default, Health::policy);
        let checkup = Checkup::new(policy, watched.health, watched.since_ms, services.clock.now_ms());
        Self {
            prober: Prober::new(watched, services),
            myself,
            policy,
            checkup,
            round: None,
            ear: None,
            arguments,
        }
    }

    fn now_ms(&self) -> u64 {
        self.arguments.services.clock.now_ms()
    }

    /// The next check, in a task of its own: it waits until it is due, and has its time.
    fn begin_round(&mut self) {
        let at = self.arguments.services.clock.instant_of(self.checkup.due_at_ms());
        let myself = self.myself.clone();
        if let Some(ear) = &self.ear {
            if ear.is_ready && self.checkup.health() == HealthState::Unhealthy {
                // What it said once says nothing now: its next word does.
                self.round = None;
                return;
            }
            let finding = match ear.is_ready {
                true => Finding::Well,
                false if ear.heard.is_deaf => Finding::weighing(
                    Weight::Nothing,
                    "nobody can hear what it says: the keeper does not answer",
                ),
                false => has_not_said_ready(),
            };
            self.round = Some(begin(async move {
                tokio::time::sleep_until(at).await;
                let _ = myself.cast(HealthMsg::Found(finding));
            }));
            return;
        }
        let (prober, timeout) = (self.prober.clone(), self.policy.timeout);
        self.round = Some(begin(async move {
            tokio::time::sleep_until(at).await;
            let finding = prober.ask(timeout).await;
            let _ = myself.cast(HealthMsg::Found(finding));
        }));
    }

    /// Hears what the instance says about itself, where that is asked for.
    fn listen(&mut self) {
        if self.policy.kind != HealthKind::Notify {
            return;
        }
        let watched = &self.arguments.watched;
        let runtime = self.arguments.services.runtimes.get(&watched.runtime);
        let notices = runtime.and_then(|runtime| runtime.notices(&watched.app.spec.name, &watched.instance));
        let myself = self.myself.clone();
        let listens = notices.map(|notices| begin(follow(notices, myself)));
        self.ear = Some(Ear {
            is_ready: watched.health == HealthState::Healthy,
            heard: Notice {
                is_deaf: listens.is_none(),
                ..Notice::default()
            },
            alive_at_ms: None,
            _listens: listens,
            silence: None,
        });
    }

    fn noticed(&mut self, notice: Notice, now_ms: u64) -> bool {
        let Some(ear) = &mut self.ear else { return false };
        let before = std::mem::replace(&mut ear.heard, notice);
        let was_ready = ear.is_ready;
        ear.is_ready |= ear.heard.is_ready;
        let mut is_news = self.checkup.hear_status(ear.heard.status.as_deref());
        let has_become_ready = ear.is_ready && !was_ready;
        let is_alive = ear.heard.alive_count != before.alive_count;
        if ear.is_ready && (has_become_ready || is_alive || self.checkup.health() == HealthState::Unknown) {
            is_news |= self.checkup.hear(&Finding::Well, now_ms);
        }
        if ear.heard.trigger_count > before.trigger_count {
            let word = Finding::weighing(
                Weight::Final,
                "it says that something is wrong (WATCHDOG=trigger)",
            );
            is_news |= self.checkup.hear(&word, now_ms);
        }
        // A silence is counted from when it could have been broken.
        let could_speak = ear.is_ready && !ear.heard.is_deaf;
        if !could_speak {
            ear.alive_at_ms = None;
        } else if is_alive || ear.alive_at_ms.is_none() {
            ear.alive_at_ms = Some(now_ms);
        }
        if has_become_ready || before.is_deaf != ear.heard.is_deaf {
            self.begin_round();
        }
        self.await_silence();
        is_news
    }

    /// Wakes when the longest silence would be over. One timer: it is not put off by each word, but looks when it rings.
    fn await_silence(&mut self) {
        let (Some(ear), Some(longest)) = (&mut self.ear, self.policy.watchdog) else {
            return;
        };
        let Some(alive_at_ms) = ear.alive_at_ms else {
            ear.silence = None;
            return;
        };
        if ear.silence.is_some() {
            return;
        }
        let at = self.arguments.services.clock.instant_of(alive_at_ms) + longest;
        let myself = self.myself.clone();
        ear.silence = Some(begin(async move {
            tokio::time::sleep_until(at).await;
            let _ = myself.cast(HealthMsg::Silence);
        }));
    }

    fn silent(&mut self, now_ms: u64) -> bool {
        let (Some(ear), Some(longest)) = (&mut self.ear, self.policy.watchdog) else {
            return false;
        };
        ear.silence = None;
        let Some(alive_at_ms) = ear.alive_at_ms else {
            return false;
        };
        let longest_ms = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
        let is_over = now_ms.saturating_sub(alive_at_ms) >= longest_ms;
        if is_over {
            // An app that is not restarted for it may speak again.
            ear.alive_at_ms = Some(now_ms);
        }
        self.await_silence();
        let word = format!("it has not said WATCHDOG=1 for {longest:?}");
        is_over && self.checkup.hear(&Finding::weighing(Weight::Final, word), now_ms)
    }
}

/// Tells everything that is said, what was said before included, until nobody will say anything more.
async fn follow(mut notices: watch::Receiver<Notice>, to: ActorRef<HealthMsg>) {
    loop {
        let notice = notices.borrow_and_update().clone();
        if to.cast(HealthMsg::Noticed(notice)).is_err() || notices.changed().await.is_err() {
            return;
        }
    }
}
