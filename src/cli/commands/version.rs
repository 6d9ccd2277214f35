//! `osier version`.

use clap::Args;

use super::super::context::Context;
use super::super::outcome::{Exit, Outcome};
use super::super::words::escape;
use crate::rpc::procedures::{Nothing, Status};

/// Print the versions of this program and of the daemon.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  osier version
  osier version -o json | jq -r .daemon")]
pub(crate) struct VersionArgs {}

/// Runs it. A daemon that does not answer is no error here.
pub(crate) async fn run(context: &mut Context, _: VersionArgs) -> Outcome {
    let client = env!("CARGO_PKG_VERSION");
    let daemon = context
        .ask::<Status>(&Nothing {})
        .await
        .ok()
        .map(|status| status.version);
    let answer = serde_json::json!({ "client": client, "daemon": daemon });
    context.screen.show(
        &answer,
        |_, _| {
            let daemon = daemon.as_deref().map_or("does not answer".into(), escape);
            format!("osier {client}\ndaemon {daemon}\n")
        },
        || vec![client.to_owned()],
    )?;
    if daemon.as_deref().is_some_and(|daemon| daemon != client) {
        context.screen.talk(
            "The daemon is another version: restart it to have it run this one; its apps go on running.",
        );
    }
    Ok(Exit::Yes)
}
