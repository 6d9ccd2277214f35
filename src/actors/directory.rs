//! Where the node's actors are, by role: the node's own, no process-wide registry. Whoever was restarted is found again.

use std::sync::{PoisonError, RwLock};

use ractor::Message;

use super::housekeeper::HousekeeperMsg;
use super::mailbox::Mailbox;
use super::reconciler::ReconcilerMsg;
use super::repo_watcher::WatcherMsg;

/// One address that changes when its actor is restarted.
#[derive(Debug)]
pub(crate) struct Address<M>(RwLock<Option<Mailbox<M>>>);

impl<M> Default for Address<M> {
    fn default() -> Self {
        Self(RwLock::new(None))
    }
}

impl<M: Message> Address<M> {
    /// The actor that has the role now, dead or alive; none before its first start.
    pub fn get(&self) -> Option<Mailbox<M>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A new actor has the role.
    pub fn set(&self, actor: Mailbox<M>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(actor);
    }

    /// Sends a message to whoever has the role; `false`: nobody has it, or nobody will ever read it.
    pub fn cast(&self, message: M) -> bool {
        self.get().is_some_and(|actor| actor.cast(message).is_ok())
    }
}

/// The node's actors that others look up.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    pub reconciler: Address<ReconcilerMsg>,
    pub repo_watcher: Address<WatcherMsg>,
    pub housekeeper: Address<HousekeeperMsg>,
}
