//! `osier apps`.

use clap::Args;

use super::super::context::Context;
use super::super::outcome::{Exit, Outcome};
use super::super::render;
use crate::rpc::procedures::{Nothing, State};

/// List the apps of this node, worst first.
///
/// Answers 0 whatever their state; ask `osier status` whether all is well.
#[derive(Debug, Args)]
#[command(
    visible_alias = "ls",
    after_help = "\
Examples:
  osier apps
  osier apps -o wide
  osier apps -o json | jq '.web.os_pid'
  for app in $(osier apps -o name); do osier why $app; done"
)]
pub(crate) struct AppsArgs {}

/// Runs it.
pub(crate) async fn run(context: &mut Context, _: AppsArgs) -> Outcome {
    context.repeat(once).await
}

async fn once(context: &mut Context) -> Outcome {
    let apps = context.ask::<State>(&Nothing {}).await?;
    let sorted = render::states::worst_first(apps.values());
    context.screen.show_list(
        &apps,
        &sorted,
        |look, is_wide| render::apps::table(look, &sorted, is_wide),
        || sorted.iter().map(|app| app.name.to_string()).collect(),
    )?;
    if sorted.is_empty() && context.screen.is_for_people() {
        context
            .screen
            .talk("No apps yet. `osier init` writes a first one; `osier status` says what was read.");
    }
    Ok(Exit::Yes)
}
