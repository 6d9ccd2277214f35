//! The ledger together with what was decided from it: decided anew only after a change, so that a reconcile without
//! news costs the same for ten apps and for ten thousand.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

use super::ledger::{Decision, Ledger, Standing};
use crate::lifecycle::Target;
use crate::names::{AppName, SpecDigest};
use crate::plan::{Action, Plan};
use crate::status::Blocked;

/// A ledger that is read freely and changed through [`Book::change`] only.
#[derive(Debug, Default)]
pub(super) struct Book {
    ledger: Ledger,
    /// What follows from the ledger as it is; none after a change.
    verdict: Option<Verdict>,
    /// Apps are to be removed, by what was decided last: how many run decides whether that is too much at once.
    has_removals: bool,
    /// The apps that others depend on; none after a change.
    needed: Option<BTreeSet<AppName>>,
}

/// A decision without its targets, which were handed out.
#[derive(Debug, Default, Clone)]
pub(super) struct Verdict {
    /// What is done because of git, in order.
    pub plan: Plan,
    /// Removals that wait for an operator's word.
    pub blocked: Option<Blocked>,
}

impl Book {
    pub fn new(ledger: Ledger) -> Self {
        Self {
            ledger,
            verdict: None,
            has_removals: false,
            needed: None,
        }
    }

    /// To write in it. What was decided is void with that.
    pub fn change(&mut self) -> &mut Ledger {
        self.verdict = None;
        self.needed = None;
        &mut self.ledger
    }

    /// Notes whose removal is held back by what was decided. That decides nothing else by itself.
    pub fn note_refused(&mut self, blocked: Option<&Blocked>) -> bool {
        self.ledger.note_refused(blocked)
    }

    /// Forgets operators' words that have run out; tells whether there were any.
    pub fn expire_words(&mut self, now_ms: u64, is_reconcile: bool) -> bool {
        let has_changed = self.ledger.words.expire(now_ms, is_reconcile);
        if has_changed {
            self.verdict = None;
        }
        has_changed
    }

    /// An app says how it stands. Tells whether any target may be another one by that: most of what an app says, its
    /// restarts above all, changes none, and then a thousand others need not be looked at.
    pub fn note(&mut self, app: AppName, standing: Standing) -> bool {
        let before = self.ledger.standings.get(&app);
        let is_satisfied = before.is_some_and(|before| before.satisfied);
        let is_same_applied = before.is_some_and(|before| digest(before) == digest(&standing));
        let decides = (!is_same_applied && (self.has_removals || !self.ledger.is_plainly_wanted(&app)))
            || (is_satisfied != standing.satisfied && self.is_needed(&app));
        if decides || !is_same_applied {
            // The plan is another one even where the targets are not.
            self.verdict = None;
        }
        self.ledger.standings.insert(app, standing);
        decides
    }

    fn is_needed(&mut self, app: &AppName) -> bool {
        let ledger = &self.ledger;
        self.needed.get_or_insert_with(|| ledger.needed()).contains(app)
    }

    /// This app has something to do. Nothing is decided by that, so what was decided stays.
    pub fn unsettle(&mut self, app: &AppName) {
        self.ledger.standings.entry(app.clone()).or_default().settled = false;
    }

    /// What follows from the ledger. The targets are handed out once after each change.
    pub fn decide(&mut self) -> (Verdict, Option<BTreeMap<AppName, Target>>) {
        if let Some(verdict) = &self.verdict {
            return (verdict.clone(), None);
        }
        let Decision {
            plan,
            targets,
            blocked,
        } = self.ledger.decide();
        let removes = |action: &Action| matches!(action, Action::Remove { .. });
        self.has_removals = blocked.is_some() || plan.actions.iter().any(removes);
        let verdict = self.verdict.insert(Verdict { plan, blocked });
        (verdict.clone(), Some(targets))
    }
}

/// What an app last applied.
fn digest(standing: &Standing) -> Option<&SpecDigest> {
    standing.applied.as_ref().map(|app| &app.digest)
}

impl Deref for Book {
    type Target = Ledger;

    fn deref(&self) -> &Ledger {
        &self.ledger
    }
}

#[cfg(test)]
mod tests;
