//! What each app was told last, and who has heard it. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::lifecycle::{Target, Want};
use crate::names::AppName;

/// The targets that were handed out.
#[derive(Debug, Default)]
pub(super) struct Told {
    targets: BTreeMap<AppName, Target>,
    /// Who has not yet said that it has heard its target: until then the board shows what was before.
    unheard: BTreeSet<AppName>,
}

impl Told {
    /// What an app was told last.
    pub fn target(&self, app: &AppName) -> Option<&Target> {
        self.targets.get(app)
    }

    /// Has the app been told just this?
    pub fn is(&self, app: &AppName, target: &Target) -> bool {
        self.targets.get(app).is_some_and(|told| is_same(told, target))
    }

    /// The app is told this now.
    pub fn tell(&mut self, app: AppName, target: Target) {
        self.unheard.insert(app.clone());
        self.targets.insert(app, target);
    }

    /// The app says that this is its target.
    pub fn heard(&mut self, app: &AppName, target: &Target) {
        if self.is(app, target) {
            self.unheard.remove(app);
        }
    }

    /// The app is off the node.
    pub fn forget(&mut self, app: &AppName) {
        self.targets.remove(app);
        self.unheard.remove(app);
    }

    /// Does every app speak of what it was told last?
    pub fn is_heard_by_all(&self) -> bool {
        self.unheard.is_empty()
    }
}

/// The same target as before? By digests: specs are large.
fn is_same(told: &Target, target: &Target) -> bool {
    let wants_same = match (&told.want, &target.want) {
        (Want::Run(old), Want::Run(new)) => {
            Arc::ptr_eq(old, new)
                || (old.digest == new.digest && old.file == new.file && old.line == new.line)
        }
        (Want::Keep, Want::Keep) | (Want::Gone, Want::Gone) => true,
        (Want::Run(_) | Want::Keep | Want::Gone, _) => false,
    };
    wants_same
        && told.unmet == target.unmet
        && told.error == target.error
        && (told.suspended, told.manual) == (target.suspended, target.manual)
        && told.commit == target.commit
}
