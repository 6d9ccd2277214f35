//! The small readers that field rules are written with. None fails: each notes its mistake and goes on, so that all
//! mistakes of a spec come out at once.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::names::shown;
use crate::specs::facts::NodeFacts;
use crate::specs::format::Format;
use crate::specs::mistake::{Mistake, codes, did_you_mean};
use crate::specs::node::{Map, Node, Place, Value, is_integer};
use crate::specs::source::Sources;

/// The longest text in a spec, in bytes.
pub(super) const TEXT_BYTES_MAX: usize = 64 * 1024;

/// A name for messages: `health.port`, `env.PORT`.
pub(super) type Key<'a> = &'a dyn Display;

/// Collects what is found while a spec is decoded.
pub(super) struct Decoder<'a> {
    pub(super) sources: Sources<'a>,
    pub(super) facts: &'a NodeFacts,
    pub(super) mistakes: Vec<Mistake>,
    pub(super) warnings: Vec<Mistake>,
}

/// A map whose keys have been checked.
#[derive(Clone, Copy)]
pub(super) struct Fields<'n> {
    map: &'n Map,
    /// Where to point when something is missing.
    pub(super) at: Place,
}

impl<'n> Fields<'n> {
    pub(super) fn new(map: &'n Map, at: Place) -> Self {
        Self { map, at }
    }

    /// The value of `key`, if somebody set it.
    pub(super) fn get(&self, key: &str) -> Option<&'n Node> {
        self.map.get(key)
    }

    /// The place of `key`, else of the whole map.
    pub(super) fn key_at(&self, key: &str) -> Place {
        self.map.0.get(key).map_or(self.at, |entry| entry.key_at)
    }
}

impl Decoder<'_> {
    pub(super) fn mistake(
        &mut self,
        at: Place,
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.mistakes.push(Mistake::new(at, code, message, help));
    }

    pub(super) fn warn(&mut self, at: Place, message: impl Into<String>, help: impl Into<String>) {
        self.warnings
            .push(Mistake::new(at, codes::SUSPICIOUS, message, help));
    }

    pub(super) fn wrong_type(&mut self, node: &Node, key: Key<'_>, expected: &str, help: impl Into<String>) {
        let message = format!("`{key}` must be {expected}, found {}", node.kind());
        self.mistake(node.at, codes::WRONG_TYPE, message, help);
    }

    pub(super) fn bad_value(
        &mut self,
        node: &Node,
        key: Key<'_>,
        why: impl Display,
        help: impl Into<String>,
    ) {
        self.mistake(node.at, codes::BAD_VALUE, format!("`{key}`: {why}"), help);
    }

    /// The map in `node` with its keys checked against `known`; `x-…` keys are free.
    pub(super) fn fields<'n>(
        &mut self,
        node: &'n Node,
        at: Place,
        key: Key<'_>,
        known: &[&str],
    ) -> Option<Fields<'n>> {
        let map = self.map(node, key)?;
        self.check_keys(map, &format_args!("`{key}`"), known);
        Some(Fields { map, at })
    }

    pub(super) fn check_keys(&mut self, map: &Map, key: Key<'_>, known: &[&str]) {
        for (name, entry) in &map.0 {
            if !known.contains(&name.as_str()) && !name.starts_with("x-") {
                let message = format!("unknown key `{}` in {key}", shown(name));
                self.mistake(
                    entry.key_at,
                    codes::UNKNOWN_KEY,
                    message,
                    did_you_mean(name, known),
                );
            }
        }
    }

    /// The map in `node`. An empty Erlang list is an empty proplist.
    pub(super) fn map<'n>(&mut self, node: &'n Node, key: Key<'_>) -> Option<&'n Map> {
        static EMPTY: Map = Map(std::collections::BTreeMap::new());
        match &node.value {
            Value::Map(map) => Some(map),
            Value::List(items) if items.is_empty() && self.is_erlang(node) => Some(&EMPTY),
            _ => {
                self.wrong_type(node, key, "a map", "write keys with their values");
                None
            }
        }
    }

    pub(super) fn list<'n>(&mut self, node: &'n Node, key: Key<'_>) -> Option<&'n [Node]> {
        match &node.value {
            Value::List(items) => Some(items),
            Value::Text(_) | Value::Atom(_) | Value::Number(_) => {
                let written = shown(self.sources.slice(node.at));
                self.wrong_type(node, key, "a list", format!("write [{written}]"));
                None
            }
            Value::Null | Value::Bool(_) | Value::Map(_) => {
                self.wrong_type(node, key, "a list", "write its items between [ and ]");
                None
            }
        }
    }

    /// A text. Erlang atoms are texts too, and so are Erlang lists of characters.
    pub(super) fn text(&mut self, node: &Node, key: Key<'_>) -> Option<String> {
        let text = match &node.value {
            Value::Text(text) | Value::Atom(text) => Some(text.clone()),
            Value::List(items) if self.is_erlang(node) => characters(items),
            _ => None,
        };
        match text {
            Some(text) => self.bounded(node, key, text),
            None => {
                let written = shown(self.sources.slice(node.at));
                let help = match node.value {
                    Value::Number(_) | Value::Bool(_) => format!("put it in quotes: \"{written}\""),
                    _ => "write one text".to_owned(),
                };
                self.wrong_type(node, key, "a text", help);
                None
            }
        }
    }

    /// A text, or a number or boolean as it was written.
    pub(super) fn scalar(&mut self, node: &Node, key: Key<'_>) -> Option<String> {
        match &node.value {
            Value::Number(number) => Some(number.clone()),
            Value::Bool(boolean) => Some(boolean.to_string()),
            _ => self.text(node, key),
        }
    }

    /// A text that is short enough and holds no NUL.
    pub(super) fn bounded(&mut self, node: &Node, key: Key<'_>, text: String) -> Option<String> {
        if text.len() > TEXT_BYTES_MAX {
            let message = format!(
                "`{key}` has {} bytes, more than the {TEXT_BYTES_MAX} that are allowed",
                text.len()
            );
            self.mistake(
                node.at.first(),
                codes::LIMIT,
                message,
                "put it into a config file",
            );
            None
        } else if text.contains('\0') {
            self.bad_value(node, key, "a NUL character stands in it", "remove it");
            None
        } else {
            Some(text)
        }
    }

    /// A text that is read as `T`.
    pub(super) fn parsed<T: FromStr<Err: Display>>(
        &mut self,
        node: &Node,
        key: Key<'_>,
        help: &str,
    ) -> Option<T> {
        let text = self.text(node, key)?;
        self.parse(node, key, &text, help)
    }

    /// As [`Self::parsed`], for values with a unit: a number alone is fine.
    pub(super) fn measured<T: FromStr<Err: Display>>(
        &mut self,
        node: &Node,
        key: Key<'_>,
        help: &str,
    ) -> Option<T> {
        let text = match &node.value {
            Value::Number(number) => number.clone(),
            _ => self.text(node, key)?,
        };
        self.parse(node, key, &text, help)
    }

    fn parse<T: FromStr<Err: Display>>(
        &mut self,
        node: &Node,
        key: Key<'_>,
        text: &str,
        help: &str,
    ) -> Option<T> {
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.bad_value(node, key, error, help);
                None
            }
        }
    }

    pub(super) fn boolean(&mut self, node: &Node, key: Key<'_>) -> Option<bool> {
        if let Value::Bool(boolean) = node.value {
            return Some(boolean);
        }
        let help = match &node.value {
            Value::Text(text) if ["yes", "on", "y"].contains(&text.to_ascii_lowercase().as_str()) => {
                "write true"
            }
            Value::Text(text) if ["no", "off", "n"].contains(&text.to_ascii_lowercase().as_str()) => {
                "write false"
            }
            _ => "write true or false",
        };
        self.wrong_type(node, key, "true or false", help);
        None
    }

    /// A whole number within `range`.
    pub(super) fn whole(&mut self, node: &Node, key: Key<'_>, range: RangeInclusive<u64>) -> Option<u64> {
        let (low, high) = (range.start(), range.end());
        match &node.value {
            Value::Number(number) if is_integer(number) => {
                let value = number.parse().ok().filter(|value| range.contains(value));
                if value.is_none() {
                    let why = format!("{} is out of range", shown(number));
                    self.bad_value(node, key, why, format!("write a number from {low} to {high}"));
                }
                value
            }
            _ => {
                let help = format!("write a number from {low} to {high}, without quotes");
                self.wrong_type(node, key, "a whole number", help);
                None
            }
        }
    }

    pub(super) fn small(&mut self, node: &Node, key: Key<'_>, range: RangeInclusive<u32>) -> Option<u32> {
        let wide = u64::from(*range.start())..=u64::from(*range.end());
        self.whole(node, key, wide)
            .and_then(|value| u32::try_from(value).ok())
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&mut self, node: &Node, key: Key<'_>, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(node, key)?;
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let why = format!("`{}` is none of {}", shown(&text), known.join(", "));
            self.bad_value(node, key, why, did_you_mean(&text, &known));
        }
        found.map(|(_, value)| *value)
    }

    /// Reports `key` as missing in `fields`.
    pub(super) fn missing(&mut self, fields: &Fields<'_>, key: &str, help: impl Into<String>) {
        self.mistake(fields.at, codes::MISSING_KEY, format!("`{key}` is missing"), help);
    }

    fn is_erlang(&self, node: &Node) -> bool {
        self.sources.format(node.at) == Format::Erlang
    }
}

/// The text that a list of code points is, as Erlang's strings are.
fn characters(items: &[Node]) -> Option<String> {
    items
        .iter()
        .map(|item| match &item.value {
            Value::Number(number) => number.parse().ok().and_then(char::from_u32),
            _ => None,
        })
        .collect()
}
