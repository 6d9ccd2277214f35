//! `osier schema`, `osier completion` and `osier man`: what is generated from the code.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use clap_complete::Shell;

use super::super::args;
use super::super::context::Context;
use super::super::outcome::{Exit, Outcome, Trouble};
use super::super::screen::document;
use crate::specs::schema::app_schema;

/// Print a JSON Schema, of app specs or of the configuration, for editors and checks.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  osier schema > app.schema.json
  # yaml-language-server: $schema=app.schema.json     (first line of an app.yaml)")]
pub(crate) struct SchemaArgs {
    /// Of what.
    #[arg(value_enum, default_value_t)]
    of: SchemaOf,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum SchemaOf {
    /// An app's spec.
    #[default]
    App,
    /// A node's configuration, `osier.toml`.
    Config,
}

/// Print completions for a shell.
///
/// A text and no data: formats of data (`-o json` and its like) are refused.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  osier completion bash > ~/.local/share/bash-completion/completions/osier
  osier completion zsh > ~/.zfunc/_osier
  osier completion fish > ~/.config/fish/completions/osier.fish")]
pub(crate) struct CompletionArgs {
    /// Which shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Print the man page, or write all of them into a folder.
///
/// A text and no data: formats of data (`-o json` and its like) are refused.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  osier man | man -l -
  osier man --dir ~/.local/share/man/man1")]
pub(crate) struct ManArgs {
    /// Only this command's page.
    #[arg(value_name = "COMMAND", conflicts_with = "dir")]
    command: Option<String>,

    /// Write the pages of all commands into this folder.
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// Runs `schema`.
pub(crate) fn schema(context: &mut Context, args: &SchemaArgs) -> Outcome {
    let schema = match args.of {
        SchemaOf::App => app_schema(),
        SchemaOf::Config => crate::config::reference::schema(),
    };
    context.screen.print(&document(&schema)?)?;
    Ok(Exit::Yes)
}

/// Runs `completion`.
pub(crate) fn completion(context: &mut Context, args: &CompletionArgs) -> Outcome {
    context.refuse_format()?;
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut args::command(), "osier", &mut script);
    context.screen.print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Yes)
}

/// Runs `man`.
pub(crate) fn man(context: &mut Context, args: ManArgs) -> Outcome {
    context.refuse_format()?;
    let mut command = args::command();
    command.build();
    let Some(folder) = args.dir else {
        let page = match &args.command {
            None => page(command)?,
            Some(name) => {
                let found = command.find_subcommand(name).filter(|sub| !sub.is_hide_set());
                page(
                    found
                        .cloned()
                        .ok_or_else(|| Trouble::new(format!("no command `{name}`")).help("osier --help"))?,
                )?
            }
        };
        context.screen.print(&page)?;
        return Ok(Exit::Yes);
    };
    let unwritable = |error: std::io::Error| {
        Trouble::new("cannot write the man pages")
            .place(folder.display().to_string())
            .cause(error)
    };
    std::fs::create_dir_all(&folder).map_err(unwritable)?;
    let pages = command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set())
        .cloned();
    for command in std::iter::once(command.clone()).chain(pages) {
        let name = command
            .get_display_name()
            .unwrap_or(command.get_name())
            .to_owned();
        let path = folder.join(format!("{name}.1"));
        std::fs::write(&path, page(command)?).map_err(unwritable)?;
    }
    Ok(Exit::Yes)
}

fn page(command: clap::Command) -> Result<String, Trouble> {
    let mut text = Vec::new();
    let name = command
        .get_display_name()
        .unwrap_or(command.get_name())
        .to_owned();
    let man = clap_mangen::Man::new(command.name(name));
    man.render(&mut text)
        .map_err(|error| Trouble::new("cannot draw the man page").cause(error))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
