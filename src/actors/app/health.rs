//! Sees to it that what is to be checked is checked: by one actor beneath the app's, begun, replaced and ended with the
//! instance and its checks.

use std::sync::Arc;
use std::time::Duration;

use ractor::{ActorCell, ActorRef, ActorRuntime};
use tracing::error;

use super::{AppActorState, AppMsg, Happened};
use crate::actors::health::{HealthActor, HealthArguments, HealthMsg};
use crate::lifecycle::{AppEvent, Watched};

/// How soon a health actor that died is begun anew: one that cannot live must not keep a processor busy.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The actor that checks.
pub(super) struct HealthChild {
    watched: Watched,
    /// None: it has died, and is begun anew in a while.
    actor: Option<ActorRef<HealthMsg>>,
}

impl Drop for HealthChild {
    fn drop(&mut self) {
        if let Some(actor) = &self.actor {
            // Its check under way ends with it.
            actor.kill();
        }
    }
}

impl AppActorState {
    /// Level-triggered: after each step the right checks are under way, or none.
    pub(super) fn see_to_health(&mut self) {
        let watched = self.life.as_ref().and_then(crate::lifecycle::Lifecycle::watched);
        let is_as_wanted = match (&self.health, &watched) {
            (None, None) => true,
            (Some(child), Some(watched)) => child.watched.is_same(watched),
            (None, Some(_)) | (Some(_), None) => false,
        };
        if !is_as_wanted {
            self.health = watched.map(|watched| self.begin_checks(watched));
        }
    }

    fn begin_checks(&self, watched: Watched) -> HealthChild {
        let (app, to) = (self.worker.app.clone(), self.worker.myself.clone());
        let (instance, by) = (watched.instance.clone(), Arc::clone(&watched.app.spec));
        let tell = move |report| {
            let event = AppEvent::Checked {
                instance: instance.clone(),
                by: Arc::clone(&by),
                report,
            };
            to.cast(AppMsg::Happened(Happened(event))).is_ok()
        };
        let arguments = HealthArguments {
            watched: watched.clone(),
            services: Arc::clone(&self.worker.services),
            tell: Box::new(tell),
        };
        let supervisor = self.worker.myself.actor().get_cell();
        let spawned = ActorRuntime::spawn_linked_instant(None, HealthActor, arguments, supervisor);
        let actor = match spawned {
            Ok((actor, _)) => Some(actor),
            Err(error) => {
                error!(app = %app, %error, "the app's health cannot be checked");
                None
            }
        };
        HealthChild { watched, actor }
    }

    /// An actor beneath this one has ended. If it was the one that checks, another one takes its place.
    pub(super) fn health_ended(&mut self, who: &ActorCell) {
        let Some(child) = &mut self.health else { return };
        if child
            .actor
            .as_ref()
            .is_none_or(|actor| actor.get_id() != who.get_id())
        {
            return;
        }
        child.actor = None;
        let again = || AppMsg::HealthDied;
        self.worker.myself.send_after(AGAIN_AFTER, again);
    }

    /// The time has come to begin anew.
    pub(super) fn begin_checks_again(&mut self) {
        if self.health.as_ref().is_some_and(|child| child.actor.is_none()) {
            self.health = None;
            self.see_to_health();
        }
    }
}
