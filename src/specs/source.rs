//! The texts that a spec is merged from, and how a byte's place in them is shown to people.

use super::desired::SpecError;
use super::format::Format;
use super::mistake::Mistake;
use super::node::Place;
use crate::names::AppName;

/// How many characters of a source line are shown.
pub const SOURCE_LINE_CHARS_MAX: usize = 200;

/// One file: its path from the repository's root and its text.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// As it is shown, escaped.
    pub path: String,
    /// The text without a byte order mark; empty where it must not be shown.
    pub text: String,
    /// What it was read as.
    pub format: Format,
}

/// The files of one spec by their number.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a>(pub &'a [&'a Source]);

/// A place as people read it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spot {
    /// The file.
    pub file: String,
    /// From 1; 0: the whole file.
    pub line: u32,
    /// From 1, in characters; 0: the whole line.
    pub column: u32,
    /// In characters, within the line.
    pub width: u32,
    /// Safe to print.
    pub source_line: String,
}

impl Spot {
    /// A whole file, of which nothing is shown.
    #[must_use]
    pub fn file(path: &str) -> Self {
        Self {
            file: printable(path),
            width: 1,
            ..Self::default()
        }
    }

    /// An error at this spot.
    #[must_use]
    pub fn error(
        self,
        app: Option<AppName>,
        code: &str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> SpecError {
        SpecError {
            app,
            file: self.file,
            line: self.line,
            column: self.column,
            width: self.width,
            source_line: self.source_line,
            code: code.to_owned(),
            message: message.into(),
            help: help.into(),
        }
    }
}

impl<'a> Sources<'a> {
    /// The format of the file in which `at` stands.
    #[must_use]
    pub fn format(self, at: Place) -> Format {
        self.get(at).map_or(Format::default(), |source| source.format)
    }

    /// The bytes of `at` as they were written.
    #[must_use]
    pub fn slice(self, at: Place) -> &'a str {
        self.get(at)
            .and_then(|source| source.text.get(at.start as usize..at.end as usize))
            .unwrap_or_default()
    }

    /// The place for people.
    #[must_use]
    pub fn spot(self, at: Place) -> Spot {
        match self.get(at) {
            Some(source) if at.is_whole() => Spot::file(&source.path),
            Some(source) => spot_in(source, at.start as usize, at.end as usize),
            None => Spot::default(),
        }
    }

    /// The mistake for people.
    #[must_use]
    pub fn error(self, app: Option<&AppName>, mistake: &Mistake) -> SpecError {
        self.spot(mistake.at).error(
            app.cloned(),
            mistake.code,
            // Keys and values may hold what an escape has put there.
            printable(&mistake.message),
            printable(&mistake.help),
        )
    }

    fn get(self, at: Place) -> Option<&'a Source> {
        self.0.get(usize::from(at.source)).copied()
    }
}

fn spot_in(source: &Source, start: usize, end: usize) -> Spot {
    let text = source.text.as_str();
    let start = floor_char(text, start);
    let (before, from) = text.split_at_checked(start).unwrap_or((text, ""));
    let line_start = before.rfind('\n').map_or(0, |at| at.saturating_add(1));
    let line = before.bytes().filter(|b| *b == b'\n').count().saturating_add(1);
    let in_line = before.get(line_start..).unwrap_or_default();
    let rest_of_line = from.split(['\n', '\r']).next().unwrap_or_default();
    let meant = rest_of_line
        .get(..floor_char(rest_of_line, end.saturating_sub(start)))
        .unwrap_or(rest_of_line);
    let count = |part: &str| u32::try_from(part.chars().count()).unwrap_or(u32::MAX);
    let line_text: String = in_line
        .chars()
        .chain(rest_of_line.chars())
        .take(SOURCE_LINE_CHARS_MAX)
        .collect();
    Spot {
        file: printable(&source.path),
        line: u32::try_from(line).unwrap_or(u32::MAX),
        column: count(in_line).saturating_add(1),
        width: count(meant.trim_end()).max(1),
        source_line: printable(&line_text),
    }
}

/// The largest character boundary of `text` that is not beyond `at`.
fn floor_char(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at = at.saturating_sub(1);
    }
    at
}

/// `text` with each character that a terminal would act upon, or that would turn the reading direction, replaced by one
/// that stands for it: the count of characters stays, so that a caret still points at the right place.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' => ' ',
            '\u{7f}' => '\u{2421}',
            c if (c as u32) < 0x20 => char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}'),
            '\u{80}'..='\u{9f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}' => '\u{fffd}',
            c => c,
        })
        .collect()
}
