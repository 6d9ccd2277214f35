//! Mistakes in specs: for people, for a GitHub workflow, and as SARIF.

use std::path::Path;

use serde_json::{Value, json};

use super::super::commands::validate::Findings;
use super::super::look::{Glyph, Look, Tone};
use super::super::words::escape_lines;
use crate::specs::SpecError;
use crate::specs::render::{blocks, count_line};

/// Each finding with its source line, then the count.
pub(crate) fn human(look: &Look, findings: &Findings) -> String {
    let mut text = mistakes(look, findings.mistakes.iter().chain(&findings.warnings));
    if !text.is_empty() {
        text.push('\n');
    }
    let (glyph, tone) = if findings.mistakes.is_empty() {
        (Glyph::Good, Tone::Good)
    } else {
        (Glyph::Bad, Tone::Bad)
    };
    let count = count_line(findings.mistakes.iter().chain(&findings.warnings), findings.files);
    text.push_str(&format!("{} {count}\n", look.paint(tone, look.glyph(glyph))));
    text
}

/// Each with its source line.
pub(crate) fn mistakes<'e>(look: &Look, errors: impl Iterator<Item = &'e SpecError>) -> String {
    // Escaped first, painted then: a spec's own text must not bring colours of its own.
    let safe: Vec<_> = errors.map(harmless).collect();
    let text = blocks(&safe, look.is_coloured);
    if look.is_ascii { in_ascii(&text) } else { text }
}

fn harmless(error: &SpecError) -> SpecError {
    let one_line = |text: &str| super::super::words::escape(text).into_owned();
    SpecError {
        file: one_line(&error.file),
        source_line: one_line(&error.source_line),
        code: one_line(&error.code),
        message: escape_lines(&error.message),
        help: escape_lines(&error.help),
        ..error.clone()
    }
}

fn in_ascii(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '×' => plain.push('x'),
            '⚠' => plain.push('!'),
            '╭' | '╰' => plain.push('+'),
            '─' => plain.push('-'),
            '│' => plain.push('|'),
            '·' => plain.push(':'),
            '…' => plain.push_str("..."),
            c if c.is_ascii() => plain.push(c),
            other => plain.extend(other.escape_unicode()),
        }
    }
    plain
}

/// Workflow commands: <https://docs.github.com/actions/reference/workflow-commands-for-github-actions>.
pub(crate) fn github(findings: &Findings, root: &Path) -> String {
    let levels = [("error", &findings.mistakes), ("warning", &findings.warnings)];
    let mut text = String::new();
    for (level, errors) in levels {
        for error in errors {
            let file = if root == Path::new(".") || root.is_file() {
                error.file.clone()
            } else {
                root.join(&error.file).display().to_string()
            };
            let place = format!(
                "file={},line={},col={}",
                property(&file),
                error.line.max(1),
                error.column.max(1)
            );
            let message = format!("{}\n{}", error.message, error.help);
            text.push_str(&format!(
                "::{level} {place},title={}::{}\n",
                property(&error.code),
                data(&message)
            ));
        }
    }
    text
}

/// Escapes as the workflow's own toolkit does.
fn data(text: &str) -> String {
    let text = text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    super::super::words::escape(&text).into_owned()
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// Static Analysis Results Interchange Format 2.1.0.
pub(crate) fn sarif(findings: &Findings) -> Value {
    let result = |level: &str, error: &SpecError| {
        json!({
            "ruleId": error.code,
            "level": level,
            "message": { "text": format!("{}. {}", error.message, error.help) },
            "locations": [{ "physicalLocation": {
                "artifactLocation": { "uri": error.file },
                "region": { "startLine": error.line.max(1), "startColumn": error.column.max(1) },
            }}],
        })
    };
    let mistakes = findings.mistakes.iter().map(|error| result("error", error));
    let warnings = findings.warnings.iter().map(|error| result("warning", error));
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "osier", "version": env!("CARGO_PKG_VERSION"), "rules": [] } },
            "results": mistakes.chain(warnings).collect::<Vec<_>>(),
        }],
    })
}
