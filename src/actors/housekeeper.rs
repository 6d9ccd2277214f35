//! Sees to what removed apps leave: has runtimes let go of them, keeps their folders for seven days, then removes them.
//!
//! Level-triggered: each round compares the folders that are there with the apps that the node has, so an app that left
//! while nobody looked (a crash, a lost message) is found all the same. A round runs in a task of its own; nothing is
//! touched but in the app's turn, in which nobody can start it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tracing::{debug, info, warn};

use super::apps::Apps;
use super::deadline::Deadline;
use super::mailbox::{Depth, Mailbox};
use super::node_board::NodeBoard;
use crate::names::AppName;
use crate::runtime::leavings::folders::{AppFolders, STEP_ENTRIES_MAX, Step};
use crate::runtime::leavings::{Leavings, Moment};
use crate::supervisor::panic_message;

/// How often it looks by itself. So much is lost of an app's seven days at most, at each start of the machine.
const LOOK_EVERY: Duration = Duration::from_secs(600);
/// The pause between two steps of a large removal.
const NEXT_STEP_AFTER: Duration = Duration::from_secs(1);
/// How long runtimes may take over one app, its turn included: whoever would start it waits meanwhile.
const RUNTIMES_MAX: Duration = Duration::from_secs(10);

/// What the housekeeper works with.
pub(crate) struct HousekeeperServices {
    /// The apps of the node, and their turns.
    pub apps: Apps,
    /// Says what the accepted commit asks for.
    pub board: Arc<NodeBoard>,
    /// The folders of apps.
    pub folders: AppFolders,
    /// What survives the daemon.
    pub memory: Arc<dyn LeavingsMemory>,
    /// How long folders are kept.
    pub kept_for: Duration,
}

/// Where the leavings are kept.
pub(crate) trait LeavingsMemory: Send + Sync + 'static {
    /// As they were saved last.
    fn leavings(&self) -> Leavings;
    /// Saves them; none are a good thing to save.
    fn save_leavings(&self, leavings: &Leavings);
}

/// What it is told.
#[derive(Debug)]
pub(crate) enum HousekeeperMsg {
    /// Something may have changed, or time has passed.
    Look,
    /// A round is over; look again after so long.
    Looked(Duration),
}

/// The actor.
#[derive(Debug)]
pub(crate) struct Housekeeper(pub Depth);

/// What it holds.
pub(crate) struct HousekeeperState {
    services: Arc<HousekeeperServices>,
    myself: Mailbox<HousekeeperMsg>,
    is_looking: bool,
    is_asked_again: bool,
    alarm: Option<tokio::task::AbortHandle>,
}

impl Actor for Housekeeper {
    type Msg = HousekeeperMsg;
    type State = HousekeeperState;
    type Arguments = Arc<HousekeeperServices>;

    async fn pre_start(
        &self,
        myself: ActorRef<HousekeeperMsg>,
        services: Arc<HousekeeperServices>,
    ) -> Result<HousekeeperState, ActorProcessingErr> {
        let myself = Mailbox::new(myself, self.0.clone());
        myself.cast(HousekeeperMsg::Look)?;
        Ok(HousekeeperState {
            services,
            myself,
            is_looking: false,
            is_asked_again: false,
            alarm: None,
        })
    }

    async fn handle(
        &self,
        _: ActorRef<HousekeeperMsg>,
        message: HousekeeperMsg,
        state: &mut HousekeeperState,
    ) -> Result<(), ActorProcessingErr> {
        self.0.taken();
        match message {
            HousekeeperMsg::Look if state.is_looking => state.is_asked_again = true,
            HousekeeperMsg::Look => state.begin(),
            HousekeeperMsg::Looked(pause) => {
                state.is_looking = false;
                if std::mem::take(&mut state.is_asked_again) {
                    state.begin();
                } else {
                    state.alarm = Some(state.myself.send_after(pause, || HousekeeperMsg::Look));
                }
            }
        }
        Ok(())
    }
}

impl HousekeeperState {
    fn begin(&mut self) {
        self.is_looking = true;
        if let Some(alarm) = self.alarm.take() {
            alarm.abort();
        }
        let (services, myself) = (Arc::clone(&self.services), self.myself.clone());
        tokio::spawn(async move {
            let round = AssertUnwindSafe(services.round(&Moment::now()))
                .catch_unwind()
                .await;
            let pause = round.unwrap_or_else(|panic| {
                warn!(
                    panic = panic_message(&*panic),
                    "a look at what apps left came to nothing"
                );
                LOOK_EVERY
            });
            // Gone only when the node stops.
            let _ = myself.cast(HousekeeperMsg::Looked(pause));
        });
    }
}

impl HousekeeperServices {
    /// One round; how long to wait for the next.
    async fn round(&self, now: &Moment) -> Duration {
        // Before a commit was read nobody can say who has left.
        let mut next = LOOK_EVERY;
        if self.board.specs().desired.is_some() {
            let left = self.sort(now).await.unwrap_or(LOOK_EVERY);
            next = left.clamp(NEXT_STEP_AFTER, LOOK_EVERY);
        }
        let folders = self.folders.clone();
        match tokio::task::spawn_blocking(move || folders.empty(STEP_ENTRIES_MAX)).await {
            Ok(Step::More) => NEXT_STEP_AFTER,
            Ok(Step::Stuck { place, reason }) => {
                warn!(place = %place.display(), reason, "what an app left cannot be removed yet");
                next
            }
            Ok(Step::Done) | Err(_) => next,
        }
    }

    /// Notes who has left, who is back, and moves out of the way what was kept long enough. When the next one's time is over.
    async fn sort(&self, now: &Moment) -> Option<Duration> {
        let folders = self.folders.clone();
        let names = match tokio::task::spawn_blocking(move || folders.names()).await {
            Ok(Ok(names)) => names,
            Ok(Err(error)) => {
                warn!(%error, "the folders of apps cannot be read");
                return None;
            }
            Err(_) => return None,
        };
        let before = self.memory.leavings();
        let mut leavings = before.clone();
        leavings.advance(now);
        leavings.retain(|app| names.binary_search(app).is_ok());
        for app in names {
            if self.is_here(&app) {
                leavings.let_go(&app);
            } else if !leavings.holds(&app) && self.let_go(&app).await {
                info!(%app, days = self.kept_for.as_secs() / 86_400, "the app has left; its folders are kept");
                leavings.keep(app, self.kept_for);
            }
        }
        for app in leavings.expired() {
            if self.bury(&app).await {
                info!(%app, "the folders of a removed app were kept long enough and are removed");
                leavings.let_go(&app);
            }
        }
        if leavings != before && !(leavings.is_empty() && before.is_empty()) {
            self.memory.save_leavings(&leavings);
        }
        leavings.next()
    }

    /// Does the node have this app, or does the accepted commit ask for it, be it in a way that cannot be carried out?
    fn is_here(&self, app: &AppName) -> bool {
        let desired = self.board.specs().desired;
        let is_desired = desired
            .is_some_and(|desired| desired.apps.contains_key(app) || desired.invalid.contains_key(app));
        is_desired || self.apps.knows(app)
    }

    /// Has every runtime let go of an app that has left. `false`: it is here after all, or a runtime does not let go.
    async fn let_go(&self, app: &AppName) -> bool {
        let deadline = Deadline::after(RUNTIMES_MAX);
        let let_go = async {
            for (name, runtime) in self.apps.runtimes() {
                if let Err(trouble) = deadline.call(runtime.forget(app)).await {
                    debug!(%app, runtime = name, error = trouble.message, "a removed app is not let go of yet");
                    return false;
                }
            }
            true
        };
        self.apps.without(app, deadline, let_go).await == Some(true)
    }

    async fn bury(&self, app: &AppName) -> bool {
        let (folders, buried) = (self.folders.clone(), app.clone());
        let deadline = Deadline::after(RUNTIMES_MAX);
        let bury = async {
            for runtime in self.apps.runtimes().values() {
                // Found by looking: whatever was forgotten, what runs keeps its folders.
                if !matches!(deadline.call(runtime.adopt(app)).await, Ok(None)) {
                    return false;
                }
            }
            // Without a limit: it goes on to its end whoever waits, and the turn must not be over before it.
            match tokio::task::spawn_blocking(move || folders.bury(&buried)).await {
                Ok(Ok(())) => true,
                Ok(Err(error)) => {
                    warn!(%app, %error, "the folders of a removed app cannot be moved away");
                    false
                }
                Err(_) => false,
            }
        };
        self.apps.without(app, deadline, bury).await == Some(true)
    }
}

#[cfg(test)]
mod tests;
