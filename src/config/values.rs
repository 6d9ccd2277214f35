//! The types of settings that only a configuration has. Each parses from text, prints one form and describes itself for
//! the JSON Schema; what is parsed is checked, so that nobody behind the configuration checks again.

mod addresses;

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use addresses::{BootstrapNode, HttpUrl, Listen, MeshAddress, Network, UrlPrefix};

pub use crate::specs::values::ValueError;

/// An error about `text`, which was to be `what`.
fn wrong(what: &'static str, text: &str, expected: &'static str) -> ValueError {
    ValueError {
        what,
        shown: crate::names::shown(text),
        expected,
    }
}

/// Serde, schema and conversions for a type that parses from text and prints.
macro_rules! text_setting {
    ($name:ident, $description:literal) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "description": $description})
            }
        }
    };
}
use text_setting;

/// A checked text that is kept as it was written.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $description:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::specs::values::ValueError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let check: fn(&str) -> Result<(), (&'static str, &'static str)> = $check;
                match check(text) {
                    Ok(()) => Ok(Self(text.to_owned())),
                    Err((what, expected)) => Err(crate::config::values::wrong(what, text, expected)),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        crate::config::values::text_setting!($name, $description);
    };
}
use checked_text;

/// The longest text of a setting, in bytes. Linux's own limit for a path is the same.
const TEXT_BYTES_MAX: usize = 4096;

/// A path from the root: a daemon's current folder means nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AbsolutePath(PathBuf);

impl AbsolutePath {
    /// The path, if it is absolute, UTF-8 and free of control characters.
    ///
    /// # Errors
    /// Says which of these it is not.
    pub fn new(path: impl AsRef<Path>) -> Result<Self, ValueError> {
        let path = path.as_ref();
        let text = path
            .to_str()
            .ok_or_else(|| wrong("path", &path.to_string_lossy(), "UTF-8 text"))?;
        text.parse()
    }

    /// A path below it.
    #[must_use]
    pub fn join(&self, below: &str) -> Self {
        Self(self.0.join(below))
    }

    /// The path itself.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        &self.0
    }
}

impl Deref for AbsolutePath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl AsRef<Path> for AbsolutePath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl From<AbsolutePath> for PathBuf {
    fn from(path: AbsolutePath) -> Self {
        path.0
    }
}

impl FromStr for AbsolutePath {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let is_plain = !text.chars().any(char::is_control) && text.len() <= TEXT_BYTES_MAX;
        if text.starts_with('/') && is_plain {
            Ok(Self(PathBuf::from(text)))
        } else {
            Err(wrong(
                "path",
                text,
                "an absolute path of at most 4096 bytes, as in `/etc/osier/key`",
            ))
        }
    }
}

impl fmt::Display for AbsolutePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

text_setting!(AbsolutePath, "an absolute path");

checked_text! {
    /// A folder inside the repository: relative, with no `.` or `..` in it.
    RepoFolder, "a folder inside the repository", |text| {
        let parts_are_plain = text.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
        if parts_are_plain && text.len() <= 255 && !text.chars().any(|c| c.is_control() || c == '\\') {
            Ok(())
        } else {
            Err(("folder of the repository", "a relative path without `.` and `..`, as in `apps`"))
        }
    }
}

checked_text! {
    /// A user account, by name or number.
    AccountName, "a user account", |text| {
        let fits = |c: char| c.is_ascii_alphanumeric() || "_-.$".contains(c);
        if (1..=32).contains(&text.len()) && !text.starts_with('-') && text.chars().all(fits) {
            Ok(())
        } else {
            Err(("account", "a user's name or number"))
        }
    }
}

checked_text! {
    /// A topic of the mesh.
    TopicName, "a topic of the mesh", |text| {
        if (1..=128).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic()) {
            Ok(())
        } else {
            Err(("topic", "1 to 128 letters, digits and signs without spaces, as in `gitops.events`"))
        }
    }
}

checked_text! {
    /// A realm's name, for people.
    RealmName, "a realm's name", |text| {
        if (1..=128).contains(&text.len()) && !text.chars().any(char::is_control) {
            Ok(())
        } else {
            Err(("realm", "1 to 128 characters, as in `production`"))
        }
    }
}

checked_text! {
    /// What is logged: a level, or levels by module (`info,osier::git=debug`).
    LogFilter, "a level, or levels by module as in `info,osier::git=debug`", |text| {
        let is_level = |word: &str| ["off", "error", "warn", "info", "debug", "trace"].contains(&word.trim());
        let is_target = |word: &str| !word.trim().is_empty()
            && word.trim().chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
        let is_directive = |part: &str| match part.split_once('=') {
            Some((target, level)) => is_target(target) && is_level(level),
            None => is_level(part),
        };
        if text.len() <= 1024 && text.split(',').all(is_directive) {
            Ok(())
        } else {
            Err(("log level", "`error`, `warn`, `info`, `debug` or `trace`, or by module as in `info,osier::git=debug`"))
        }
    }
}

/// The labels of a node: at most 64.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels(BTreeMap<String, String>);

/// The most labels of a node.
pub const LABELS_MAX: usize = 64;

impl Labels {
    /// Labels from pairs.
    ///
    /// # Errors
    /// When there are too many, or one is empty, too long or not printable.
    pub fn new(pairs: BTreeMap<String, String>) -> Result<Self, ValueError> {
        let expected =
            "at most 64 pairs of printable texts of at most 63 characters, as in `{ site = \"ams\" }`";
        let fits = |text: &str| text.len() <= 63 && !text.chars().any(char::is_control);
        match pairs
            .iter()
            .find(|(key, value)| key.is_empty() || !fits(key) || !fits(value))
        {
            Some((key, _)) => Err(wrong("label", key, expected)),
            None if pairs.len() > LABELS_MAX => Err(wrong("list of labels", "", expected)),
            None => Ok(Self(pairs)),
        }
    }
}

impl Deref for Labels {
    type Target = BTreeMap<String, String>;

    fn deref(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(BTreeMap::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Labels {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Labels".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": LABELS_MAX})
    }
}

/// A share of a whole, written as a percentage.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Share(f64);

impl Share {
    /// 50 %.
    pub const HALF: Self = Self(0.5);

    /// From 0.0 to 1.0.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl FromStr for Share {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let error = || wrong("share", text, "a percentage from `0%` to `100%`");
        let number = text.strip_suffix('%').ok_or_else(error)?.trim_end();
        if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return Err(error());
        }
        let percent: f64 = number.parse().map_err(|_| error())?;
        if (0.0..=100.0).contains(&percent) {
            Ok(Self(percent / 100.0))
        } else {
            Err(error())
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Rounded, or 0.07 would print as 7.000000000000001%.
        write!(f, "{}%", (self.0 * 1e6).round() / 1e4)
    }
}

text_setting!(Share, "a percentage such as `50%`");

/// How many commits are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct Depth(u32);

impl Depth {
    /// The whole history.
    pub const ALL: Self = Self(0);

    /// So many commits; none: all.
    #[must_use]
    pub const fn get(self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.0)
    }
}

/// How many files of an app's output are kept: 1 to 1,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct KeptFiles(u32);

impl KeptFiles {
    /// The default.
    pub const FIVE: Self = Self(5);

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl<'de> Deserialize<'de> for KeptFiles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            number @ 1..=1000 => Ok(Self(number)),
            number => Err(serde::de::Error::custom(format_args!(
                "{number} is not between 1 and 1000"
            ))),
        }
    }
}

impl JsonSchema for KeptFiles {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "KeptFiles".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "minimum": 1, "maximum": 1000})
    }
}

/// What happens when a limit or a sandbox rule cannot be put in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Enforce {
    /// The app fails.
    Strict,
    /// The app runs, and what is missing is shown.
    BestEffort,
}

/// Which commits must be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum VerifyMode {
    /// None.
    Off,
    /// The newest one.
    Head,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// What other members of the mesh are told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
#[expect(missing_docs, reason = "areas of procedures, by their names")]
pub enum MeshExpose {
    App,
    Health,
    Rollback,
}
