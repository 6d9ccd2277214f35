//! `osier events`.

use clap::Args;

use super::super::args::{app_name, since};
use super::super::context::Context;
use super::super::outcome::Outcome;
use super::super::render;
use super::super::stream::{self, Telling};
use super::super::words::escape;
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
    let telling = Telling {
        follows: request.follow,
        text: &render::events::line,
        name: &|_, event| format!("{}\n", escape(&event.id)),
        nothing: "Nothing of that kind has happened.",
    };
    stream::print::<Events>(context, &request, telling).await
}
