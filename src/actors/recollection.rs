//! What the node remembers over its own end: app records, operators' words and the accepted commit, kept in the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::app::AppRecords;
use super::housekeeper::LeavingsMemory;
use super::reconciler::{Memory, OperatorWords};
use super::repo_watcher::AcceptedMemory;
use crate::git::AcceptedNote;
use crate::lifecycle::AppRecord;
use crate::names::AppName;
use crate::runtime::leavings::Leavings;
use crate::store::{Key, Record, Store};

impl Record for OperatorWords {
    const VERSION: u8 = 1;
}

impl Record for Leavings {
    const VERSION: u8 = 1;
}

impl Record for AcceptedNote {
    const VERSION: u8 = 1;
}

const ACCEPTED: Key<AcceptedNote> = Key::new("accepted");
const LEAVINGS: Key<Leavings> = Key::new("leavings");
const WORDS: Key<OperatorWords> = Key::new("operator-words");

/// The store as the actors see it.
#[derive(Debug, Clone)]
pub(crate) struct Recollection(Store);

impl Recollection {
    /// Over `store`.
    pub fn new(store: Store) -> Self {
        Self(store)
    }

    /// Every app that the store remembers.
    pub fn apps(&self) -> BTreeMap<AppName, AppRecord> {
        self.0.apps()
    }
}

impl AppRecords for Recollection {
    fn save(&self, app: &AppName, record: Arc<AppRecord>) {
        self.0.put_app(app, record.as_ref());
    }

    fn forget(&self, app: &AppName) {
        self.0.delete_app(app);
    }
}

impl LeavingsMemory for Recollection {
    fn leavings(&self) -> Leavings {
        self.0.get(&LEAVINGS).unwrap_or_default()
    }

    fn save_leavings(&self, leavings: &Leavings) {
        self.0.put(&LEAVINGS, leavings);
    }
}

impl AcceptedMemory for Recollection {
    fn accepted(&self) -> Option<AcceptedNote> {
        self.0.get(&ACCEPTED)
    }

    fn save_accepted(&self, note: &AcceptedNote) {
        self.0.put(&ACCEPTED, note);
    }
}

impl Memory for Recollection {
    fn words(&self) -> OperatorWords {
        self.0.get(&WORDS).unwrap_or_default()
    }

    fn save_words(&self, words: &OperatorWords) {
        self.0.put(&WORDS, words);
        let store = self.0.clone();
        // What an operator decided is on the disk soon, and in force at once.
        tokio::spawn(async move {
            let _ = store.flush().await;
        });
    }
}
