//! `osier daemon`.

use std::sync::Arc;

use clap::Args;

use super::super::context::Context;
use super::super::outcome::{Exit, Outcome, Trouble};
use super::configuration;
use crate::actors::telemetry_router::logging::{self, LogControl};
use crate::config::Config;
use crate::node::daemon::{DaemonOptions, run as run_node};

/// Run the node, in the foreground.
///
/// SIGTERM or Ctrl-C: the daemon leaves, its apps stay and are found again by the next one; twice: at once.
/// SIGHUP: it reads its configuration anew; no app is restarted for that.
/// `osier stop --all` stops the apps. The log goes to standard error.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  osier daemon
  osier daemon --config ./osier.toml
  OSIER_REPO__URL=https://example.com/specs.git osier daemon")]
pub(crate) struct DaemonArgs {}

/// Runs it until it is told to leave.
pub(crate) fn run(context: &mut Context, _: DaemonArgs) -> Outcome {
    let config = configuration::read(context.globals.config.as_deref())?;
    let log = log_to_stderr(&config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Trouble::new("cannot begin").cause(error))?;
    let place = config.node.data_dir.as_path().display().to_string();
    let named = context.globals.config.clone();
    let options = DaemonOptions {
        config,
        ends_with_node: false,
        read: Arc::new(move || configuration::read(named.as_deref()).map_err(|error| error.to_string())),
        taken: Box::new(move |config| log.set(&config.telemetry.log).map_err(|error| error.to_string())),
    };
    let ended = runtime.block_on(run_node(options));
    // What hangs in a blocking call must not keep a daemon that was told to leave.
    runtime.shutdown_background();
    match ended {
        Ok(code) if code == std::process::ExitCode::SUCCESS => Ok(Exit::Yes),
        Ok(_) => Ok(Exit::No),
        Err(error) => Err(Trouble::new("the node does not start").place(place).cause(error)),
    }
}

/// Log lines as `[telemetry]` says. A host that embeds a node has its own subscriber; only the program sets one.
pub(crate) fn log_to_stderr(config: &Config) -> Result<LogControl, Trouble> {
    let log = logging::install(&config.telemetry.log, config.telemetry.log_format);
    log.map_err(|error| Trouble::new("cannot log").cause(error))
}
