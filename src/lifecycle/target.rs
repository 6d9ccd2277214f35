//! What an app actor is told to bring about.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::names::{AppName, CommitId, Version};
use crate::specs::DesiredApp;
use crate::status::AppError;

/// What is asked for now. Level-triggered: the same target again changes nothing, and a later one replaces an earlier one.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// What is to be.
    pub want: Want,
    /// Dependencies that are not satisfied yet. They hold back nothing but the app's very first start.
    pub unmet: BTreeSet<AppName>,
    /// The mistake in the app's spec, where there is one.
    pub error: Option<AppError>,
    /// Git is not applied to it: `suspend: true`, or by an operator. Supervision goes on.
    pub suspended: bool,
    /// It was changed by hand, beside git.
    pub manual: bool,
    /// Who did that, for the history.
    pub by: Option<String>,
    /// The version that git asks for, where git is not applied.
    pub asked: Option<Version>,
    /// The commit that asks for it.
    pub commit: Option<CommitId>,
}

/// What is to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Want {
    /// It runs exactly so.
    Run(Arc<DesiredApp>),
    /// What was applied last goes on, supervised; nothing new is applied. (A bad spec, a suspended app, a removal that
    /// is held back.)
    Keep,
    /// It is taken off the node.
    Gone,
}

impl Target {
    /// `want` and nothing special about it.
    #[must_use]
    pub fn new(want: Want) -> Self {
        Self {
            want,
            unmet: BTreeSet::new(),
            error: None,
            suspended: false,
            manual: false,
            by: None,
            asked: None,
            commit: None,
        }
    }

    /// Asks for `app` at `commit`.
    #[must_use]
    pub fn run(app: Arc<DesiredApp>, commit: Option<CommitId>) -> Self {
        Self {
            commit,
            ..Self::new(Want::Run(app))
        }
    }

    /// What git (or an operator in its place) asks for.
    #[must_use]
    pub fn desired(&self) -> Option<&Arc<DesiredApp>> {
        match &self.want {
            Want::Run(app) => Some(app),
            Want::Keep | Want::Gone => None,
        }
    }

    /// Does it ask for the same as `other`? By digests: specs are large.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let wants_same = match (&self.want, &other.want) {
            (Want::Run(old), Want::Run(new)) => {
                Arc::ptr_eq(old, new)
                    || (old.digest == new.digest && old.file == new.file && old.line == new.line)
            }
            (Want::Keep, Want::Keep) | (Want::Gone, Want::Gone) => true,
            (Want::Run(_) | Want::Keep | Want::Gone, _) => false,
        };
        wants_same
            && self.unmet == other.unmet
            && self.error == other.error
            && (self.suspended, self.manual, &self.asked) == (other.suspended, other.manual, &other.asked)
            && self.commit == other.commit
    }

    /// Is the app to be removed?
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self.want, Want::Gone)
    }
}
