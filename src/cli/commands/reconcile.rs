//! `osier reconcile`.

use std::time::Duration;

use clap::Args;

use super::super::args::{app_name, commit_digits, duration};
use super::super::context::Context;
use super::super::look::{Glyph, Look, Tone};
use super::super::outcome::{Exit, Outcome, Trouble};
use super::super::words::{count, escape};
use crate::control::client::ClientError;
use crate::names::AppName;
use crate::rpc::RpcErrorCode;
use crate::rpc::procedures::{ActionReply, Reconcile, ReconcileReply, ReconcileRequest};

/// Fetch and reconcile now, not at the next interval.
///
/// Answers 0 when the node (or APP) is in sync after it, 1 when it is not, 124 when `--timeout` ran out.
/// Ctrl-C stops the waiting only; what was started goes on.
#[derive(Debug, Args)]
#[command(visible_aliases = ["rec", "sync"], after_help = "\
Examples:
  osier reconcile --wait --timeout 60s
  osier reconcile web --wait
  osier reconcile --prune          # let the held-back removals of this commit happen
  osier reconcile --accept 41b09de --reason \"history was cleaned\"")]
pub(crate) struct ReconcileArgs {
    /// Wait for and report this app alone.
    #[arg(value_parser = app_name)]
    app: Option<String>,

    /// Wait until every action is carried out, not only begun.
    #[arg(long)]
    wait: bool,

    /// Wait no longer than this.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,

    /// Let the removals of this very commit happen though they are many.
    #[arg(long)]
    prune: bool,

    /// Accept this revision though history was rewritten: a commit id or at least seven digits of one.
    #[arg(long, value_name = "REV", value_parser = commit_digits)]
    accept: Option<String>,

    /// Why, for the audit trail.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Runs it.
pub(crate) async fn run(context: &mut Context, args: ReconcileArgs) -> Outcome {
    let app = args
        .app
        .map(|name| name.parse())
        .transpose()
        .map_err(|error| Trouble::new(format!("{error}")))?;
    let request = ReconcileRequest {
        app,
        wait: args.wait,
        prune: args.prune,
        accept: args.accept,
        reason: args.reason,
    };
    let mut client = context.connect().await?;
    context.on_interrupt("the reconcile goes on; follow it with `osier events -f` or `osier status -w`");
    let answer = client.call::<Reconcile>(&request, args.timeout);
    let app = request.app.as_ref().map(AppName::as_str);
    let reply = context.telling(app, answer).await.map_err(refused)?;
    let mut names = reply
        .actions
        .iter()
        .map(|action| action.app.to_string())
        .collect::<Vec<_>>();
    names.dedup();
    context
        .screen
        .show(&reply, |look, _| draw(look, &reply), || names)?;
    Ok(Exit::of(
        reply.result == "synced" && reply.actions.iter().all(|action| action.result != "error"),
    ))
}

fn refused(error: ClientError) -> Trouble {
    let timed_out = matches!(&error, ClientError::TimedOut { .. })
        || matches!(&error, ClientError::Refused(refusal) if refusal.code == RpcErrorCode::TimedOut);
    if timed_out {
        return Trouble::new("--timeout ran out before the reconcile ended")
            .cause(error)
            .help("it goes on: follow it with `osier events -f` or `osier status -w`")
            .exit(Exit::TimedOut);
    }
    error.into()
}

fn draw(look: &Look, reply: &ReconcileReply) -> String {
    let mut text: String = reply
        .actions
        .iter()
        .map(|action| draw_action(look, action))
        .collect();
    let commit = reply
        .commit
        .as_ref()
        .map_or_else(String::new, |commit| format!(" at {}", commit.short()));
    let mark = match reply.result.as_str() {
        "synced" => (Glyph::Good, Tone::Good),
        "pending" => (Glyph::Busy, Tone::Busy),
        _ => (Glyph::Bad, Tone::Bad),
    };
    text.push_str(&look.state(mark, &escape(&reply.result)));
    text.push_str(&format!("{commit}, {}", count(reply.actions.len(), "action")));
    if let Some(reason) = &reply.reason {
        text.push_str(&format!(": {}", escape(reason)));
    }
    text + "\n"
}

/// One action and how it went.
pub(crate) fn draw_action(look: &Look, reply: &ActionReply) -> String {
    let mark = match reply.result.as_str() {
        "ok" => (Glyph::Good, Tone::Good),
        "pending" => (Glyph::Busy, Tone::Busy),
        _ => (Glyph::Bad, Tone::Bad),
    };
    let mut text = format!(
        "{} {}",
        look.paint(mark.1, look.glyph(mark.0)),
        action_words(reply)
    );
    if let Some(error) = &reply.error {
        text.push_str(&format!(": {}", escape(error)));
    }
    if let Some(note) = &reply.note {
        text.push_str(&format!(" ({})", escape(note)));
    }
    text + "\n"
}

fn action_words(reply: &ActionReply) -> String {
    let pending = if reply.result == "pending" {
        " (under way)"
    } else {
        ""
    };
    format!("{} {}{pending}", escape(&reply.action), reply.app)
}
