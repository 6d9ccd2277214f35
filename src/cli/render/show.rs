//! All about one app.

use serde_json::Value;

use super::super::look::{Look, Tone};
use super::super::table::{Cell, Table};
use super::super::words::{age, count, escape, size, took};
use super::{apps, events, states};
use crate::plan::changes::changes;
use crate::rpc::procedures::AppDetails;
use crate::status::Usage;
use crate::status::health::HealthReport;
use crate::status::origin::Origin;

/// States, desired beside current, use, ends, last words, last events.
pub(crate) fn app(look: &Look, details: &AppDetails) -> String {
    let state = &details.state;
    let mut page = Page {
        look,
        text: String::new(),
    };
    let word = look.state(states::of_app(state), state.status.as_str());
    page.text.push_str(&format!(
        "{}  {word}  {}, {}\n",
        look.paint(Tone::Strong, state.name.as_str()),
        state.sync.as_str(),
        state.health.as_str()
    ));
    if let Some(description) = &state.description {
        page.line("about", &escape(description));
    }
    page.line("version", &apps::versions(look, state));
    if let Some(desired) = &details.desired {
        page.line("spec", &format!("{}:{}", escape(&desired.file), desired.line));
    }
    if let Some(origin) = &details.origin {
        page.line("changed", &changed(look, origin));
    }
    if !state.isolation.is_empty() {
        page.line("runs as", &process(look, details));
    }
    if let Some(usage) = &details.usage {
        page.line("uses", &used(usage));
    }
    if let Some(checks) = &state.checks {
        page.line("checks", &found(look, checks));
    }
    page.line("restarts", &state.restarts.to_string());
    page.line("folder", &escape(state.path.as_deref().unwrap_or("-")));
    page.line("digest", state.digest.as_ref().map_or("-", AsRef::as_ref));
    let note = apps::note(look, state);
    if !note.is_empty() {
        page.line("note", &note);
    }
    page.differences(details);
    page.environment(details);
    page.failed_checks(details);
    page.history(details);
    page.section("Why");
    page.text.push_str(&format!("  {}\n", escape(&details.why)));
    page.text
}

struct Page<'a> {
    look: &'a Look,
    text: String,
}

impl Page<'_> {
    fn line(&mut self, label: &str, value: &str) {
        self.text.push_str(&format!(
            "  {}  {value}\n",
            self.look.paint(Tone::Dim, &format!("{label:<8}"))
        ));
    }

    fn section(&mut self, title: &str) {
        self.text
            .push_str(&format!("\n{}\n", self.look.paint(Tone::Strong, title)));
    }

    /// Each field in which what git asks for differs from what it was deployed from.
    fn differences(&mut self, details: &AppDetails) {
        let (Some(desired), Some(applied)) = (&details.desired, &details.applied) else {
            return;
        };
        let changes = changes(applied, desired);
        if changes.is_empty() {
            return;
        }
        self.section("Desired beside current");
        let mut table = Table::new(&["  FIELD", "CURRENT", "DESIRED"]);
        let word = |value: &Option<Value>| {
            Cell::new(value.as_ref().map_or_else(
                || "(not set)".to_owned(),
                |value| escape(&value.to_string()).into_owned(),
            ))
        };
        for change in &changes {
            let field = Cell::new(format!("  {}", escape(&change.path)));
            table.row(vec![field, word(&change.from), word(&change.to).tone(Tone::Busy)]);
        }
        let look = self.look;
        self.text.push_str(&table.draw(look));
    }

    fn environment(&mut self, details: &AppDetails) {
        if details.state.env.is_empty() {
            return;
        }
        self.section("Environment");
        for (name, value) in &details.state.env {
            self.text
                .push_str(&format!("  {}={}\n", escape(name), escape(value)));
        }
    }

    fn failed_checks(&mut self, details: &AppDetails) {
        let Some(checks) = details
            .state
            .checks
            .as_ref()
            .filter(|checks| !checks.reasons.is_empty())
        else {
            return;
        };
        self.section("Failed checks");
        for failure in &checks.reasons {
            let line = format!(
                "  {} ago  {}\n",
                age(Some(&failure.at), self.look.now_ms),
                escape(&failure.reason)
            );
            self.text.push_str(&line);
        }
    }

    fn history(&mut self, details: &AppDetails) {
        if !details.exits.is_empty() {
            self.section("Last ends");
        }
        for exit in &details.exits {
            let line = format!(
                "  {} ago  {}, after {}\n",
                age(Some(&exit.at), self.look.now_ms),
                escape(&exit.how),
                took(exit.ran_ms)
            );
            self.text.push_str(&line);
        }
        if !details.last_words.is_empty() {
            self.section("Last words");
        }
        for line in &details.last_words {
            let line = events::log_line(self.look, line, true);
            self.text.push_str(&format!("  {line}"));
        }
        if !details.events.is_empty() {
            self.section("Last events");
        }
        for event in &details.events {
            let line = events::line(self.look, event);
            self.text.push_str(&format!("  {line}"));
        }
    }
}

/// Who changed it last, and where.
fn changed(look: &Look, origin: &Origin) -> String {
    let place = match origin.line {
        Some(line) => format!("{}:{line}", origin.file),
        None => origin.file.clone(),
    };
    let now_ms = u64::try_from(look.now_ms).unwrap_or_default();
    let words = origin.words(now_ms, Some(&place));
    let words = words.or_else(|| origin.unknown.as_ref().map(|why| format!("not known: {why}")));
    escape(&words.unwrap_or_default()).into_owned()
}

fn process(look: &Look, details: &AppDetails) -> String {
    let state = &details.state;
    let mut words = vec![escape(&state.isolation).into_owned()];
    if let Some(pid) = state.os_pid {
        words.push(format!("pid {pid}"));
    }
    if state.started_at.is_some() {
        words.push(format!(
            "started {} ago",
            age(state.started_at.as_deref(), look.now_ms)
        ));
    }
    words.join(", ")
}

/// `http, 2 failures in a row for 40 s`, and what the app says about itself.
fn found(look: &Look, checks: &HealthReport) -> String {
    let mut words = vec![checks.kind.as_str().to_owned()];
    let failures = usize::try_from(checks.failures).unwrap_or(usize::MAX);
    if failures > 0 {
        let since = age(checks.failing_since.as_deref(), look.now_ms);
        words.push(format!("{} in a row for {since}", count(failures, "failure")));
    }
    if let Some(status) = &checks.status {
        words.push(format!("it says: {}", escape(status)));
    }
    words.join(", ")
}

fn used(usage: &Usage) -> String {
    format!(
        "{} of memory, {} of CPU time, {}, {}",
        size(usage.memory_bytes),
        took(usage.cpu_ms),
        count(
            usize::try_from(usage.open_files).unwrap_or(usize::MAX),
            "open file"
        ),
        if usage.processes == 1 {
            "1 process".to_owned()
        } else {
            format!("{} processes", usage.processes)
        }
    )
}
