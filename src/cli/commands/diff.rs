//! `osier diff`.

use clap::Args;

use super::super::context::Context;
use super::super::outcome::{Exit, Outcome};
use super::super::render;
use crate::plan::Diff;
use crate::rpc::procedures::{DiffNow, DiffRequest};

/// Show what a reconcile would do, and each field that differs.
///
/// Answers 0 when there is nothing to do, 1 when there is, 2 when it could not tell.
#[derive(Debug, Args)]
#[command(
    visible_alias = "plan",
    after_help = "\
Examples:
  osier diff
  osier diff --rev 41b09de         a commit that the node has fetched"
)]
pub(crate) struct DiffArgs {
    /// A revision that the node has; default: what its branch points to.
    #[arg(long, value_name = "REV")]
    rev: Option<String>,
}

/// Runs it.
pub(crate) async fn run(context: &mut Context, args: &DiffArgs) -> Outcome {
    context
        .repeat(async |context| {
            let request = DiffRequest {
                rev: args.rev.clone(),
            };
            let diff = context.ask::<DiffNow>(&request).await?;
            print(context, &diff)
        })
        .await
}

fn print(context: &mut Context, diff: &Diff) -> Outcome {
    context.screen.show_list(
        diff,
        &diff.actions,
        |look, _| render::diff::draw(look, diff),
        || diff.actions.iter().map(|action| action.app.to_string()).collect(),
    )?;
    Ok(Exit::of(diff.actions.is_empty() && diff.invalid.is_empty()))
}
