//! `osier restart`, `osier stop` and `osier start`.

use std::time::Duration;

use clap::{ArgGroup, Args};

use super::super::args::app_name;
use super::super::context::Context;
use super::super::outcome::{Exit, Outcome};
use super::reconcile::draw_action;
use crate::rpc::procedures::{Operate, OperateRequest, Operation};

/// How long to wait for all apps to stop: the longest usual grace, several times.
const OPERATE_TIMEOUT: Duration = Duration::from_secs(300);

/// Restart an app. It does not count as a crash.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  osier restart web")]
pub(crate) struct RestartArgs {
    /// The app.
    #[arg(value_parser = app_name)]
    app: String,
}

/// Stop an app, or all of them, until `start` or a commit that touches the app.
///
/// A stop holds across restarts of the daemon and of the machine. `stop --all` is what to do before a node is taken
/// apart: a stopped daemon leaves its apps running.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  osier stop web
  osier stop --all", group = ArgGroup::new("which").required(true).args(["app", "all"]))]
pub(crate) struct StopArgs {
    /// The app.
    #[arg(value_parser = app_name)]
    app: Option<String>,

    /// All apps of this node.
    #[arg(long)]
    all: bool,
}

/// Start an app that was stopped or gave up.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  osier start web
  osier start --all", group = ArgGroup::new("which").required(true).args(["app", "all"]))]
pub(crate) struct StartArgs {
    /// The app.
    #[arg(value_parser = app_name)]
    app: Option<String>,

    /// All apps of this node.
    #[arg(long)]
    all: bool,
}

/// Runs `restart`.
pub(crate) async fn restart(context: &mut Context, args: RestartArgs) -> Outcome {
    operate(context, Operation::Restart, Some(args.app)).await
}

/// Runs `stop`.
pub(crate) async fn stop(context: &mut Context, args: StopArgs) -> Outcome {
    operate(context, Operation::Stop, args.app).await
}

/// Runs `start`.
pub(crate) async fn start(context: &mut Context, args: StartArgs) -> Outcome {
    operate(context, Operation::Start, args.app).await
}

async fn operate(context: &mut Context, operation: Operation, app: Option<String>) -> Outcome {
    let request = OperateRequest { operation, app };
    let mut client = context.connect().await?;
    context.on_interrupt("what was begun goes on; follow it with `osier events -f`");
    let answer = client.call::<Operate>(&request, Some(OPERATE_TIMEOUT));
    let replies = context.telling(request.app.as_deref(), answer).await?;
    context.screen.show_list(
        &replies,
        &replies,
        |look, _| replies.iter().map(|reply| draw_action(look, reply)).collect(),
        || replies.iter().map(|reply| reply.app.to_string()).collect(),
    )?;
    Ok(Exit::of(replies.iter().all(|reply| reply.result != "error")))
}
