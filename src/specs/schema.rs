//! The JSON Schema of a spec file, generated from the types. Editors use it; `osier schema app` prints it.
//!
//! What the types cannot say is added here: keys that are read and do not stay ([`AppSpec`] is what comes out of merging
//! and expanding), the forms that a value may also be written in, defaults, `x-…` keys, and that a null means "not set".
//! The schema takes all that the decoder takes; where the decoder is stricter, it says so with file and line.

use serde_json::{Map, Value, json};

use super::app_spec::AppSpec;

/// The schema of one app's file.
#[must_use]
pub fn app_schema() -> Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12();
    let mut schema = settings
        .into_generator()
        .into_root_schema_for::<AppSpec>()
        .to_value();
    for (pointer, change) in changes() {
        let applied = apply(&mut schema, pointer, change);
        debug_assert!(applied, "nothing at {pointer}");
    }
    finish_objects(&mut schema);
    schema
}

/// What is changed, by JSON pointer: each member replaces the one of the same name; null removes it.
fn changes() -> Vec<(&'static str, Value)> {
    let scalar = json!({"type": ["string", "number", "boolean"]});
    let path_or = |definition: &str| json!({"anyOf": [{"type": "string"}, {"$ref": definition}]});
    let default = |value: &str| json!({"default": value});
    vec![
        (
            "",
            json!({
                "title": "An app of an Osier specs repository",
                "description": "One app, as apps/NAME/app.yaml (or .toml, .json, .config) describes it.",
                "required": ["version"],
            }),
        ),
        (
            "/properties/name",
            json!({"pattern": "^[a-z0-9][a-z0-9_-]{0,62}$"}),
        ),
        (
            "/properties/version",
            json!({"type": ["string", "number"], "examples": ["1.4.2"]}),
        ),
        ("/properties/command", json!({"items": scalar})),
        ("/properties/env", json!({"additionalProperties": true})),
        (
            "/properties/secrets",
            json!({"additionalProperties": path_or("#/$defs/Secret")}),
        ),
        (
            "/properties/config_files",
            json!({"additionalProperties": path_or("#/$defs/ConfigFile")}),
        ),
        ("/properties/isolation", default("process")),
        ("/properties/suspend", json!({"default": false})),
        ("/properties", extra_keys()),
        ("/$defs/Source/oneOf/3/properties/build", json!({"items": scalar})),
        ("/$defs/Source/oneOf/3/properties/build_timeout", default("30m")),
        (
            "/$defs/Isolation/anyOf/0",
            json!({"const": null, "enum": ["process", "vm"]}),
        ),
        ("/$defs/Health/properties/type", default("http")),
        (
            "/$defs/Health/properties/port",
            json!({"minimum": 1, "default": 8080}),
        ),
        ("/$defs/Health/properties/command", json!({"items": scalar})),
        ("/$defs/Health/properties/interval", default("30s")),
        ("/$defs/Health/properties/timeout", default("5s")),
        ("/$defs/Health/properties/initial_delay", default("0s")),
        (
            "/$defs/Health/properties/failure_threshold",
            json!({"minimum": 1, "default": 3}),
        ),
        (
            "/$defs/Health/properties/success_threshold",
            json!({"minimum": 1, "default": 1}),
        ),
        ("/$defs/Restart/properties/type", default("permanent")),
        ("/$defs/Restart/properties/intensity", json!({"default": 5})),
        ("/$defs/Restart/properties/period", default("60s")),
        ("/$defs/Backoff/properties/initial", default("1s")),
        ("/$defs/Backoff/properties/max", default("5m")),
        (
            "/$defs/Stop/properties/signal",
            json!({"anyOf": null, "enum": null, "type": "string", "default": "TERM",
            "pattern": "^([Ss][Ii][Gg])?([Hh][Uu][Pp]|[Ii][Nn][Tt]|[Qq][Uu][Ii][Tt]|[Kk][Ii][Ll][Ll]|[Uu][Ss][Rr][12]|[Tt][Ee][Rr][Mm]|[Ww][Ii][Nn][Cc][Hh])$"}),
        ),
        ("/$defs/Stop/properties/timeout", default("10s")),
        ("/$defs/Upgrade/properties/strategy", default("restart")),
        ("/$defs/Upgrade/properties/health_timeout", default("60s")),
        ("/$defs/Upgrade/properties/on_failure", default("rollback")),
        ("/$defs/Limits/properties/cpus", json!({"exclusiveMinimum": 0})),
        ("/$defs/Limits/properties/pids", json!({"minimum": 1})),
        ("/$defs/Limits/properties/open_files", json!({"minimum": 1})),
        ("/$defs/Placement/properties/nodes", json!({"uniqueItems": null})),
        (
            "/$defs/Placement/properties/labels",
            json!({"additionalProperties": scalar}),
        ),
        (
            "/$defs/Rollout/properties/max_unavailable",
            json!({"type": ["string", "integer"]}),
        ),
    ]
}

/// Keys that are read and do not stay.
fn extra_keys() -> Value {
    let labels = json!({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}});
    json!({
        "overrides": {
            "description": "Values that differ on some nodes: each is merged, in order, where all its labels match.",
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": false,
                "required": ["match", "merge"],
                "properties": {
                    "match": with(labels, "description", json!("The labels of the nodes.")),
                    "merge": {
                        "description": "Any key of an app but name and placement. Maps merge deeply, lists replace, null deletes.",
                        "type": "object",
                    },
                },
            },
        },
        "vm_config": {
            "description": "The original's limits; read as `limits`.",
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "memory_limit": {"description": "In MiB; read as `limits.memory`.", "type": "integer", "minimum": 1},
                "scheduler_limit": {"description": "Read as `limits.cpus`.", "type": "integer", "minimum": 1},
                "node_prefix": {"description": "Refused: it has no equivalent.", "deprecated": true},
                "extra_args": {"description": "Refused: arguments belong into `command`.", "deprecated": true},
            },
        },
        "license": {"description": "Ignored, as in the original."},
    })
}

fn with(mut object: Value, key: &str, value: Value) -> Value {
    if let Value::Object(object) = &mut object {
        object.insert(key.to_owned(), value);
    }
    object
}

fn apply(schema: &mut Value, pointer: &str, change: Value) -> bool {
    let (Some(Value::Object(target)), Value::Object(change)) = (schema.pointer_mut(pointer), change) else {
        return false;
    };
    for (key, value) in change {
        if value.is_null() {
            target.shift_remove(&key);
        } else {
            target.insert(key, value);
        }
    }
    true
}

/// In every object with fixed keys: `x-…` keys are free, and what need not be there may be null.
fn finish_objects(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(finish_objects),
        Value::Object(object) => {
            if object.get("additionalProperties") == Some(&Value::Bool(false)) {
                finish_object(object);
            }
            object.values_mut().for_each(finish_objects);
        }
        _ => {}
    }
}

fn finish_object(object: &mut Map<String, Value>) {
    let required: Vec<Value> = object
        .get("required")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    if let Some(Value::Object(properties)) = object.get_mut("properties") {
        for (key, property) in properties.iter_mut() {
            if !required.contains(&Value::from(key.as_str())) {
                allow_null(property);
            }
        }
    }
    object.insert("patternProperties".to_owned(), json!({"^x-": true}));
}

fn allow_null(property: &mut Value) {
    let Value::Object(object) = property else { return };
    match object.get_mut("type") {
        Some(Value::String(kind)) => {
            let kind = std::mem::take(kind);
            object.insert("type".to_owned(), json!([kind, "null"]));
        }
        Some(Value::Array(kinds)) if !kinds.contains(&json!("null")) => kinds.push(json!("null")),
        Some(_) => {}
        None => {
            if let Some(reference) = object.shift_remove("$ref") {
                object.insert("anyOf".to_owned(), json!([{"$ref": reference}, {"type": "null"}]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_finds_its_place() {
        let generator = schemars::generate::SchemaSettings::draft2020_12().into_generator();
        let mut schema = generator.into_root_schema_for::<AppSpec>().to_value();
        for (pointer, change) in changes() {
            assert!(apply(&mut schema, pointer, change), "{pointer}");
        }
    }
}
