//! What differs between two states of an app, field by field, and what that asks of a running instance.
//!
//! The table is SPEC_FORMAT's "What counts as a change".

use serde_json::Value;

use super::FieldChange;
use crate::specs::{AppSpec, DesiredApp};

/// What it takes to get from one state of an app to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing: the digests are equal.
    None,
    /// It is written down; what runs goes on.
    InPlace,
    /// A new process of the same version.
    NewProcess,
    /// Another version.
    NewVersion,
}

impl Change {
    /// What it takes to get from `from` to `to`.
    #[must_use]
    pub fn between(from: &DesiredApp, to: &DesiredApp) -> Self {
        if from.digest == to.digest {
            return Self::None;
        }
        let (old, new) = (&from.spec, &to.spec);
        if old.source != new.source
            || old.version != new.version
            || old.command != new.command
            || from.artefact != to.artefact
        {
            return Self::NewVersion;
        }
        if old.env != new.env
            || old.secrets != new.secrets
            || old.config_files != new.config_files
            || old.limits != new.limits
            || old.sandbox != new.sandbox
            || old.sockets != new.sockets
            || old.working_dir != new.working_dir
            || old.isolation() != new.isolation()
            || may_differ_in_contents(new)
        {
            return Self::NewProcess;
        }
        Self::InPlace
    }
}

/// Files that a spec names are part of its digest, but not of the spec: where there are any, another digest may mean
/// another content, and only a new process surely has it.
fn may_differ_in_contents(spec: &AppSpec) -> bool {
    !spec.config_files.is_empty() || !spec.secrets.is_empty()
}

/// How deep [`changes`] looks into a spec. What lies deeper is shown as a whole.
const PATH_DEPTH_MAX: usize = 8;

/// Each field that differs, by dotted path and in the order of the spec. Secrets appear as the path of their file; their
/// plaintext is not part of a spec at all.
#[must_use]
pub fn changes(from: &DesiredApp, to: &DesiredApp) -> Vec<FieldChange> {
    if from.digest == to.digest {
        return Vec::new();
    }
    let mut found = Vec::new();
    let [old, new] = [&from.spec, &to.spec].map(|spec| serde_json::to_value(spec).unwrap_or(Value::Null));
    compare("", &old, &new, PATH_DEPTH_MAX, &mut found);
    if from.artefact != to.artefact {
        found.push(content_change("source.path", &from.artefact, &to.artefact));
    }
    if found.is_empty() {
        // Equal specs with other digests: a file that the spec names has another content.
        let path = if to.spec.config_files.is_empty() {
            "secrets"
        } else {
            "config_files"
        };
        found.push(content_change(path, &Some(&from.digest), &Some(&to.digest)));
    }
    found
}

/// A change of content, told by the first digits of its ids.
fn content_change<T: AsRef<str>>(path: &str, from: &Option<T>, to: &Option<T>) -> FieldChange {
    const ID_DIGITS: usize = 12;
    let shown = |id: &T| Value::String(id.as_ref().chars().take(ID_DIGITS).collect());
    FieldChange {
        path: format!("{path} (content)"),
        from: from.as_ref().map(shown),
        to: to.as_ref().map(shown),
    }
}

fn compare(path: &str, from: &Value, to: &Value, depth: usize, found: &mut Vec<FieldChange>) {
    if from == to {
        return;
    }
    let (Value::Object(old), Value::Object(new), true) = (from, to, depth > 0) else {
        let set = |value: &Value| (!value.is_null()).then(|| value.clone());
        found.push(FieldChange {
            path: path.to_owned(),
            from: set(from),
            to: set(to),
        });
        return;
    };
    let added = new.keys().filter(|key| !old.contains_key(*key));
    for key in old.keys().chain(added) {
        let deeper = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        let [before, after] = [old, new].map(|map| map.get(key).unwrap_or(&Value::Null));
        // A group that appears or vanishes is told field by field as well.
        let empty = Value::Object(serde_json::Map::new());
        let side = |value: &Value, other: &Value| {
            if value.is_null() && other.is_object() {
                empty.clone()
            } else {
                value.clone()
            }
        };
        compare(
            &deeper,
            &side(before, after),
            &side(after, before),
            depth - 1,
            found,
        );
    }
}
