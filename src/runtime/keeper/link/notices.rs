//! What apps have said about themselves, and those who want to hear it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::names::InstanceId;
use crate::runtime::keeper::protocol::List;
use crate::runtime::notice::Notice;

/// What each run has said so far.
#[derive(Debug)]
pub(super) struct Notices(Mutex<Heard>);

#[derive(Debug)]
struct Heard {
    /// No keeper that hears is connected.
    is_deaf: bool,
    runs: HashMap<InstanceId, watch::Sender<Notice>>,
}

impl Default for Notices {
    fn default() -> Self {
        Self(Mutex::new(Heard {
            is_deaf: true,
            runs: HashMap::new(),
        }))
    }
}

impl Notices {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `instance` has said and will say.
    pub(super) fn subscribe(&self, instance: &InstanceId) -> watch::Receiver<Notice> {
        self.heard().run(instance).subscribe()
    }

    /// A keeper has heard something. Another keeper than before knows less, and what was said stays said.
    pub(super) fn came(&self, instance: &InstanceId, notice: Notice) {
        self.heard().run(instance).send_modify(|known| {
            let before = std::mem::replace(known, notice);
            known.follow(&before);
        });
    }

    /// A keeper that hears (or does not: an earlier release) is connected, and this is what it knows.
    pub(super) fn connected(&self, list: &List, hears: bool) {
        let runs = list.running.iter();
        for run in runs.filter_map(|run| Some((&run.instance, run.notice.clone()?))) {
            self.came(run.0, run.1);
        }
        let mut heard = self.heard();
        heard.set_deaf(!hears);
        heard.runs.retain(|instance, run| {
            run.receiver_count() > 0 || list.running.iter().any(|running| running.instance == *instance)
        });
    }

    /// There is no keeper.
    pub(super) fn lost(&self) {
        self.heard().set_deaf(true);
    }

    /// The run is over.
    pub(super) fn forget(&self, instance: &InstanceId) {
        self.heard().runs.remove(instance);
    }
}

impl Heard {
    fn run(&mut self, instance: &InstanceId) -> &watch::Sender<Notice> {
        let is_deaf = self.is_deaf;
        self.runs.entry(instance.clone()).or_insert_with(|| {
            watch::Sender::new(Notice {
                is_deaf,
                ..Notice::default()
            })
        })
    }

    fn set_deaf(&mut self, is_deaf: bool) {
        self.is_deaf = is_deaf;
        for run in self.runs.values() {
            run.send_if_modified(|notice| std::mem::replace(&mut notice.is_deaf, is_deaf) != is_deaf);
        }
    }
}
