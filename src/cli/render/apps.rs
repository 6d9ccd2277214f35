//! The table of apps.

use super::super::look::{Look, Tone};
use super::super::table::{Cell, Table};
use super::super::words::{age, escape};
use super::states;
use crate::names::CommitId;
use crate::status::{AppState, RunState, SyncState};

/// All `apps`, worst first.
pub(crate) fn table(look: &Look, apps: &[&AppState], is_wide: bool) -> String {
    let narrow = [
        "APP", "STATE", "VERSION", "SYNC", "HEALTH", "RESTARTS", "AGE", "NOTE",
    ];
    let wide = [
        "APP",
        "STATE",
        "VERSION",
        "SYNC",
        "HEALTH",
        "RESTARTS",
        "AGE",
        "PID",
        "ISOLATION",
        "COMMIT",
        "NOTE",
    ];
    let mut table = Table::new(if is_wide { &wide } else { &narrow });
    for app in apps {
        table.row(row(look, app, is_wide));
    }
    table.draw(look)
}

fn row(look: &Look, app: &AppState, is_wide: bool) -> Vec<Cell> {
    let (glyph, tone) = states::of_app(app);
    let mut cells = vec![
        Cell::new(app.name.as_str()).tone(Tone::Strong),
        Cell::new(format!("{} {}", look.glyph(glyph), app.status.as_str())).tone(tone),
        Cell::new(versions(look, app)),
        Cell::new(app.sync.as_str()).tone(states::of_sync(app.sync)),
        Cell::new(app.health.as_str()).tone(states::of_health(app.health)),
        Cell::number(app.restarts).tone(if app.restarts > 0 {
            Tone::Warning
        } else {
            Tone::Plain
        }),
        Cell::number(age(app.started_at.as_deref(), look.now_ms)),
    ];
    if is_wide {
        cells.push(Cell::number(
            app.os_pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
        ));
        cells.push(Cell::new(escape(&app.isolation)));
        cells.push(Cell::new(app.commit.as_ref().map_or("-", CommitId::short)));
    }
    cells.push(Cell::new(note(look, app)).tone(Tone::Dim));
    cells
}

/// What runs, and what git asks for where that differs.
pub(crate) fn versions(look: &Look, app: &AppState) -> String {
    let arrow = look.pick("→", "->");
    match (&app.version, &app.desired_version) {
        (Some(runs), Some(desired)) if runs != desired => format!("{runs} {arrow} {desired}"),
        (Some(version), _) | (None, Some(version)) => version.to_string(),
        (None, None) => "-".to_owned(),
    }
}

/// The one thing worth knowing beside the states.
pub(crate) fn note(look: &Look, app: &AppState) -> String {
    let mut notes = Vec::new();
    if let Some(error) = &app.last_error {
        notes.push(place(error.file.as_deref(), error.line, error.column) + &escape(&error.message));
    }
    if let Some(progress) = app.progress {
        notes.push(progress.words());
    }
    if !app.waits_for.is_empty() {
        let names: Vec<_> = app.waits_for.iter().map(AsRef::as_ref).collect();
        notes.push(format!("waits for {}", names.join(", ")));
    }
    if let Some(due) = app
        .next_try_at
        .as_deref()
        .and_then(super::super::words::millis_of)
    {
        notes.push(format!(
            "next try in {}",
            super::super::words::span(due - look.now_ms)
        ));
    }
    match (app.manual, app.sync, app.status) {
        (true, SyncState::Missing, RunState::Stopped) => notes.push("removed by hand".to_owned()),
        (true, _, _) => notes.push("changed by hand".to_owned()),
        (_, SyncState::Suspended, RunState::Stopped) => notes.push("stopped by hand".to_owned()),
        (_, SyncState::Suspended, _) => notes.push("git is not applied".to_owned()),
        _ => {}
    }
    if !app.not_enforced.is_empty() {
        notes.push(format!("not in force: {}", escape(&app.not_enforced.join(", "))));
    }
    notes.join("; ")
}

/// `apps/web/app.yaml:3:1: `, or nothing.
pub(crate) fn place(file: Option<&str>, line: Option<u32>, column: Option<u32>) -> String {
    let Some(file) = file else {
        return String::new();
    };
    let mut place = escape(file).into_owned();
    for number in [line, column].into_iter().flatten().filter(|number| *number > 0) {
        place.push_str(&format!(":{number}"));
    }
    place + ": "
}
