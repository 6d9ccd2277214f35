//! `osier logs`.

use clap::Args;

use super::super::args::{app_name, since};
use super::super::context::Context;
use super::super::outcome::Outcome;
use super::super::render;
use super::super::stream::{self, Telling};
use crate::rpc::procedures::{Logs, LogsRequest};

/// Print an app's output.
///
/// What an app writes to standard output and standard error is kept, line by line, beyond its end. Control characters
/// and invalid bytes are shown escaped.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  osier logs web --tail 20
  osier logs web -f --since 10m
  osier logs web -p                # what the previous instance said last
  osier logs web -o jsonl | jq -r .text")]
pub(crate) struct LogsArgs {
    /// The app.
    #[arg(value_parser = app_name)]
    app: String,

    /// Go on with new lines until Ctrl-C.
    #[arg(short, long)]
    follow: bool,

    /// Only the last N lines.
    #[arg(long, value_name = "N")]
    tail: Option<usize>,

    /// Only lines since then: how long ago (`10m`), or a time as in 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "WHEN", value_parser = since)]
    since: Option<i64>,

    /// The output of the instance before this one.
    #[arg(short, long)]
    previous: bool,

    /// Without the time before each line.
    #[arg(long)]
    bare: bool,
}

/// Runs it.
pub(crate) async fn run(context: &mut Context, args: LogsArgs) -> Outcome {
    let request = LogsRequest {
        app: args.app,
        tail: args.tail,
        since_ms: args.since,
        previous: args.previous,
        follow: args.follow || context.globals.watch,
    };
    let has_time = !args.bare;
    let nothing = format!("{} has written nothing that is kept.", request.app);
    let telling = Telling {
        follows: request.follow,
        text: &|look, line| render::events::log_line(look, line, has_time),
        name: &|look, line| render::events::log_line(look, line, false),
        nothing: &nothing,
    };
    stream::print::<Logs>(context, &request, telling).await
}
