//! Those who wait for a reconcile: when they are answered, and with what.

use std::collections::{BTreeMap, BTreeSet};

use ractor::RpcReplyPort;

use super::ledger::Ledger;
use super::orders::Report;
use crate::lifecycle::Target;
use crate::names::AppName;
use crate::plan::Plan;

/// How long somebody waits for a reconcile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Until every app has heard its target: what the board then says of it is about this target, not about an older one.
    UntilHeard,
    /// Until nothing more happens by itself to this app, or to any: it runs as asked, is stopped, has failed (whether or
    /// not it is tried again later), or waits for one that will not come.
    UntilAtRest(Option<AppName>),
}

/// Those who wait, and the apps that they wait for.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    callers: Vec<(Patience, RpcReplyPort<Report>)>,
    /// Apps that were told a target and have not answered it yet.
    unheard: BTreeSet<AppName>,
}

impl Waiting {
    /// Somebody waits from now on.
    pub fn push(&mut self, patience: Patience, reply: RpcReplyPort<Report>) {
        self.callers.push((patience, reply));
    }

    /// Does anybody wait?
    pub fn is_anybody_there(&self) -> bool {
        !self.callers.is_empty()
    }

    /// An app was told a target.
    pub fn told(&mut self, app: AppName) {
        self.unheard.insert(app);
    }

    /// An app has answered its newest target, or is no more.
    pub fn heard(&mut self, app: &AppName) {
        self.unheard.remove(app);
    }

    /// Answers those whose patience has found its end.
    pub fn answer(&mut self, ledger: &Ledger, told: &BTreeMap<AppName, Target>, report: impl Fn() -> Report) {
        if self.callers.is_empty() {
            return;
        }
        let mut rest = Rest {
            ledger,
            told,
            unheard: &self.unheard,
            known: BTreeMap::new(),
        };
        let due = |(patience, _): &mut (Patience, _)| match patience {
            Patience::UntilHeard => rest.unheard.is_empty(),
            Patience::UntilAtRest(Some(app)) => rest.is_at_rest(app),
            Patience::UntilAtRest(None) => told.keys().all(|app| rest.is_at_rest(app)),
        };
        for (_, reply) in self.callers.extract_if(.., due) {
            // Who asked may have gone; then nobody misses the answer.
            let _ = reply.send(report());
        }
    }
}

/// Which apps are at rest; each is looked at once.
struct Rest<'a> {
    ledger: &'a Ledger,
    told: &'a BTreeMap<AppName, Target>,
    unheard: &'a BTreeSet<AppName>,
    known: BTreeMap<AppName, bool>,
}

impl Rest<'_> {
    /// Does nothing more happen to it by itself?
    fn is_at_rest(&mut self, app: &AppName) -> bool {
        if let Some(known) = self.known.get(app) {
            return *known;
        }
        let is_at_rest = self.look(app);
        self.known.insert(app.clone(), is_at_rest);
        is_at_rest
    }

    fn look(&mut self, app: &AppName) -> bool {
        if self.unheard.contains(app) {
            return false;
        }
        let Some(standing) = self.ledger.standings.get(app) else {
            return true;
        };
        if standing.settled || standing.failed || standing.backs_off {
            return true;
        }
        let unmet = self.told.get(app).map(|target| target.unmet.clone());
        // Apps that depend on each other in a circle are a mistake and have no target: this ends.
        unmet.is_some_and(|unmet| unmet.iter().any(|needed| !self.is_coming(needed)))
    }

    /// May it become what its dependants wait for?
    fn is_coming(&mut self, app: &AppName) -> bool {
        let is_running = |ledger: &Ledger| ledger.standings.get(app).is_some_and(|standing| standing.runs);
        is_running(self.ledger) || !self.is_at_rest(app)
    }
}

/// What was done, as far as the reconciler knows.
pub(super) fn report(ledger: &Ledger, newest: &Plan) -> Report {
    let commit = ledger.desired.as_ref().map(|accepted| accepted.facts.id.clone());
    let actions = newest.actions.iter();
    Report {
        commit,
        actions: actions
            .map(|action| (action.kind().as_str(), action.app().clone()))
            .collect(),
    }
}
