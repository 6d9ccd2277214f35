//! The app actors of a node: how they are started, found and told. The `apps` supervisor owns them, this is its address book.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use dashmap::DashMap;
use tracing::error;

use super::app::{AppActor, AppArguments, AppMsg, AppServices, FirstLook};
use super::mailbox::{Depth, Mailbox};
use crate::lifecycle::{AppRecord, Operation, Target};
use crate::names::AppName;
use crate::runtime::Runtimes;
use crate::status::Usage;
use crate::supervisor::{AdminError, ChildSpec, DynamicSupervisor, Restart, Shutdown, Started};

/// The app actors of a node. Cheap to clone; all copies are the same.
#[derive(Clone)]
pub(crate) struct Apps(Arc<Book>);

struct Book {
    services: Arc<AppServices>,
    addresses: DashMap<AppName, Mailbox<AppMsg>>,
    supervisor: RwLock<Option<DynamicSupervisor>>,
    /// What the store remembered of those that have not left since.
    known: DashMap<AppName, AppRecord>,
}

impl Apps {
    /// Those that work with `services`; `known`: what the store remembers of them.
    pub fn new(services: Arc<AppServices>, known: BTreeMap<AppName, AppRecord>) -> Self {
        Self(Arc::new(Book {
            services,
            addresses: DashMap::new(),
            supervisor: RwLock::default(),
            known: known.into_iter().collect(),
        }))
    }

    /// A new incarnation of the `apps` supervisor: it has no children yet.
    pub fn supervised_by(&self, supervisor: DynamicSupervisor) {
        self.0.addresses.clear();
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

    /// What runs and what is remembered of every app: from the board, and from the store for those that have not been
    /// started since the daemon was.
    pub fn known(&self) -> BTreeMap<AppName, Arc<AppRecord>> {
        let mut known: BTreeMap<_, _> = self
            .0
            .known
            .iter()
            .map(|entry| (entry.key().clone(), Arc::new(entry.value().clone())))
            .collect();
        for name in self.0.services.board.all().into_keys() {
            known.extend(
                self.0
                    .services
                    .board
                    .posted(&name)
                    .map(|posted| (name, posted.record)),
            );
        }
        known
    }

    /// Starts an app's actor, unless it is there.
    pub async fn start(&self, name: &AppName, first_look: FirstLook) {
        let Some(supervisor) = self.supervisor() else {
            return;
        };
        let arguments = AppArguments {
            name: name.clone(),
            services: self.0.services.clone(),
            record: self.0.known.get(name).map(|record| record.clone()),
            first_look,
        };
        let book = Arc::downgrade(&self.0);
        let child = ChildSpec::new(name.as_str(), move |supervisor| {
            let (arguments, book) = (arguments.clone(), book.clone());
            async move {
                let (name, depth) = (arguments.name.clone(), Depth::default());
                let (actor, join) = supervisor
                    .spawn_linked(None, AppActor(depth.clone()), arguments)
                    .await?;
                if let Some(book) = book.upgrade() {
                    book.addresses
                        .insert(name, Mailbox::new(actor.clone(), depth.clone()));
                }
                Ok(Started::actor(&actor, join).with_info(depth))
            }
        });
        // An app actor leaves its process alone when it ends; it has nothing to tidy that would take time.
        let child = child.restart(Restart::Transient).shutdown(Shutdown::Brutal);
        match supervisor.start_child(child).await {
            Ok(_) | Err(AdminError::AlreadyStarted(_) | AdminError::AlreadyPresent) => {}
            Err(error) => error!(app = %name, %error, "the app's actor does not start"),
        }
    }

    /// Tells an app its target; starts its actor if there is none.
    pub async fn tell(&self, name: &AppName, target: Target) {
        if !self.0.addresses.contains_key(name) {
            self.start(name, FirstLook::unknown()).await;
        }
        let address = self.0.addresses.get(name).map(|entry| entry.value().clone());
        // A dead actor is being restarted: the new one asks for its target.
        if let Some(actor) = address {
            let _ = actor.cast(AppMsg::Target(target));
        }
    }

    /// Ends an app's actor: the app is off the node.
    pub async fn end(&self, name: &AppName) {
        self.0.known.remove(name);
        self.0.addresses.remove(name);
        if let Some(supervisor) = self.supervisor() {
            let _ = supervisor.terminate_child(name.as_str()).await;
        }
    }

    /// Is this app on the node, or about to be?
    pub fn knows(&self, name: &AppName) -> bool {
        self.0.addresses.contains_key(name)
            || self.0.known.contains_key(name)
            || self.0.services.board.get(name).is_some()
    }

    /// Does `work` on what an app has left behind, in the app's turn: nobody starts it meanwhile. None: it is here.
    pub async fn without<T>(&self, name: &AppName, work: impl Future<Output = T>) -> Option<T> {
        let turn = self.0.services.turns.take(name).await;
        let done = if self.knows(name) { None } else { Some(work.await) };
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
        let address = self.0.addresses.get(name).map(|entry| entry.value().clone());
        let Some(actor) = address else {
            return Err(format!("{name} has no actor now; try again in a moment"));
        };
        match actor.ask(|reply| AppMsg::Operator { command, reply }).await {
            Some(done) => done.map_err(|error| error.to_string()),
            None => Err(format!("the actor of {name} was restarted meanwhile; try again")),
        }
    }
}
