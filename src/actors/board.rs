//! What everybody may read about the apps at any time, without waiting for a mailbox.
//!
//! One writer, many readers: an app's entry is written by its actor alone, and nothing decides by the board.

use std::collections::BTreeMap;
use std::sync::Arc;

use dashmap::DashMap;

use crate::lifecycle::AppRecord;
use crate::names::AppName;
use crate::status::AppState;

/// Every app's published state.
#[derive(Debug, Default)]
pub struct Board {
    apps: DashMap<AppName, Posted>,
}

/// One app's entry.
#[derive(Debug, Clone)]
pub struct Posted {
    /// Its state.
    pub state: Arc<AppState>,
    /// What it was deployed from, its past ends, its counters.
    pub record: Arc<AppRecord>,
}

impl Board {
    /// One app's state.
    #[must_use]
    pub fn get(&self, app: &AppName) -> Option<Arc<AppState>> {
        self.apps.get(app).map(|posted| Arc::clone(&posted.state))
    }

    /// One app's entry.
    #[must_use]
    pub fn posted(&self, app: &AppName) -> Option<Posted> {
        self.apps.get(app).map(|posted| posted.clone())
    }

    /// All apps by name.
    #[must_use]
    pub fn all(&self) -> BTreeMap<AppName, Arc<AppState>> {
        let apps = self.apps.iter();
        apps.map(|posted| (posted.key().clone(), Arc::clone(&posted.state)))
            .collect()
    }

    /// How all apps are, in no order: for what is counted at each look, however many there are.
    #[must_use]
    pub fn states(&self) -> Vec<Arc<AppState>> {
        let apps = self.apps.iter();
        apps.map(|posted| Arc::clone(&posted.state)).collect()
    }

    /// How many apps there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.apps.len()
    }

    /// Is there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.apps.is_empty()
    }

    /// Writes an app's entry. For its actor alone.
    pub(super) fn post(&self, app: &AppName, posted: Posted) {
        if let Some(mut entry) = self.apps.get_mut(app) {
            *entry = posted;
        } else {
            self.apps.insert(app.clone(), posted);
        }
    }

    /// Takes an app's entry off. For its actor alone, when the app is gone.
    pub(super) fn take_down(&self, app: &AppName) {
        self.apps.remove(app);
    }
}
