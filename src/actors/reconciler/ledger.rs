//! What the reconciler knows, and what it decides from that. Pure: no clock, no actor, no I/O.
//!
//! Desired state (a commit's, with what was changed by hand laid over it) and the apps' own reports go in; a [`Decision`]
//! comes out: the plan that people see, the target of every app, and what waits for an operator's word.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::actors::node_board::Held;
use crate::lifecycle::{Target, Want};
use crate::names::{AppName, ArtefactId, CommitId, SpecDigest};
use crate::plan::{Action, Current, CurrentApp, Diff, Plan, PruneLimits, PruneRefusal, plan, stop_order};
use crate::specs::desired::CommitFacts;
use crate::specs::{Desired, DesiredApp, SpecError};
use crate::status::hold::Until;
use crate::status::{AppError, Blocked, BlockedKind};

/// Everything that decides what each app is told.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// What the accepted commit asks for; none before the first one was read.
    pub desired: Option<Accepted>,
    /// What each app actor said of itself last.
    pub standings: BTreeMap<AppName, Standing>,
    /// What an operator decided.
    pub words: OperatorWords,
    /// `[prune] max` as a share.
    pub prune_share_max: f64,
    /// The commit that last touched an app here.
    pub touched: BTreeMap<AppName, CommitId>,
}

/// The accepted commit and what it asks for.
#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    pub facts: CommitFacts,
    pub desired: Arc<Desired>,
    /// When it was read, RFC 3339: the time of its mistakes.
    pub read_at: String,
}

/// What an app actor said of itself last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    /// What runs or last ran.
    pub applied: Option<Arc<DesiredApp>>,
    /// Artefacts that a rollback would need.
    pub kept: Vec<ArtefactId>,
    /// Nothing is left to do for its target.
    pub settled: bool,
    /// Its dependants may start.
    pub satisfied: bool,
    /// A process of it runs.
    pub runs: bool,
    /// It gave up.
    pub failed: bool,
    /// What was tried has failed, and waits before it is tried again.
    pub backs_off: bool,
}

impl Standing {
    /// The artefacts that are in use, or would be after a rollback.
    pub fn artefacts(&self) -> impl Iterator<Item = ArtefactId> {
        let applied = self.applied.as_ref().and_then(|app| app.artefact_id());
        self.kept.iter().cloned().chain(applied)
    }
}

/// What an operator decided; survives the daemon.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct OperatorWords {
    /// Git is not applied to these; `None`: until resumed.
    #[serde(default)]
    pub suspended: BTreeMap<AppName, Until>,
    /// Git is not applied to the node at all.
    #[serde(default)]
    pub node_suspended: Option<Until>,
    /// Changed by hand, beside git.
    #[serde(default)]
    pub by_hand: BTreeMap<AppName, ByHand>,
    /// Apps whose removal was refused as part of too many. Nothing but an operator's word lets them go: neither that some of
    /// them are suspended or gone by now, nor another commit.
    #[serde(default)]
    pub refused_prune: BTreeSet<AppName>,
    /// The commit whose mass removal was accepted.
    #[serde(default)]
    pub accepted_prune: Option<CommitId>,
}

/// One app as it was changed by hand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ByHand {
    /// What is to run; none: it was removed.
    pub app: Option<DesiredApp>,
    /// How long that holds.
    pub until: Until,
    /// Who did it.
    #[serde(default)]
    pub by: Option<String>,
    /// What git asked for then; none: it did not ask for the app.
    #[serde(default)]
    pub against: Option<SpecDigest>,
}

/// What follows from a ledger.
#[derive(Debug, Default)]
pub(crate) struct Decision {
    /// What is done because of git, in order.
    pub plan: Plan,
    /// What every app is told. An app that is not in it is left alone.
    pub targets: BTreeMap<AppName, Target>,
    /// Removals that wait for an operator's word.
    pub blocked: Option<Blocked>,
}

impl OperatorWords {
    /// Forgets what has run out at `now_ms`; `is_reconcile`: also what was to hold until the next one.
    /// Tells whether anything was forgotten.
    pub fn expire(&mut self, now_ms: u64, is_reconcile: bool) -> bool {
        let holds = |until: &Until| match until {
            Until::Revoked | Until::Touched => true,
            Until::At(end_ms) => now_ms < *end_ms,
            Until::NextReconcile => !is_reconcile,
        };
        let before = (
            self.suspended.len(),
            self.by_hand.len(),
            self.node_suspended.is_some(),
        );
        self.suspended.retain(|_, until| holds(until));
        self.by_hand.retain(|_, change| holds(&change.until));
        self.node_suspended = self.node_suspended.filter(holds);
        before
            != (
                self.suspended.len(),
                self.by_hand.len(),
                self.node_suspended.is_some(),
            )
    }

    /// As they are after the next reconcile, if no time runs out before.
    fn after_reconcile(&self) -> Self {
        let mut words = self.clone();
        words.expire(0, true);
        words
    }

    /// Is git not applied to this app?
    fn holds(&self, app: &AppName) -> bool {
        self.node_suspended.is_some() || self.suspended.contains_key(app) || self.by_hand.contains_key(app)
    }

    /// For all to read.
    pub fn held(&self) -> Held {
        let by_hand = self.by_hand.iter();
        let (changed, removed): (Vec<_>, Vec<_>) = by_hand.partition(|(_, change)| change.app.is_some());
        let untils = |changes: Vec<(&AppName, &ByHand)>| {
            let untils = changes.into_iter();
            untils.map(|(app, change)| (app.clone(), change.until)).collect()
        };
        Held {
            node: self.node_suspended,
            suspended: self.suspended.clone(),
            changed: untils(changed),
            removed: untils(removed),
            refused_prune: self.refused_prune.clone(),
        }
    }

    /// The next moment at which something runs out, milliseconds since the epoch.
    pub fn next_end_ms(&self) -> Option<u64> {
        let untils = self
            .suspended
            .values()
            .chain(self.by_hand.values().map(|change| &change.until));
        untils
            .chain(&self.node_suspended)
            .filter_map(|until| {
                if let Until::At(end_ms) = until {
                    Some(*end_ms)
                } else {
                    None
                }
            })
            .min()
    }
}

impl Ledger {
    /// The apps that this node manages, as the plan sees them under these words.
    fn current(&self, words: &OperatorWords) -> Current {
        self.standings
            .iter()
            .filter_map(|(name, standing)| {
                let applied = standing.applied.clone()?;
                Some((
                    name.clone(),
                    CurrentApp {
                        applied,
                        is_held: words.holds(name),
                        is_removal_refused: words.refused_prune.contains(name),
                    },
                ))
            })
            .collect()
    }

    /// The artefacts that something wants or runs.
    pub fn artefacts(&self) -> BTreeSet<ArtefactId> {
        let applied = self.standings.values().flat_map(Standing::artefacts);
        let desired = self
            .desired
            .iter()
            .flat_map(|accepted| accepted.desired.apps.values());
        let by_hand = self
            .words
            .by_hand
            .values()
            .filter_map(|change| change.app.as_ref());
        let wanted = desired.map(AsRef::as_ref).chain(by_hand);
        let wanted = wanted.filter_map(DesiredApp::artefact_id);
        applied.chain(wanted).collect()
    }

    /// From now on this is the accepted commit: notes whom it touches.
    pub fn accept(&mut self, accepted: Accepted) {
        let before = self.desired.as_ref();
        for (name, app) in &accepted.desired.apps {
            let standing = || self.standings.get(name)?.applied.as_ref();
            let old = before
                .and_then(|old| old.desired.apps.get(name))
                .or_else(standing);
            let is_touched = old.is_none_or(|old| old.digest != app.digest);
            if is_touched || !self.touched.contains_key(name) {
                self.touched.insert(name.clone(), accepted.facts.id.clone());
            }
        }
        self.words.by_hand.retain(|name, change| {
            let asked = accepted.desired.apps.get(name).map(|app| &app.digest);
            // A mistake in its spec is no other word about it.
            let is_known = !accepted.desired.invalid.contains_key(name);
            !(change.until == Until::Touched && is_known && asked != change.against.as_ref())
        });
        self.desired = Some(accepted);
    }

    /// Does the accepted commit ask for it?
    pub fn wants(&self, app: &AppName) -> bool {
        let accepted = self.desired.as_ref();
        accepted.is_some_and(|accepted| accepted.desired.apps.contains_key(app))
    }

    /// Notes whose removal `blocked` holds back, and forgets those who are gone or asked for again. Tells whether that is
    /// anything new.
    pub fn note_refused(&mut self, blocked: Option<&Blocked>) -> bool {
        let before = self.words.refused_prune.clone();
        let (words, standings) = (&mut self.words, &self.standings);
        if let Some(accepted) = &self.desired {
            let asked = &accepted.desired.apps;
            words
                .refused_prune
                .retain(|app| standings.contains_key(app) && !asked.contains_key(app));
        }
        let prune = blocked.filter(|blocked| blocked.kind == BlockedKind::Prune);
        words
            .refused_prune
            .extend(prune.into_iter().flat_map(|blocked| blocked.apps.iter().cloned()));
        words.refused_prune != before
    }

    /// Git asks for it and nothing stands in the way: what it is told does not depend on what runs.
    pub fn is_plainly_wanted(&self, app: &AppName) -> bool {
        self.wants(app) && !self.is_held(app)
    }

    /// The apps that others of the accepted commit depend on.
    pub fn needed(&self) -> BTreeSet<AppName> {
        let accepted = self.desired.iter();
        accepted
            .flat_map(|accepted| accepted.desired.apps.values())
            .flat_map(|app| app.spec.depends_on.iter().cloned())
            .collect()
    }

    fn is_held(&self, app: &AppName) -> bool {
        self.words.holds(app)
    }

    /// What the plan for `desired` is under these words.
    fn plan_for(&self, desired: &Desired, commit: &CommitId, words: &OperatorWords) -> Plan {
        let limits = PruneLimits {
            share_max: self.prune_share_max,
            is_accepted: words.accepted_prune.as_ref() == Some(commit),
        };
        let mut plan = plan(desired, &self.current(words), limits);
        // What is not on the node can be held as well: it was removed by hand, or came while the node was suspended.
        plan.actions.retain(|action| !words.holds(action.app()));
        plan
    }

    /// What a reconcile to `desired` would do: it begins by ending the words that hold until it comes.
    pub fn diff(&self, desired: &Desired, commit: &CommitId) -> Diff {
        let words = self.words.after_reconcile();
        Diff::of(Some(commit.clone()), &self.plan_for(desired, commit, &words))
    }

    /// What every app is told now.
    pub fn decide(&self) -> Decision {
        let Some(accepted) = &self.desired else {
            return self.without_git();
        };
        let plan = self.plan_for(&accepted.desired, &accepted.facts.id, &self.words);
        let blocked = plan.held_back.as_ref().map(|refusal| Blocked {
            kind: BlockedKind::Prune,
            commit: accepted.facts.id.clone(),
            apps: refusal.apps.clone(),
            accept: PruneRefusal::ACCEPT.to_owned(),
        });
        let removals = Removals::of(&plan, &self.standings);
        let told = |name: &AppName| Some((name.clone(), self.target(name, accepted, &removals)?));
        let targets = self
            .names(&accepted.desired)
            .into_iter()
            .filter_map(told)
            .collect();
        Decision {
            plan,
            targets,
            blocked,
        }
    }

    /// Before a commit could be read: everything stays as it was last applied, operators are heard.
    fn without_git(&self) -> Decision {
        let names: BTreeSet<&AppName> = self.standings.keys().chain(self.words.by_hand.keys()).collect();
        let target = |name: &AppName| match self.words.by_hand.get(name) {
            Some(change) => self.by_hand(name, change),
            None => Some(self.told(name, Want::Keep)),
        };
        let told = |name: &AppName| Some((name.clone(), target(name)?));
        let targets = names.into_iter().filter_map(told).collect();
        Decision {
            targets,
            ..Decision::default()
        }
    }

    fn names<'a>(&'a self, desired: &'a Desired) -> BTreeSet<&'a AppName> {
        desired
            .apps
            .keys()
            .chain(desired.invalid.keys())
            .chain(self.standings.keys())
            .chain(self.words.by_hand.keys())
            .collect()
    }

    fn target(&self, name: &AppName, accepted: &Accepted, removals: &Removals) -> Option<Target> {
        if let Some(change) = self.words.by_hand.get(name) {
            return self.by_hand(name, change);
        }
        let desired = &accepted.desired;
        let is_here = self
            .standings
            .get(name)
            .is_some_and(|standing| standing.applied.is_some());
        let is_held = self.is_held(name);
        if is_held && !is_here {
            return None;
        }
        if let Some(mistake) = desired.invalid.get(name) {
            let error = Some(app_error(mistake, &accepted.read_at));
            return Some(Target {
                error,
                suspended: is_held,
                ..self.told(name, Want::Keep)
            });
        }
        let asked = desired.apps.get(name);
        if is_held || asked.is_some_and(|app| app.spec.is_suspended()) {
            return Some(Target {
                suspended: true,
                asked: asked.map(|app| app.spec.version.clone()),
                ..self.told(name, Want::Keep)
            });
        }
        if let Some(app) = asked {
            let unmet = self.unmet(app, desired);
            return Some(Target {
                unmet,
                ..self.told(name, Want::Run(app.clone()))
            });
        }
        // What never ran has nothing to keep: a bad spec that was taken back.
        let want = if removals.may_go(name) || !is_here {
            Want::Gone
        } else {
            Want::Keep
        };
        self.standings.contains_key(name).then(|| Target {
            // That one takes it off, whoever asked for it before.
            commit: Some(accepted.facts.id.clone()),
            ..self.told(name, want)
        })
    }

    fn told(&self, name: &AppName, want: Want) -> Target {
        Target {
            commit: self.touched.get(name).cloned(),
            ..Target::new(want)
        }
    }

    /// What was decided by hand. Of what is off the node nobody has to be told that it is to go.
    fn by_hand(&self, name: &AppName, change: &ByHand) -> Option<Target> {
        let want = match &change.app {
            Some(app) => Want::Run(Arc::new(app.clone())),
            None if self.standings.contains_key(name) => Want::Gone,
            None => return None,
        };
        Some(Target {
            manual: true,
            by: change.by.clone(),
            ..self.told(name, want)
        })
    }

    /// The dependencies that are on this node and not there yet.
    fn unmet(&self, app: &DesiredApp, desired: &Desired) -> BTreeSet<AppName> {
        let is_here =
            |name: &&AppName| desired.apps.contains_key(*name) || desired.invalid.contains_key(*name);
        let is_satisfied = |name: &AppName| {
            self.standings
                .get(name)
                .is_some_and(|standing| standing.satisfied)
        };
        app.spec
            .depends_on
            .iter()
            .filter(is_here)
            .filter(|name| !is_satisfied(name))
            .cloned()
            .collect()
    }
}

/// The apps that a plan removes.
struct Removals {
    going: BTreeSet<AppName>,
    /// For each app those that go before it: its dependants that go as well and are still there.
    before: BTreeMap<AppName, Vec<AppName>>,
}

impl Removals {
    fn of(plan: &Plan, standings: &BTreeMap<AppName, Standing>) -> Self {
        let name_of = |action: &Action| {
            if let Action::Remove { app, .. } = action {
                Some(app.clone())
            } else {
                None
            }
        };
        let going: BTreeSet<AppName> = plan.actions.iter().filter_map(name_of).collect();
        let needs_of = |name: &AppName| {
            let applied = standings.get(name)?.applied.as_ref()?;
            Some((name.clone(), applied.spec.depends_on.clone()))
        };
        let still_there = going.iter().filter_map(needs_of).collect();
        let before = stop_order(&still_there);
        Self { going, before }
    }

    fn may_go(&self, name: &AppName) -> bool {
        self.going.contains(name) && !self.before.contains_key(name)
    }
}

/// A mistake as an app's `last_error`.
fn app_error(mistake: &SpecError, at: &str) -> AppError {
    let known = |number: u32| (number > 0).then_some(number);
    AppError {
        code: mistake.code.clone(),
        message: mistake.message.clone(),
        file: Some(mistake.file.clone()),
        line: known(mistake.line),
        column: known(mistake.column),
        at: at.to_owned(),
    }
}

#[cfg(test)]
pub(super) mod tests;
