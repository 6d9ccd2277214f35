//! What a reconcile would do, field by field.

use serde_json::Value;

use super::super::look::{Glyph, Look, Tone};
use super::super::words::{count, escape};
use super::apps::place;
use crate::names::AppName;
use crate::plan::{Diff, DiffAction, FieldChange, HeldBack, InvalidApp};

/// Actions in the order of execution, then what waits for a word, then the mistakes, then a sum.
pub(crate) fn draw(look: &Look, diff: &Diff) -> String {
    let actions = diff.actions.iter().map(|action| action.app.as_str().len());
    let held = diff.held_back.iter().flat_map(|held| &held.apps);
    let width = actions
        .chain(held.map(|app| app.as_str().len()))
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for action in &diff.actions {
        text.push_str(&draw_action(look, action, width));
    }
    if let Some(held) = &diff.held_back {
        text.push_str(&draw_held_back(look, held, width));
    }
    for invalid in &diff.invalid {
        text.push_str(&draw_invalid(look, invalid));
    }
    text + &summary(diff) + "\n"
}

fn draw_held_back(look: &Look, held: &HeldBack, width: usize) -> String {
    let sign = look.glyph(Glyph::Held);
    let line = |app: &AppName| {
        let text = format!("{sign} {:width$}  remove, held back", app.as_str());
        look.paint(Tone::Warning, &text) + "\n"
    };
    let mut text: String = held.apps.iter().map(line).collect();
    text.push_str(&format!(
        "    {}\n    to let them go: {}\n",
        escape(&held.reason),
        escape(&held.accept)
    ));
    text
}

fn draw_invalid(look: &Look, invalid: &InvalidApp) -> String {
    let name = invalid
        .app
        .as_ref()
        .map_or_else(|| invalid.file.clone(), ToString::to_string);
    let kept = if invalid.is_here {
        "kept as it is"
    } else {
        "not deployed"
    };
    let place = place(Some(&invalid.file), Some(invalid.line), Some(invalid.column));
    format!(
        "{} {}  {kept}\n    {place}{}\n    help: {}\n",
        look.paint(Tone::Bad, look.glyph(Glyph::Bad)),
        escape(&name),
        escape(&invalid.message),
        escape(&invalid.help)
    )
}

/// `1 to deploy, 2 to upgrade.`
pub(crate) fn summary(diff: &Diff) -> String {
    let mut parts: Vec<String> = ["deploy", "upgrade", "reconfigure", "remove"]
        .into_iter()
        .map(|verb| {
            (
                verb,
                diff.actions
                    .iter()
                    .filter(|action| action.action == verb && action.given_up.is_none())
                    .count(),
            )
        })
        .filter(|(_, number)| *number > 0)
        .map(|(verb, number)| format!("{number} to {verb}"))
        .collect();
    let given_up = diff
        .actions
        .iter()
        .filter(|action| action.given_up.is_some())
        .count();
    if given_up > 0 {
        parts.push(format!("{given_up} not tried again"));
    }
    if let Some(held) = &diff.held_back {
        parts.push(format!("{} held back", count(held.apps.len(), "removal")));
    }
    if !diff.invalid.is_empty() {
        parts.push(count(diff.invalid.len(), "mistake"));
    }
    let at = diff
        .commit
        .as_ref()
        .map_or_else(String::new, |commit| format!(" at {}", commit.short()));
    if parts.is_empty() {
        format!("Nothing to do{at}.")
    } else {
        format!("{}{at}.", parts.join(", "))
    }
}

fn draw_action(look: &Look, action: &DiffAction, width: usize) -> String {
    let (sign, tone) = match action.action.as_str() {
        "deploy" => ("+", Tone::Good),
        "remove" => ("-", Tone::Bad),
        _ => ("~", Tone::Warning),
    };
    let versions: Vec<_> = [&action.from_version, &action.to_version]
        .into_iter()
        .flatten()
        .map(ToString::to_string)
        .collect();
    let versions = if versions.first() == versions.get(1) {
        versions.first().cloned().unwrap_or_default()
    } else {
        versions.join(&format!(" {} ", look.pick("→", "->")))
    };
    let head = format!(
        "{sign} {:width$}  {:11}  {versions}",
        action.app.as_str(),
        escape(&action.action)
    );
    let mut text = look.paint(tone, &head) + "\n";
    if let Some(why) = &action.given_up {
        let line = format!("    not tried again: {}\n", escape(why));
        text.push_str(&look.paint(Tone::Warning, &line));
    }
    for change in &action.changes {
        text.push_str(&draw_change(look, change));
    }
    text
}

fn draw_change(look: &Look, change: &FieldChange) -> String {
    let value = |value: &Option<Value>| {
        value.as_ref().map_or_else(
            || "(not set)".to_owned(),
            |value| escape(&value.to_string()).into_owned(),
        )
    };
    format!(
        "    {}: {} {} {}\n",
        escape(&change.path),
        look.paint(Tone::Bad, &value(&change.from)),
        look.pick("→", "->"),
        look.paint(Tone::Good, &value(&change.to))
    )
}
