//! The table of what was deployed.

use super::super::look::{Glyph, Look, Tone};
use super::super::table::{Cell, Table};
use super::super::words::{age, escape, took};
use crate::names::CommitId;
use crate::rpc::procedures::HistoryEntry;

/// One row an action, in the order given.
pub(crate) fn table(look: &Look, entries: &[HistoryEntry], is_wide: bool) -> String {
    let narrow = [
        "AGE", "APP", "ACTION", "VERSION", "TOOK", "COMMIT", "ASKED BY", "NOTE",
    ];
    let wide = [
        "AGE", "APP", "ACTION", "VERSION", "TOOK", "COMMIT", "ASKED BY", "DIGEST", "NOTE",
    ];
    let mut table = Table::new(if is_wide { &wide } else { &narrow });
    for entry in entries {
        table.row(row(look, entry, is_wide));
    }
    table.draw(look)
}

fn row(look: &Look, entry: &HistoryEntry, is_wide: bool) -> Vec<Cell> {
    let (glyph, tone) = if entry.error.is_some() {
        (Glyph::Bad, Tone::Bad)
    } else {
        (Glyph::Good, Tone::Good)
    };
    let who = entry.by.as_deref().or(entry.author.as_deref()).unwrap_or("-");
    let mut cells = vec![
        Cell::number(age(Some(&entry.at), look.now_ms)),
        Cell::new(entry.app.as_str()).tone(Tone::Strong),
        Cell::new(format!("{} {}", look.glyph(glyph), escape(&entry.action))).tone(tone),
        Cell::new(versions(look, entry)),
        Cell::number(took(entry.duration_ms)),
        Cell::new(entry.commit.as_ref().map_or("-", CommitId::short)),
        Cell::new(escape(who)),
    ];
    if is_wide {
        cells.push(Cell::new(
            entry.digest.as_ref().map_or("-", AsRef::as_ref).to_owned(),
        ));
    }
    let note = entry.error.as_deref().or(entry.subject.as_deref());
    cells.push(Cell::new(escape(note.unwrap_or_default())).tone(Tone::Dim));
    cells
}

fn versions(look: &Look, entry: &HistoryEntry) -> String {
    match (&entry.from_version, &entry.to_version) {
        (Some(from), Some(to)) if from != to => format!("{from} {} {to}", look.pick("→", "->")),
        (_, Some(version)) | (Some(version), None) => version.to_string(),
        (None, None) => "-".to_owned(),
    }
}
