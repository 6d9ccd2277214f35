//! One file a command (or a few that belong together): its flags, its help and what it does.

pub(crate) mod apps;
pub(crate) mod deploy;
pub(crate) mod diff;
pub(crate) mod events;
pub(crate) mod logs;
pub(crate) mod operate;
pub(crate) mod reconcile;
pub(crate) mod reference;
pub(crate) mod show;
pub(crate) mod status;
pub(crate) mod suspend;
pub(crate) mod tree;
pub(crate) mod version;

use super::args::Command;
use super::context::Context;
use super::outcome::Outcome;

/// Carries out one command that asks a daemon, or nobody.
pub(crate) async fn run(context: &mut Context, command: Command) -> Outcome {
    match command {
        Command::Diff(args) => diff::run(context, &args).await,
        Command::Status(args) => status::run(context, &args).await,
        Command::Apps(args) => apps::run(context, args).await,
        Command::Show(args) => show::run(context, &args).await,
        Command::Why(args) => show::why(context, &args).await,
        Command::Logs(args) => logs::run(context, args).await,
        Command::Events(args) => events::run(context, args).await,
        Command::Tree(args) => tree::run(context, args).await,
        Command::Reconcile(args) => reconcile::run(context, args).await,
        Command::Deploy(args) => deploy::deploy(context, args).await,
        Command::Upgrade(args) => deploy::upgrade(context, args).await,
        Command::Remove(args) => deploy::remove(context, args).await,
        Command::Restart(args) => operate::restart(context, args).await,
        Command::Stop(args) => operate::stop(context, args).await,
        Command::Start(args) => operate::start(context, args).await,
        Command::Suspend(args) => suspend::suspend(context, args).await,
        Command::Resume(args) => suspend::resume(context, args).await,
        Command::Schema(args) => reference::schema(context, &args),
        Command::Completion(args) => reference::completion(context, &args),
        Command::Man(args) => reference::man(context, args),
        Command::Version(args) => version::run(context, args).await,
    }
}
