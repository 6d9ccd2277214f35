//! `osier apps`.

use clap::Args;

use super::super::context::Context;
use super::super::look::Look;
use super::super::outcome::{Exit, Outcome};
use super::super::render;
use crate::rpc::procedures::{Nothing, State, Status};

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
    let mut client = context.connect().await?;
    let apps = context.ask_through::<State>(&mut client, &Nothing {}).await?;
    let sorted = render::states::worst_first(apps.values());
    let names = || sorted.iter().map(|app| app.name.to_string()).collect();
    if context.globals.watch {
        // One state a line: whoever reads it sees as well what is no longer there.
        let draw = |look: &Look, is_wide| render::apps::table(look, &sorted, is_wide);
        context.screen.show(&apps, draw, names)?;
        return Ok(Exit::Yes);
    }
    let draw = |look: &Look, is_wide| render::apps::table(look, &sorted, is_wide);
    context.screen.show_list(&apps, &sorted, draw, names)?;
    if !context.screen.is_for_people() {
        return Ok(Exit::Yes);
    }
    let status = context.ask_through::<Status>(&mut client, &Nothing {}).await?;
    if let Some(unfollowed) = &status.unfollowed {
        context.screen.warn(&(unfollowed.sentence() + "."));
    }
    if sorted.is_empty() {
        context
            .screen
            .talk("No apps yet. `osier init` writes a first one; `osier status` says what was read.");
    }
    Ok(Exit::Yes)
}
