//! The app actors of a node: how they are started, found and told. The `apps` supervisor owns them, this is its address book.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use tracing::error;

use super::app::{AppActor, AppArguments, AppMsg, AppServices};
use super::deadline::Deadline;
use super::mailbox;
use crate::lifecycle::{AppRecord, Operation, Target};
use crate::names::AppName;
use crate::runtime::Runtimes;
use crate::status::Usage;
use crate::supervisor::{AdminError, DynamicSupervisor, Restart, Shutdown};

/// The app actors of a node. Cheap to clone; all copies are the same.
#[derive(Clone)]
pub(crate) struct Apps(Arc<Book>);

struct Book {
    services: Arc<AppServices>,
    supervisor: RwLock<Option<DynamicSupervisor>>,
}

impl Apps {
    /// Those that work with `services`; `known`: what the store remembers of them.
    pub fn new(services: Arc<AppServices>, known: BTreeMap<AppName, AppRecord>) -> Self {
        for (name, record) in known {
            services.turns.remember(&name, Arc::new(record));
        }
        Self(Arc::new(Book {
            services,
            supervisor: RwLock::default(),
        }))
    }

    /// A new incarnation of the `apps` supervisor: it has no children yet.
    pub fn supervised_by(&self, supervisor: DynamicSupervisor) {
        *self.0.supervisor.write().unwrap_or_else(PoisonError::into_inner) = Some(supervisor);
    }

    /// The `apps` supervisor.
    pub fn supervisor(&self) -> Option<DynamicSupervisor> {
        self.0
            .supervisor
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Every app that the node has to do with, and what is remembered of it: those that the store knew, and those that
    /// came since; none that is off the node.
    pub fn known(&self) -> BTreeMap<AppName, Arc<AppRecord>> {
        self.0.services.turns.records()
    }

    /// Starts an app's actor, unless it is there.
    pub async fn start(&self, name: &AppName) {
        let Some(supervisor) = self.supervisor() else {
            return;
        };
        let arguments = AppArguments {
            name: name.clone(),
            services: self.0.services.clone(),
            record: None,
        };
        let child = mailbox::child(name.as_str(), move |depth| (AppActor(depth), arguments.clone()));
        // An app actor leaves its process alone when it ends; it has nothing to tidy that would take time.
        let child = child.restart(Restart::Transient).shutdown(Shutdown::Brutal);
        match supervisor.start_child(child).await {
            Ok(_) | Err(AdminError::AlreadyStarted(_) | AdminError::AlreadyPresent) => {}
            Err(error) => error!(app = %name, %error, "the app's actor does not start"),
        }
    }

    /// Tells an app its target; starts its actor if there is none. `false`: nobody heard it, because the actor is being
    /// restarted; the new one asks for its target.
    pub async fn tell(&self, name: &AppName, target: &Target) -> bool {
        if self.cast(name, target) {
            return true;
        }
        // Nothing is at the address of an app that was off the node, or whose actor died with its supervisor.
        self.start(name).await;
        self.cast(name, target)
    }

    /// Tells an app its target again, unless what it was sent before is still unread: then it will hear that.
    pub async fn remind(&self, name: &AppName, target: &Target) {
        let actor = self.0.services.turns.actor(name);
        if !actor.is_some_and(|actor| actor.has_unread()) {
            self.tell(name, target).await;
        }
    }

    fn cast(&self, name: &AppName, target: &Target) -> bool {
        let actor = self.0.services.turns.actor(name);
        actor.is_some_and(|actor| actor.cast(AppMsg::Target(target.clone())).is_ok())
    }

    /// Ends an app's actor: the app is off the node.
    pub async fn end(&self, name: &AppName) {
        if let Some(supervisor) = self.supervisor() {
            let _ = supervisor.terminate_child(name.as_str()).await;
        }
    }

    /// Is this app on the node, or about to be?
    pub fn knows(&self, name: &AppName) -> bool {
        self.0.services.turns.knows(name) || self.0.services.board.get(name).is_some()
    }

    /// Does `work` on what an app has left behind, in the app's turn: nobody starts it meanwhile, so it must not take long.
    /// None: it is here, or something else is at work on it for so long.
    pub async fn without<T>(
        &self,
        name: &AppName,
        deadline: Deadline,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let turn = deadline.turn(self.0.services.turns.take(name)).await;
        let done = if turn.is_err() || self.knows(name) {
            None
        } else {
            Some(work.await)
        };
        drop(turn);
        self.0.services.turns.forget_unused(name);
        done
    }

    /// The ways to run an app.
    pub fn runtimes(&self) -> &Runtimes {
        &self.0.services.runtimes
    }

    /// What an app's tree uses now, where its runtime can tell.
    pub async fn usage(&self, name: &AppName) -> Option<Usage> {
        self.0.services.usage(name).await
    }

    /// Restarts, stops or starts an app by hand; resolves when it is done.
    pub async fn operate(&self, name: &AppName, command: Operation) -> Result<(), String> {
        let Some(actor) = self.0.services.turns.actor(name) else {
            return Err(format!("{name} has no actor now; try again in a moment"));
        };
        match actor.ask(|reply| AppMsg::Operator { command, reply }).await {
            Some(done) => done.map_err(|error| error.to_string()),
            None => Err(format!("the actor of {name} was restarted meanwhile; try again")),
        }
    }
}
