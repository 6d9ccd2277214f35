//! `osier doctor`.

use std::cmp::Ordering;

use clap::Args;

use super::super::checks;
use super::super::context::Context;
use super::super::look::{Glyph, Look, Tone};
use super::super::outcome::{Exit, Outcome};
use super::super::words::{count, escape};
use crate::rpc::procedures::{Check, CheckState, Doctor, Nothing};

/// Look at this machine: what is there, what is missing, and what to do about it.
///
/// Works without a daemon; where one answers, what it sees is told as well.
/// Answers 1 when something that is asked for cannot work.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  osier doctor
  osier doctor -o json | jq '.[] | select(.state != \"good\")'")]
pub(crate) struct DoctorArgs {}

/// Runs it.
pub(crate) async fn run(context: &mut Context, _: DoctorArgs) -> Outcome {
    let daemon = context.connect().await;
    let mut found = checks::all(&context.globals, daemon.as_ref().err());
    if let Ok(mut client) = daemon {
        match context.ask_through::<Doctor>(&mut client, &Nothing {}).await {
            Ok(seen) => found = merged(found, seen),
            Err(trouble) => context
                .screen
                .warn(&format!("the daemon was not asked: {}", trouble.what)),
        }
    }
    found.sort_by(worst_first);
    context.screen.show_list(
        &found,
        &found,
        |look, _| draw(look, &found),
        || found.iter().map(|check| check.name.clone()).collect(),
    )?;
    Ok(Exit::of(found.iter().all(|check| check.state != CheckState::Bad)))
}

/// Of the same thing, what the daemon sees counts: it is the one that has to work.
fn merged(mine: Vec<Check>, daemons: Vec<Check>) -> Vec<Check> {
    let is_seen = |check: &Check| daemons.iter().any(|seen| seen.name == check.name);
    let mut all: Vec<_> = mine.into_iter().filter(|check| !is_seen(check)).collect();
    all.extend(daemons);
    all
}

fn worst_first(a: &Check, b: &Check) -> Ordering {
    a.state.cmp(&b.state)
}

fn draw(look: &Look, checks: &[Check]) -> String {
    let width = checks
        .iter()
        .map(|check| check.name.chars().count())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for check in checks {
        let (glyph, tone) = match check.state {
            CheckState::Bad => (Glyph::Bad, Tone::Bad),
            CheckState::Warning => (Glyph::Warning, Tone::Warning),
            CheckState::Good => (Glyph::Good, Tone::Good),
        };
        let sign = look.paint(tone, look.glyph(glyph));
        text.push_str(&format!(
            "{sign} {:width$}  {}\n",
            escape(&check.name),
            escape(&check.found)
        ));
        if let Some(fix) = &check.fix {
            text.push_str(&format!(
                "  {:width$}  {} {}\n",
                "",
                look.paint(Tone::Dim, "fix:"),
                escape(fix)
            ));
        }
    }
    let with = |state| checks.iter().filter(|check| check.state == state).count();
    let (bad, odd) = (with(CheckState::Bad), with(CheckState::Warning));
    text + &format!(
        "{}: {} in the way, {}\n",
        count(checks.len(), "check"),
        bad,
        count(odd, "warning")
    )
}
