//! `env`, and the names that `${…}` may use: the node's, the app's, and `env` itself.

use std::collections::BTreeMap;

use super::fields::{Decoder, Fields, Key};
use crate::names::shown;
use crate::specs::app_spec::AppSpec;
use crate::specs::expand::{ExpandError, ExpandReason, expand};
use crate::specs::facts::NodeFacts;
use crate::specs::mistake::{codes, did_you_mean};
use crate::specs::node::{Map, Node, Place, Value};

/// The most bytes of all names and values of one environment.
const ENV_BYTES_MAX: usize = 1024 * 1024;

const NODE_NAMES: &[&str] = &[
    "node.name",
    "node.target",
    "node.os",
    "node.arch",
    "app.name",
    "app.version",
    "app.data",
];

/// What `${…}` stands for in one app.
pub(super) struct Variables<'a> {
    facts: &'a NodeFacts,
    name: String,
    version: String,
    /// The app's environment, expanded.
    env: BTreeMap<String, String>,
}

impl<'a> Variables<'a> {
    /// Reads and expands `env`, noting its mistakes.
    pub(super) fn new(decoder: &mut Decoder<'a>, fields: &Fields<'_>, spec: &AppSpec) -> Self {
        let mut variables = Self {
            facts: decoder.facts,
            name: spec.name.to_string(),
            version: spec.version.to_string(),
            env: BTreeMap::new(),
        };
        if let Some(map) = fields.get("env").and_then(|node| decoder.map(node, &"env")) {
            check_names(decoder, map);
            variables.expand_env(decoder, map);
            let bytes: usize = variables
                .env
                .iter()
                .map(|(key, value)| key.len() + value.len())
                .sum();
            if bytes > ENV_BYTES_MAX {
                let message =
                    format!("`env` has {bytes} bytes, more than the {ENV_BYTES_MAX} that are allowed");
                decoder.mistake(
                    fields.key_at("env"),
                    codes::LIMIT,
                    message,
                    "put data into a config file",
                );
            }
        }
        variables
    }

    /// The app's environment.
    pub(super) fn env(&self) -> &BTreeMap<String, String> {
        &self.env
    }

    /// A text with its `${…}` expanded.
    pub(super) fn text(&self, decoder: &mut Decoder<'_>, node: &Node, key: Key<'_>) -> Option<String> {
        let text = decoder.text(node, key)?;
        self.expanded(decoder, node, key, &text)
    }

    /// A text, number or boolean with its `${…}` expanded.
    pub(super) fn scalar(&self, decoder: &mut Decoder<'_>, node: &Node, key: Key<'_>) -> Option<String> {
        let text = decoder.scalar(node, key)?;
        self.expanded(decoder, node, key, &text)
    }

    fn expanded(&self, decoder: &mut Decoder<'_>, node: &Node, key: Key<'_>, text: &str) -> Option<String> {
        let result = expand(text, &mut |name| match name.strip_prefix("env.") {
            Some(variable) => self
                .env
                .get(variable)
                .cloned()
                .ok_or_else(|| ExpandReason::Unknown(name.to_owned())),
            None => self.known(name),
        });
        self.noted(decoder, node, key, text, result)
    }

    /// Expands each value of `env`; they may name each other, but not in a circle.
    fn expand_env(&mut self, decoder: &mut Decoder<'_>, map: &Map) {
        for (key, entry) in &map.0 {
            if entry.node.value == Value::Null {
                let help = format!("write {key}: \"\" for an empty value, or remove the line");
                decoder.warn(
                    entry.key_at,
                    format!("`env.{}` is null, so it is not set", shown(key)),
                    help,
                );
                continue;
            }
            let name = format_args!("env.{key}");
            let mut path = vec![key.clone()];
            let result = self.env_value(map, &entry.node, &mut path);
            let text = match &entry.node.value {
                Value::Text(text) => text.as_str(),
                _ => "",
            };
            if let Some(value) = self.noted(decoder, &entry.node, &name, text, result) {
                self.env.extend(
                    decoder
                        .bounded(&entry.node, &name, value)
                        .map(|value| (key.clone(), value)),
                );
            }
        }
    }

    /// The expanded value of `node`; `path` names the variables on the way, from the first on.
    fn env_value(&self, map: &Map, node: &Node, path: &mut Vec<String>) -> Result<String, ExpandError> {
        match &node.value {
            Value::Null => Ok(String::new()),
            Value::Bool(boolean) => Ok(boolean.to_string()),
            Value::Number(number) => Ok(number.clone()),
            Value::Text(text) | Value::Atom(text) => self.env_text(map, text, path),
            Value::List(_) | Value::Map(_) => Ok(self.env_json(map, node, path)?.to_string()),
        }
    }

    fn env_text(&self, map: &Map, text: &str, path: &mut Vec<String>) -> Result<String, ExpandError> {
        expand(text, &mut |name| {
            let Some(variable) = name.strip_prefix("env.") else {
                return self.known(name);
            };
            if path.iter().any(|before| before == variable) {
                let circle = [path.join(" -> "), variable.to_owned()].join(" -> ");
                return Err(ExpandReason::Circle(circle));
            }
            if let Some(done) = self.env.get(variable) {
                return Ok(done.clone());
            }
            let node = map
                .get(variable)
                .ok_or_else(|| ExpandReason::Unknown(name.to_owned()))?;
            path.push(variable.to_owned());
            let value = self.env_value(map, node, path).map_err(|error| error.reason);
            path.pop();
            value
        })
    }

    /// A nested value as JSON, keys in order, so that equal values are equal texts.
    fn env_json(
        &self,
        map: &Map,
        node: &Node,
        path: &mut Vec<String>,
    ) -> Result<serde_json::Value, ExpandError> {
        use serde_json::Value as Json;
        Ok(match &node.value {
            Value::Null => Json::Null,
            Value::Bool(boolean) => Json::Bool(*boolean),
            Value::Number(number) => json_number(number),
            Value::Text(text) | Value::Atom(text) => Json::String(self.env_text(map, text, path)?),
            Value::List(items) => Json::Array(
                items
                    .iter()
                    .map(|item| self.env_json(map, item, path))
                    .collect::<Result<_, _>>()?,
            ),
            Value::Map(inner) => Json::Object(
                inner
                    .0
                    .iter()
                    .map(|(key, entry)| Ok((key.clone(), self.env_json(map, &entry.node, path)?)))
                    .collect::<Result<_, ExpandError>>()?,
            ),
        })
    }

    /// Everything but `env.…`.
    fn known(&self, name: &str) -> Result<String, ExpandReason> {
        let facts = self.facts;
        let value = match name {
            "node.name" => Some(
                facts
                    .name
                    .as_ref()
                    .map_or("node", |name| name.as_str())
                    .to_owned(),
            ),
            "node.target" => Some(facts.target.clone()),
            "node.os" => Some(facts.os.clone()),
            "node.arch" => Some(facts.arch.clone()),
            "app.name" => Some(self.name.clone()),
            "app.version" => Some(self.version.clone()),
            "app.data" => Some(facts.app_data(&self.name)),
            _ => name
                .strip_prefix("node.labels.")
                .and_then(|label| match facts.labels.get(label) {
                    None if !facts.is_known() => Some(label.to_owned()),
                    value => value.cloned(),
                }),
        };
        value.ok_or_else(|| ExpandReason::Unknown(name.to_owned()))
    }

    fn noted(
        &self,
        decoder: &mut Decoder<'_>,
        node: &Node,
        key: Key<'_>,
        text: &str,
        result: Result<String, ExpandError>,
    ) -> Option<String> {
        let error = match result {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        let at = place_of(decoder, node, text.get(error.at.clone()).unwrap_or_default());
        let (message, help) = match &error.reason {
            ExpandReason::NotClosed => (
                "`${` is never closed".to_owned(),
                "add the `}`, or write `$${` for a plain `${`".to_owned(),
            ),
            ExpandReason::Unknown(name) => (
                format!("nothing is named `{}`", shown(name)),
                self.suggestion(name),
            ),
            ExpandReason::Circle(path) => (
                format!("a variable needs itself: {}", shown(path)),
                "break the circle".to_owned(),
            ),
            ExpandReason::TooLong => (
                "the expanded text is longer than 64 KiB".to_owned(),
                "put data into a config file".to_owned(),
            ),
        };
        decoder.mistake(at, codes::UNKNOWN_VARIABLE, format!("`{key}`: {message}"), help);
        None
    }

    fn suggestion(&self, name: &str) -> String {
        if let Some(label) = name.strip_prefix("node.labels.") {
            let labels: Vec<&str> = self.facts.labels.keys().map(String::as_str).collect();
            return format!("this node has no such label; {}", did_you_mean(label, &labels));
        }
        if name.starts_with("env.") {
            return "it must stand under `env` of the same app".to_owned();
        }
        let known = did_you_mean(name, NODE_NAMES);
        format!("{known}; `$${{` writes a plain `${{`")
    }
}

/// The place of `written` within the node as it stands in the source, else the whole node.
fn place_of(decoder: &Decoder<'_>, node: &Node, written: &str) -> Place {
    let source = decoder.sources.slice(node.at);
    match source.find(written).filter(|_| !written.is_empty()) {
        Some(offset) => {
            let start = (node.at.start as usize).saturating_add(offset);
            Place::new(node.at.source, start, start.saturating_add(written.len()))
        }
        None => node.at,
    }
}

fn check_names(decoder: &mut Decoder<'_>, map: &Map) {
    for (name, entry) in &map.0 {
        if !is_variable_name(name) {
            let message = format!("`{}` is not a name for a variable", shown(name));
            let help = "letters, digits and `_`, not beginning with a digit";
            decoder.mistake(entry.key_at, codes::BAD_VALUE, message, help);
        }
    }
}

/// `[A-Za-z_][A-Za-z0-9_]*`, up to 255: what every shell can name.
pub(super) fn is_variable_name(name: &str) -> bool {
    const NAME_BYTES_MAX: usize = 255;
    name.len() <= NAME_BYTES_MAX
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn json_number(number: &str) -> serde_json::Value {
    let plain = number.strip_prefix('+').unwrap_or(number);
    serde_json::from_str(plain)
        .ok()
        .or_else(|| plain.parse::<f64>().ok().map(serde_json::Value::from))
        .unwrap_or_else(|| serde_json::Value::String(number.to_owned()))
}
