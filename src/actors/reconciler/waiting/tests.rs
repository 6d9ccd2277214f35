use ractor::concurrency::oneshot;

use super::super::ledger::Standing;
use super::super::ledger::tests::{ledger, name};
use super::*;
use crate::lifecycle::Want;

type Answer = ractor::concurrency::OneshotReceiver<Report>;

fn waits_for(needed: &[&str]) -> Target {
    Target {
        unmet: needed.iter().map(|needed| name(needed)).collect(),
        ..Target::new(Want::Keep)
    }
}

/// Somebody who waits until all are at rest.
fn call(waiting: &mut Waiting) -> Answer {
    call_about(None, waiting)
}

fn call_about(app: Option<&str>, waiting: &mut Waiting) -> Answer {
    let (reply, answer) = oneshot();
    waiting.push(Patience::UntilAtRest(app.map(name)), reply.into());
    answer
}

fn answer(waiting: &mut Waiting, ledger: &Ledger, told: &BTreeMap<AppName, Target>) {
    waiting.answer(ledger, told, || report(ledger, &Plan::default()));
}

/// Each app with those that it waits for; none of them has started.
fn stuck(apps: &[(&str, &[&str])]) -> (Ledger, BTreeMap<AppName, Target>) {
    let mut ledger = ledger(&[], &[]);
    let mut told = BTreeMap::new();
    for (app, needed) in apps {
        ledger.standings.insert(name(app), Standing::default());
        told.insert(name(app), waits_for(needed));
    }
    (ledger, told)
}

#[test]
fn callers_who_gave_up_are_forgotten() {
    let (ledger, told) = stuck(&[("a", &[])]);
    let mut waiting = Waiting::default();
    for _ in 0..3 {
        drop(call(&mut waiting));
    }
    let patient = call(&mut waiting);
    assert_eq!(waiting.callers.len(), 1);
    drop(patient);
    answer(&mut waiting, &ledger, &told);
    assert!(!waiting.is_anybody_there());
}
