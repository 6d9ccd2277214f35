//! `osier config`.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::super::context::Context;
use super::super::outcome::{Exit, Outcome, Trouble};
use super::super::table::{Cell, Table};
use super::super::words::escape;
use crate::config::{Config, ConfigError, Layers, Surroundings};
use crate::rpc::procedures::{CheckState, Config as ConfigCall, ConfigReply, ConfigValue, Nothing};
use crate::specs::import::import_sys_config;

/// The largest sys.config that is read; one beyond that is cut and told as a mistake.
const SYS_CONFIG_BYTES_MAX: u64 = 1 << 20;

/// Show the configuration and where each value came from; import one from bc_gitops.
#[derive(Debug, Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "\
Examples:
  osier config show --origin
  osier config show --config ./osier.toml"
)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    action: ConfigAction,
}

#[derive(Debug, Subcommand)]
enum ConfigAction {
    /// Print each setting with its value; credentials are redacted.
    ///
    /// The daemon is asked for what is in force. Where none answers, or with `--config`, it is what a daemon that is
    /// started here would read.
    Show {
        /// Also print where each value came from.
        #[arg(long)]
        origin: bool,
    },
    /// Print the `osier.toml` that means the same as the `bc_gitops` section of an Erlang `sys.config`.
    ///
    /// A text and no data: formats of data (`-o json` and its like) are refused.
    #[command(after_help = "\
Examples:
  osier config import sys.config > osier.toml")]
    Import {
        /// The file.
        #[arg(value_name = "SYS_CONFIG")]
        file: PathBuf,
    },
}

/// Runs it.
pub(crate) async fn run(context: &mut Context, args: &ConfigArgs) -> Outcome {
    match &args.action {
        ConfigAction::Show { origin } => show(context, *origin).await,
        ConfigAction::Import { file } => import(context, file),
    }
}

fn import(context: &mut Context, path: &Path) -> Outcome {
    context.refuse_format()?;
    let unreadable = |error: std::io::Error| {
        Trouble::new("cannot read the sys.config")
            .place(path.display().to_string())
            .cause(error)
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(SYS_CONFIG_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    let imported = match import_sys_config(&path.to_string_lossy(), &bytes) {
        Ok(imported) => imported,
        Err(mistake) => {
            let mut trouble = Trouble::new("the sys.config cannot be translated").exit(Exit::No);
            trouble.mistakes = Box::new([*mistake]);
            return Err(trouble);
        }
    };
    context
        .screen
        .print(&super::super::words::escape_lines(&imported.to_toml()))?;
    for note in &imported.notes {
        context.screen.warn(note);
    }
    let has_repository = imported
        .settings
        .iter()
        .any(|setting| setting.from.ends_with(".repo_url"));
    if !has_repository {
        context
            .screen
            .warn("it names no repository (`bc_gitops.repo_url`): no daemon starts by this");
    }
    Ok(Exit::of(has_repository))
}

async fn show(context: &mut Context, has_origin: bool) -> Outcome {
    let asked = match context.globals.config {
        Some(_) => None,
        None => context.ask::<ConfigCall>(&Nothing {}).await.ok(),
    };
    let values = match asked {
        Some(ConfigReply { values, now }) => {
            if let Some(now) = now.filter(|now| now.state != CheckState::Good) {
                let fix = now.fix.map_or_else(String::new, |fix| format!(" ({fix})"));
                context
                    .screen
                    .warn(&format!("the configuration {}{fix}", now.found));
            }
            values
        }
        None => {
            let values = read(context.globals.config.as_deref())?.values();
            context
                .screen
                .talk("As a daemon that is started here would read it; none was asked.");
            values
        }
    };
    let data: Vec<Shown<'_>> = values.iter().map(Shown::of).collect();
    context.screen.show_list(
        &data,
        &data,
        |look, is_wide| {
            let mut table = Table::new(if has_origin || is_wide {
                &["SETTING", "VALUE", "ORIGIN"]
            } else {
                &["SETTING", "VALUE"]
            });
            for value in &values {
                table.row(row(value, has_origin || is_wide));
            }
            table.draw(look)
        },
        || values.iter().map(|value| value.key.clone()).collect(),
    )?;
    Ok(Exit::Yes)
}

/// A setting as data.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    key: &'a str,
    /// Null where nothing is set.
    value: serde_json::Value,
    origin: &'a str,
}

impl<'a> Shown<'a> {
    fn of(value: &'a ConfigValue) -> Self {
        let parsed: Result<toml::Table, _> = format!("value = {}", value.value).parse();
        let parsed = parsed.ok().and_then(|mut table| table.remove("value"));
        Self {
            key: &value.key,
            value: parsed
                .and_then(|value| serde_json::to_value(value).ok())
                .unwrap_or_default(),
            origin: &value.origin,
        }
    }
}

fn row(value: &ConfigValue, has_origin: bool) -> Vec<Cell> {
    let mut cells = vec![Cell::new(escape(&value.key)), Cell::new(escape(&value.value))];
    if has_origin {
        cells.push(Cell::new(escape(&value.origin)));
    }
    cells
}

/// The configuration that `--config` names, or else the usual search finds.
pub(crate) fn read(named: Option<&Path>) -> Result<Config, ConfigError> {
    Layers::load(Surroundings::of_this_process(), named, Vec::new())?.read()
}
