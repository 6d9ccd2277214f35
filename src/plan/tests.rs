//! SPEC_FORMAT's "What counts as a change" and "Pruning", as tables.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::names::ObjectId;
use crate::specs::AppSpec;
use crate::specs::app_spec::{
    ConfigFile, Health, Icon, Isolation, Limits, Placement, RestartType, Secret, Source, UpgradeStrategy,
};
use crate::specs::values::{ByteSize, Span};

mod properties;

fn base() -> AppSpec {
    let mut spec = AppSpec::new("web".parse().unwrap(), "1".parse().unwrap());
    spec.command = vec!["bin/web".to_owned()];
    spec.env.insert("PORT".to_owned(), "8080".to_owned());
    spec
}

fn desired_app(spec: AppSpec) -> Arc<DesiredApp> {
    Arc::new(DesiredApp {
        digest: spec.digest(&[]),
        spec: Arc::new(spec),
        file: "apps/web/app.yaml".to_owned(),
        line: 1,
        folder: "apps/web".to_owned(),
        artefact: None,
    })
}

fn changed(change: impl FnOnce(&mut AppSpec)) -> (Change, Vec<String>) {
    let mut spec = base();
    change(&mut spec);
    let (from, to) = (desired_app(base()), desired_app(spec));
    let paths = changes::changes(&from, &to)
        .into_iter()
        .map(|change| change.path)
        .collect();
    (Change::between(&from, &to), paths)
}

#[test]
fn each_field_asks_for_what_the_format_says() {
    use Change::{InPlace, NewProcess, NewVersion, None};
    let secret = || Secret {
        path: "db.age".to_owned(),
        file: false,
    };
    let file = || ConfigFile {
        from: "web.toml".to_owned(),
        reload: Option::None,
    };
    type Case = (Change, &'static str, fn(&mut AppSpec));
    let cases: &[Case] = &[
        (None, "", |_| {}),
        (NewVersion, "version", |spec| spec.version = "2".parse().unwrap()),
        (NewVersion, "version", |spec| {
            spec.version = "0.9".parse().unwrap();
        }),
        (NewVersion, "command", |spec| spec.command.push("-v".to_owned())),
        (NewVersion, "source.type", |spec| {
            spec.source = Some(Source::Path {
                path: "files".to_owned(),
            });
        }),
        (NewProcess, "env.PORT", |spec| {
            spec.env.insert("PORT".to_owned(), "9090".to_owned());
        }),
        (NewProcess, "env.PORT", |spec| spec.env.clear()),
        (NewProcess, "limits.memory", |spec| {
            spec.limits.memory = Some(ByteSize::from_bytes(1 << 20));
        }),
        (NewProcess, "sandbox.user", |spec| {
            spec.sandbox.user = Some("web".to_owned());
        }),
        (NewProcess, "sockets", |spec| {
            spec.sockets.push("127.0.0.1:80".to_owned());
        }),
        (NewProcess, "working_dir", |spec| {
            spec.working_dir = Some("srv".to_owned());
        }),
        (NewProcess, "isolation", |spec| {
            spec.isolation = Some(Isolation::Embedded);
        }),
        (InPlace, "description", |spec| {
            spec.description = Some("shop".to_owned());
        }),
        (InPlace, "icon.type", |spec| spec.icon = Some(Icon::Identicon {})),
        (InPlace, "restart.type", |spec| {
            spec.restart.kind = Some(RestartType::Transient);
        }),
        (InPlace, "restart.backoff.initial", |spec| {
            spec.restart.backoff.initial = Some(Span::from_secs(2));
        }),
        (InPlace, "stop.timeout", |spec| {
            spec.stop.timeout = Some(Span::from_secs(2));
        }),
        (InPlace, "depends_on", |spec| {
            spec.depends_on.push("db".parse().unwrap());
        }),
        (InPlace, "upgrade.strategy", |spec| {
            spec.upgrade.strategy = Some(UpgradeStrategy::Restart);
        }),
        (InPlace, "placement.nodes", |spec| {
            spec.placement = Placement {
                nodes: ["n1".to_owned()].into(),
                labels: BTreeMap::new(),
            };
        }),
    ];
    for (expected, path, change) in cases {
        let (kind, paths) = changed(change);
        assert_eq!(kind, *expected, "{path}");
        assert!(
            path.is_empty() && paths.is_empty() || paths.iter().any(|found| found == path),
            "{path}: {paths:?}"
        );
    }
    let health =
        changed(|spec| spec.health = Some(serde_json::from_str::<Health>(r#"{"port": 1}"#).unwrap()));
    assert_eq!(health, (InPlace, vec!["health.port".to_owned()]));
    let secrets = changed(|spec| {
        spec.secrets.insert("DB".to_owned(), secret());
    });
    assert_eq!(secrets, (NewProcess, vec!["secrets.DB.path".to_owned()]));
    let files = changed(|spec| {
        spec.config_files.insert("etc/web.toml".to_owned(), file());
    });
    assert_eq!(files.0, NewProcess);
    // What is taken away is a change as well.
    let mut full = base();
    full.config_files.insert("etc/web.toml".to_owned(), file());
    full.secrets.insert("DB".to_owned(), secret());
    for take in [
        |spec: &mut AppSpec| spec.config_files.clear(),
        |spec: &mut AppSpec| spec.secrets.clear(),
    ] {
        let mut less = full.clone();
        take(&mut less);
        let (more, less) = (desired_app(full.clone()), desired_app(less));
        assert_eq!(Change::between(&more, &less), NewProcess);
    }
    let mut files_alone = base();
    files_alone.config_files.insert("etc/web.toml".to_owned(), file());
    let (more, less) = (desired_app(files_alone), desired_app(base()));
    assert_eq!(Change::between(&more, &less), NewProcess);
    let two = changed(|spec| {
        spec.version = "2".parse().unwrap();
        spec.env.clear();
    });
    assert_eq!(
        two,
        (NewVersion, vec!["version".to_owned(), "env.PORT".to_owned()])
    );
}

#[test]
fn another_content_under_the_same_spec_is_a_change_too() {
    let with_files = |digest: &str, artefact: Option<&str>| {
        let mut spec = base();
        spec.config_files.insert(
            "etc/web.toml".to_owned(),
            ConfigFile {
                from: "web.toml".to_owned(),
                reload: None,
            },
        );
        let mut app = DesiredApp::clone(&desired_app(spec));
        app.digest = app.spec.digest(&[digest]);
        app.artefact = artefact.map(ObjectId::from_str_of);
        app
    };
    let (one, two) = (with_files("a", None), with_files("b", None));
    assert_eq!(Change::between(&one, &two), Change::NewProcess);
    let found = changes::changes(&one, &two);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].path, "config_files (content)");
    let three = with_files("c", Some("c"));
    assert_eq!(Change::between(&one, &three), Change::NewVersion);
    assert_eq!(changes::changes(&one, &three)[0].path, "source.path (content)");
}

trait FromDigit {
    fn from_str_of(digit: &str) -> Self;
}

impl FromDigit for ObjectId {
    fn from_str_of(digit: &str) -> Self {
        digit.repeat(40).parse().unwrap()
    }
}

#[test]
fn a_field_that_appears_or_vanishes_is_told_from_or_to_nothing() {
    let mut more = base();
    more.limits = Limits {
        cpus: Some(1.5),
        ..Limits::default()
    };
    let (one, two) = (desired_app(base()), desired_app(more));
    let there = changes::changes(&one, &two);
    assert_eq!((there[0].path.as_str(), &there[0].from), ("limits.cpus", &None));
    assert_eq!(there[0].to, Some(serde_json::json!(1.5)));
    let back = changes::changes(&two, &one);
    assert_eq!((&back[0].from, &back[0].to), (&there[0].to, &there[0].from));
}

fn named(name: &str, depends_on: &[&str]) -> Arc<DesiredApp> {
    let mut spec = AppSpec::new(name.parse().unwrap(), "1".parse().unwrap());
    spec.depends_on = depends_on.iter().map(|name| name.parse().unwrap()).collect();
    desired_app(spec)
}

fn current_of(apps: impl IntoIterator<Item = Arc<DesiredApp>>) -> Current {
    let held = |applied: Arc<DesiredApp>| {
        (
            applied.spec.name.clone(),
            CurrentApp {
                applied,
                is_held: false,
                is_removal_refused: false,
            },
        )
    };
    apps.into_iter().map(held).collect()
}

const NO_GUARD: PruneLimits = PruneLimits {
    share_max: 1.0,
    is_accepted: true,
};
const DEFAULT: PruneLimits = PruneLimits {
    share_max: 0.5,
    is_accepted: false,
};

#[test]
fn the_prune_guard_holds_three_or_more_that_are_more_than_the_share() {
    // (managed, removed) -> allowed, at 50 %.
    for (managed, removed, is_allowed) in [
        (1, 1, true),
        (2, 2, true),
        (3, 2, true),
        (3, 3, false),
        (5, 5, false),
        (5, 3, false),
        (6, 3, true),
        (6, 4, false),
        (10, 5, true),
        (10, 6, false),
        (0, 0, true),
    ] {
        assert_eq!(
            DEFAULT.allow(removed, managed),
            is_allowed,
            "{removed} of {managed}"
        );
    }
    assert!(
        !PruneLimits {
            share_max: 0.0,
            is_accepted: false
        }
        .allow(3, 100)
    );
    assert!(
        PruneLimits {
            share_max: 1.0,
            is_accepted: false
        }
        .allow(100, 100)
    );
    assert!(
        PruneLimits {
            share_max: 0.0,
            is_accepted: true
        }
        .allow(100, 100)
    );
}

#[test]
fn a_held_removal_holds_nothing_else_back() {
    let mut current = current_of(["a", "b", "c", "d"].map(|name| named(name, &[])));
    current.get_mut("d").unwrap().applied = named("d", &["x"]);
    let mut desired = Desired::default();
    for app in [named("d", &[]), named("new", &[])] {
        desired.apps.insert(app.spec.name.clone(), app);
    }
    let held = plan(&desired, &current, DEFAULT);
    let kinds: Vec<_> = held
        .actions
        .iter()
        .map(|action| (action.kind(), action.app().as_str()))
        .collect();
    assert_eq!(
        kinds,
        [(ActionKind::Deploy, "new"), (ActionKind::Reconfigure, "d")]
    );
    let refused: Vec<_> = held
        .held_back
        .unwrap()
        .apps
        .into_iter()
        .map(|app| app.to_string())
        .collect();
    assert_eq!(refused, ["a", "b", "c"]);
    let accepted = plan(
        &desired,
        &current,
        PruneLimits {
            is_accepted: true,
            ..DEFAULT
        },
    );
    assert_eq!((accepted.actions.len(), accepted.held_back), (5, None));
}

#[test]
fn held_suspended_and_invalid_apps_have_no_action() {
    let mut current = current_of(["held", "suspended", "bad", "gone-and-held"].map(|name| named(name, &[])));
    for held in ["held", "gone-and-held"] {
        current.get_mut(held).unwrap().is_held = true;
    }
    let mut desired = Desired::default();
    for name in ["held", "suspended", "never-deployed"] {
        let mut spec = AppSpec::new(name.parse().unwrap(), "2".parse().unwrap());
        spec.suspend = (name != "held").then_some(true);
        desired.apps.insert(spec.name.clone(), desired_app(spec));
    }
    desired
        .invalid
        .insert("bad".parse().unwrap(), Arc::new(mistake()));
    let plan = plan(&desired, &current, NO_GUARD);
    assert!(plan.is_empty(), "{plan:?}");
    assert_eq!(plan.invalid.len(), 1);
    let diff = Diff::of(None, &plan);
    assert_eq!(
        (diff.invalid[0].file.as_str(), diff.invalid[0].line),
        ("apps/bad/app.yaml", 3)
    );
}

fn mistake() -> SpecError {
    SpecError {
        app: None,
        file: "apps/bad/app.yaml".to_owned(),
        line: 3,
        column: 1,
        width: 1,
        source_line: String::new(),
        code: "osier::spec::syntax".to_owned(),
        message: "a mistake".to_owned(),
        help: "mend it".to_owned(),
    }
}

#[test]
fn what_is_caught_in_a_cycle_of_several_commits_still_has_its_place() {
    let current = current_of([named("a", &["b"]), named("b", &["a"]), named("c", &["a"])]);
    let plan = plan(&Desired::default(), &current, NO_GUARD);
    let order: Vec<_> = plan.actions.iter().map(|action| action.app().as_str()).collect();
    assert_eq!(order, ["c", "a", "b"]);
}

#[test]
fn five_thousand_apps_are_planned_at_once() {
    // A chain of all of them is the worst of graphs. The bound is generous: a debug build on a busy machine.
    let chain = |version: &'static str| {
        (0..5_000).map(move |index| {
            let mut spec = AppSpec::new(format!("a{index:04}").parse().unwrap(), version.parse().unwrap());
            if index > 0 {
                spec.depends_on = vec![format!("a{:04}", index - 1).parse().unwrap()];
            }
            desired_app(spec)
        })
    };
    let apps = chain("2").map(|app| (app.spec.name.clone(), app)).collect();
    let desired = Desired {
        apps,
        ..Desired::default()
    };
    let current = current_of(chain("1"));
    let began = std::time::Instant::now();
    let upgrades = plan(&desired, &current, NO_GUARD);
    let removals = plan(&Desired::default(), &current, NO_GUARD);
    let deploys = plan(&desired, &Current::new(), NO_GUARD);
    let took = began.elapsed();
    assert_eq!(
        [&upgrades, &removals, &deploys].map(|plan| plan.actions.len()),
        [5_000; 3]
    );
    assert_eq!(removals.actions[0].app().as_str(), "a4999");
    assert!(took.as_secs() < 5, "{took:?}");
}
