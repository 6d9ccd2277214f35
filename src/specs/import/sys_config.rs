//! bc_gitops' `sys.config` as settings of `osier.toml`.

use super::{flow, remark};
use crate::specs::app_file::parse_any;
use crate::specs::desired::SpecError;
use crate::specs::format::Format;
use crate::specs::node::{Map, Node, Value};
use crate::specs::values::Span;

/// One setting of `osier.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The table, such as `repo`.
    pub section: &'static str,
    /// The key in it.
    pub key: &'static str,
    /// The value as TOML.
    pub value: String,
    /// What it was called.
    pub from: String,
}

/// What a `sys.config` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportedConfig {
    /// In the order of `osier.toml`.
    pub settings: Vec<Setting>,
    /// What was not taken over and why, one line each.
    pub notes: Vec<String>,
}

impl ImportedConfig {
    /// The `osier.toml` that means the same; what was not taken over stands in comments.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = "# From sys.config of bc_gitops.\n".to_owned();
        let mut section = "";
        for setting in &self.settings {
            if setting.section != section {
                section = setting.section;
                text.push_str(&format!("\n[{section}]\n"));
            }
            text.push_str(&format!(
                "{} = {}  # {}\n",
                setting.key, setting.value, setting.from
            ));
        }
        if !self.notes.is_empty() {
            text.push_str("\n# Not taken over:\n");
        }
        for note in &self.notes {
            text.push_str(&format!("# {note}\n"));
        }
        text
    }
}

/// What a setting's value is.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Flag,
    Millis,
    Texts,
}

/// The original's names and ours, in the order of `osier.toml`. `macula` is the mesh library's own section.
const NAMES: &[(&str, &str, &str, &str, Kind)] = &[
    ("bc_gitops", "local_path", "node", "data_dir", Kind::Text),
    ("bc_gitops", "repo_url", "repo", "url", Kind::Text),
    ("bc_gitops", "branch", "repo", "branch", Kind::Text),
    ("bc_gitops", "apps_dir", "repo", "apps_dir", Kind::Text),
    (
        "bc_gitops",
        "reconcile_interval",
        "repo",
        "reconcile_interval",
        Kind::Millis,
    ),
    ("bc_gitops", "mesh_enabled", "mesh", "enabled", Kind::Flag),
    ("bc_gitops", "mesh_topic", "mesh", "topic", Kind::Text),
    ("macula", "realm", "mesh", "realm", Kind::Text),
    (
        "macula",
        "bootstrap_nodes",
        "mesh",
        "bootstrap_nodes",
        Kind::Texts,
    ),
];

/// Names that mean nothing here, with the reason.
const NOT_TAKEN: &[(&str, &str)] = &[
    (
        "runtime_module",
        "a host app registers a runtime in code, see the embedding guide",
    ),
    ("cookie", "nodes know each other by their keys"),
    ("node_prefix", "apps are processes here, not Erlang nodes"),
];

/// Reads a `sys.config`: a list of sections, each a list of names and values. Names alone, as in
/// `[{repo_url, "…"}].`, are taken as the section `bc_gitops`.
///
/// # Errors
/// When the file is no list of Erlang terms.
pub fn import_sys_config(path: &str, bytes: &[u8]) -> Result<ImportedConfig, Box<SpecError>> {
    let root = parse_any(path, Format::Erlang, bytes)?.1;
    let mut imported = ImportedConfig::default();
    let sections = sections(&root, &mut imported.notes);
    for (section, key, table, name, kind) in NAMES {
        let values = sections.iter().filter(|(found, _)| found == section);
        for node in values.filter_map(|(_, map)| map.get(key)) {
            match toml_value(node, *kind) {
                Some(value) => imported.settings.push(Setting {
                    section: table,
                    key: name,
                    value,
                    from: format!("{section}.{key}"),
                }),
                None => imported.notes.push(format!(
                    "{section}.{key}: {} is not what it should be",
                    remark(&flow(node))
                )),
            }
        }
    }
    for (section, map) in &sections {
        imported.notes.extend(unknown(section, map));
    }
    Ok(imported)
}

/// The sections by name. Items of the list that are no section (names of other files) are noted.
fn sections(root: &Node, notes: &mut Vec<String>) -> Vec<(String, Map)> {
    match &root.value {
        Value::Map(map) if map.0.contains_key("repo_url") => vec![("bc_gitops".to_owned(), map.clone())],
        Value::Map(map) => map
            .0
            .iter()
            .filter_map(|(name, entry)| section(name, &entry.node, notes))
            .collect(),
        Value::List(items) => items
            .iter()
            .filter_map(|item| match &item.value {
                Value::List(pair) => match pair.as_slice() {
                    [
                        Node {
                            value: Value::Atom(name),
                            ..
                        },
                        node,
                    ] => section(name, node, notes),
                    _ => None,
                },
                _ => {
                    notes.push(format!(
                        "{}: give this file to the command as well",
                        remark(&flow(item))
                    ));
                    None
                }
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn section(name: &str, node: &Node, notes: &mut Vec<String>) -> Option<(String, Map)> {
    if !["bc_gitops", "macula"].contains(&name) {
        notes.push(format!("{}: the section of another application", remark(name)));
        return None;
    }
    node.as_map().map(|map| (name.to_owned(), map.clone()))
}

fn unknown(section: &str, map: &Map) -> Vec<String> {
    let is_known = |key: &str| {
        NAMES
            .iter()
            .any(|(found, known, ..)| *found == section && *known == key)
    };
    map.0
        .iter()
        .filter(|(key, _)| !is_known(key))
        .map(|(key, entry)| {
            let why = NOT_TAKEN
                .iter()
                .find(|(known, _)| known == key)
                .map_or("there is no such setting", |(_, why)| why);
            // A cookie is a secret.
            let value = if key == "cookie" {
                "…".to_owned()
            } else {
                remark(&flow(&entry.node))
            };
            format!("{section}.{} = {value}: {why}", remark(key))
        })
        .collect()
}

fn toml_value(node: &Node, kind: Kind) -> Option<String> {
    let text = |node: &Node| match &node.value {
        Value::Text(text) | Value::Atom(text) => Some(toml::Value::String(text.clone()).to_string()),
        _ => None,
    };
    match (kind, &node.value) {
        (Kind::Text, _) => text(node),
        (Kind::Flag, Value::Bool(flag)) => Some(flag.to_string()),
        (Kind::Millis, Value::Number(number)) => {
            let span: Span = number.parse().ok()?;
            Some(toml::Value::String(span.to_string()).to_string())
        }
        (Kind::Texts, Value::List(items)) => {
            let texts: Vec<String> = items.iter().filter_map(text).collect();
            (texts.len() == items.len()).then(|| format!("[{}]", texts.join(", ")))
        }
        (Kind::Texts, _) => text(node).map(|text| format!("[{text}]")),
        (Kind::Flag | Kind::Millis, _) => None,
    }
}
