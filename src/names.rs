//! The words that the whole house speaks: names and ids, parsed once at the border.
//!
//! Inside, no `String` is a name: whoever holds an [`AppName`] holds one that is safe as a folder's name, on a
//! terminal and in JSON. Every type here parses with [`FromStr`], prints with [`fmt::Display`] and travels through
//! serde as its text.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text that is no valid name. Says which rule it breaks; shows the text escaped and cut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{shown}` is not a valid {what}: {why}")]
pub struct NameError {
    /// What was to be parsed, in words ("app name").
    pub what: &'static str,
    /// The text, escaped and cut to 64 characters.
    pub shown: String,
    /// The rule that it breaks.
    pub why: &'static str,
}

impl NameError {
    fn new(what: &'static str, text: &str, why: &'static str) -> Self {
        Self {
            what,
            shown: shown(text),
            why,
        }
    }
}

/// `text` fit for a message: control characters escaped, cut to 64 characters.
#[must_use]
pub fn shown(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 64;
    let mut shown: String = text
        .chars()
        .take(SHOWN_CHARS_MAX)
        .flat_map(|c| {
            if c.is_control() {
                c.escape_default().collect()
            } else {
                vec![c]
            }
        })
        .collect();
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                let check: fn(&str) -> Result<(), &'static str> = $check;
                check(text).map_err(|why| NameError::new($what, text, why))?;
                Ok(Self(text.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
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

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                String::json_schema(generator)
            }
        }
    };
}

text_type! {
    /// An app's name, unique on its node: `[a-z0-9][a-z0-9_-]{0,62}` (SPEC_FORMAT). Safe as a folder's name.
    AppName, "app name", |text| {
        if text.is_empty() { return Err("it is empty"); }
        if text.len() > APP_NAME_BYTES_MAX { return Err("it is longer than 63 characters"); }
        if !text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()) {
            return Err("it must begin with a lower-case letter or a digit");
        }
        if !text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-') {
            return Err("only lower-case letters, digits, `_` and `-` may stand in it");
        }
        Ok(())
    }
}

/// The longest app name: it must fit into a DNS label.
pub const APP_NAME_BYTES_MAX: usize = 63;

text_type! {
    /// An app's version: semver or any tag-like text, `[A-Za-z0-9][A-Za-z0-9._+~-]{0,127}`. Compared for equality only.
    Version, "version", |text| {
        if text.is_empty() { return Err("it is empty"); }
        if text.len() > 128 { return Err("it is longer than 128 characters"); }
        if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) { return Err("it must begin with a letter or a digit"); }
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+~-".contains(&b)) {
            return Err("only letters, digits and `. _ + ~ -` may stand in it");
        }
        Ok(())
    }
}

text_type! {
    /// A node's name: `[A-Za-z0-9][A-Za-z0-9._-]{0,62}`.
    NodeName, "node name", |text| {
        if text.is_empty() { return Err("it is empty"); }
        if text.len() > 63 { return Err("it is longer than 63 characters"); }
        if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) { return Err("it must begin with a letter or a digit"); }
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
            return Err("only letters, digits and `. _ -` may stand in it");
        }
        Ok(())
    }
}

text_type! {
    /// A git branch without `refs/heads/`, by git's own rules (git-check-ref-format), and never with a leading dash.
    BranchName, "branch name", |text| {
        if text.is_empty() { return Err("it is empty"); }
        if text.len() > 200 { return Err("it is longer than 200 characters"); }
        if text.starts_with('-') { return Err("it begins with a dash"); }
        if text.starts_with('/') || text.ends_with('/') || text.contains("//") { return Err("a part of it is empty"); }
        if text.chars().any(|c| c.is_control() || " ~^:?*[\\".contains(c)) {
            return Err("a space, a control character or one of `~^:?*[\\` stands in it");
        }
        if text.contains("..") || text.contains("@{") || text == "@" || text.ends_with('.') {
            return Err("`..`, `@{`, `@` alone and a final dot are not allowed");
        }
        if text.split('/').any(|part| part.starts_with('.') || part.to_ascii_lowercase().ends_with(".lock")) {
            return Err("no part of it may begin with a dot or end with `.lock`");
        }
        Ok(())
    }
}

text_type! {
    /// The id of a git object (commit, tree, blob): 40 or 64 lower-case hex digits.
    ObjectId, "git object id", check_hex_id
}

text_type! {
    /// What an artefact is kept under: 40 or 64 lower-case hex digits, made of its content.
    ArtefactId, "artefact id", check_hex_id
}

impl From<&ObjectId> for ArtefactId {
    /// A folder of the repository is kept under its tree's id.
    fn from(tree: &ObjectId) -> Self {
        Self(tree.0.clone())
    }
}

text_type! {
    /// The id of a commit: 40 or 64 lower-case hex digits.
    CommitId, "commit id", check_hex_id
}

fn check_hex_id(text: &str) -> Result<(), &'static str> {
    if !matches!(text.len(), 40 | 64) {
        return Err("it has neither 40 nor 64 digits");
    }
    if !text
        .bytes()
        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    {
        return Err("only the digits 0-9 and a-f may stand in it");
    }
    Ok(())
}

impl CommitId {
    /// The first seven digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..7).unwrap_or(&self.0)
    }
}

text_type! {
    /// One run of an app: 32 lower-case hex digits from the system's randomness, passed to it as `OSIER_INSTANCE`.
    InstanceId, "instance id", |text| {
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return Err("it is not 32 lower-case hex digits");
        }
        Ok(())
    }
}

impl InstanceId {
    /// A new one that nobody has used before.
    #[must_use]
    pub fn random() -> Self {
        Self(format!("{:032x}", fastrand::u128(..)).into())
    }
}

text_type! {
    /// What an app's desired state hashes to (SPEC_FORMAT "What counts as a change"): BLAKE3, 64 hex digits.
    SpecDigest, "spec digest", |text| {
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return Err("it is not 64 lower-case hex digits");
        }
        Ok(())
    }
}

impl SpecDigest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(blake3::hash(bytes).to_hex().as_str().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn app_names_follow_the_spec_format() {
        for good in ["a", "web", "0", "a-b_c", &"x".repeat(63)] {
            assert!(good.parse::<AppName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "A",
            "../x",
            "/x",
            "-rf",
            "a/b",
            "a b",
            "a\n",
            "<script>",
            "$(id)",
            "ä",
            "_a",
            &"x".repeat(64),
            &"x".repeat(300),
        ] {
            assert!(bad.parse::<AppName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn branch_names_follow_git_and_never_look_like_an_option() {
        for good in ["main", "feature/x", "v1.2", "a@b"] {
            assert!(good.parse::<BranchName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "-x",
            "--upload-pack=x",
            "a..b",
            "a b",
            "a\u{7}",
            "x.lock",
            "a/.b",
            "/a",
            "a/",
            "@",
            "a^",
            "a:b",
            "a\\b",
        ] {
            assert!(bad.parse::<BranchName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_error_shows_the_text_escaped_and_cut() {
        let error = format!("\u{1b}]0;{}", "x".repeat(300))
            .parse::<AppName>()
            .unwrap_err();
        assert!(
            error.shown.starts_with("\\u{1b}]0;x") && error.shown.chars().count() < 100,
            "{}",
            error.shown
        );
    }
}
