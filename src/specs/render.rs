//! Mistakes as people read them: what, where with the source line, why, and the one next step. Used by every command
//! that shows specs.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use super::desired::SpecError;
use super::mistake::codes;

/// How wide a line of source is shown at most.
const SOURCE_COLUMNS_MAX: usize = 96;
/// Where the code stands, if the message leaves room.
const CODE_COLUMN: usize = 72;

/// How a finding is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The app cannot run as it is written.
    Mistake,
    /// Valid, but not what it seems, or not supported yet.
    Warning,
}

impl SpecError {
    /// Is the spec valid, and merely asks for something that this release does not carry out?
    #[must_use]
    pub fn is_not_supported_yet(&self) -> bool {
        self.code == codes::NOT_SUPPORTED_YET
    }

    /// What `osier validate` makes of it. A node takes both alike: it leaves the app alone.
    #[must_use]
    pub fn severity(&self) -> Severity {
        if self.is_not_supported_yet() || self.code == codes::SUSPICIOUS {
            Severity::Warning
        } else {
            Severity::Mistake
        }
    }
}

/// One finding as a block of text that ends with a line break.
#[must_use]
pub fn block(error: &SpecError, severity: Severity, is_colored: bool) -> String {
    let paint = Paint { is_colored };
    let (mark, color) = match severity {
        Severity::Mistake => ("×", AnsiColor::Red),
        Severity::Warning => ("⚠", AnsiColor::Yellow),
    };
    let mut text = String::new();
    let mark = paint.with(Style::new().fg_color(Some(color.into())).bold(), mark);
    let message = paint.with(Style::new().bold(), &error.message);
    let gap = CODE_COLUMN.saturating_sub(error.message.chars().count()).max(2);
    let code = paint.with(Style::new().dimmed(), &error.code);
    line(&mut text, format_args!("  {mark} {message}{:gap$}{code}", ""));
    let number = if error.line == 0 {
        String::new()
    } else {
        error.line.to_string()
    };
    let margin = number.len();
    let place = match (error.line, error.column) {
        (0, _) => error.file.clone(),
        (line, 0) => format!("{}:{line}", error.file),
        (line, column) => format!("{}:{line}:{column}", error.file),
    };
    line(&mut text, format_args!(" {:margin$} ╭─[{place}]", ""));
    if !error.source_line.is_empty() && error.column > 0 {
        let (shown, column) = window(&error.source_line, error.column as usize);
        line(&mut text, format_args!(" {number} │ {shown}"));
        // The place may lie behind what is kept of a long line.
        let room = shown.chars().count().saturating_add(1).saturating_sub(column);
        if room > 0 {
            let width = (error.width as usize).clamp(1, room);
            let caret = paint.with(Style::new().fg_color(Some(color.into())), &"─".repeat(width));
            let indent = column.saturating_sub(1);
            line(&mut text, format_args!(" {:margin$} · {:indent$}{caret}", "", ""));
        }
    }
    line(&mut text, format_args!(" {:margin$} ╰────", ""));
    if !error.help.is_empty() {
        let help = paint.with(Style::new().fg_color(Some(AnsiColor::Cyan.into())), "help:");
        line(&mut text, format_args!("  {help} {}", error.help));
    }
    text
}

/// All findings, blank lines in between, each marked by [`SpecError::severity`].
#[must_use]
pub fn blocks<'e>(errors: impl IntoIterator<Item = &'e SpecError>, is_colored: bool) -> String {
    errors
        .into_iter()
        .map(|error| block(error, error.severity(), is_colored))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The closing line: `2 mistakes in 2 of 7 files`.
#[must_use]
pub fn count_line<'e>(errors: impl IntoIterator<Item = &'e SpecError>, file_count: usize) -> String {
    let mut mistakes = 0_usize;
    let mut warnings = 0_usize;
    let mut files = std::collections::BTreeSet::new();
    for error in errors {
        match error.severity() {
            Severity::Mistake => {
                mistakes = mistakes.saturating_add(1);
                files.insert(error.file.as_str());
            }
            Severity::Warning => warnings = warnings.saturating_add(1),
        }
    }
    let total = counted(file_count, "file");
    let mut text = match mistakes {
        0 => format!("no mistakes in {total}"),
        count => format!("{} in {} of {total}", counted(count, "mistake"), files.len()),
    };
    if warnings > 0 {
        text.push_str(", ");
        text.push_str(&counted(warnings, "warning"));
    }
    text
}

fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{arguments}");
}

/// The part of a long line around `column` (from 1), and the column within it.
fn window(source_line: &str, column: usize) -> (String, usize) {
    const BEFORE: usize = SOURCE_COLUMNS_MAX / 2;
    let length = source_line.chars().count();
    if length <= SOURCE_COLUMNS_MAX {
        return (source_line.to_owned(), column);
    }
    let start = column
        .saturating_sub(1)
        .saturating_sub(BEFORE)
        .min(length.saturating_sub(SOURCE_COLUMNS_MAX));
    let mut shown: String = source_line.chars().skip(start).take(SOURCE_COLUMNS_MAX).collect();
    let mut column = column.saturating_sub(start);
    if start > 0 {
        shown.insert(0, '…');
        column = column.saturating_add(1);
    }
    if start.saturating_add(SOURCE_COLUMNS_MAX) < length {
        shown.push('…');
    }
    (shown, column)
}

#[derive(Clone, Copy)]
struct Paint {
    is_colored: bool,
}

impl Paint {
    fn with(self, style: Style, text: &str) -> String {
        if self.is_colored {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error() -> SpecError {
        SpecError {
            app: None,
            file: "apps/sensor-hub/app.yaml".to_owned(),
            line: 11,
            column: 1,
            width: 5,
            source_line: "heath:".to_owned(),
            code: codes::UNKNOWN_KEY.to_owned(),
            message: "unknown key `heath` in an app".to_owned(),
            help: "did you mean `health`?".to_owned(),
        }
    }

    #[test]
    fn a_mistake_shows_what_where_why_and_what_next() {
        insta::assert_snapshot!(block(&error(), Severity::Mistake, false), @r"
          × unknown key `heath` in an app                                           osier::spec::unknown_key
            ╭─[apps/sensor-hub/app.yaml:11:1]
         11 │ heath:
            · ─────
            ╰────
          help: did you mean `health`?
        ");
        let colored = block(&error(), Severity::Mistake, true);
        assert!(colored.contains("\u{1b}["), "{colored:?}");
    }

    #[test]
    fn a_place_without_a_line_and_a_long_line_are_shown_too() {
        let whole = SpecError {
            line: 0,
            column: 0,
            source_line: String::new(),
            ..error()
        };
        assert!(block(&whole, Severity::Warning, false).contains("╭─[apps/sensor-hub/app.yaml]\n"));
        let long = SpecError {
            source_line: format!("{}heath", "x".repeat(190)),
            column: 191,
            ..error()
        };
        let text = block(&long, Severity::Mistake, false);
        let lines: Vec<&str> = text.lines().collect();
        let under = |line: &str| line.chars().position(|c| c == '─');
        assert!(lines[2].ends_with("heath"), "{text}");
        assert_eq!(
            under(lines[3]),
            lines[2].find("heath").map(|at| lines[2][..at].chars().count())
        );
        assert!(lines.iter().all(|line| line.chars().count() < 120), "{text}");
    }

    #[test]
    fn the_count_is_told_in_one_line() {
        let soon = SpecError {
            code: codes::NOT_SUPPORTED_YET.to_owned(),
            ..error()
        };
        let other = SpecError {
            file: "b".to_owned(),
            ..error()
        };
        assert_eq!(count_line([&error(), &other], 7), "2 mistakes in 2 of 7 files");
        assert_eq!(
            count_line([&error(), &soon], 1),
            "1 mistake in 1 of 1 file, 1 warning"
        );
        assert_eq!(count_line([], 7), "no mistakes in 7 files");
    }
}
