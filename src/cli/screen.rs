//! Where output goes: data to standard output in the format that was asked for, talk to standard error.

use std::borrow::Cow;
use std::io::{self, BufWriter, IsTerminal, Write};

use clap::ValueEnum;
use serde::Serialize;

use super::look::{ColorChoice, Look, Tone};
use super::outcome::Trouble;
use super::yaml;

/// How data is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Table,
    /// For people, with more columns.
    Wide,
    /// One JSON document.
    Json,
    /// One JSON value a line.
    Jsonl,
    /// One YAML document.
    Yaml,
    /// Names alone, one a line.
    Name,
}

/// Standard output and standard error of one command.
pub(crate) struct Screen {
    /// The format of data.
    pub(crate) format: Format,
    /// How to draw on standard output.
    pub(crate) look: Look,
    /// How to draw on standard error.
    pub(crate) talk_look: Look,
    /// No talk but errors.
    pub(crate) is_quiet: bool,
    out: BufWriter<io::Stdout>,
    is_broken: bool,
    watched: Option<Watched>,
}

/// How a watched screen is shown.
#[derive(Debug)]
enum Watched {
    /// On a terminal: each drawing over the one before.
    Redrawn,
    /// Into a pipe: each drawing that differs from the one before, after an empty line.
    Repeated { last: String },
}

impl Screen {
    /// What the global flags ask for.
    pub(crate) fn new(format: Format, color: ColorChoice, is_quiet: bool) -> Self {
        Self {
            format,
            look: Look::of_stdout(color),
            talk_look: Look::of_stderr(color),
            is_quiet,
            out: BufWriter::new(io::stdout()),
            is_broken: false,
            watched: None,
        }
    }

    /// What is printed from here on takes the place of what was printed before.
    pub(crate) fn begin_watching(&mut self) {
        self.watched = match (self.is_for_people(), self.is_terminal()) {
            (true, true) => {
                // A failure shows with the first drawing.
                let _ = self.out.write_all(CLEAR.as_bytes());
                Some(Watched::Redrawn)
            }
            _ if self.format == Format::Jsonl => None,
            _ => Some(Watched::Repeated { last: String::new() }),
        };
    }

    /// Is each drawing put over the one before?
    pub(crate) fn is_redrawing(&self) -> bool {
        matches!(self.watched, Some(Watched::Redrawn))
    }

    /// Shows an error while watching goes on.
    pub(crate) fn draw_trouble(&mut self, trouble: &Trouble) -> Result<(), Trouble> {
        if self.is_redrawing() {
            return self.print(&trouble.draw(&self.look));
        }
        self.warn(&trouble.what);
        Ok(())
    }

    /// Is the output for people?
    pub(crate) fn is_for_people(&self) -> bool {
        matches!(self.format, Format::Table | Format::Wide)
    }

    /// Is standard output a terminal?
    pub(crate) fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Has the reader of standard output left (`| head`)? Then nothing more need be produced.
    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Prints text as it is.
    pub(crate) fn print(&mut self, text: &str) -> Result<(), Trouble> {
        if self.is_broken {
            return Ok(());
        }
        let text = match &mut self.watched {
            None => Cow::Borrowed(text),
            Some(Watched::Redrawn) => Cow::Owned(over_the_last(text)),
            Some(Watched::Repeated { last }) if last == text => return Ok(()),
            Some(Watched::Repeated { last }) => {
                let gap = if last.is_empty() { "" } else { "\n" };
                text.clone_into(last);
                Cow::Owned(format!("{gap}{text}"))
            }
        };
        let written = self
            .out
            .write_all(text.as_bytes())
            .and_then(|()| self.out.flush());
        match written {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.is_broken = true;
                Ok(())
            }
            Err(error) => Err(Trouble::new("cannot write to standard output").cause(error)),
        }
    }

    /// Prints `data` in the format that was asked for; `draw` is its form for people, `names` its form for `-o name`.
    pub(crate) fn show<T: Serialize>(
        &mut self,
        data: &T,
        draw: impl FnOnce(&Look, bool) -> String,
        names: impl FnOnce() -> Vec<String>,
    ) -> Result<(), Trouble> {
        let text = match self.format {
            Format::Table => draw(&self.look, false),
            Format::Wide => draw(&self.look, true),
            Format::Json => document(data)?,
            Format::Jsonl => line(data)?,
            Format::Yaml => defused(yaml::document(&value(data)?)),
            Format::Name => names().into_iter().map(|name| name + "\n").collect(),
        };
        self.print(&text)
    }

    /// As [`Screen::show`] for a list: one line for each item in `jsonl`.
    pub(crate) fn show_list<T: Serialize, I: Serialize>(
        &mut self,
        data: &T,
        items: &[I],
        draw: impl FnOnce(&Look, bool) -> String,
        names: impl FnOnce() -> Vec<String>,
    ) -> Result<(), Trouble> {
        if self.format != Format::Jsonl {
            return self.show(data, draw, names);
        }
        let lines = items.iter().map(line).collect::<Result<String, _>>()?;
        self.print(&lines)
    }

    /// Says something to people: not data, and not when they asked for quiet.
    pub(crate) fn talk(&self, text: &str) {
        if !self.is_quiet {
            say(text);
        }
    }

    /// Says that something is odd.
    pub(crate) fn warn(&self, text: &str) {
        say(&format!(
            "{} {}",
            self.talk_look.paint(Tone::Warning, "warning:"),
            super::words::escape(text)
        ));
    }
}

/// Clears the terminal.
const CLEAR: &str = "\u{1b}[2J";

/// `text` drawn over what stands on the terminal, without a flicker; what does not fit is counted.
fn over_the_last(text: &str) -> String {
    let rows = super::look::terminal_rows().unwrap_or(usize::MAX);
    let lines: Vec<_> = text.lines().collect();
    let fitting = if lines.len() < rows {
        lines.len()
    } else {
        rows.saturating_sub(2)
    };
    let mut drawn = String::from("\u{1b}[H");
    for line in lines.iter().take(fitting) {
        drawn.push_str(line);
        drawn.push_str("\u{1b}[K\n");
    }
    if fitting < lines.len() {
        drawn.push_str(&format!("and {} more lines\u{1b}[K\n", lines.len() - fitting));
    }
    drawn + "\u{1b}[J"
}

/// One line on standard error. Nobody can be told if that fails.
fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// `data` as one indented JSON document.
pub(crate) fn document<T: Serialize>(data: &T) -> Result<String, Trouble> {
    let text = serde_json::to_string_pretty(data).map_err(unprintable)?;
    Ok(defused(text) + "\n")
}

/// `data` as one line of JSON.
pub(crate) fn line<T: Serialize>(data: &T) -> Result<String, Trouble> {
    let text = serde_json::to_string(data).map_err(unprintable)?;
    Ok(defused(text) + "\n")
}

fn value<T: Serialize>(data: &T) -> Result<serde_json::Value, Trouble> {
    serde_json::to_value(data).map_err(unprintable)
}

fn unprintable(error: serde_json::Error) -> Trouble {
    Trouble::new("the answer cannot be written as JSON").cause(error)
}

/// JSON escapes the control characters below U+0020; these steer terminals as well. They only occur inside of strings.
fn defused(text: String) -> String {
    let is_live = |c: char| matches!(c, '\u{7f}'..='\u{9f}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if !text.contains(is_live) {
        return text;
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_live(c) {
            safe.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            safe.push(c);
        }
    }
    safe
}
