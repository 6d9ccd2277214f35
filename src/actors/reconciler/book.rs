//! The ledger together with what was decided from it: decided anew only after a change, so that a reconcile without
//! news costs the same for ten apps and for ten thousand.

use std::collections::BTreeMap;
use std::ops::Deref;

use super::ledger::{Decision, Ledger};
use crate::lifecycle::Target;
use crate::names::AppName;
use crate::plan::Plan;
use crate::status::Blocked;

/// A ledger that is read freely and changed through [`Book::change`] only.
#[derive(Debug, Default)]
pub(super) struct Book {
    ledger: Ledger,
    /// What follows from the ledger as it is; none after a change.
    verdict: Option<Verdict>,
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
        }
    }

    /// To write in it. What was decided is void with that.
    pub fn change(&mut self) -> &mut Ledger {
        self.verdict = None;
        &mut self.ledger
    }

    /// Forgets operators' words that have run out; tells whether there were any.
    pub fn expire_words(&mut self, now_ms: u64, is_reconcile: bool) -> bool {
        let has_changed = self.ledger.words.expire(now_ms, is_reconcile);
        if has_changed {
            self.verdict = None;
        }
        has_changed
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
        let verdict = self.verdict.insert(Verdict { plan, blocked });
        (verdict.clone(), Some(targets))
    }
}

impl Deref for Book {
    type Target = Ledger;

    fn deref(&self) -> &Ledger {
        &self.ledger
    }
}
