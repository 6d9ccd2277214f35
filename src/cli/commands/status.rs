//! `osier status`.

use clap::Args;

use super::super::context::Context;
use super::super::outcome::{Exit, Outcome};
use super::super::render;
use crate::rpc::procedures::{Nothing, State, Status};
use crate::status::NodeState;

/// Show this node: is it in sync, and if not, why.
///
/// Answers 0 when the node is in sync, 1 when it is not, 2 when nobody answers.
#[derive(Debug, Args)]
#[command(
    visible_alias = "st",
    after_help = "\
Examples:
  osier status
  osier status -w                  # go on showing it
  osier status --oneline           # for status bars and login messages
  osier status -o json | jq .reason"
)]
pub(crate) struct StatusArgs {
    /// One line.
    #[arg(long)]
    oneline: bool,
}

/// Runs it.
pub(crate) async fn run(context: &mut Context, args: &StatusArgs) -> Outcome {
    context.repeat(async |context| once(context, args).await).await
}

async fn once(context: &mut Context, args: &StatusArgs) -> Outcome {
    let mut client = context.connect().await?;
    let status = context.ask_through::<Status>(&mut client, &Nothing {}).await?;
    let apps = if context.screen.is_for_people() && !args.oneline {
        context.ask_through::<State>(&mut client, &Nothing {}).await?
    } else {
        Default::default()
    };
    context.screen.show(
        &status,
        |look, is_wide| {
            if args.oneline {
                render::status::oneline(look, &status)
            } else {
                render::status::screen(look, &status, &apps, is_wide)
            }
        },
        || vec![status.node.clone()],
    )?;
    Ok(Exit::of(status.status == NodeState::Synced))
}
