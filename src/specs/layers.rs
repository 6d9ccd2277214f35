//! The layers of a spec: defaults of `osier.yaml` below, the app's own file, its overrides on top.

use std::collections::BTreeMap;

use super::decode::{Context, Decoded, decode};
use super::merge::merged;
use super::mistake::{Mistake, codes, did_you_mean};
use super::node::{Map, Node, Place, Value};
use crate::names::shown;

/// The most overrides of one app.
const OVERRIDES_MAX: usize = 1_000;

/// Keys that an override must not change: they say which app it is and where it runs.
const NOT_IN_OVERRIDES: &[&str] = &["name", "placement", "overrides"];

/// One entry of `overrides`.
struct Override<'n> {
    labels: BTreeMap<String, String>,
    merge: &'n Map,
    /// The whole of `merge`, to tell its mistakes from others.
    at: Place,
}

/// A spec with its layers merged, and what the decoder made of it.
#[derive(Debug, Clone)]
pub struct Layered {
    /// The merged tree.
    pub tree: Map,
    /// What came out.
    pub decoded: Decoded,
}

/// Merges the layers for the node of `context` and decodes the result. Overrides that do not match this node are
/// checked as well: a mistake is a mistake on every node.
#[must_use]
pub fn resolve(app: &Node, defaults: Option<&Map>, context: Context<'_>) -> Layered {
    static EMPTY: Map = Map(BTreeMap::new());
    let top = app.at.first();
    let own = app.as_map().unwrap_or(&EMPTY);
    let base = match defaults {
        Some(defaults) => merged(defaults, own),
        None => own.clone(),
    };
    let mut mistakes = Vec::new();
    let overrides = match base.get("overrides") {
        Some(node) => read_overrides(node, &mut mistakes),
        None => Vec::new(),
    };
    let mut tree = None;
    for matching in overrides
        .iter()
        .filter(|entry| context.facts.has_labels(&entry.labels))
    {
        tree = Some(merged(tree.as_ref().unwrap_or(&base), matching.merge));
    }
    for other in overrides
        .iter()
        .filter(|entry| !context.facts.has_labels(&entry.labels))
    {
        let variant = decode(&merged(&base, other.merge), top, context);
        // What is missing or does not go together may be due to the other overrides that apply there.
        mistakes.extend(variant.mistakes.into_iter().filter(|mistake| {
            other.at.holds(mistake.at)
                && ![codes::MISSING_KEY, codes::COMBINATION, codes::UNKNOWN_VARIABLE].contains(&mistake.code)
        }));
    }
    drop(overrides);
    let tree = tree.unwrap_or(base);
    let mut decoded = decode(&tree, top, context);
    decoded.mistakes.append(&mut mistakes);
    decoded.mistakes.sort_by_key(|mistake| mistake.at);
    decoded.mistakes.dedup();
    Layered { tree, decoded }
}

fn read_overrides<'n>(node: &'n Node, mistakes: &mut Vec<Mistake>) -> Vec<Override<'n>> {
    let Value::List(items) = &node.value else {
        let message = format!("`overrides` must be a list, found {}", node.kind());
        let help = "write `- match: {…}` and `merge: {…}` for each";
        mistakes.push(Mistake::new(node.at, codes::WRONG_TYPE, message, help));
        return Vec::new();
    };
    if items.len() > OVERRIDES_MAX {
        let message = format!("more than {OVERRIDES_MAX} overrides");
        let help = "group nodes by a label";
        mistakes.push(Mistake::new(node.at.first(), codes::LIMIT, message, help));
        return Vec::new();
    }
    items
        .iter()
        .filter_map(|item| read_override(item, mistakes))
        .collect()
}

fn read_override<'n>(item: &'n Node, mistakes: &mut Vec<Mistake>) -> Option<Override<'n>> {
    const KEYS: &[&str] = &["match", "merge"];
    let Some(map) = item.as_map() else {
        let message = format!("an override must be a map, found {}", item.kind());
        mistakes.push(Mistake::new(
            item.at,
            codes::WRONG_TYPE,
            message,
            "write `match: {…}` and `merge: {…}`",
        ));
        return None;
    };
    for (key, entry) in &map.0 {
        if !KEYS.contains(&key.as_str()) && !key.starts_with("x-") {
            let message = format!("unknown key `{}` in an override", shown(key));
            mistakes.push(Mistake::new(
                entry.key_at,
                codes::UNKNOWN_KEY,
                message,
                did_you_mean(key, KEYS),
            ));
        }
    }
    let mut part = |key: &str, help: &str| match map.get(key) {
        Some(node) if node.as_map().is_some() => node.as_map().map(|map| (map, node.at)),
        Some(node) => {
            let message = format!("`overrides.{key}` must be a map, found {}", node.kind());
            mistakes.push(Mistake::new(node.at, codes::WRONG_TYPE, message, help));
            None
        }
        None => {
            let message = format!("`{key}` is missing in an override");
            mistakes.push(Mistake::new(item.at.first(), codes::MISSING_KEY, message, help));
            None
        }
    };
    let labels = part(
        "match",
        "name the labels of the nodes, as in `match: {site: ams}`",
    );
    let merge = part(
        "merge",
        "name what differs there, as in `merge: {env: {PORT: 9090}}`",
    );
    let labels = labels.map(|(labels, _)| read_labels(labels, mistakes))?;
    let (merge, at) = merge?;
    for key in NOT_IN_OVERRIDES {
        if let Some(entry) = merge.0.get(*key) {
            let message = format!("`{key}` must not stand in an override");
            let help = "it is the same on every node: set it outside of `overrides`";
            mistakes.push(Mistake::new(entry.key_at, codes::COMBINATION, message, help));
        }
    }
    Some(Override { labels, merge, at })
}

fn read_labels(map: &Map, mistakes: &mut Vec<Mistake>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for (key, entry) in &map.0 {
        match &entry.node.value {
            Value::Text(text) | Value::Atom(text) | Value::Number(text) => {
                labels.insert(key.clone(), text.clone());
            }
            Value::Bool(boolean) => {
                labels.insert(key.clone(), boolean.to_string());
            }
            Value::Null | Value::List(_) | Value::Map(_) => {
                let message = format!(
                    "the label `{}` must be a text, found {}",
                    shown(key),
                    entry.node.kind()
                );
                mistakes.push(Mistake::new(
                    entry.node.at,
                    codes::WRONG_TYPE,
                    message,
                    "write one text",
                ));
            }
        }
    }
    labels
}
