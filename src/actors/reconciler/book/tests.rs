use proptest::prelude::*;

use super::super::ledger::tests::{app, ledger, name};
use super::*;
use crate::status::hold::Until;

fn standing(applied: Option<&str>, satisfied: bool) -> Standing {
    Standing {
        applied: applied.map(|version| app("web", version, &[])),
        satisfied,
        ..Standing::default()
    }
}

#[test]
fn a_restart_of_an_app_on_which_none_depends_decides_nothing() {
    let web = app("web", "1", &[]);
    let mut book = Book::new(ledger(&[web.clone(), app("db", "1", &[])], &[web]));
    book.decide();
    assert!(!book.note(name("web"), standing(Some("1"), false)));
    assert!(!book.note(name("web"), standing(Some("1"), true)));
    assert!(book.decide().1.is_none(), "what was decided stays");
}

#[test]
fn an_app_that_others_wait_for_decides_when_it_is_there_and_when_it_is_not() {
    let web = app("web", "1", &[]);
    let shop = app("shop", "1", &["web"]);
    let mut book = Book::new(ledger(&[web.clone(), shop], &[web]));
    book.decide();
    assert!(book.note(name("web"), standing(Some("1"), false)));
    let targets = book.decide().1.expect("it is decided anew");
    assert!(
        targets
            .get(&name("shop"))
            .is_some_and(|shop| shop.unmet.contains(&name("web")))
    );
}

#[test]
fn a_first_start_makes_the_plan_another_one_and_no_target() {
    let mut book = Book::new(ledger(&[app("web", "1", &[])], &[]));
    assert_eq!(book.decide().0.plan.actions.len(), 1);
    assert!(!book.note(name("web"), standing(Some("1"), true)));
    assert_eq!(book.decide().0.plan.actions.len(), 0);
}

/// What an app may be in these tests: wanted by git, held, and how it stands.
fn situation() -> impl Strategy<Value = (bool, bool, Option<u8>)> {
    (any::<bool>(), any::<bool>(), proptest::option::of(1u8..3))
}

proptest! {
    #[test]
    fn what_decides_nothing_changes_no_target(
        situations in proptest::collection::vec((situation(), proptest::collection::vec(0usize..6, 0..2)), 6),
        news in proptest::collection::vec((0usize..6, proptest::option::of(1u8..3), any::<bool>()), 1..8),
        share in 0.0f64..1.0,
    ) {
        let called = |index: usize| format!("app{index}");
        let version = |number: u8| number.to_string();
        let (mut desired, mut running) = (Vec::new(), Vec::new());
        for (index, ((is_wanted, _, runs), needs)) in situations.iter().enumerate() {
            // Of those before it alone: no circles.
            let needs: Vec<String> = needs.iter().filter(|other| **other < index).map(|other| called(*other)).collect();
            let needs: Vec<&str> = needs.iter().map(String::as_str).collect();
            if *is_wanted {
                desired.push(app(&called(index), "1", &needs));
            }
            if let Some(runs) = runs {
                running.push(app(&called(index), &version(*runs), &needs));
            }
        }
        let mut ledger = ledger(&desired, &running);
        ledger.prune_share_max = share;
        for (index, ((_, is_held, _), _)) in situations.iter().enumerate() {
            if *is_held {
                ledger.words.suspended.insert(name(&called(index)), Until::Revoked);
            }
        }
        let mut book = Book::new(ledger);
        let mut targets = book.decide().1.unwrap_or_default();
        for (index, runs, satisfied) in news {
            let applied = runs.map(|runs| app(&called(index), &version(runs), &[]));
            let news = Standing { applied, satisfied, ..Standing::default() };
            let decides = book.note(name(&called(index)), news);
            let now = book.decide().1;
            if !decides && let Some(now) = &now {
                prop_assert_eq!(&targets, now);
            }
            targets = now.unwrap_or(targets);
        }
    }
}
