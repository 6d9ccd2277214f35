//! The exits that came, and those who wait for one.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::names::InstanceId;
use crate::runtime::keeper::protocol::Exit;

/// Exits that came and those that wait for one.
#[derive(Debug, Default)]
pub(super) struct Exits {
    entries: Mutex<HashMap<InstanceId, Entry>>,
}

#[derive(Debug, Default)]
struct Entry {
    exit: Option<Exit>,
    waiting: Vec<oneshot::Sender<Exit>>,
}

impl Exits {
    fn entries(&self) -> std::sync::MutexGuard<'_, HashMap<InstanceId, Entry>> {
        // Nothing panics while it is held; if something did, the map is still whole.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resolves when the run has ended; with an error when no keeper knows it.
    pub(super) fn watch(&self, instance: &InstanceId) -> oneshot::Receiver<Exit> {
        let (told, receiver) = oneshot::channel();
        let mut entries = self.entries();
        let entry = entries.entry(instance.clone()).or_default();
        match &entry.exit {
            Some(exit) => drop(told.send(exit.clone())),
            None => {
                entry.waiting.retain(|waiting| !waiting.is_closed());
                entry.waiting.push(told);
            }
        }
        receiver
    }

    pub(super) fn get(&self, instance: &InstanceId) -> Option<Exit> {
        self.entries().get(instance)?.exit.clone()
    }

    pub(super) fn forget(&self, instance: &InstanceId) {
        self.entries().remove(instance);
    }

    /// A keeper told of an exit.
    pub(super) fn came(&self, exit: Exit) {
        let mut entries = self.entries();
        let entry = entries.entry(exit.instance.clone()).or_default();
        for waiting in entry.waiting.drain(..) {
            let _ = waiting.send(exit.clone());
        }
        entry.exit = Some(exit);
    }

    /// Gives up waiting for runs that `is_known` denies: no keeper will tell of them.
    pub(super) fn give_up(&self, is_known: impl Fn(&InstanceId) -> bool) {
        self.entries()
            .retain(|instance, entry| entry.exit.is_some() || is_known(instance));
    }
}
