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
fn apps_that_wait_for_each_other_in_a_circle_are_at_rest() {
    let (ledger, told) = stuck(&[("a", &["b"]), ("b", &["c"]), ("c", &["a"])]);
    let mut waiting = Waiting::default();
    let (mut one, mut all) = (call_about(Some("a"), &mut waiting), call(&mut waiting));
    answer(&mut waiting, &ledger, &told);
    assert!(one.try_recv().is_ok() && all.try_recv().is_ok());
}

#[test]
fn whoever_waits_for_one_that_is_still_coming_is_not_at_rest() {
    let (mut ledger, told) = stuck(&[("a", &["b"]), ("b", &["c", "d"]), ("c", &[]), ("d", &[])]);
    let mut waiting = Waiting::default();
    let mut answered = call_about(Some("a"), &mut waiting);
    answer(&mut waiting, &ledger, &told);
    assert!(answered.try_recv().is_err());
    ledger.standings.entry(name("c")).or_default().failed = true;
    answer(&mut waiting, &ledger, &told);
    assert!(
        answered.try_recv().is_ok(),
        "`b` waits for `c` as well, which does not come"
    );
    let mut all = call(&mut waiting);
    answer(&mut waiting, &ledger, &told);
    assert!(all.try_recv().is_err(), "`d` is still coming by itself");
    ledger.standings.entry(name("d")).or_default().settled = true;
    answer(&mut waiting, &ledger, &told);
    assert!(all.try_recv().is_ok());
}

#[test]
fn a_long_chain_of_dependencies_is_looked_at_without_a_deep_stack() {
    let names: Vec<String> = (0..10_000).map(|number| format!("app{number}")).collect();
    let (mut ledger, mut told) = stuck(&[]);
    for pair in names.windows(2) {
        ledger.standings.insert(name(&pair[0]), Standing::default());
        told.insert(name(&pair[0]), waits_for(&[&pair[1]]));
    }
    let mut waiting = Waiting::default();
    let (mut one, mut all) = (call_about(Some("app0"), &mut waiting), call(&mut waiting));
    answer(&mut waiting, &ledger, &told);
    assert!(
        one.try_recv().is_ok() && all.try_recv().is_ok(),
        "the last one never comes"
    );
}

#[test]
fn an_app_that_nobody_asks_for_any_more_is_waited_for_by_nobody() {
    let (ledger, mut told) = stuck(&[("a", &["b"]), ("b", &[])]);
    told.remove("b");
    let mut waiting = Waiting::default();
    let mut answered = call(&mut waiting);
    answer(&mut waiting, &ledger, &told);
    assert!(answered.try_recv().is_ok());
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
