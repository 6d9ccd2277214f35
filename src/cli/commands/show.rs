//! `osier show` and `osier why`.

use clap::Args;

use super::super::args::app_name;
use super::super::context::Context;
use super::super::outcome::{Exit, Outcome, Trouble};
use super::super::render;
use super::super::words::escape;
use crate::rpc::procedures::{AppRequest, Nothing, ShowApp, State, Status, Why};

/// Show all about one app or about this node.
///
/// Of an app: its states, what git asks for beside what runs, what it uses, its last ends, last words and last
/// events, and why it is as it is.
#[derive(Debug, Args)]
#[command(
    visible_alias = "describe",
    after_help = "\
Examples:
  osier show web
  osier show app/web -w
  osier show node/lab-a
  osier show web -o json | jq .state.os_pid"
)]
pub(crate) struct ShowArgs {
    /// An app (`web`, `app/web`) or this node (`node/NAME`).
    #[arg(value_name = "NAME")]
    name: String,
}

/// Say in one paragraph why an app is as it is.
///
/// Where it comes from (file, line, commit, author), why it is in this state, what happens next and when.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  osier why web")]
pub(crate) struct WhyArgs {
    /// The app.
    #[arg(value_parser = app_name)]
    app: String,
}

/// Runs `show`.
pub(crate) async fn run(context: &mut Context, args: &ShowArgs) -> Outcome {
    context
        .repeat(async |context| show(context, &args.name).await)
        .await
}

async fn show(context: &mut Context, name: &str) -> Outcome {
    if let Some(node) = name.strip_prefix("node/") {
        return show_node(context, node).await;
    }
    let app = app_name(name).map_err(Trouble::new)?;
    match show_app(context, &app).await {
        Err(trouble) if name == app => match context.ask::<Status>(&Nothing {}).await {
            Ok(status) if status.node == name => show_node(context, name).await,
            _ => Err(trouble),
        },
        outcome => outcome,
    }
}

async fn show_app(context: &mut Context, app: &str) -> Outcome {
    let details = context
        .ask::<ShowApp>(&AppRequest { app: app.to_owned() })
        .await?;
    context.screen.show(
        &details,
        |look, _| render::show::app(look, &details),
        || vec![app.to_owned()],
    )?;
    Ok(Exit::Yes)
}

async fn show_node(context: &mut Context, node: &str) -> Outcome {
    let mut client = context.connect().await?;
    let status = context.ask_through::<Status>(&mut client, &Nothing {}).await?;
    if status.node != node {
        let trouble = Trouble::not_yet(&format!(
            "asking `{node}`: this node is `{}` and knows no others",
            status.node
        ));
        return Err(trouble.help(format!("osier show node/{}", status.node)));
    }
    let apps = context.ask_through::<State>(&mut client, &Nothing {}).await?;
    context.screen.show(
        &status,
        |look, _| render::status::screen(look, &status, &apps, true),
        || vec![status.node.clone()],
    )?;
    Ok(Exit::Yes)
}

/// Runs `why`.
pub(crate) async fn why(context: &mut Context, args: &WhyArgs) -> Outcome {
    context
        .repeat(async |context| {
            let request = AppRequest {
                app: args.app.clone(),
            };
            let reply = context.ask::<Why>(&request).await?;
            let text = format!("{}\n", super::super::words::escape_lines(&reply.text));
            context
                .screen
                .show(&reply, |_, _| text, || vec![escape(&args.app).into_owned()])?;
            Ok(Exit::Yes)
        })
        .await
}
