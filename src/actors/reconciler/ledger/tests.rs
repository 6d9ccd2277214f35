use super::*;
use crate::specs::AppSpec;

pub(in crate::actors::reconciler) fn name(text: &str) -> AppName {
    text.parse().unwrap()
}

fn commit(digit: char) -> CommitId {
    digit.to_string().repeat(40).parse().unwrap()
}

pub(in crate::actors::reconciler) fn app(text: &str, version: &str, depends_on: &[&str]) -> Arc<DesiredApp> {
    let mut spec = AppSpec::new(name(text), version.parse().unwrap());
    spec.depends_on = depends_on.iter().map(|dep| name(dep)).collect();
    let digest = spec.digest(&[]);
    let folder = format!("apps/{text}");
    Arc::new(DesiredApp {
        spec: Arc::new(spec),
        digest,
        file: format!("{folder}/app.yaml"),
        line: 1,
        folder,
        artefact: None,
    })
}

fn mistake(text: &str) -> Arc<SpecError> {
    Arc::new(SpecError {
        app: Some(name(text)),
        file: format!("apps/{text}/app.yaml"),
        line: 3,
        column: 1,
        width: 1,
        source_line: String::new(),
        code: "osier::spec::syntax".into(),
        message: "no YAML".into(),
        help: String::new(),
    })
}

pub(in crate::actors::reconciler) fn ledger(
    desired: &[Arc<DesiredApp>],
    running: &[Arc<DesiredApp>],
) -> Ledger {
    let apps = desired
        .iter()
        .map(|app| (app.spec.name.clone(), app.clone()))
        .collect();
    let desired = Desired {
        apps,
        ..Desired::default()
    };
    let facts = CommitFacts {
        id: commit('1'),
        author: String::new(),
        email: String::new(),
        time: 0,
        subject: String::new(),
    };
    let standing = |app: &Arc<DesiredApp>| Standing {
        applied: Some(app.clone()),
        settled: true,
        satisfied: true,
        runs: true,
        ..Standing::default()
    };
    Ledger {
        desired: Some(Accepted {
            facts,
            desired: Arc::new(desired),
            read_at: "then".into(),
        }),
        standings: running
            .iter()
            .map(|app| (app.spec.name.clone(), standing(app)))
            .collect(),
        prune_share_max: 0.5,
        ..Ledger::default()
    }
}

fn change(ledger: &mut Ledger, change: impl FnOnce(&mut Desired)) {
    let accepted = ledger.desired.as_mut().unwrap();
    change(Arc::make_mut(&mut accepted.desired));
}

fn want(decision: &Decision, app: &str) -> Option<Want> {
    decision.targets.get(app).map(|target| target.want.clone())
}

#[test]
fn a_first_start_waits_for_its_dependencies_on_this_node() {
    let ledger = ledger(&[app("web", "1", &["db", "far"]), app("db", "1", &[])], &[]);
    let decision = ledger.decide();
    assert_eq!(
        decision.targets["web"].unmet,
        BTreeSet::from([name("db")]),
        "`far` is not on this node"
    );
    let mut satisfied = ledger;
    satisfied.standings.insert(
        name("db"),
        Standing {
            satisfied: true,
            ..Standing::default()
        },
    );
    assert!(satisfied.decide().targets["web"].unmet.is_empty());
}

#[test]
fn dependents_go_before_what_they_depend_on() {
    let running = [app("db", "1", &[]), app("web", "1", &["db"])];
    let mut ledger = ledger(&[], &running);
    let first = ledger.decide();
    assert_eq!(
        (want(&first, "web"), want(&first, "db")),
        (Some(Want::Gone), Some(Want::Keep))
    );
    ledger.standings.remove("web");
    assert_eq!(want(&ledger.decide(), "db"), Some(Want::Gone));
}

#[test]
fn of_apps_that_depend_on_each_other_in_a_circle_one_goes_first() {
    // Nobody asked for the circle: `db` was to turn around on whom it depends, and could not be upgraded.
    let running = [app("db", "1", &["web"]), app("web", "1", &["db"])];
    let mut ledger = ledger(&[], &running);
    for going in 1..=2 {
        let decision = ledger.decide();
        let gone: Vec<_> = decision
            .targets
            .iter()
            .filter(|(_, target)| target.is_gone())
            .collect();
        assert_eq!(gone.len(), 1, "one goes in round {going}");
        ledger.standings.remove(gone[0].0);
    }
    assert!(ledger.standings.is_empty());
}

#[test]
fn a_bad_spec_keeps_what_runs_and_says_why() {
    let mut ledger = ledger(&[app("web", "1", &[])], &[app("web", "1", &[])]);
    change(&mut ledger, |desired| {
        desired.apps.clear();
        desired.invalid.insert(name("web"), mistake("web"));
    });
    let decision = ledger.decide();
    let target = &decision.targets["web"];
    assert_eq!(target.want, Want::Keep);
    let error = target.error.as_ref().unwrap();
    assert_eq!((error.line, error.at.as_str()), (Some(3), "then"));
    assert!(decision.plan.actions.is_empty());
}

#[test]
fn a_mass_removal_is_held_until_its_very_commit_is_accepted() {
    let running = ["a", "b", "c", "d"].map(|text| app(text, "1", &[]));
    let mut ledger = ledger(&[], &running);
    let held = ledger.decide();
    assert_eq!(held.blocked.as_ref().unwrap().apps.len(), 4);
    assert!(
        running
            .iter()
            .all(|app| want(&held, app.spec.name.as_str()) == Some(Want::Keep))
    );
    ledger.words.accepted_prune = Some(commit('2'));
    assert!(ledger.decide().blocked.is_some(), "another commit was accepted");
    ledger.words.accepted_prune = Some(commit('1'));
    let accepted = ledger.decide();
    assert!(accepted.blocked.is_none());
    assert!(
        running
            .iter()
            .all(|app| want(&accepted, app.spec.name.as_str()) == Some(Want::Gone))
    );
}

#[test]
fn a_suspended_app_keeps_its_version_and_is_not_removed() {
    let mut ledger = ledger(
        &[app("web", "2", &[])],
        &[app("web", "1", &[]), app("old", "1", &[])],
    );
    for held in ["web", "old"] {
        ledger.words.suspended.insert(name(held), Until::Revoked);
    }
    let decision = ledger.decide();
    for held in ["web", "old"] {
        assert_eq!(want(&decision, held), Some(Want::Keep));
        assert!(decision.targets[held].suspended);
    }
    assert!(decision.plan.actions.is_empty());
}

#[test]
fn what_was_changed_by_hand_wins_over_git_until_it_runs_out() {
    let mut ledger = ledger(&[app("web", "1", &[])], &[app("web", "1", &[])]);
    let by_hand = app("web", "9", &[]);
    let hold = ByHand {
        app: Some(by_hand.as_ref().clone()),
        until: Until::At(1_000),
        by: None,
        against: None,
    };
    ledger.words.by_hand.insert(name("web"), hold);
    let decision = ledger.decide();
    assert!(matches!(want(&decision, "web"), Some(Want::Run(app)) if app.digest == by_hand.digest));
    assert!(decision.targets["web"].manual);
    assert!(!ledger.words.expire(999, true));
    assert_eq!(ledger.words.next_end_ms(), Some(1_000));
    assert!(ledger.words.expire(1_000, false));
    assert!(
        matches!(want(&ledger.decide(), "web"), Some(Want::Run(app)) if app.spec.version.as_str() == "1")
    );
}

#[test]
fn a_change_by_hand_without_a_time_lasts_until_the_next_reconcile() {
    let mut words = OperatorWords::default();
    words.by_hand.insert(
        name("web"),
        ByHand {
            app: None,
            until: Until::NextReconcile,
            by: None,
            against: None,
        },
    );
    assert!(!words.expire(u64::MAX, false));
    assert!(words.expire(0, true));
}

#[test]
fn before_git_was_read_everything_stays_and_operators_are_heard() {
    let mut ledger = ledger(&[], &[app("web", "1", &[])]);
    ledger.desired = None;
    ledger.words.by_hand.insert(
        name("tool"),
        ByHand {
            app: Some(app("tool", "1", &[]).as_ref().clone()),
            until: Until::Revoked,
            by: None,
            against: None,
        },
    );
    let decision = ledger.decide();
    assert_eq!(want(&decision, "web"), Some(Want::Keep));
    assert!(matches!(want(&decision, "tool"), Some(Want::Run(_))));
}

#[test]
fn an_app_that_never_ran_and_is_wanted_no_more_is_taken_off() {
    let mut ledger = ledger(&[], &[]);
    ledger.standings.insert(name("bad"), Standing::default());
    assert_eq!(want(&ledger.decide(), "bad"), Some(Want::Gone));
}

#[test]
fn a_spec_that_says_suspend_leaves_what_runs_as_it_is() {
    let mut new = DesiredApp::clone(&app("web", "2", &[]));
    Arc::make_mut(&mut new.spec).suspend = Some(true);
    for running in [vec![app("web", "1", &[])], Vec::new()] {
        let decision = ledger(&[Arc::new(new.clone())], &running).decide();
        assert_eq!(want(&decision, "web"), Some(Want::Keep));
        assert!(decision.targets["web"].suspended);
        assert!(decision.plan.is_empty());
    }
}

#[test]
fn a_diff_shows_how_the_next_reconcile_undoes_what_was_done_by_hand_and_not_held() {
    let (web, by_hand) = (app("web", "1", &[]), app("web", "5", &[]));
    let (dep, extra) = (app("dep", "1", &[]), app("extra", "1", &[]));
    let others = ["a", "b", "c"].map(|name| app(name, "1", &[]));
    let desired: Vec<_> = others.iter().chain([&web, &dep]).cloned().collect();
    let running: Vec<_> = others.iter().chain([&by_hand, &extra]).cloned().collect();
    let mut ledger = ledger(&desired, &running);
    let mut diff_while = |until| {
        let changes = [("web", Some(&by_hand)), ("extra", Some(&extra)), ("dep", None)];
        for (text, to_run) in changes {
            let app = to_run.map(|app| app.as_ref().clone());
            ledger.words.by_hand.insert(
                name(text),
                ByHand {
                    app,
                    until,
                    by: None,
                    against: None,
                },
            );
        }
        assert!(ledger.decide().plan.is_empty(), "it holds until then");
        let accepted = ledger.desired.as_ref().unwrap();
        let diff = ledger.diff(&accepted.desired, &accepted.facts.id);
        let actions = diff.actions.into_iter();
        actions
            .map(|action| (action.action.as_str().to_owned(), action.app.to_string()))
            .collect::<Vec<_>>()
    };
    let all = [("remove", "extra"), ("deploy", "dep"), ("upgrade", "web")];
    assert_eq!(
        diff_while(Until::NextReconcile),
        all.map(|(action, app)| (action.to_owned(), app.to_owned()))
    );
    for held in [Until::At(1_000), Until::Revoked] {
        assert_eq!(diff_while(held), []);
    }
}
