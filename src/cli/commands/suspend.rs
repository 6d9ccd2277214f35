//! `osier suspend` and `osier resume`.

use std::time::Duration;

use clap::Args;

use super::super::args::{app_name, duration};
use super::super::context::Context;
use super::super::outcome::{Exit, Outcome};
use super::deploy::millis;
use crate::rpc::procedures::{Suspend, SuspendRequest};

/// How long the node may take to write it down.
const SUSPEND_TIMEOUT: Duration = Duration::from_secs(10);

/// Stop applying git to an app or to this node; supervision goes on.
///
/// What is suspended is named in `osier status` until it is resumed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  osier suspend web --for 2h --reason \"looking into the leak\"
  osier suspend                    # the whole node")]
pub(crate) struct SuspendArgs {
    /// The app; none: the whole node.
    #[arg(value_parser = app_name)]
    app: Option<String>,

    /// Resume by itself after so long.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    time: Option<Duration>,

    /// Why, for the audit trail.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Apply git again to an app or to this node.
///
/// Of an app it ends what was suspended or changed by hand. Of the node it ends the node's suspension alone, and names the
/// apps that are suspended or changed by themselves. Answers 1 when git is still not applied to APP: the whole node is
/// suspended, or its spec says `suspend: true`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  osier resume web
  osier resume                     # the whole node")]
pub(crate) struct ResumeArgs {
    /// The app; none: the whole node.
    #[arg(value_parser = app_name)]
    app: Option<String>,

    /// Why, for the audit trail.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Runs `suspend`.
pub(crate) async fn suspend(context: &mut Context, args: SuspendArgs) -> Outcome {
    let request = SuspendRequest {
        app: args.app,
        suspend: true,
        for_ms: millis(args.time),
        reason: args.reason,
    };
    ask(context, &request).await
}

/// Runs `resume`.
pub(crate) async fn resume(context: &mut Context, args: ResumeArgs) -> Outcome {
    let request = SuspendRequest {
        app: args.app,
        suspend: false,
        for_ms: None,
        reason: args.reason,
    };
    ask(context, &request).await
}

async fn ask(context: &mut Context, request: &SuspendRequest) -> Outcome {
    let mut client = context.connect().await?;
    let reply = client.call::<Suspend>(request, Some(SUSPEND_TIMEOUT)).await?;
    let word = if request.suspend { "suspended" } else { "resumed" };
    let what = request.app.as_deref().unwrap_or("the node");
    let answer = serde_json::json!({ "app": request.app, "suspended": request.suspend });
    context.screen.show(
        &answer,
        |_, _| format!("{word} {what}\n"),
        || vec![what.to_owned()],
    )?;
    let held = &reply.still_held;
    if let Some(first) = held.first() {
        let names: Vec<&str> = held.iter().map(AsRef::as_ref).collect();
        context.screen.warn(&format!(
            "git is still not applied to {}: each was suspended or changed by itself; `osier resume {first}` ends that",
            names.join(", ")
        ));
    }
    Ok(Exit::Yes)
}
