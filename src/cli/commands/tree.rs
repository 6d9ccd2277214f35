//! `osier tree`.

use clap::{Args, Subcommand};

use super::super::context::Context;
use super::super::outcome::{Exit, Outcome};
use super::super::render;
use crate::rpc::procedures::{Nothing, Tree};

/// Show the live supervision tree: states, restarts, mailboxes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  osier tree
  osier tree -w                    # go on showing it: kill something and look")]
pub(crate) struct TreeArgs {
    #[command(subcommand)]
    action: Option<TreeAction>,
}

#[derive(Debug, Subcommand)]
enum TreeAction {
    /// Kill one actor of the daemon, to see it come back (debug builds).
    #[cfg(debug_assertions)]
    #[command(hide = true)]
    Kill {
        /// Its path from the root, as in `core/apps/web`.
        path: String,
    },
}

/// Runs it.
pub(crate) async fn run(context: &mut Context, args: TreeArgs) -> Outcome {
    match args.action {
        #[cfg(debug_assertions)]
        Some(TreeAction::Kill { path }) => {
            use crate::rpc::procedures::{TreeKill, TreeKillRequest};
            context.ask::<TreeKill>(&TreeKillRequest { path }).await?;
            Ok(Exit::Yes)
        }
        #[cfg(not(debug_assertions))]
        Some(action) => match action {},
        None => context.repeat(once).await,
    }
}

async fn once(context: &mut Context) -> Outcome {
    let root = context.ask::<Tree>(&Nothing {}).await?;
    context.screen.show(
        &root,
        |look, _| render::tree::draw(look, &root),
        || vec![root.name.clone()],
    )?;
    Ok(Exit::Yes)
}
