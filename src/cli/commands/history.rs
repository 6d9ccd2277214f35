//! `osier history`.

use clap::Args;

use super::super::args::app_name;
use super::super::context::Context;
use super::super::outcome::{Exit, Outcome};
use super::super::render;
use crate::rpc::procedures::{History, HistoryRequest};

/// Show what was deployed when, who asked for it, and how it went; newest first.
///
/// Kept are the last 50 of each app, also of one that is gone.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  osier history
  osier history web
  osier history web -o json | jq -r '.[] | select(.result == \"error\") | .error'")]
pub(crate) struct HistoryArgs {
    /// The app; none: all.
    #[arg(value_parser = app_name)]
    app: Option<String>,
}

/// Runs it.
pub(crate) async fn run(context: &mut Context, args: HistoryArgs) -> Outcome {
    let request = HistoryRequest { app: args.app };
    context
        .repeat(async |context| once(context, &request).await)
        .await
}

async fn once(context: &mut Context, request: &HistoryRequest) -> Outcome {
    let entries = context.ask::<History>(request).await?;
    context.screen.show_list(
        &entries,
        &entries,
        |look, is_wide| render::history::table(look, &entries, is_wide),
        || entries.iter().map(|entry| entry.app.to_string()).collect(),
    )?;
    if entries.is_empty() && context.screen.is_for_people() {
        context.screen.talk("Nothing has been deployed yet.");
    }
    Ok(Exit::Yes)
}
