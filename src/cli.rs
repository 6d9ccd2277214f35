//! The command line: what people and scripts type.
//!
//! The way through the rooms: [`args`] says what may be typed -> `commands/` does it (asks the daemon that [`find`]
//! finds) -> `render/` draws the answer by the [`look`] of this terminal -> [`screen`] prints it in the format that was
//! asked for -> [`outcome`] turns it into the exit code.

mod args;
mod checks;
mod commands;
mod context;
mod find;
mod look;
mod outcome;
#[cfg(test)]
mod page;
mod reader;
mod render;
mod screen;
mod stream;
mod table;
mod words;
mod yaml;

use std::process::ExitCode;

use clap::FromArgMatches;

use args::{Cli, Command};
use context::Context;
use outcome::{Exit, Outcome, Trouble};

/// Runs the command line of this process and says how it ended.
#[must_use]
pub fn main() -> ExitCode {
    let mut cli = match parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(exit) => return exit.into(),
    };
    let mut context = Context::new(std::mem::take(&mut cli.globals));
    match run(&mut context, cli.command) {
        Ok(exit) => exit.into(),
        Err(trouble) => {
            say(&trouble.draw(&context.screen.talk_look));
            trouble.exit.into()
        }
    }
}

/// The parsed command line; help, version and mistakes are printed here.
fn parse(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Cli, Exit> {
    let parsed = args::command()
        .try_get_matches_from(arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    parsed.map_err(|error| {
        let _ = error.print();
        if error.exit_code() == 0 {
            Exit::Yes
        } else {
            Exit::Unable
        }
    })
}

fn run(context: &mut Context, command: Command) -> Outcome {
    if context.globals.node.is_some() || context.globals.all_nodes {
        let trouble = Trouble::not_yet("asking other nodes (-n, -A)");
        return Err(trouble.help("run it on the node itself, or name its socket with --socket"));
    }
    commands::run(context, command)
}

/// Writes to standard error; nobody can be told if that fails.
fn say(text: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stderr().lock(), text.as_bytes());
}
