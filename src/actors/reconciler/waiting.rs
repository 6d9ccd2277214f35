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
        self.forget_those_who_left();
        self.callers.push((patience, reply));
    }

    /// Does anybody wait?
    pub fn is_anybody_there(&self) -> bool {
        !self.callers.is_empty()
    }

    fn forget_those_who_left(&mut self) {
        self.callers.retain(|(_, reply)| !reply.is_closed());
    }

    /// An app was told a target.
    pub fn told(&mut self, app: AppName) {
        self.unheard.insert(app);
    }

    /// Those that were told a target and have not answered it: it may never have reached them.
    pub fn unheard(&self) -> &BTreeSet<AppName> {
        &self.unheard
    }

    /// An app has answered its newest target, or is no more.
    pub fn heard(&mut self, app: &AppName) {
        self.unheard.remove(app);
    }

    /// Answers those whose patience has found its end.
    pub fn answer(&mut self, ledger: &Ledger, told: &BTreeMap<AppName, Target>, report: impl Fn() -> Report) {
        self.forget_those_who_left();
        if self.callers.is_empty() {
            return;
        }
        let scene = Scene {
            ledger,
            told,
            unheard: &self.unheard,
        };
        let mut underway = None;
        let mut is_at_rest = |app: &AppName| match scene.work(app) {
            Work::Done => true,
            Work::Underway => false,
            Work::WaitsFor(_) => !underway.get_or_insert_with(|| scene.underway()).contains(app),
        };
        let due = |(patience, _): &mut (Patience, _)| match patience {
            Patience::UntilHeard => scene.unheard.is_empty(),
            Patience::UntilAtRest(Some(app)) => is_at_rest(app),
            Patience::UntilAtRest(None) => scene.is_at_rest(),
        };
        for (_, reply) in self.callers.extract_if(.., due) {
            // Who asked may have gone; then nobody misses the answer.
            let _ = reply.send(report());
        }
    }
}

/// What is still before an app.
enum Work<'a> {
    /// Nothing happens to it any more.
    Done,
    /// Something happens to it by itself.
    Underway,
    /// Its first start waits for these, which do not run.
    WaitsFor(Vec<&'a AppName>),
}

/// How the apps stand.
struct Scene<'a> {
    ledger: &'a Ledger,
    told: &'a BTreeMap<AppName, Target>,
    unheard: &'a BTreeSet<AppName>,
}

impl<'a> Scene<'a> {
    fn work(&self, app: &AppName) -> Work<'a> {
        if self.unheard.contains(app) {
            return Work::Underway;
        }
        let standing = self.ledger.standings.get(app);
        if standing.is_none_or(|standing| standing.settled || standing.failed || standing.backs_off) {
            return Work::Done;
        }
        let Some(target) = self.told.get(app) else {
            // Before a commit was read it is about to be told something; after that it is left alone.
            let is_early = self.ledger.desired.is_none();
            return if is_early { Work::Underway } else { Work::Done };
        };
        let runs = |app: &&AppName| {
            self.ledger
                .standings
                .get(*app)
                .is_some_and(|standing| standing.runs)
        };
        let missing: Vec<_> = target.unmet.iter().filter(|needed| !runs(needed)).collect();
        if missing.is_empty() {
            Work::Underway
        } else {
            Work::WaitsFor(missing)
        }
    }

    /// Does nothing more happen to any app by itself? (Where nothing is under way, nobody waits for something that is.)
    /// Most apps have settled: they are passed over in the order in which they lie there, without being looked up.
    fn is_at_rest(&self) -> bool {
        let is_underway =
            |app: &AppName| self.told.contains_key(app) && matches!(self.work(app), Work::Underway);
        let mut stirring = self
            .ledger
            .standings
            .iter()
            .filter(|(_, standing)| !standing.settled);
        !self.unheard.iter().any(is_underway) && !stirring.any(|(app, _)| is_underway(app))
    }

    /// The apps to which something more happens, by itself or because all that they wait for are coming. Those that wait
    /// for each other in a circle are not among them. Each app and each dependency is looked at once.
    fn underway(&self) -> BTreeSet<&'a AppName> {
        let mut coming = Vec::new();
        let mut missing_count = BTreeMap::new();
        let mut dependants: BTreeMap<&AppName, Vec<&AppName>> = BTreeMap::new();
        for app in self.ledger.standings.keys() {
            match self.work(app) {
                Work::Done => {}
                Work::Underway => coming.push(app),
                Work::WaitsFor(missing) => {
                    missing_count.insert(app, missing.len());
                    for needed in missing {
                        dependants.entry(needed).or_default().push(app);
                    }
                }
            }
        }
        let mut underway = BTreeSet::new();
        while let Some(app) = coming.pop() {
            underway.insert(app);
            for dependant in dependants.remove(app).unwrap_or_default() {
                let Some(count) = missing_count.get_mut(dependant) else {
                    continue;
                };
                *count -= 1;
                if *count == 0 {
                    coming.push(dependant);
                }
            }
        }
        underway
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

#[cfg(test)]
mod tests;
