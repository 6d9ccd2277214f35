//! The schema, the decoder and the reference page say the same.

use std::collections::BTreeSet;
use std::path::PathBuf;

use osier::specs::decode::APP_KEYS;
use osier::specs::facts::Capabilities;
use osier::specs::schema::app_schema;
use osier::specs::{NodeFacts, read_app};
use regex_automata::dfa::regex::Regex;
use serde_json::{Value, json};

/// What is wrong with `value` by `schema`; knows the keywords that our schema uses and refuses any other.
fn violations(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let Some(keywords) = schema.as_object() else {
        return if schema == &json!(false) {
            vec![format!("{at}: nothing may stand here")]
        } else {
            Vec::new()
        };
    };
    let mut found = Vec::new();
    let none = |schemas: &Value| {
        schemas
            .as_array()
            .unwrap()
            .iter()
            .map(|schema| violations(root, schema, value, at))
            .collect::<Vec<_>>()
    };
    for (keyword, rule) in keywords {
        let is_broken = match keyword.as_str() {
            "$schema"
            | "$defs"
            | "title"
            | "description"
            | "default"
            | "examples"
            | "format"
            | "deprecated"
            | "properties"
            | "patternProperties"
            | "additionalProperties" => false,
            "$ref" => {
                let target = root
                    .pointer(rule.as_str().unwrap().trim_start_matches('#'))
                    .unwrap();
                found.extend(violations(root, target, value, at));
                false
            }
            "type" => !rule
                .as_array()
                .cloned()
                .unwrap_or(vec![rule.clone()])
                .iter()
                .any(|kind| is_of(value, kind.as_str().unwrap())),
            "const" => value != rule,
            "enum" => !rule.as_array().unwrap().contains(value),
            "anyOf" => none(rule).iter().all(|found| !found.is_empty()),
            "oneOf" => none(rule).iter().filter(|found| found.is_empty()).count() != 1,
            "minimum" => value
                .as_f64()
                .is_some_and(|number| number < rule.as_f64().unwrap()),
            "maximum" => value
                .as_f64()
                .is_some_and(|number| number > rule.as_f64().unwrap()),
            "exclusiveMinimum" => value
                .as_f64()
                .is_some_and(|number| number <= rule.as_f64().unwrap()),
            "pattern" => value
                .as_str()
                .is_some_and(|text| !Regex::new(rule.as_str().unwrap()).unwrap().is_match(text)),
            "required" => value.as_object().is_some_and(|map| {
                rule.as_array()
                    .unwrap()
                    .iter()
                    .any(|key| !map.contains_key(key.as_str().unwrap()))
            }),
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    found.extend(violations(root, rule, item, &format!("{at}[]")));
                }
                false
            }
            unknown => panic!("teach this validator the keyword `{unknown}`"),
        };
        if is_broken {
            found.push(format!("{at}: {value} breaks {keyword} {rule}"));
        }
    }
    for (key, member) in value.as_object().into_iter().flatten() {
        let rule = schema["properties"].get(key).or_else(|| {
            let is_free = key.starts_with("x-") && schema["patternProperties"].get("^x-").is_some();
            if is_free {
                Some(&schema["patternProperties"]["^x-"])
            } else {
                schema.get("additionalProperties")
            }
        });
        if let Some(rule) = rule {
            found.extend(violations(root, rule, member, &format!("{at}.{key}")));
        }
    }
    found
}

fn is_of(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        unknown => panic!("no such type: {unknown}"),
    }
}

fn valid(spec: &Value) -> Vec<String> {
    let schema = app_schema();
    violations(&schema, &schema, spec, "spec")
}

fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Compares a committed file with what it is generated from; `OSIER_BLESS=1` writes it anew.
pub fn assert_committed(path: &str, expected: &str) {
    let file = repository(path);
    if std::env::var_os("OSIER_BLESS").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, expected).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == expected,
        "{path} is not what the types say: run the tests once with OSIER_BLESS=1"
    );
}

#[test]
fn the_committed_schema_is_the_generated_one() {
    let text = serde_json::to_string_pretty(&app_schema()).unwrap() + "\n";
    assert_committed("config/schema/app.schema.json", &text);
}

#[test]
fn schema_and_decoder_know_the_same_keys() {
    let schema = app_schema();
    let keys: BTreeSet<&str> = schema["properties"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(keys, APP_KEYS.iter().copied().collect::<BTreeSet<_>>());
    // One level down: the decoder names its known keys when it meets an unknown one.
    let facts = NodeFacts::of_nobody();
    let mut groups: Vec<(String, Value)> = Vec::new();
    for (key, property) in schema["properties"].as_object().unwrap() {
        let reference = property["$ref"]
            .as_str()
            .or(property["anyOf"][0]["$ref"].as_str());
        if let Some(definition) =
            reference.and_then(|reference| schema.pointer(reference.trim_start_matches('#')))
        {
            for variant in definition["oneOf"]
                .as_array()
                .into_iter()
                .flatten()
                .chain([definition])
            {
                if variant.get("properties").is_some() && key != "icon" {
                    groups.push((key.clone(), variant.clone()));
                }
            }
        }
    }
    assert!(groups.len() >= 15, "{groups:?}");
    for (key, group) in groups {
        let mut value = json!({"zzzzzz": 1});
        let mut known: BTreeSet<&str> = group["properties"]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        if let Some(kind) = group["properties"]["type"]
            .get("const")
            .filter(|_| key == "source")
        {
            value["type"] = kind.clone();
        }
        let spec = json!({"version": "1", "command": ["x"], key.as_str(): value}).to_string();
        let read = read_app("app.json", spec.as_bytes(), "web", &facts);
        let help = &read
            .errors
            .iter()
            .find(|error| error.message.starts_with("unknown key `zzzzzz`"))
            .unwrap_or_else(|| panic!("{key}: {read:?}"))
            .help;
        let told: BTreeSet<&str> = help.trim_start_matches("known are: ").split(", ").collect();
        known.retain(|key| !key.is_empty());
        assert_eq!(told, known, "{key}");
    }
}

#[test]
fn what_the_decoder_takes_the_schema_takes() {
    let everything = NodeFacts {
        capabilities: Capabilities::ALL,
        ..NodeFacts::of_nobody()
    };
    for text in [
        r#"{"version": "1", "command": ["x"]}"#,
        r#"{"version": "1", "command": ["x", 5, true], "env": {"A": 1, "B": true, "C": {"d": [1, null]}, "E": null}}"#,
        r#"{"version": "1", "command": ["x"], "stop": {"signal": "sigterm", "timeout": 5000}, "limits": {"memory": 1048576, "cpus": 0.5}}"#,
        r#"{"version": "1", "command": ["x"], "health": null, "sandbox": null, "depends_on": null, "x-any": [1]}"#,
        r#"{"version": "1", "command": ["x"], "health": {"type": "tcp", "x-why": "because", "interval": "5 m"}, "limits": {"memory": "2 GiB"}}"#,
        r#"{"version": "1", "isolation": "vm", "command": ["x"], "vm_config": {"memory_limit": 512, "scheduler_limit": 2}, "license": 7}"#,
        r#"{"version": "1", "isolation": "firecracker", "placement": {"labels": {"rack": 7}, "nodes": ["a", "a"]}}"#,
        r#"{"version": "1", "source": {"type": "release", "url": "https://e.com/a", "sha256": {"x": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}}}"#,
        r#"{"version": "1", "source": {"type": "crate", "bins": ["a"]}, "rollout": {"max_unavailable": 2}}"#,
        r#"{"version": "1", "source": {"type": "git", "url": "https://e.com/a", "ref": "v1", "build": ["make", "-j", 2], "build_timeout": "10m"}}"#,
        r#"{"version": "1", "source": {"type": "oci", "image": "e.com/a:1"}, "isolation": "container"}"#,
    ] {
        let read = read_app("app.json", text.as_bytes(), "web", &everything);
        assert_eq!(read.errors, [], "{text}");
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(valid(&value), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn the_schema_refuses_what_editors_should_underline() {
    for text in [
        r#"{}"#,
        r#"{"version": "1", "comand": []}"#,
        r#"{"version": "1", "health": {"port": "x"}}"#,
        r#"{"version": "1", "health": {"port": 0}}"#,
        r#"{"version": "1", "source": {"type": "hex"}}"#,
        r#"{"version": "1", "stop": {"timeout": "soon"}}"#,
        r#"{"version": "1", "stop": {"signal": "STOP"}}"#,
        r#"{"version": "1", "command": "run me"}"#,
        r#"{"version": "1", "overrides": [{"merge": {}}]}"#,
        r#"{"version": "1", "name": "../../etc"}"#,
    ] {
        assert_ne!(
            valid(&serde_json::from_str(text).unwrap()),
            Vec::<String>::new(),
            "{text}"
        );
    }
}

#[test]
fn the_rich_example_is_read_without_a_mistake_and_fits_the_schema() {
    let text = std::fs::read_to_string(repository("tests/data/specs/rich.yaml")).unwrap();
    let everything = NodeFacts {
        capabilities: Capabilities::ALL,
        target: "x86_64-unknown-linux-gnu".to_owned(),
        ..NodeFacts::of_nobody()
    };
    let read = read_app("app.yaml", text.as_bytes(), "web", &everything);
    assert_eq!(read.errors, []);
    assert_eq!(read.warnings, []);
    let spec = read.spec.unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&spec).unwrap());
    // What the decoder makes of it is itself a spec.
    let again = serde_json::to_string(&spec).unwrap();
    let read_again = read_app(
        "app.json",
        again.replace("${not}", "$${not}").as_bytes(),
        "web",
        &everything,
    );
    assert_eq!(read_again.errors, []);
    assert_eq!(read_again.spec, Some(spec.clone()));
    assert_eq!(valid(&serde_json::to_value(&spec).unwrap()), Vec::<String>::new());
}
