//! A line for each event and each line of output.

use super::super::look::{Glyph, Look, Mark, Tone};
use super::super::words::{clock, escape};
use crate::rpc::procedures::LogLine;
use crate::telemetry::EventRecord;
use crate::telemetry::sentence::{Gravity, gravity, sentence};

/// When, how grave, and what happened.
pub(crate) fn line(look: &Look, event: &EventRecord) -> String {
    let (glyph, tone) = mark(gravity(event));
    format!(
        "{}  {} {}\n",
        look.paint(Tone::Dim, &clock(event.timestamp, look.now_ms)),
        look.paint(tone, look.glyph(glyph)),
        look.paint(
            if tone == Tone::Good { Tone::Plain } else { tone },
            &escape(&sentence(event))
        )
    )
}

fn mark(gravity: Gravity) -> Mark {
    match gravity {
        Gravity::Note => (Glyph::Waiting, Tone::Dim),
        Gravity::Good => (Glyph::Good, Tone::Good),
        Gravity::Warning => (Glyph::Warning, Tone::Warning),
        Gravity::Bad => (Glyph::Bad, Tone::Bad),
    }
}

/// A line of an app's output.
pub(crate) fn log_line(look: &Look, line: &LogLine, has_time: bool) -> String {
    let text = line.text.split('\t').map(escape).collect::<Vec<_>>().join("\t");
    if has_time {
        format!(
            "{}  {text}\n",
            look.paint(Tone::Dim, &clock(line.at_ms, look.now_ms))
        )
    } else {
        format!("{text}\n")
    }
}
