//! `osier deploy`, `osier upgrade` and `osier remove`: by hand, beside git.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::super::args::{app_name, duration, sha256};
use super::super::context::Context;
use super::super::outcome::{Exit, Outcome, Trouble};
use super::reconcile::draw_action;
use crate::names::Version;
use crate::rpc::Procedure;
use crate::rpc::procedures::{
    ActionReply, Deploy, DeployRequest, Remove, RemoveRequest, Rollback, RollbackRequest, Upgrade,
    UpgradeRequest,
};
use crate::specs::NodeFacts;
use crate::specs::app_file::read_app;

/// The largest spec file (SPEC_FORMAT "Limits").
const SPEC_BYTES_MAX: u64 = 1 << 20;

/// How long an action by hand may take before the client stops waiting: a stop's grace and a start.
const ACTION_TIMEOUT: Duration = Duration::from_secs(120);

/// Deploy a spec file by hand, beside git.
///
/// The app is shown as `manual`. The next reconcile undoes it, unless it is held with `--for`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  osier deploy app.yaml
  osier deploy app.yaml --for 2h   # not undone by git for two hours")]
pub(crate) struct DeployArgs {
    /// A spec in any format; its ending says which (`.yaml`, `.toml`, `.json`, `.config`).
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Hold it against git so long; without, the next reconcile undoes it.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    hold: Option<Duration>,
}

/// Give an app another version by hand, beside git.
///
/// The next reconcile goes back to what git asks for, unless it is held with `--for`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  osier upgrade web 1.4.3 --for 1h")]
pub(crate) struct UpgradeArgs {
    /// The app.
    #[arg(value_parser = app_name)]
    app: String,

    /// The version.
    #[arg(value_name = "VERSION", value_parser = str::parse::<Version>)]
    version: Version,

    /// The new artefact's digest, where its source has one.
    #[arg(long, value_name = "DIGEST", value_parser = sha256)]
    sha256: Option<String>,

    /// Hold it against git so long; without, the next reconcile undoes it.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    hold: Option<Duration>,
}

/// Remove an app by hand, beside git.
///
/// The next reconcile deploys it again if git still asks for it, unless it is held with `--for`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  osier remove web --for 30m")]
pub(crate) struct RemoveArgs {
    /// The app.
    #[arg(value_parser = app_name)]
    app: String,

    /// Hold it against git so long; without, the next reconcile undoes it.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    hold: Option<Duration>,
}

/// Bring a version back that was good before, until a commit touches the app.
///
/// Without `--to` it is the last one that was healthy before the one that runs. Git still asks for what it asks for:
/// `osier show` says what, and `osier resume APP` goes back to that.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  osier rollback web
  osier rollback web --to 1.4.1")]
pub(crate) struct RollbackArgs {
    /// The app.
    #[arg(value_parser = app_name)]
    app: String,

    /// To this version; it must have been healthy here.
    #[arg(long, value_name = "VERSION", value_parser = str::parse::<Version>)]
    to: Option<Version>,

    /// Why, for the audit trail.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Runs `deploy`.
pub(crate) async fn deploy(context: &mut Context, args: DeployArgs) -> Outcome {
    let request = DeployRequest {
        file: shown_name(&args.file),
        text: read_spec(&args.file)?,
        hold_ms: millis(args.hold),
    };
    act::<Deploy>(context, None, &request).await
}

/// The file's name; of one that is called as specs are in a repository with its folder, which names the app there.
fn shown_name(file: &Path) -> String {
    let name = |path: Option<&Path>| {
        let name = path.and_then(Path::file_name).unwrap_or_default();
        name.to_string_lossy().into_owned()
    };
    let own = name(Some(file));
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    match own.split('.').next() {
        Some("app" | "config") => format!("{}/{own}", name(absolute.parent())),
        _ => own,
    }
}

/// Runs `upgrade`.
pub(crate) async fn upgrade(context: &mut Context, args: UpgradeArgs) -> Outcome {
    let request = UpgradeRequest {
        app: args.app.clone(),
        version: args.version,
        sha256: args.sha256,
        hold_ms: millis(args.hold),
    };
    act::<Upgrade>(context, Some(&args.app), &request).await
}

/// Runs `remove`.
pub(crate) async fn remove(context: &mut Context, args: RemoveArgs) -> Outcome {
    let request = RemoveRequest {
        app: args.app.clone(),
        hold_ms: millis(args.hold),
    };
    act::<Remove>(context, Some(&args.app), &request).await
}

/// Runs `rollback`.
pub(crate) async fn rollback(context: &mut Context, args: RollbackArgs) -> Outcome {
    let request = RollbackRequest {
        app: args.app.clone(),
        to: args.to,
        reason: args.reason,
    };
    act::<Rollback>(context, Some(&args.app), &request).await
}

async fn act<P: Procedure<Reply = ActionReply>>(
    context: &mut Context,
    app: Option<&str>,
    request: &P::Request,
) -> Outcome {
    let mut client = context.connect().await?;
    context.on_interrupt("what was begun goes on; follow it with `osier events -f`");
    let answer = client.call::<P>(request, Some(ACTION_TIMEOUT));
    let reply = context.telling(app, answer).await?;
    context.screen.show(
        &reply,
        |look, _| draw_action(look, &reply),
        || vec![reply.app.to_string()],
    )?;
    Ok(Exit::of(reply.result != "error"))
}

fn read_spec(path: &Path) -> Result<String, Trouble> {
    let unreadable = |error: std::io::Error| {
        Trouble::new("cannot read the spec")
            .place(path.display().to_string())
            .cause(error)
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(SPEC_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > SPEC_BYTES_MAX {
        return Err(Trouble::new("the spec is too large")
            .place(path.display().to_string())
            .cause("a spec file has at most 1 MiB"));
    }
    String::from_utf8(bytes).map_err(|error| {
        // Text is what travels, so this mistake is found here, by the same reader.
        let name = path.display().to_string();
        let mut trouble = Trouble::new(format!("{name} has a mistake")).exit(Exit::No);
        trouble.mistakes = read_app(&name, error.as_bytes(), "app", &NodeFacts::of_nobody())
            .errors
            .into();
        trouble
    })
}

/// As the wire wants it.
pub(crate) fn millis(time: Option<Duration>) -> Option<u64> {
    time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
