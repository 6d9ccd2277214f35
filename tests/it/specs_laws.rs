//! Laws of specs: formats agree, order of keys is nothing, layers merge as they should, expansion undoes its own escape.

use std::collections::BTreeMap;

use osier::specs::expand::{EXPANDED_BYTES_MAX, expand};
use osier::specs::facts::Capabilities;
use osier::specs::format::{Format, read};
use osier::specs::merge::merged;
use osier::specs::node::{Map, Node, Value};
use osier::specs::{AppSpec, NodeFacts, read_app};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

fn facts() -> NodeFacts {
    NodeFacts {
        capabilities: Capabilities::ALL,
        ..NodeFacts::of_nobody()
    }
}

fn spec_of(file: &str, text: &str) -> AppSpec {
    let read = read_app(file, text.as_bytes(), "web", &facts());
    assert_eq!(read.errors, [], "{file}:\n{text}");
    read.spec.unwrap()
}

/// Texts that are hard to quote, without `${`.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9 _./:#-]{0,12}",
        "\\PC{0,8}",
        Just("no".to_owned()),
        Just("1.10".to_owned()),
        Just("null".to_owned()),
        Just("'\"\\ %{}[],&*!|>?- é€🌱".to_owned()),
        Just("two\nlines\ttab".to_owned()),
    ]
    .prop_map(|text| text.replace("${", "$ {"))
}

/// What may stand in `env`.
fn value() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        text().prop_map(Json::from),
        any::<bool>().prop_map(Json::from),
        any::<i32>().prop_map(Json::from),
        (0..1000_u32).prop_map(|n| json!(f64::from(n) + 0.5)),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map("[a-z]{1,5}", inner, 1..4).prop_map(|map| json!(map)),
        ]
    })
}

fn spec() -> impl Strategy<Value = Json> {
    let env = prop::collection::btree_map("[A-Z][A-Z0-9_]{0,6}", value(), 0..5);
    let words = prop::collection::vec(text(), 0..3);
    (
        env,
        words,
        any::<bool>(),
        1..100_u32,
        "[0-9]{1,2}\\.[0-9]{1,2}\\.[0-9]",
    )
        .prop_map(|(env, words, is_suspended, count, version)| {
            let command: Vec<String> = std::iter::once("/bin/x".to_owned()).chain(words).collect();
            json!({
                "version": version, "command": command, "env": env, "suspend": is_suspended,
                "limits": {"pids": count, "memory": format!("{count}MiB")},
                "depends_on": ["a", "b"], "restart": {"backoff": {"initial": "2s"}},
                "placement": {"labels": {"rack": count.to_string()}},
            })
        })
}

/// The same value as Erlang terms: maps and proplists, strings and binaries, by turns.
fn erlang(value: &Json, turn: &mut usize) -> String {
    *turn += 1;
    let turn_now = *turn;
    let quoted = |text: &str, quote: char| -> String {
        let escaped: String = text
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() {
                    c.to_string()
                } else {
                    format!("\\x{{{:x}}}", c as u32)
                }
            })
            .collect();
        format!("{quote}{escaped}{quote}")
    };
    match value {
        Json::Null => "undefined".to_owned(),
        Json::Bool(_) | Json::Number(_) => value.to_string(),
        Json::String(text) => match turn_now % 3 {
            0 => quoted(text, '"'),
            1 => format!("<<{}/utf8>>", quoted(text, '"')),
            _ => format!("<<{}>>", quoted(text, '"')),
        },
        Json::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| erlang(item, turn)).collect();
            format!("[{}]", items.join(", % item\n"))
        }
        Json::Object(map) => {
            let is_list = turn_now.is_multiple_of(2) && !map.is_empty();
            let entries: Vec<String> = map
                .iter()
                .map(|(key, value)| {
                    let value = erlang(value, turn);
                    if is_list {
                        format!("{{{}, {value}}}", quoted(key, '\''))
                    } else {
                        format!("{} => {value}", quoted(key, '\''))
                    }
                })
                .collect();
            if is_list {
                format!("[{}]", entries.join(", "))
            } else {
                format!("#{{{}}}", entries.join(", "))
            }
        }
    }
}

/// The same value as YAML blocks, texts in single quotes where they are on one line.
fn yaml(value: &Json, depth: usize) -> String {
    let pad = "  ".repeat(depth);
    match value {
        Json::Object(map) if !map.is_empty() => map
            .iter()
            .map(|(key, value)| format!("\n{pad}{}:{}", Json::from(key.as_str()), yaml(value, depth + 1)))
            .collect(),
        Json::Array(items) if !items.is_empty() => items
            .iter()
            .map(|item| {
                format!(
                    "\n{pad}- {}",
                    if item.is_object() || item.is_array() {
                        item.to_string()
                    } else {
                        yaml(item, 0)
                    }
                )
            })
            .collect(),
        Json::String(text) if !text.chars().any(char::is_control) && !text.contains('\u{feff}') => {
            format!(" '{}'", text.replace('\'', "''"))
        }
        other => format!(" {other}"),
    }
}

fn node(value: &Json) -> Map {
    let text = json!({"x": value}).to_string();
    let Node {
        value: Value::Map(map),
        ..
    } = read(Format::Json, &text, 0).unwrap()
    else {
        panic!("no map")
    };
    map.get("x").and_then(Node::as_map).cloned().unwrap()
}

/// A map as data, nulls left out, places forgotten.
fn plain(map: &Map) -> Json {
    fn of(node: &Node) -> Json {
        match &node.value {
            Value::Map(map) => plain(map),
            Value::List(items) => items.iter().map(of).collect(),
            Value::Text(text) | Value::Atom(text) => json!(text),
            Value::Number(number) => json!(number),
            Value::Bool(boolean) => json!(boolean),
            Value::Null => Json::Null,
        }
    }
    map.0
        .iter()
        .filter(|(_, entry)| entry.node.value != Value::Null)
        .map(|(key, entry)| (key.clone(), of(&entry.node)))
        .collect()
}

fn tree() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        (0..3_i32).prop_map(Json::from),
        Just(json!([1])),
        Just(json!("t"))
    ];
    let inner = leaf.prop_recursive(3, 10, 3, |inner| {
        prop::collection::btree_map("[a-c]", inner, 0..3).prop_map(|map| json!(map))
    });
    prop::collection::btree_map("[a-c]", inner, 0..4).prop_map(|map: BTreeMap<String, Json>| json!(map))
}

/// Layers whose keys have the same shape in each: a map never stands over anything but a map.
fn shaped() -> impl Strategy<Value = Json> {
    let number = || prop::option::of(0..9_i32);
    (
        number(),
        number(),
        number(),
        prop::collection::vec(0..3_i32, 0..3),
    )
        .prop_map(|(a, x, y, list)| {
            let mut layer = json!({"list": list});
            for (key, number) in [("a", a), ("x", x), ("y", y)] {
                if let Some(number) = number {
                    if key == "a" {
                        layer["a"] = json!(number);
                    } else {
                        layer["map"][key] = json!(number);
                    }
                }
            }
            layer
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn one_spec_in_four_formats_has_one_digest(spec in spec()) {
        let json = spec_of("app.json", &spec.to_string());
        let digest = json.digest(&[]);
        for (file, text) in [
            ("app.yaml", yaml(&spec, 0)),
            ("app.yml", spec.to_string()),
            ("app.toml", toml::to_string(&spec).unwrap()),
            ("app.config", format!("{}.", erlang(&spec, &mut 0))),
            ("app.config", format!("{}.", erlang(&spec, &mut 1))),
        ] {
            prop_assert_eq!(&spec_of(file, &text), &json, "{}\n{}", file, text);
            prop_assert_eq!(spec_of(file, &text).digest(&[]), digest.clone());
        }
    }

    #[test]
    fn the_order_of_keys_is_nothing_and_each_value_is_something(spec in spec()) {
        let digest = |spec: &Json| spec_of("app.json", &spec.to_string()).digest(&[]);
        let reversed: Json = spec.as_object().unwrap().clone().into_iter().rev().collect();
        prop_assert_eq!(digest(&spec), digest(&reversed));
        let mut other = spec.clone();
        other["env"]["ONE_MORE"] = json!("x");
        prop_assert_ne!(digest(&spec), digest(&other));
        prop_assert_ne!(digest(&spec), spec_of("app.json", &spec.to_string()).digest(&["part"]));
    }

    #[test]
    fn nothing_over_something_and_something_over_itself_change_nothing(tree in tree()) {
        let map = node(&tree);
        prop_assert_eq!(plain(&merged(&map, &Map::default())), plain(&map));
        prop_assert_eq!(plain(&merged(&Map::default(), &map)), plain(&map));
        prop_assert_eq!(plain(&merged(&map, &map)), plain(&map));
    }

    #[test]
    fn layers_of_one_shape_can_be_merged_in_any_grouping(a in shaped(), b in shaped(), c in shaped()) {
        let (a, b, c) = (node(&a), node(&b), node(&c));
        prop_assert_eq!(plain(&merged(&merged(&a, &b), &c)), plain(&merged(&a, &merged(&b, &c))));
    }

    #[test]
    fn the_later_layer_wins_and_null_deletes(a in tree(), b in tree(), key in "[a-c]") {
        let (below, above) = (node(&a), node(&b));
        let both = plain(&merged(&below, &above));
        for (key, value) in b.as_object().unwrap() {
            if !value.is_object() {
                prop_assert_eq!(&both[key], &plain(&above)[key]);
            }
        }
        let deleted = plain(&merged(&below, &node(&json!({key.as_str(): null}))));
        prop_assert!(deleted.get(&key).is_none());
        prop_assert_eq!(plain(&below).as_object().unwrap().iter().filter(|(name, _)| **name != key).count(), deleted.as_object().unwrap().len());
    }

    #[test]
    fn an_escaped_text_expands_to_itself(text in "[a$ {}x]{0,40}") {
        let escaped = text.replace("${", "$${");
        let expanded = expand(&escaped, &mut |name| panic!("asked for {name}")).unwrap();
        prop_assert_eq!(expanded, text);
    }

    #[test]
    fn expansion_never_outgrows_its_limit(text in "(\\$\\{a\\}|b){0,30}", size in 0..40_000_usize) {
        let value = "x".repeat(size);
        if let Ok(expanded) = expand(&text, &mut |_| Ok(value.clone())) {
            prop_assert!(expanded.len() <= EXPANDED_BYTES_MAX + text.len());
        }
    }
}
