//! The node's facts for all to read: what the repository says, how the last reconcile went, what operators decided.
//!
//! One writer for each part (the repo watcher, the reconciler, the store); readers never wait for an actor. Nothing is
//! decided by what stands here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::clock::{now_ms, rfc3339};
use crate::names::{AppName, CommitId};
use crate::specs::Desired;
use crate::specs::desired::CommitFacts;
use crate::status::hold::{Hold, Until};
use crate::status::{Blocked, KeeperTrouble, LastReconcile};

/// The node's facts.
#[derive(Debug, Default)]
pub(crate) struct NodeBoard {
    source: Mutex<SourceFacts>,
    specs: Mutex<SpecsFacts>,
    reconcile: Mutex<Option<LastReconcile>>,
    held: Mutex<Held>,
    dropped_output_bytes: Mutex<BTreeMap<AppName, u64>>,
    store_error: Mutex<Option<String>>,
    keeper_trouble: Mutex<Option<KeeperTrouble>>,
    changes: Changes,
}

/// Tells that something changed, without saying what.
#[derive(Debug)]
pub(crate) struct Changes(watch::Sender<u64>);

impl Default for Changes {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

/// To what git is not applied, by an operator's word.
#[derive(Debug, Clone, Default)]
pub(crate) struct Held {
    /// To no app at all.
    pub node: Option<Until>,
    /// To these that were suspended.
    pub suspended: BTreeMap<AppName, Until>,
    /// To these that were deployed or upgraded by hand.
    pub changed: BTreeMap<AppName, Until>,
    /// To these that were removed by hand, though git may ask for them.
    pub removed: BTreeMap<AppName, Until>,
    /// Their removal was refused as part of too many.
    pub refused_prune: BTreeSet<AppName>,
}

impl Held {
    /// Why git is not applied to this app, if that is by an operator's word.
    pub fn hold(&self, app: &AppName) -> Option<Hold> {
        let by_hand = self.changed.get(app).copied().map(Hold::Changed);
        let passing = |hold: &Hold| *hold == Hold::Changed(Until::NextReconcile);
        let lasting = by_hand.filter(|hold| !passing(hold));
        let removed = || self.removed.get(app).copied().map(Hold::Removed);
        let suspended = || self.suspended.get(app).copied().map(Hold::Suspended);
        // A reconcile ends what was changed until it comes, and undoes nothing where git is not applied anyway.
        let lasting = lasting
            .or_else(removed)
            .or(self.node.map(Hold::NodeSuspended))
            .or_else(suspended);
        lasting.or(by_hand)
    }

    /// Is git not applied to this app even when the next reconcile comes?
    pub fn outlasts_reconcile(&self, app: &AppName) -> bool {
        let by_hand = self.changed.get(app).or_else(|| self.removed.get(app));
        let by_hand = by_hand.filter(|until| **until != Until::NextReconcile);
        self.node.is_some() || self.suspended.contains_key(app) || by_hand.is_some()
    }
}

/// What the repo watcher knows of the repository.
#[derive(Debug, Clone, Default)]
pub(crate) struct SourceFacts {
    /// The newest commit that was seen on the branch, accepted or not.
    pub head: Option<CommitId>,
    /// When the last fetch that worked ended, milliseconds since the epoch.
    pub fetched_at_ms: Option<u64>,
    /// Why the last fetch failed.
    pub error: Option<String>,
    /// A rewritten history that waits for an operator's word.
    pub blocked: Option<Blocked>,
    /// When the next look is due, milliseconds since the epoch.
    pub next_at_ms: Option<u64>,
}

/// A commit of which nothing is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Which.
    pub facts: CommitFacts,
    /// Why.
    pub why: String,
}

/// What the reconciler knows of the accepted commit.
#[derive(Debug, Clone, Default)]
pub(crate) struct SpecsFacts {
    /// The commit that is applied.
    pub accepted: Option<CommitFacts>,
    /// What it asks for.
    pub desired: Option<Arc<Desired>>,
    /// A newer commit that could not be used, and why.
    pub refused: Option<Refused>,
    /// A mass removal that waits for an operator's word.
    pub blocked: Option<Blocked>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Facts are replaced whole or by assignments that cannot panic midway: a poisoned lock still holds good ones.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl NodeBoard {
    /// What the repo watcher knows.
    pub fn source(&self) -> SourceFacts {
        lock(&self.source).clone()
    }

    /// For the repo watcher alone.
    pub fn set_source(&self, change: impl FnOnce(&mut SourceFacts)) {
        change(&mut lock(&self.source));
        self.touch();
    }

    /// What the reconciler knows.
    pub fn specs(&self) -> SpecsFacts {
        lock(&self.specs).clone()
    }

    /// For the reconciler alone.
    pub fn set_specs(&self, change: impl FnOnce(&mut SpecsFacts)) {
        change(&mut lock(&self.specs));
        self.touch();
    }

    /// The newest reconcile that ended.
    pub fn last_reconcile(&self) -> Option<LastReconcile> {
        lock(&self.reconcile).clone()
    }

    /// For the reconciler alone.
    pub fn set_reconcile(&self, duration_ms: u64, error: Option<String>) {
        let result = if error.is_some() { "error" } else { "ok" }.to_owned();
        *lock(&self.reconcile) = Some(LastReconcile {
            at: rfc3339(now_ms()),
            duration_ms,
            result,
            error,
        });
        self.touch();
    }

    /// Is git applied to no app at all?
    pub fn is_suspended(&self) -> bool {
        lock(&self.held).node.is_some()
    }

    /// To what git is not applied, by an operator's word.
    pub fn held(&self) -> Held {
        lock(&self.held).clone()
    }

    /// For the reconciler alone.
    pub fn set_held(&self, held: Held) {
        *lock(&self.held) = held;
        self.touch();
    }

    /// How much of an app's output was dropped because it said too much at once.
    pub fn dropped_output_bytes(&self, app: &AppName) -> u64 {
        lock(&self.dropped_output_bytes)
            .get(app)
            .copied()
            .unwrap_or_default()
    }

    /// For the link to the keeper alone. `true`: nothing of this app's had been dropped before.
    #[cfg(all(target_os = "linux", feature = "process"))]
    pub fn set_dropped_output_bytes(&self, app: AppName, bytes: u64) -> bool {
        lock(&self.dropped_output_bytes).insert(app, bytes).is_none()
    }

    /// The app has left the node.
    pub fn forget_app(&self, app: &AppName) {
        lock(&self.dropped_output_bytes).remove(app);
    }

    /// What is wrong with the state on disk.
    pub fn store_error(&self) -> Option<String> {
        lock(&self.store_error).clone()
    }

    /// For the store alone.
    pub fn set_store_error(&self, error: Option<String>) {
        *lock(&self.store_error) = error;
        self.touch();
    }

    /// Why apps that are processes cannot be seen.
    pub fn keeper_trouble(&self) -> Option<KeeperTrouble> {
        lock(&self.keeper_trouble).clone()
    }

    /// For whoever watches the link to the keeper alone. `true`: it was otherwise before, in more than words.
    #[cfg(all(target_os = "linux", feature = "process"))]
    pub fn set_keeper_trouble(&self, why: Option<String>) -> bool {
        let mut trouble = lock(&self.keeper_trouble);
        let since_ms = trouble.as_ref().map(|trouble| trouble.since_ms);
        let is_news = since_ms.is_some() != why.is_some();
        *trouble = why.map(|why| KeeperTrouble {
            why,
            since_ms: since_ms.unwrap_or_else(now_ms),
        });
        drop(trouble);
        self.touch();
        is_news
    }

    /// Somebody who shows the node may look again.
    pub fn touch(&self) {
        self.changes.0.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Wakes whoever shows the node.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.0.subscribe()
    }
}
