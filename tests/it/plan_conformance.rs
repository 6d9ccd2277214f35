//! bc_gitops' own cases for actions and their order, and what ours makes of them: specs are loaded, the plan is made.
//!
//! Each case is run. Where the outcome is meant to differ, the table in `docs/explanation/bc-gitops-conformance.md` says
//! so and why; a case that is in neither way accounted for fails.

use std::collections::{BTreeMap, BTreeSet};

use osier::plan::{Action, Current, CurrentApp, PruneLimits, plan};
use osier::specs::facts::Capabilities;
use osier::specs::{Desired, NodeFacts, SpecCache, load};
use serde_json::{Map, Value as Json, json};

use crate::memory_tree::MemoryTree;

const CASES: &str = include_str!("../data/bc_gitops/cases.json");
const TABLE: &str = include_str!("../../docs/explanation/bc-gitops-conformance.md");

/// Cases whose outcome differs from the original's on purpose: ours.
const DIFFERENT: &[(&str, &[&str])] = &[
    ("git ref changed, same version", &["upgrade a 1"]),
    ("isolation changed", &["reconfigure a"]),
    ("health/description/icon changed", &["reconfigure a"]),
    ("diamond", &["deploy base", "deploy l", "deploy r", "deploy top"]),
    (
        "upgrades are not sorted (reverse name order)",
        &["upgrade a 1", "upgrade b 1", "upgrade c 1"],
    ),
    (
        "cycle a<->b, d depends on a, c free",
        &[
            "deploy c",
            "invalid a cycle",
            "invalid b cycle",
            "invalid d cycle",
        ],
    ),
    ("self dependency", &["invalid a cycle"]),
    ("same dependency listed twice", &["deploy b", "deploy a"]),
    (
        "dependency that does not exist",
        &["invalid a unknown_dependency"],
    ),
    ("dependency given as JSON string", &["deploy z", "deploy a"]),
    ("dependency failed to deploy", &["deploy z", "deploy a"]),
];

const NO_GUARD: PruneLimits = PruneLimits {
    share_max: 1.0,
    is_accepted: true,
};

/// The specs of a node by app: what differs from the least that an app is.
type Specs = BTreeMap<String, Map<String, Json>>;

fn desired(specs: &Specs) -> Desired {
    let files: Vec<(String, String)> = specs
        .iter()
        .map(|(name, fields)| {
            let mut spec = json!({"name": name, "version": "1", "command": ["true"]});
            let spec = spec.as_object_mut().unwrap();
            spec.extend(fields.clone());
            if let Some(source) = spec.get_mut("source").filter(|source| source["type"] == "git") {
                source["url"] = json!("https://example.com/a.git");
                source["build"] = json!(["true"]);
            }
            (
                format!("apps/{name}/app.json"),
                Json::Object(spec.clone()).to_string(),
            )
        })
        .collect();
    let tree = MemoryTree::of(files.iter().map(|(path, text)| (path.as_str(), text.as_str())));
    let facts = NodeFacts {
        capabilities: Capabilities::ALL,
        ..NodeFacts::of_nobody()
    };
    Desired::clone(&load(&tree, "apps", &facts, &mut SpecCache::default()).unwrap())
}

fn current(specs: &Specs) -> Current {
    let loaded = desired(specs);
    assert!(loaded.invalid.is_empty(), "{:?}", loaded.invalid);
    let apps = loaded.apps.into_iter();
    apps.map(|(name, applied)| {
        (
            name,
            CurrentApp {
                applied,
                is_held: false,
                is_removal_refused: false,
            },
        )
    })
    .collect()
}

/// A plan in the words of the cases.
fn words(specs: &Specs, there: &Specs) -> Vec<String> {
    let desired = desired(specs);
    let plan = plan(&desired, &current(there), NO_GUARD);
    let mut words: Vec<String> = plan
        .actions
        .iter()
        .map(|action| match action {
            Action::Upgrade { from, .. } => format!("upgrade {} {}", action.app(), from.spec.version),
            _ => format!("{} {}", action.kind().as_str(), action.app()),
        })
        .collect();
    words.extend(
        desired
            .invalid
            .iter()
            .map(|(app, error)| format!("invalid {app} {}", error.code.trim_start_matches("osier::spec::"))),
    );
    words
}

fn fields(value: &Json) -> Map<String, Json> {
    let mut fields = value.as_object().cloned().unwrap_or_default();
    // What runs is no part of a spec.
    fields.retain(|key, _| key != "status" && key != "health" || value[key].is_object());
    fields
}

fn specs(value: &Json) -> Specs {
    match value {
        Json::Object(apps) => apps
            .iter()
            .map(|(name, app)| (name.clone(), fields(app)))
            .collect(),
        Json::Array(names) => names.iter().map(|name| (text(name), Map::new())).collect(),
        _ => Specs::new(),
    }
}

/// Apps with their dependencies, or names alone.
fn with_dependencies(value: &Json) -> Specs {
    let Json::Object(apps) = value else {
        return specs(value);
    };
    let clean = |name: &Json| {
        text(name)
            .trim_end_matches(" (string)")
            .trim_matches('"')
            .to_owned()
    };
    let depends_on = |on: &Json| on.as_array().unwrap().iter().map(clean).collect::<Vec<_>>();
    let spec = |on: &Json| Map::from_iter([("depends_on".to_owned(), json!(depends_on(on)))]);
    apps.iter().map(|(name, on)| (name.clone(), spec(on))).collect()
}

fn text(value: &Json) -> String {
    value.as_str().unwrap().to_owned()
}

fn at_version(mut specs: Specs, version: &str) -> Specs {
    for spec in specs.values_mut() {
        spec.insert("version".to_owned(), json!(version));
    }
    specs
}

/// `deploy app_b(app_a)`, `remove app_x`, `upgrade app_c 1.0.0->2.0.0`: what it asks for and what is there.
fn spoken(actions: &Json) -> (Specs, Specs) {
    let (mut asked, mut there) = (Specs::new(), Specs::new());
    for action in actions.as_array().unwrap() {
        let action = text(action);
        let words: Vec<&str> = action
            .split([' ', '(', ')'])
            .filter(|word| !word.is_empty())
            .collect();
        match words.as_slice() {
            ["deploy", app, on @ ..] => {
                asked.insert(
                    (*app).to_owned(),
                    Map::from_iter([("depends_on".to_owned(), json!(on))]),
                );
            }
            ["remove", app] => {
                there.insert((*app).to_owned(), Map::new());
            }
            ["upgrade", app, versions] => {
                let (from, to) = versions.split_once("->").unwrap();
                for (specs, version) in [(&mut there, from), (&mut asked, to)] {
                    specs.insert(
                        (*app).to_owned(),
                        Map::from_iter([("version".to_owned(), json!(version))]),
                    );
                }
            }
            _ => panic!("{action}"),
        }
    }
    (asked, there)
}

/// What a case asks for, and what is there.
fn situation(given: &Json) -> (Specs, Specs) {
    if given.get("actions").is_some() {
        return spoken(&given["actions"]);
    }
    if given.get("deploy").is_some() {
        let mut asked = with_dependencies(&given["deploy"]);
        // What is there already stays: the case is about the new ones.
        asked.extend(specs(&given["current"]));
        return (asked, specs(&given["current"]));
    }
    if given.get("upgrade").is_some() {
        let asked = with_dependencies(&given["upgrade"]);
        return (at_version(asked.clone(), "2"), asked);
    }
    if given.get("remove").is_some() {
        return (Specs::new(), with_dependencies(&given["specs"]));
    }
    let mut there = specs(&given["current"]);
    if let Some(on) = given.get("app_depends_on") {
        there
            .get_mut("app")
            .unwrap()
            .insert("depends_on".to_owned(), on.clone());
    }
    (specs(&given["desired"]), there)
}

/// What the original does, in our words. A case whose order is open is compared sorted.
fn expected(given: &Json, expect: &Json) -> (Vec<String>, bool) {
    let verb = ["remove", "upgrade"]
        .into_iter()
        .find(|verb| given.get(verb).is_some());
    let verb = verb.unwrap_or(if given.get("app_depends_on").is_some() {
        "remove"
    } else {
        "deploy"
    });
    let (list, is_set) = match expect.get("set") {
        Some(set) => (set, true),
        None => (expect, false),
    };
    let word = |action: &Json| match action {
        Json::Array(parts) => parts.iter().map(text).collect::<Vec<_>>().join(" "),
        // The words of "mixed actions" name their verb; an upgrade's old version is in the case itself.
        Json::String(text) if text.starts_with("upgrade ") => format!("{text} 1.0.0"),
        Json::String(text) if text.contains(' ') => text.clone(),
        _ => format!("{verb} {}", text(action)),
    };
    (list.as_array().unwrap().iter().map(word).collect(), is_set)
}

#[test]
fn every_case_of_actions_and_order_is_run() {
    let all: Vec<Json> = serde_json::from_str(CASES).unwrap();
    let cases = all
        .iter()
        .filter(|case| ["actions", "order"].contains(&case["area"].as_str().unwrap()));
    let mut seen = BTreeSet::new();
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let (asked, there) = situation(&case["given"]);
        let mut found = words(&asked, &there);
        let different = DIFFERENT.iter().find(|(different, _)| *different == name);
        let expected: Vec<String> = if let Some((_, ours)) = different {
            ours.iter().map(ToString::to_string).collect()
        } else {
            let (mut expected, is_set) = expected(&case["given"], &case["expect"]);
            if is_set {
                expected.sort();
                found.sort();
            }
            expected
        };
        assert_eq!(found, expected, "{name}");
        seen.insert(name);
    }
    assert_eq!(seen.len(), 27);
    for (name, _) in DIFFERENT {
        assert!(seen.contains(name), "{name} is no case");
    }
}

#[test]
fn the_table_names_every_case_of_actions_and_order_once() {
    let all: Vec<Json> = serde_json::from_str(CASES).unwrap();
    for case in &all {
        let (area, name) = (text(&case["area"]), text(&case["name"]));
        if !["actions", "order"].contains(&area.as_str()) {
            continue;
        }
        let row = format!("| {area} | {name} | ");
        let rows: Vec<&str> = TABLE.lines().filter(|line| line.starts_with(&row)).collect();
        assert_eq!(rows.len(), 1, "{row}");
        let says_different = rows[0].starts_with(&format!("{row}different"));
        let is_different = DIFFERENT.iter().any(|(different, _)| *different == name);
        assert!(says_different || !is_different, "{name}");
    }
}
