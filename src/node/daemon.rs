//! The daemon: a node from a configuration, its control socket, and the signals that end it.

use std::process::ExitCode;
use std::time::Duration;

use tracing::{error, info, warn};

use super::builder::NodeBuilder;
use super::configuration::{Configuration, ReadConfig};
use super::signals::{Asked, Signals};
use super::{NodeError, NodeHandle, assembly};
use crate::config::{Config, not_supported_yet};

/// A daemon that was asked to leave is gone within this time, whatever hangs.
const LEAVE_MAX: Duration = Duration::from_secs(14);
/// One that was asked twice within this one.
const LEAVE_NOW_MAX: Duration = Duration::from_millis(500);

/// How the daemon is started.
pub struct DaemonOptions {
    /// What the node is.
    pub config: Config,
    /// The keeper and all apps end with the daemon, however it ends (`osier demo`).
    pub ends_with_node: bool,
    /// How the configuration is read anew.
    pub read: ReadConfig,
    /// Called with the one that is read at SIGHUP, before the node begins anew by it.
    pub taken: Taken,
}

/// Takes over what of a new configuration belongs to the program and not to the node; says in a text why that cannot be.
pub type Taken = Box<dyn Fn(&Config) -> Result<(), String> + Send>;

/// Runs a node until it is told to leave (SIGTERM, SIGINT) or gives up. Apps stay, unless they end with the node.
/// At SIGHUP the node is made anew from the configuration as it is then: apps are found again, none is restarted for it.
/// If it cannot start by that one, it goes on by the one before.
///
/// # Errors
/// When it cannot start.
pub async fn run(mut options: DaemonOptions) -> Result<ExitCode, NodeError> {
    let mut signals = Signals::listen()?.and_hang_up()?;
    let mut before = None;
    loop {
        let builder = NodeBuilder::of_config(&options.config, options.ends_with_node);
        let configuration = Configuration::new(&options.config, Some(options.read.clone()));
        let node = match (
            assembly::start(builder.configuration(configuration)).await,
            before.take(),
        ) {
            (Ok(node), _) => node,
            (Err(error), Some(config)) => {
                error!(%error, "the node cannot start by the new configuration; it goes on by the one before");
                options.config = config;
                continue;
            }
            (Err(error), None) => return Err(error),
        };
        for setting in not_supported_yet(&options.config) {
            warn!(setting, "this setting is not supported yet and changes nothing");
        }
        info!(node = %node.name(), version = env!("CARGO_PKG_VERSION"), "the node runs");
        let next = loop {
            tokio::select! {
                reason = node.ended() => {
                    error!(%reason, "the node gave up; apps go on, and want a daemon");
                    return Ok(ExitCode::FAILURE);
                }
                asked = signals.next() => match asked {
                    Asked::Leave => break None,
                    Asked::Reload => if let Some(config) = reloaded(&options) { break Some(config) },
                },
            }
        };
        let left = leave(node, &mut signals, next.is_none()).await;
        match (next, left) {
            (Some(config), Left::InOrder) => before = Some(std::mem::replace(&mut options.config, config)),
            // A second node cannot be made beside one that hangs: whoever started this daemon has to start it again.
            (Some(_), Left::Hanging) => return Ok(ExitCode::FAILURE),
            _ => return Ok(ExitCode::SUCCESS),
        }
    }
}

/// The configuration as it is now, if that is another one and a good one.
fn reloaded(options: &DaemonOptions) -> Option<Config> {
    let taken = |config: Config| (options.taken)(&config).map(|()| config);
    match (options.read)().and_then(taken) {
        Err(mistakes) => {
            error!(
                mistakes,
                "the configuration has mistakes; the old one stays in force"
            );
            None
        }
        Ok(config) => {
            if config.node.data_dir != options.config.node.data_dir {
                let old = options.config.node.data_dir.as_path().display();
                error!(
                    "`node.data_dir` cannot be changed while the node runs, as its apps and all it knows are in {old}; the old \
                     configuration stays in force. To move: `osier stop --all`, end the daemon and the keeper, move the folder"
                );
                return None;
            }
            let sections = options.config.changed_sections(&config).join(", ");
            if sections.is_empty() {
                info!("the configuration has not changed");
                return None;
            }
            info!(sections, "the configuration has changed; the node begins anew");
            Some(config)
        }
    }
}

/// How a node left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    InOrder,
    /// Asked a second time.
    AtOnce,
    /// Not within [`LEAVE_MAX`].
    Hanging,
}

/// Ends a node.
async fn leave(node: NodeHandle, signals: &mut Signals, for_good: bool) -> Left {
    if for_good {
        info!("leaving; apps stay");
    }
    tokio::select! {
        () = node.shutdown() => Left::InOrder,
        () = leave_at_once(signals) => {
            warn!("leaving at once");
            Left::AtOnce
        }
        () = tokio::time::sleep(LEAVE_MAX) => {
            warn!("something hangs; leaving without it");
            Left::Hanging
        }
    }
}

/// Starts the node of a configuration with its control socket.
///
/// # Errors
/// When it cannot start.
pub async fn start(config: &Config, ends_with_node: bool) -> Result<NodeHandle, NodeError> {
    assembly::start(NodeBuilder::of_config(config, ends_with_node)).await
}

/// Returns when a node that is leaving is to be left behind: asked to leave once more, and given a moment.
async fn leave_at_once(signals: &mut Signals) {
    while !matches!(signals.next().await, Asked::Leave) {}
    tokio::time::sleep(LEAVE_NOW_MAX).await;
}
