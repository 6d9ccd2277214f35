//! `docs/reference/specs.md` is made from the schema.

use std::collections::BTreeSet;
use std::fmt::Write;

use osier::specs::app_spec::Isolation;
use osier::specs::schema::app_schema;
use osier::specs::support::unsupported;
use osier::specs::{AppSpec, Capabilities, NodeFacts, read_app};
use serde_json::Value;

use crate::specs_schema::assert_committed;

const HEAD: &str = "# Spec reference

Every key of an app's file (`apps/NAME/app.yaml`, `.toml`, `.json` or `.config`), made from the same types as the JSON
Schema (`osier schema app`). Keys that begin with `x-` are ignored everywhere; a null means \"not set\".

";

const TAIL: &str = "
## Numbers, texts and booleans

YAML is read by its 1.2 core schema, and values keep the spelling that they were written in: `version: 1.10` is the text
1.10, `MODE: 0755` stays 0755, `no` and `on` are texts, only `true` and `false` are booleans. In JSON, TOML and Erlang terms
a version must be a text; a number is an error that says to put it in quotes. Durations: a number with `ms`, `s`, `m`, `h` or
`d`; alone it is milliseconds. Sizes: `KiB`, `MiB`, `GiB`, `TiB`, or `KB` and so on for powers of ten; alone it is bytes.
Erlang terms are never evaluated; a list of pairs is a map, an atom is a text, `undefined` and `null` are \"not set\".

## Expansion

`${node.name}`, `${node.labels.KEY}`, `${node.target}`, `${node.os}`, `${node.arch}`, `${app.name}`, `${app.version}`,
`${app.data}` and `${env.KEY}` are filled in in `source.url`, `command`, `env`, `config_files` and `health.path`. `$${` writes
`${`. Any other `$` stays as it is. An unknown name is an error.

## Limits

1 MiB a file, 64 levels, 20,000 values (what aliases repeat counts each time), 50 aliases, one document; 64 KiB a text,
1 MiB of environment, 1 MiB of command; 10,000 apps a repository. Loader variables such as `LD_PRELOAD` are the author's choice:
they reach the app as any other variable does, and never the daemon.
";

fn reference() -> String {
    let schema = app_schema();
    let mut page = format!("{HEAD}| key | value | default | meaning |\n|---|---|---|---|\n");
    rows(&mut page, &schema, &schema, "");
    page.push_str(TAIL);
    page.push_str("\n## Not carried out yet\n\nRead and checked today; an app that asks for one of these is shown as invalid with \"not supported yet\":\n");
    page.push_str(&not_carried_out());
    page
}

/// What this release lacks, found by asking for everything.
fn not_carried_out() -> String {
    let text = include_str!("../data/specs/rich.yaml");
    let everything = NodeFacts {
        capabilities: Capabilities::ALL,
        ..NodeFacts::of_nobody()
    };
    let rich = read_app("app.yaml", text.as_bytes(), "web", &everything)
        .spec
        .unwrap();
    let mut lacks: BTreeSet<String> = unsupported(&rich, &Capabilities::THIS_RELEASE)
        .into_iter()
        .map(|lack| lack.what)
        .collect();
    for kind in Capabilities::ALL
        .sources
        .iter()
        .filter(|kind| !Capabilities::THIS_RELEASE.sources.contains(kind))
    {
        lacks.insert(format!("source type `{kind}`"));
    }
    for isolation in [Isolation::Container, Isolation::Wasm] {
        let spec = AppSpec {
            isolation: Some(isolation),
            ..AppSpec::new("a".parse().unwrap(), "1".parse().unwrap())
        };
        lacks.extend(
            unsupported(&spec, &Capabilities::THIS_RELEASE)
                .into_iter()
                .map(|lack| lack.what),
        );
    }
    format!("{}.\n", Vec::from_iter(lacks).join(", "))
}

fn rows(page: &mut String, root: &Value, object: &Value, prefix: &str) {
    for (key, property) in object["properties"].as_object().into_iter().flatten() {
        let path = format!("{prefix}{key}");
        let target = resolved(root, property);
        let required = object["required"]
            .as_array()
            .is_some_and(|keys| keys.contains(&Value::from(key.as_str())));
        let default = match property.get("default") {
            Some(Value::String(text)) => format!("`{text}`"),
            Some(value) => format!("`{value}`"),
            None if required => "*required*".to_owned(),
            None => String::new(),
        };
        let description = property["description"]
            .as_str()
            .or(target["description"].as_str())
            .unwrap_or_default();
        writeln!(
            page,
            "| `{path}` | {} | {default} | {} |",
            kind(root, property),
            description.replace('|', "\\|")
        )
        .unwrap();
        for variant in target["oneOf"].as_array().into_iter().flatten() {
            if let Some(word) = variant["properties"]["type"]["const"].as_str() {
                writeln!(
                    page,
                    "| `{path}.type: {word}` | | | {} |",
                    variant["description"].as_str().unwrap_or_default()
                )
                .unwrap();
                let mut own = variant.clone();
                own["properties"].as_object_mut().unwrap().remove("type");
                rows(page, root, &own, &format!("{path}."));
            }
        }
        rows(page, root, target, &format!("{path}."));
        if let Some(item) = target
            .get("items")
            .filter(|item| item.get("properties").is_some())
        {
            rows(page, root, item, &format!("{path}[]."));
        }
        if let Some(values) = target
            .get("additionalProperties")
            .and_then(|values| values["anyOf"].as_array())
        {
            for value in values {
                rows(page, root, resolved(root, value), &format!("{path}.NAME."));
            }
        }
    }
}

/// What a reference, or the first one that is no null, leads to.
fn resolved<'v>(root: &'v Value, schema: &'v Value) -> &'v Value {
    let reference = schema["$ref"]
        .as_str()
        .or_else(|| schema["anyOf"][0]["$ref"].as_str());
    match reference {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).unwrap(),
        None if schema["anyOf"][0].is_object() => &schema["anyOf"][0],
        None => schema,
    }
}

fn kind(root: &Value, schema: &Value) -> String {
    let target = resolved(root, schema);
    if target["description"]
        .as_str()
        .is_some_and(|text| text.starts_with("a duration"))
    {
        return "duration".to_owned();
    }
    if target["description"]
        .as_str()
        .is_some_and(|text| text.starts_with("a size"))
    {
        return "size".to_owned();
    }
    if let Some(words) = target["enum"]
        .as_array()
        .or(target["anyOf"].as_array())
        .or(target["oneOf"].as_array())
    {
        let alone = |word: &Value| {
            word.as_str()
                .or(word["const"].as_str())
                .or(word["properties"]["type"]["const"].as_str())
                .map(str::to_owned)
        };
        let words: Vec<String> = words
            .iter()
            .flat_map(|word| match word["enum"].as_array() {
                Some(words) => words.iter().filter_map(alone).collect(),
                None => Vec::from_iter(alone(word)),
            })
            .map(|word| format!("`{word}`"))
            .collect();
        if !words.is_empty() {
            return words.join(" ");
        }
    }
    let types: Vec<&str> = match &target["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds
            .iter()
            .filter_map(Value::as_str)
            .filter(|kind| *kind != "null")
            .collect(),
        _ => match target["anyOf"].as_array() {
            Some(forms) => forms.iter().filter_map(|form| form["type"].as_str()).collect(),
            None => vec!["any"],
        },
    };
    let name = |kind: &&str| match *kind {
        "string" => "text".to_owned(),
        "array" => format!("list of {}", kind_of_items(root, target)),
        "object" => "map".to_owned(),
        "integer" => "whole number".to_owned(),
        other => other.to_owned(),
    };
    types.iter().map(name).collect::<Vec<_>>().join(" or ")
}

fn kind_of_items(root: &Value, list: &Value) -> String {
    match list["items"]["type"].as_str() {
        Some("object") => "maps".to_owned(),
        _ => kind(root, &list["items"])
            .replace("text or number or boolean", "texts")
            .replace("text", "texts")
            .replace("textss", "texts"),
    }
}

#[test]
fn the_committed_reference_is_the_generated_one() {
    assert_committed("docs/reference/specs.md", &reference());
}
