//! Operators' words about apps: what they mean for the ledger. Pure.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ledger::{ByHand, Ledger};
use crate::names::{AppName, CommitId, Version};
use crate::specs::DesiredApp;
use crate::specs::app_spec::{Sha256, Source};
use crate::status::hold::Until;

/// An operator's word about apps.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Order {
    /// A change by hand, beside git. `by`: who asks for it.
    Manual {
        change: ManualOrder,
        until: Until,
        by: Option<String>,
    },
    /// Stop applying git to an app, or to the node.
    Suspend { app: Option<AppName>, until: Until },
    /// Apply it again.
    Resume { app: Option<AppName> },
    /// The mass removal that this commit asks for is meant, and no other.
    AcceptPrune { commit: CommitId },
}

/// A change by hand.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ManualOrder {
    /// Run this.
    Deploy(Box<DesiredApp>),
    /// Run another version of what runs.
    Upgrade {
        app: AppName,
        version: Version,
        sha256: Option<String>,
    },
    /// Take it off the node.
    Remove { app: AppName },
    /// Run a version that was good before.
    Pin(Box<DesiredApp>),
}

/// What an order did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OrderReply {
    /// The apps that it is about; empty: the node.
    pub apps: Vec<AppName>,
}

/// Why an order was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OrderError {
    #[error("there is no app `{0}` on this node")]
    NoSuchApp(AppName),
    #[error("nothing runs of `{0}` that could be upgraded")]
    NothingRuns(AppName),
    #[error("no mass removal waits for a word")]
    NothingBlocked,
    #[error("the removals that wait for a word are those of {waits}, not of {meant}: look at them first")]
    AnotherBlocked { waits: CommitId, meant: CommitId },
    #[error("`{0}` has a source that needs a digest: give --sha256")]
    NeedsDigest(AppName),
    #[error("`{0}` has a source without a digest: leave --sha256 out")]
    TakesNoDigest(AppName),
    #[error("`depends_on`: there is no app `{0}`, neither on this node nor in git")]
    UnknownDependency(AppName),
    #[error("`depends_on`: `{app}` waits for `{through}`, which waits for it: neither would ever start")]
    Circle { app: AppName, through: AppName },
}

/// How a reconcile went, as far as the reconciler knows; the outcome of each action is on the board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    pub commit: Option<CommitId>,
    pub actions: Vec<(&'static str, AppName)>,
}

/// Notes an order in the ledger.
pub(super) fn apply(order: Order, ledger: &mut Ledger) -> Result<OrderReply, OrderError> {
    match order {
        Order::Manual { change, until, by } => by_hand(change, until, by, ledger),
        Order::Suspend { app: None, until } => {
            ledger.words.node_suspended = Some(until);
            Ok(OrderReply { apps: Vec::new() })
        }
        Order::Suspend {
            app: Some(app),
            until,
        } => {
            known(&app, ledger)?;
            ledger.words.suspended.insert(app.clone(), until);
            Ok(OrderReply { apps: vec![app] })
        }
        Order::Resume { app: None } => {
            ledger.words.node_suspended = None;
            Ok(OrderReply { apps: Vec::new() })
        }
        Order::Resume { app: Some(app) } => {
            known(&app, ledger)?;
            ledger.words.suspended.remove(&app);
            ledger.words.by_hand.remove(&app);
            Ok(OrderReply { apps: vec![app] })
        }
        Order::AcceptPrune { commit } => {
            let blocked = ledger.decide().blocked.ok_or(OrderError::NothingBlocked)?;
            if blocked.commit != commit {
                return Err(OrderError::AnotherBlocked {
                    waits: blocked.commit,
                    meant: commit,
                });
            }
            // What is let go is let go also if another commit comes before all of it is gone.
            ledger
                .words
                .refused_prune
                .retain(|app| !blocked.apps.contains(app));
            ledger.words.accepted_prune = Some(blocked.commit);
            Ok(OrderReply { apps: blocked.apps })
        }
    }
}

fn by_hand(
    change: ManualOrder,
    until: Until,
    by: Option<String>,
    ledger: &mut Ledger,
) -> Result<OrderReply, OrderError> {
    let (name, app) = match change {
        ManualOrder::Deploy(app) => {
            check_dependencies(&app, ledger)?;
            (app.spec.name.clone(), Some(*app))
        }
        ManualOrder::Pin(app) => (app.spec.name.clone(), Some(*app)),
        ManualOrder::Remove { app } => {
            known(&app, ledger)?;
            (app, None)
        }
        ManualOrder::Upgrade { app, version, sha256 } => {
            known(&app, ledger)?;
            let applied = ledger
                .standings
                .get(&app)
                .and_then(|standing| standing.applied.clone());
            let applied = applied.ok_or_else(|| OrderError::NothingRuns(app.clone()))?;
            let upgraded = another_version(&applied, version, sha256)?;
            (app, Some(upgraded))
        }
    };
    let accepted = ledger.desired.as_ref();
    let against = accepted.and_then(|accepted| accepted.desired.apps.get(&name));
    let change = ByHand {
        app,
        until,
        by,
        against: against.map(|app| app.digest.clone()),
    };
    ledger.words.by_hand.insert(name.clone(), change);
    Ok(OrderReply { apps: vec![name] })
}

fn another_version(
    applied: &Arc<DesiredApp>,
    version: Version,
    sha256: Option<String>,
) -> Result<DesiredApp, OrderError> {
    let mut app = DesiredApp::clone(applied);
    let spec = Arc::make_mut(&mut app.spec);
    spec.version = version;
    match (&mut spec.source, sha256) {
        (Some(Source::Release { sha256, .. }), Some(digest)) => *sha256 = Sha256::One(digest),
        (Some(Source::Release { .. }), None) => return Err(OrderError::NeedsDigest(spec.name.clone())),
        (_, Some(_)) => return Err(OrderError::TakesNoDigest(spec.name.clone())),
        (_, None) => {}
    }
    let artefact = app.artefact.clone();
    let parts: Vec<&str> = artefact.iter().map(AsRef::as_ref).collect();
    app.digest = app.spec.digest(&parts);
    Ok(app)
}

/// As a commit's specs are checked against each other: what is waited for must exist, and must not wait in turn.
fn check_dependencies(app: &DesiredApp, ledger: &Ledger) -> Result<(), OrderError> {
    let name = &app.spec.name;
    for dependency in &app.spec.depends_on {
        let is_elsewhere = ledger
            .desired
            .as_ref()
            .is_some_and(|accepted| accepted.desired.elsewhere.contains(dependency));
        let is_itself = dependency == name;
        if !is_elsewhere && !is_itself && known(dependency, ledger).is_err() {
            return Err(OrderError::UnknownDependency(dependency.clone()));
        }
        let mut seen = BTreeSet::new();
        let mut ahead = vec![dependency];
        while let Some(next) = ahead.pop() {
            if next == name {
                return Err(OrderError::Circle {
                    app: name.clone(),
                    through: dependency.clone(),
                });
            }
            if seen.insert(next) {
                ahead.extend(
                    wanted(next, ledger)
                        .into_iter()
                        .flat_map(|app| &app.spec.depends_on),
                );
            }
        }
    }
    Ok(())
}

/// What an app is to be now: by an operator's word, else by git.
fn wanted<'l>(app: &AppName, ledger: &'l Ledger) -> Option<&'l DesiredApp> {
    match ledger.words.by_hand.get(app) {
        Some(change) => change.app.as_ref(),
        None => {
            let accepted = ledger.desired.as_ref()?;
            accepted.desired.apps.get(app).map(Arc::as_ref)
        }
    }
}

fn known(app: &AppName, ledger: &Ledger) -> Result<(), OrderError> {
    let is_desired = ledger.desired.as_ref().is_some_and(|accepted| {
        accepted.desired.apps.contains_key(app) || accepted.desired.invalid.contains_key(app)
    });
    let is_known = is_desired || ledger.standings.contains_key(app) || ledger.words.by_hand.contains_key(app);
    if is_known {
        Ok(())
    } else {
        Err(OrderError::NoSuchApp(app.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::ledger::tests::{app, ledger, name};
    use super::*;

    fn deployed(spec: &Arc<DesiredApp>, ledger: &mut Ledger) -> Result<OrderReply, OrderError> {
        let order = Order::Manual {
            change: ManualOrder::Deploy(Box::new(DesiredApp::clone(spec))),
            until: Until::NextReconcile,
            by: None,
        };
        apply(order, ledger)
    }

    #[test]
    fn what_is_deployed_by_hand_waits_for_nothing_that_cannot_come() {
        let mut ledger = ledger(
            &[app("web", "1", &["job"]), app("db", "1", &[])],
            &[app("old", "1", &[])],
        );
        if let Some(accepted) = ledger.desired.as_mut() {
            Arc::make_mut(&mut accepted.desired).elsewhere.insert(name("far"));
        }
        assert_eq!(
            deployed(&app("job", "1", &["zzz"]), &mut ledger),
            Err(OrderError::UnknownDependency(name("zzz")))
        );
        for circle in ["job", "web"] {
            let through = name(circle);
            assert_eq!(
                deployed(&app("job", "1", &[circle]), &mut ledger),
                Err(OrderError::Circle {
                    app: name("job"),
                    through
                })
            );
        }
        assert!(ledger.words.by_hand.is_empty(), "what is refused is not noted");
        let fine = app("job", "1", &["db", "far", "old"]);
        assert!(deployed(&fine, &mut ledger).is_ok());
    }

    #[test]
    fn a_digest_for_a_source_that_has_none_is_refused() {
        let web = app("web", "1", &[]);
        let mut ledger = ledger(std::slice::from_ref(&web), std::slice::from_ref(&web));
        let mut upgrade = |sha256: Option<String>| {
            let change = ManualOrder::Upgrade {
                app: name("web"),
                version: "2".parse().unwrap(),
                sha256,
            };
            let until = Until::NextReconcile;
            let by = None;
            apply(Order::Manual { change, until, by }, &mut ledger)
        };
        assert_eq!(
            upgrade(Some("0".repeat(64))),
            Err(OrderError::TakesNoDigest(name("web")))
        );
        assert!(upgrade(None).is_ok());
    }
}
