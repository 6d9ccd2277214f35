//! The one value tree that every format is read into: each value knows its place in the source.

use std::collections::BTreeMap;

/// The deepest nesting of a spec.
pub const DEPTH_MAX: usize = 64;
/// The most values of a spec; what aliases repeat counts each time.
pub const NODES_MAX: usize = 20_000;
/// The most YAML aliases of a spec.
pub const ALIASES_MAX: usize = 50;

/// Where a value stands: bytes of one of the sources that a spec is merged from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The number of the source in [`super::source::Sources`].
    pub source: u16,
    /// The first byte. [`u32::MAX`]: the whole file is meant.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Place {
    /// From byte offsets; beyond 4 GiB (files have 1 MiB at most) it saturates.
    #[must_use]
    pub fn new(source: u16, start: usize, end: usize) -> Self {
        let clamp = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Self {
            source,
            start: clamp(start),
            end: clamp(end.max(start)),
        }
    }

    /// The whole file.
    #[must_use]
    pub const fn whole(source: u16) -> Self {
        Self {
            source,
            start: u32::MAX,
            end: u32::MAX,
        }
    }

    /// Is the whole file meant?
    #[must_use]
    pub const fn is_whole(self) -> bool {
        self.start == u32::MAX
    }

    /// The first byte alone.
    #[must_use]
    pub const fn first(self) -> Self {
        Self {
            end: self.start.saturating_add(1),
            ..self
        }
    }

    /// Does `other` lie within this place?
    #[must_use]
    pub const fn holds(self, other: Self) -> bool {
        self.source == other.source && self.start <= other.start && other.end <= self.end
    }
}

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What stands there.
    pub value: Value,
    /// Where.
    pub at: Place,
}

/// A value as all formats know it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// YAML's and JSON's null, Erlang's `undefined` and `null`: as if the key were not there.
    Null,
    /// A boolean. Only `true` and `false` are; `yes` and `on` are texts.
    Bool(bool),
    /// A number in decimal notation, as it was written (`1.10` stays `1.10`).
    Number(String),
    /// A text.
    Text(String),
    /// An Erlang atom that is no boolean and no null: a text wherever a name is asked for.
    Atom(String),
    /// A list; an Erlang tuple too.
    List(Vec<Node>),
    /// A map; an Erlang proplist too.
    Map(Map),
}

/// A map by key, each key with its place. Keys are unique: readers refuse duplicates.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Map(pub BTreeMap<String, Entry>);

/// A map's value with the place of its key.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Where the key stands.
    pub key_at: Place,
    /// The value.
    pub node: Node,
}

impl Map {
    /// The value of `key`; a null counts as absent.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.0
            .get(key)
            .map(|entry| &entry.node)
            .filter(|node| node.value != Value::Null)
    }
}

impl Node {
    /// The map, if it is one.
    #[must_use]
    pub fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// What stands there, in words, for "expected …, found …".
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(text) if is_integer(text) => "a whole number",
            Value::Number(_) => "a number",
            Value::Text(_) => "a text",
            Value::Atom(_) => "an atom",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

/// Is this decimal number a whole one?
pub(super) fn is_integer(number: &str) -> bool {
    number
        .strip_prefix(['+', '-'])
        .unwrap_or(number)
        .bytes()
        .all(|b| b.is_ascii_digit())
}

/// Is this plain text a number in decimal notation (YAML 1.2 core schema, without hex, octal, leading zeros, `.inf`
/// and `.nan`: those are texts, so that nobody's file mode `0755` becomes 755)?
pub(super) fn is_decimal(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let has_leading_zero = whole.len() > 1 && whole.starts_with('0');
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && !has_leading_zero
        && exponent.is_none_or(|exponent| {
            let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            !exponent.is_empty() && digits(exponent)
        })
}

/// What a reader may still produce. Spent before memory is.
#[derive(Debug)]
pub(super) struct Budget {
    nodes_left: usize,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self {
            nodes_left: NODES_MAX,
        }
    }

    /// Spends `count` values; `false` when there are not so many left.
    pub(super) fn spend(&mut self, count: usize) -> bool {
        match self.nodes_left.checked_sub(count) {
            Some(left) => {
                self.nodes_left = left;
                true
            }
            None => false,
        }
    }
}
