//! Seeded mutation of spec files in every format: no panic, no hang, no unbounded growth, and what is told is fit to print.

use osier::specs::facts::Capabilities;
use osier::specs::format::{Format, read_any};
use osier::specs::import::{import_app, import_sys_config};
use osier::specs::node::{NODES_MAX, Node, Value};
use osier::specs::render::{Severity, block};
use osier::specs::{NodeFacts, read_app};

use crate::mutate;

fn count(node: &Node) -> usize {
    match &node.value {
        Value::List(items) => 1 + items.iter().map(count).sum::<usize>(),
        Value::Map(map) => 1 + map.0.values().map(|entry| 1 + count(&entry.node)).sum::<usize>(),
        _ => 1,
    }
}

/// What must hold of any bytes that are read as this file.
fn check(file: &str, format: Format, bytes: &[u8]) {
    let facts = NodeFacts {
        capabilities: Capabilities::ALL,
        ..NodeFacts::of_nobody()
    };
    let read = read_app(file, bytes, "web", &facts);
    assert!(
        read.spec.is_some() || !read.errors.is_empty(),
        "refused without a word"
    );
    for error in read.errors.iter().chain(&read.warnings) {
        let shown = block(error, Severity::Mistake, false);
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
        assert!(!error.message.is_empty() && !error.help.is_empty() && error.width > 0);
        assert!(error.source_line.chars().count() <= 200);
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(node) = read_any(format, text, 0)
    {
        assert!(count(&node) <= NODES_MAX + 1, "{} values", count(&node));
        assert!(node.at.is_whole() || node.at.end as usize <= text.len());
    }
    if let (Some(spec), []) = (&read.spec, &read.errors[..]) {
        // What was taken can be written down and read again, with the same digest.
        let json = serde_json::to_string(spec).unwrap().replace("${", "$${");
        let again = read_app("app.json", json.as_bytes(), "web", &facts);
        if !json.contains("$${") {
            assert_eq!(again.errors, [], "{json}");
            assert_eq!(again.spec.unwrap().digest(&[]), spec.digest(&[]), "{json}");
        }
    }
}

#[test]
fn fuzz_yaml() {
    mutate::run("specs_yaml", |bytes| check("app.yaml", Format::Yaml, bytes));
}

#[test]
fn fuzz_toml() {
    mutate::run("specs_toml", |bytes| check("app.toml", Format::Toml, bytes));
}

#[test]
fn fuzz_json() {
    mutate::run("specs_json", |bytes| check("app.json", Format::Json, bytes));
}

#[test]
fn fuzz_erlang() {
    mutate::run("specs_erlang", |bytes| {
        check("app.config", Format::Erlang, bytes);
        let _ = import_sys_config("sys.config", bytes);
        if let Ok(app) = import_app("apps/a/app.config", bytes, "schema.json") {
            // Whatever was in it, what is written is one YAML document that says no more than it should.
            read_any(Format::Yaml, &app.text, 0)
                .unwrap_or_else(|mistake| panic!("{mistake:?} in {}", app.text));
        }
    });
}
