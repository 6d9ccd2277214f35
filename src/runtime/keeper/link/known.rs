//! Which apps a keeper may know anything of.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::names::AppName;

/// Apps of which some keeper of this node may know something. A node of many apps looks for each of them when it
/// starts; an app that is not in here has nothing that could be found, and no keeper needs be asked.
///
/// It only grows by what keepers list and by what is started, and both are entered before anybody could ask: so it is
/// never too small, whatever becomes of a keeper. The data directory's lock sees to it that nobody else starts apps.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<Apps>);

#[derive(Debug, Default)]
struct Apps {
    /// A keeper has told what it knows. Before that everything is possible.
    is_listed: bool,
    names: HashSet<AppName>,
}

impl Known {
    fn apps(&self) -> MutexGuard<'_, Apps> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn may_know(&self, app: &AppName) -> bool {
        let apps = self.apps();
        !apps.is_listed || apps.names.contains(app)
    }

    pub(super) fn started(&self, app: &AppName) {
        self.apps().names.insert(app.clone());
    }

    pub(super) fn listed(&self, names: impl Iterator<Item = AppName>) {
        let mut apps = self.apps();
        apps.names.extend(names);
        apps.is_listed = true;
    }

    pub(super) fn forgotten(&self, app: &AppName) {
        self.apps().names.remove(app);
    }
}
