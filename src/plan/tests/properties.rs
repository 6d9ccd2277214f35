//! What holds for any desired and any current state.

use super::*;

/// A node and what a commit asks of it: names `a0` to `a11`, each at one of three versions, depending on lower ones.
fn arbitrary() -> impl Strategy<Value = (Desired, Current)> {
    let app = (0..3_u8, proptest::collection::vec(0..12_usize, 0..4), 0..8_u8);
    let side = || proptest::collection::vec(proptest::option::weighted(0.7, app.clone()), 12);
    (side(), side()).prop_map(|(asked, there)| {
        let build = |index: usize, (version, depends_on, _): &(u8, Vec<usize>, u8)| {
            let mut spec = AppSpec::new(format!("a{index}").parse().unwrap(), "1".parse().unwrap());
            spec.depends_on = depends_on
                .iter()
                .filter(|on| **on < index)
                .map(|on| format!("a{on}").parse().unwrap())
                .collect();
            match version {
                0 => {}
                1 => spec.version = "2".parse().unwrap(),
                _ => spec.description = Some("other".to_owned()),
            }
            desired_app(spec)
        };
        let mut desired = Desired::default();
        for (index, asked) in asked.iter().enumerate() {
            let Some(asked) = asked else { continue };
            let app = build(index, asked);
            if asked.2 == 0 {
                desired.invalid.insert(app.spec.name.clone(), Arc::new(mistake()));
            } else {
                desired.apps.insert(app.spec.name.clone(), app);
            }
        }
        let there = there.iter().enumerate();
        let current = there.filter_map(|(index, app)| Some(build(index, app.as_ref()?)));
        (desired, current_of(current))
    })
}

/// Carries a plan out, as a node does.
fn apply(plan: &Plan, current: &Current) -> Current {
    let mut current = current.clone();
    for action in &plan.actions {
        match action {
            Action::Remove { app, .. } => assert!(current.remove(app).is_some()),
            Action::Deploy(to) => assert!(current.insert(to.spec.name.clone(), held(to)).is_none()),
            Action::Upgrade { from, to } | Action::Reconfigure { from, to, .. } => {
                let before = current.insert(to.spec.name.clone(), held(to));
                assert_eq!(
                    before.map(|app| app.applied.digest.clone()),
                    Some(from.digest.clone())
                );
            }
        }
    }
    current
}

fn held(app: &Arc<DesiredApp>) -> CurrentApp {
    CurrentApp {
        applied: Arc::clone(app),
        is_held: false,
        is_removal_refused: false,
    }
}

proptest! {
    #[test]
    fn a_plan_carried_out_gives_what_is_desired_and_a_second_one_is_empty((desired, current) in arbitrary()) {
        let first = plan(&desired, &current, NO_GUARD);
        let after = apply(&first, &current);
        for (name, app) in &desired.apps {
            prop_assert_eq!(&after[name].applied.digest, &app.digest);
        }
        for name in after.keys() {
            prop_assert!(desired.apps.contains_key(name) || desired.invalid.contains_key(name));
        }
        prop_assert!(plan(&desired, &after, NO_GUARD).is_empty());
        prop_assert_eq!(&plan(&desired, &current, NO_GUARD), &first);
    }

    #[test]
    fn a_bad_spec_is_never_a_removal_nor_a_change((desired, current) in arbitrary()) {
        let first = plan(&desired, &current, NO_GUARD);
        let after = apply(&first, &current);
        for name in desired.invalid.keys() {
            prop_assert!(first.actions.iter().all(|action| action.app() != name));
            prop_assert_eq!(after.get(name), current.get(name));
        }
    }

    #[test]
    fn the_order_holds_for_any_graph((desired, current) in arbitrary()) {
        let first = plan(&desired, &current, NO_GUARD);
        let rank = |action: &Action| match action {
            Action::Remove { .. } => 0,
            Action::Deploy(_) => 1,
            Action::Upgrade { .. } | Action::Reconfigure { .. } => 2,
        };
        prop_assert!(first.actions.iter().map(rank).is_sorted());
        let place: BTreeMap<_, _> =
            first.actions.iter().enumerate().map(|(place, action)| (action.app(), (rank(action), place))).collect();
        for (name, (group, at)) in &place {
            let spec = if *group == 0 { &current[*name].applied.spec } else { &desired.apps[*name].spec };
            for dependency in &spec.depends_on {
                let Some((_, other)) = place.get(dependency).filter(|(of, _)| of == group) else { continue };
                prop_assert!(if *group == 0 { at < other } else { at > other }, "{} {}", name, dependency);
            }
        }
    }

    /// An operator who suspends some, or takes one away by hand, lets no others go.
    #[test]
    fn once_refused_removals_stay_refused_whatever_becomes_of_some_of_them(
        (desired, current) in arbitrary(), held in 0..4096_u16, gone in 0..4096_u16
    ) {
        let limits = PruneLimits { share_max: 0.3, is_accepted: false };
        let Some(refusal) = plan(&desired, &current, limits).held_back else { return Ok(()) };
        let is_in = |set: u16, name: &AppName| {
            let number: u16 = name.as_str().trim_start_matches('a').parse().unwrap();
            set & (1 << number) != 0
        };
        let mut later = current.clone();
        later.retain(|name, _| !(refusal.apps.contains(name) && is_in(gone, name)));
        for (name, app) in &mut later {
            app.is_held = is_in(held, name);
            app.is_removal_refused = refusal.apps.contains(name);
        }
        let is_removal = |action: &Action| matches!(action, Action::Remove { .. });
        prop_assert!(!plan(&desired, &later, limits).actions.iter().any(is_removal));
        let accepted = PruneLimits { is_accepted: true, ..limits };
        let accepted = plan(&desired, &later, accepted);
        prop_assert!(accepted.held_back.is_none());
        let going = refusal.apps.iter().filter(|app| later.get(*app).is_some_and(|app| !app.is_held));
        prop_assert_eq!(accepted.actions.iter().filter(|action| is_removal(action)).count(), going.count());
    }

    #[test]
    fn the_guard_takes_removals_alone_and_all_of_them((desired, current) in arbitrary(), share in 0.0..1.0_f64) {
        let free = plan(&desired, &current, NO_GUARD);
        let guarded = plan(&desired, &current, PruneLimits { share_max: share, is_accepted: false });
        let is_removal = |action: &&Action| matches!(action, Action::Remove { .. });
        let (removals, others): (Vec<&Action>, Vec<&Action>) = free.actions.iter().partition(is_removal);
        match guarded.held_back {
            None => prop_assert_eq!(&guarded.actions, &free.actions),
            Some(refusal) => {
                prop_assert_eq!(guarded.actions.iter().collect::<Vec<_>>(), others);
                let names: Vec<_> = removals.iter().map(|action| action.app().clone()).collect();
                prop_assert!(names.len() >= PRUNE_GUARD_MIN);
                prop_assert!(names.len() as f64 > share * current.len() as f64);
                prop_assert_eq!(refusal.apps, names);
            }
        }
    }
}
