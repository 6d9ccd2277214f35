//! `osier events`.

use clap::Args;

use super::super::args::{app_name, since};
use super::super::context::Context;
use super::super::outcome::{Exit, Outcome};
use super::super::render;
use super::super::screen::{Format, line};
use crate::rpc::procedures::{Events, EventsRequest};

/// Print what happened, oldest first.
///
/// Events are kept for 30 days or up to 100,000 of them. Each has an id; `--after ID` goes on where a reader left off.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  osier events --since 1h
  osier events -f --app web
  osier events -o jsonl -f | jq -c '[.event[1:], .metadata.app]'")]
pub(crate) struct EventsArgs {
    /// Go on with new ones until Ctrl-C.
    #[arg(short, long)]
    follow: bool,

    /// Only those about this app.
    #[arg(long, value_parser = app_name)]
    app: Option<String>,

    /// Only those since then: how long ago (`10m`), or a time as in 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "WHEN", value_parser = since)]
    since: Option<i64>,

    /// Only those after the event with this id.
    #[arg(long, value_name = "ID")]
    after: Option<String>,
}

/// Runs it.
pub(crate) async fn run(context: &mut Context, args: EventsArgs) -> Outcome {
    let request = EventsRequest {
        after: args.after,
        since_ms: args.since,
        app: args.app,
        follow: args.follow || context.globals.watch,
    };
    let mut events = context.connect().await?.stream::<Events>(&request).await?;
    let mut collected = Vec::new();
    while let Some(event) = events.next().await? {
        match context.screen.format {
            Format::Table | Format::Wide => {
                let text = render::events::line(&context.screen.look, &event);
                context.screen.print(&text)?;
            }
            Format::Name => context
                .screen
                .print(&format!("{}\n", super::super::words::escape(&event.id)))?,
            Format::Json | Format::Yaml if !request.follow => collected.push(event),
            Format::Jsonl | Format::Json | Format::Yaml => context.screen.print(&line(&event)?)?,
        }
        if context.screen.is_broken() {
            return Ok(Exit::Yes);
        }
    }
    if !request.follow && matches!(context.screen.format, Format::Json | Format::Yaml) {
        context.screen.show(&collected, |_, _| String::new(), Vec::new)?;
    }
    Ok(Exit::Yes)
}
