//! One file a command (or a few that belong together): its flags, its help and what it does.

pub(crate) mod apps;
pub(crate) mod configuration;
pub(crate) mod daemon;
pub(crate) mod demo;
pub(crate) mod deploy;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod history;
pub(crate) mod init;
pub(crate) mod logs;
pub(crate) mod operate;
pub(crate) mod reconcile;
pub(crate) mod reference;
pub(crate) mod show;
pub(crate) mod status;
pub(crate) mod suspend;
pub(crate) mod toy;
pub(crate) mod tree;
pub(crate) mod validate;
pub(crate) mod version;

use super::args::Command;
use super::context::Context;
use super::outcome::{Exit, Outcome, Trouble};

/// Carries out one command.
pub(crate) fn run(context: &mut Context, command: Command) -> Outcome {
    match command {
        Command::Demo(args) => demo::run(context, &args),
        Command::Init(args) => init::run(context, &args),
        Command::Validate(args) => validate::run(context, &args),
        Command::Diff(args) => ask(context, diff::run, &args),
        Command::Status(args) => ask(context, status::run, &args),
        Command::Apps(args) => ask(context, apps::run, args),
        Command::Show(args) => ask(context, show::run, &args),
        Command::Why(args) => ask(context, show::why, &args),
        Command::Logs(args) => ask(context, logs::run, args),
        Command::Events(args) => ask(context, events::run, args),
        Command::History(args) => ask(context, history::run, args),
        Command::Tree(args) => ask(context, tree::run, args),
        Command::Reconcile(args) => ask(context, reconcile::run, args),
        Command::Deploy(args) => ask(context, deploy::deploy, args),
        Command::Upgrade(args) => ask(context, deploy::upgrade, args),
        Command::Remove(args) => ask(context, deploy::remove, args),
        Command::Restart(args) => ask(context, operate::restart, args),
        Command::Stop(args) => ask(context, operate::stop, args),
        Command::Start(args) => ask(context, operate::start, args),
        Command::Rollback(args) => ask(context, deploy::rollback, args),
        Command::Suspend(args) => ask(context, suspend::suspend, args),
        Command::Resume(args) => ask(context, suspend::resume, args),
        Command::Daemon(args) => daemon::run(context, args),
        Command::Doctor(args) => ask(context, doctor::run, args),
        Command::Config(args) => ask(context, configuration::run, &args),
        Command::Schema(args) => reference::schema(context, &args),
        Command::Completion(args) => reference::completion(context, &args),
        Command::Man(args) => reference::man(context, args),
        Command::Toy(args) => toy::run(args),
        Command::Version(args) => ask(context, version::run, args),
    }
}

/// Runs a command that asks a daemon, on this thread: a runtime of many would cost more than most questions. Ctrl-C
/// ends the waiting, not what was started.
fn ask<A>(context: &mut Context, command: impl AsyncFnOnce(&mut Context, A) -> Outcome, args: A) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Trouble::new("cannot begin").cause(error))?;
    let interruption = context.interruption();
    runtime.block_on(async {
        tokio::select! {
            outcome = command(context, args) => outcome,
            _ = tokio::signal::ctrl_c() => {
                if let Some(advice) = interruption.advice() {
                    super::say(&format!("interrupted: {advice}\n"));
                }
                Ok(Exit::Interrupted)
            }
        }
    })
}
