//! What a reconcile would do, field by field.

use serde_json::Value;

use super::super::look::{Look, Tone};
use super::super::words::{count, escape};
use super::apps::place;
use crate::plan::{Diff, DiffAction, FieldChange};

/// Actions in the order of execution, then the mistakes, then a sum.
pub(crate) fn draw(look: &Look, diff: &Diff) -> String {
    let mut text = String::new();
    for action in &diff.actions {
        text.push_str(&draw_action(look, action));
    }
    for invalid in &diff.invalid {
        let name = invalid
            .app
            .as_ref()
            .map_or_else(|| invalid.file.clone(), ToString::to_string);
        let sign = look.glyph(super::super::look::Glyph::Bad);
        text.push_str(&format!(
            "{} {}   kept as it is\n",
            look.paint(Tone::Bad, sign),
            escape(&name)
        ));
        let place = place(Some(&invalid.file), Some(invalid.line), Some(invalid.column));
        text.push_str(&format!(
            "    {place}{}\n    help: {}\n",
            escape(&invalid.message),
            escape(&invalid.help)
        ));
    }
    text + &summary(diff) + "\n"
}

/// `1 to deploy, 2 to upgrade.`
pub(crate) fn summary(diff: &Diff) -> String {
    let mut parts: Vec<String> = ["deploy", "upgrade", "reconfigure", "remove"]
        .into_iter()
        .map(|verb| {
            (
                verb,
                diff.actions.iter().filter(|action| action.action == verb).count(),
            )
        })
        .filter(|(_, number)| *number > 0)
        .map(|(verb, number)| format!("{number} to {verb}"))
        .collect();
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

fn draw_action(look: &Look, action: &DiffAction) -> String {
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
    let head = format!("{sign} {}   {}  {versions}", action.app, escape(&action.action));
    let mut text = look.paint(tone, &head) + "\n";
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
