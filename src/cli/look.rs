//! How things look on this terminal: colour, glyphs, width. Decided once; drawing is then pure.
//!
//! Nothing is told by colour alone: a state is a glyph, a word and a colour.

use std::env;
use std::io::{self, IsTerminal};

use clap::ValueEnum;

/// When to use colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal that can, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Also into a pipe.
    Always,
    /// Not at all.
    Never,
}

/// What a drawing function has to know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// May escape sequences be used?
    pub(crate) is_coloured: bool,
    /// Only ASCII: the locale is not UTF-8.
    pub(crate) is_ascii: bool,
    /// Columns of the terminal; none: not a terminal, never cut.
    pub(crate) width: Option<usize>,
    /// Milliseconds since the epoch, for relative times.
    pub(crate) now_ms: i64,
}

/// What a piece of text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Bad,
    Warning,
    Busy,
    Dim,
    Strong,
    Plain,
}

/// The sign that stands before a state's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Glyph {
    Good,
    Bad,
    Warning,
    Busy,
    Waiting,
    Held,
    Stopped,
}

/// A glyph and its tone.
pub(crate) type Mark = (Glyph, Tone);

impl Look {
    /// The look of standard output.
    pub(crate) fn of_stdout(choice: ColorChoice) -> Self {
        Self::detect(choice, io::stdout().is_terminal())
    }

    /// The look of standard error.
    pub(crate) fn of_stderr(choice: ColorChoice) -> Self {
        Self::detect(choice, io::stderr().is_terminal())
    }

    fn detect(choice: ColorChoice, is_terminal: bool) -> Self {
        Self {
            is_coloured: is_coloured(
                choice,
                is_terminal,
                |name| env::var_os(name).is_some_and(|v| !v.is_empty() && v != "0"),
                env::var_os("TERM").is_some_and(|term| term == "dumb"),
            ),
            is_ascii: !is_utf8(|name| env::var(name).ok()),
            width: if is_terminal { terminal_width() } else { None },
            now_ms: jiff::Timestamp::now().as_millisecond(),
        }
    }

    /// `text` in the colour of `tone`.
    pub(crate) fn paint(&self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Warning => "33",
            Tone::Busy => "36",
            Tone::Dim => "2",
            Tone::Strong => "1",
            Tone::Plain => "",
        };
        if self.is_coloured && !code.is_empty() && !text.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    /// The sign for `glyph`.
    pub(crate) fn glyph(&self, glyph: Glyph) -> &'static str {
        let (unicode, ascii) = match glyph {
            Glyph::Good => ("✓", "+"),
            Glyph::Bad => ("✗", "x"),
            Glyph::Warning => ("!", "!"),
            Glyph::Busy => ("↻", "~"),
            Glyph::Waiting => ("…", "."),
            Glyph::Held => ("‖", "="),
            Glyph::Stopped => ("■", "#"),
        };
        self.pick(unicode, ascii)
    }

    /// `unicode`, or `ascii` where that is all the terminal can show.
    pub(crate) fn pick<'a>(&self, unicode: &'a str, ascii: &'a str) -> &'a str {
        if self.is_ascii { ascii } else { unicode }
    }

    /// Glyph and word in the mark's colour.
    pub(crate) fn state(&self, mark: Mark, word: &str) -> String {
        self.paint(mark.1, &format!("{} {word}", self.glyph(mark.0)))
    }
}

/// NO_COLOR (any value), CLICOLOR_FORCE and TERM=dumb, after the flag: <https://no-color.org>, <https://bixense.com/clicolors>.
fn is_coloured(choice: ColorChoice, is_terminal: bool, is_set: impl Fn(&str) -> bool, is_dumb: bool) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto if is_set("NO_COLOR") => false,
        ColorChoice::Auto if is_set("CLICOLOR_FORCE") => true,
        ColorChoice::Auto => is_terminal && !is_dumb,
    }
}

/// The locale by POSIX's order of variables; none set is the C locale.
fn is_utf8(variable: impl Fn(&str) -> Option<String>) -> bool {
    ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| variable(name).filter(|value| !value.is_empty()))
        .is_some_and(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        })
}

#[cfg(unix)]
fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// Rows of the terminal.
#[cfg(unix)]
pub(crate) fn terminal_rows() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_row > 0).then_some(usize::from(size.ws_row))
}

#[cfg(not(unix))]
fn terminal_width() -> Option<usize> {
    None
}

/// Rows of the terminal.
#[cfg(not(unix))]
pub(crate) fn terminal_rows() -> Option<usize> {
    None
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What a test draws with: no colour, Unicode, no cutting, and a clock that stands at 2026-01-02T03:04:05Z.
    pub(crate) const PLAIN: Look = Look {
        is_coloured: false,
        is_ascii: false,
        width: None,
        now_ms: 1_767_323_045_000,
    };

    #[test]
    fn colour_follows_the_flag_then_the_variables_then_the_terminal() {
        let with = |names: &'static [&'static str]| move |name: &str| names.contains(&name);
        for (choice, terminal, set, dumb, expected) in [
            (ColorChoice::Auto, true, &[][..], false, true),
            (ColorChoice::Auto, false, &[], false, false),
            (ColorChoice::Auto, true, &["NO_COLOR"], false, false),
            (
                ColorChoice::Auto,
                true,
                &["NO_COLOR", "CLICOLOR_FORCE"],
                false,
                false,
            ),
            (ColorChoice::Auto, false, &["CLICOLOR_FORCE"], false, true),
            (ColorChoice::Auto, true, &[], true, false),
            (ColorChoice::Always, false, &["NO_COLOR"], true, true),
            (ColorChoice::Never, true, &["CLICOLOR_FORCE"], false, false),
        ] {
            assert_eq!(
                is_coloured(choice, terminal, with(set), dumb),
                expected,
                "{choice:?} {terminal} {set:?} {dumb}"
            );
        }
    }

    #[test]
    fn a_locale_that_is_not_utf8_gets_ascii() {
        for (variables, expected) in [
            (&[("LANG", "de_AT.UTF-8")][..], true),
            (&[("LANG", "C.utf8")], true),
            (&[("LANG", "en_US.UTF-8"), ("LC_ALL", "C")], false),
            (&[("LC_ALL", ""), ("LANG", "C.UTF-8")], true),
            (&[], false),
        ] {
            let value = |name: &str| {
                variables
                    .iter()
                    .find(|(n, _)| *n == name)
                    .map(|(_, v)| (*v).to_owned())
            };
            assert_eq!(is_utf8(value), expected, "{variables:?}");
        }
    }
}
