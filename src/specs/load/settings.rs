//! `osier.yaml` at the repository's root: defaults for all apps. It concerns every app, so a mistake in it refuses the
//! commit as a whole.

use super::{RepositoryError, SETTINGS_FILE};
use crate::names::shown;
use crate::specs::decode::{APP_KEYS, Context, decode};
use crate::specs::desired::SpecError;
use crate::specs::facts::NodeFacts;
use crate::specs::format::{FILE_BYTES_MAX, Format, read as read_format, shown_text, text_of};
use crate::specs::mistake::{Mistake, codes, did_you_mean};
use crate::specs::node::{Entry as MapEntry, Map, Node, Place, Value};
use crate::specs::source::{Source, Sources, Spot};
use crate::specs::tree::{Entry, EntryKind, Tree};

/// The number of `osier.yaml` in the places of a spec; the app's own file is 0.
pub(super) const SETTINGS_SOURCE: u16 = 1;

/// What `osier.yaml` holds.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The file.
    pub source: Source,
    /// What lies beneath every app.
    pub defaults: Map,
    /// What is odd.
    pub warnings: Vec<SpecError>,
}

pub(super) fn read(tree: &dyn Tree, entry: &Entry, facts: &NodeFacts) -> Result<Settings, RepositoryError> {
    if !matches!(entry.kind, EntryKind::File { .. }) {
        let found = super::search::kind_in_words(entry.kind);
        let error = Spot::file(SETTINGS_FILE).error(
            None,
            codes::NOT_A_FILE,
            format!("{SETTINGS_FILE} is {found}, not a file"),
            "put a plain file in its place",
        );
        return Err(RepositoryError::Settings(vec![error]));
    }
    let bytes = tree.file(entry, SETTINGS_FILE, FILE_BYTES_MAX as u64)?;
    parse(&bytes, facts).map_err(RepositoryError::Settings)
}

/// Reads and checks the bytes of an `osier.yaml`.
pub(super) fn parse(bytes: &[u8], facts: &NodeFacts) -> Result<Settings, Vec<SpecError>> {
    let mut source = Source {
        path: SETTINGS_FILE.to_owned(),
        text: String::new(),
        format: Format::Yaml,
    };
    let failed = |source: &Source, mistakes: &[Mistake]| -> Vec<SpecError> {
        let app = Source::default();
        let files = [&app, source];
        mistakes
            .iter()
            .map(|mistake| Sources(&files).error(None, mistake))
            .collect()
    };
    match text_of(bytes, SETTINGS_SOURCE) {
        Ok(text) => text.clone_into(&mut source.text),
        Err(mistake) => {
            if !mistake.at.is_whole() {
                source.text = shown_text(bytes);
            }
            return Err(failed(&source, &[mistake]));
        }
    }
    // An empty file holds no defaults; that is no mistake.
    let is_blank = source
        .text
        .lines()
        .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
    if is_blank {
        return Ok(Settings {
            source,
            ..Settings::default()
        });
    }
    let root = match read_format(Format::Yaml, &source.text, SETTINGS_SOURCE) {
        Ok(root) => root,
        Err(mistake) => return Err(failed(&source, &[mistake])),
    };
    let mut mistakes = Vec::new();
    let defaults = checked_defaults(&root, &source, facts, &mut mistakes);
    if !mistakes.is_empty() {
        mistakes.sort_by_key(|mistake| mistake.at);
        return Err(failed(&source, &mistakes));
    }
    let warnings = unsupported_rollout(&root, facts);
    let warnings = failed(&source, &warnings);
    Ok(Settings {
        source,
        defaults,
        warnings,
    })
}

fn checked_defaults(root: &Node, source: &Source, facts: &NodeFacts, mistakes: &mut Vec<Mistake>) -> Map {
    const KEYS: &[&str] = &["defaults", "rollout"];
    const NOT_IN_DEFAULTS: &[&str] = &["name", "version", "source"];
    let mut probe = Map::default();
    let Some(top) = root.as_map() else {
        return probe;
    };
    for (key, entry) in &top.0 {
        if !KEYS.contains(&key.as_str()) && !key.starts_with("x-") {
            let message = format!("unknown key `{}` in {SETTINGS_FILE}", shown(key));
            mistakes.push(Mistake::new(
                entry.key_at,
                codes::UNKNOWN_KEY,
                message,
                did_you_mean(key, KEYS),
            ));
        }
    }
    let defaults = match top.get("defaults") {
        None => Map::default(),
        Some(node) => match node.as_map() {
            Some(map) => map.clone(),
            None => {
                let message = format!("`defaults` must be a map, found {}", node.kind());
                let help = "write keys of an app, such as `restart`";
                mistakes.push(Mistake::new(node.at, codes::WRONG_TYPE, message, help));
                Map::default()
            }
        },
    };
    for key in NOT_IN_DEFAULTS {
        if let Some(entry) = defaults.0.get(*key) {
            let message = format!("`{key}` cannot be a default: each app has its own");
            let help = format!("move it into the specs; defaults may be {}", APP_KEYS.join(", "));
            mistakes.push(Mistake::new(entry.key_at, codes::COMBINATION, message, help));
        }
    }
    probe.0.clone_from(&defaults.0);
    if let Some(rollout) = top.0.get("rollout") {
        probe
            .0
            .entry("rollout".to_owned())
            .or_insert_with(|| rollout.clone());
    }
    mistakes.extend(probe_mistakes(probe, source, facts));
    defaults
}

/// The mistakes that defaults have by themselves, found by decoding an app that has nothing else.
fn probe_mistakes(mut probe: Map, source: &Source, facts: &NodeFacts) -> Vec<Mistake> {
    let at = Place::whole(0);
    for (key, value) in [("name", "app"), ("version", "0"), ("source", "")] {
        let value = match key {
            "source" => Value::Map(Map::default()),
            _ => Value::Text(value.to_owned()),
        };
        probe.0.insert(
            key.to_owned(),
            MapEntry {
                key_at: at,
                node: Node { value, at },
            },
        );
    }
    // Whose node it is matters to the apps, not to the defaults.
    let facts = NodeFacts {
        name: None,
        ..facts.clone()
    };
    let app = Source::default();
    let files = [&app, source];
    let context = Context {
        sources: Sources(&files),
        facts: &facts,
        folder_name: "app",
    };
    decode(&probe, at, context)
        .mistakes
        .into_iter()
        .filter(|mistake| {
            let depends_on_app = [codes::MISSING_KEY, codes::COMBINATION, codes::UNKNOWN_VARIABLE];
            mistake.at.source == SETTINGS_SOURCE && !depends_on_app.contains(&mistake.code)
        })
        .collect()
}

fn unsupported_rollout(root: &Node, facts: &NodeFacts) -> Vec<Mistake> {
    let rollout = root.as_map().and_then(|top| top.0.get("rollout"));
    rollout
        .filter(|_| !facts.capabilities.rollout)
        .map(|entry| {
            let message = format!("not supported yet: `rollout` in {SETTINGS_FILE}");
            Mistake::new(
                entry.key_at,
                codes::NOT_SUPPORTED_YET,
                message,
                "it has no effect in this release",
            )
        })
        .into_iter()
        .collect()
}
