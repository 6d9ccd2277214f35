//! The daemon: a node from a configuration, its control socket, and the signals that end it.

use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use super::builder::NodeBuilder;
use super::{NodeError, NodeHandle, assembly};
use crate::config::Config;

/// A daemon that was asked to leave is gone within this time, whatever hangs.
const LEAVE_MAX: Duration = Duration::from_secs(14);
/// One that was asked twice within this one.
const LEAVE_NOW_MAX: Duration = Duration::from_millis(500);

/// How the daemon is started.
#[derive(Debug)]
pub struct DaemonOptions {
    /// What the node is.
    pub config: Config,
    /// The keeper and all apps end with the daemon, however it ends (`osier demo`).
    pub ends_with_node: bool,
}

/// Runs a node until it is told to leave (SIGTERM, SIGINT) or gives up. Apps stay, unless they end with the node.
///
/// # Errors
/// When it cannot start.
pub async fn run(options: DaemonOptions) -> Result<ExitCode, NodeError> {
    let mut signals = Signals::listen()?;
    let node = start(options).await?;
    info!(node = %node.name(), version = env!("CARGO_PKG_VERSION"), "the node runs");
    let code = tokio::select! {
        reason = node.ended() => {
            error!(%reason, "the node gave up; apps go on, and want a daemon");
            return Ok(ExitCode::FAILURE);
        }
        () = signals.leave() => ExitCode::SUCCESS,
    };
    info!("leaving; apps stay");
    tokio::select! {
        () = node.shutdown() => {}
        () = signals.leave_at_once() => warn!("leaving at once"),
        () = tokio::time::sleep(LEAVE_MAX) => warn!("something hangs; leaving without it"),
    }
    Ok(code)
}

/// Starts the node of a configuration with its control socket.
///
/// # Errors
/// When it cannot start.
pub async fn start(options: DaemonOptions) -> Result<NodeHandle, NodeError> {
    let socket = options.config.node.socket.as_path().to_owned();
    let builder = NodeBuilder::of_config(&options.config, options.ends_with_node);
    assembly::start(builder, Some(socket)).await
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> Result<Self, NodeError> {
        let listen = |kind| {
            signal(kind).map_err(|error| NodeError::Setting(format!("cannot listen for signals: {error}")))
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    async fn leave(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => warn!("reloading the configuration is not carried out yet"),
            }
        }
    }

    async fn leave_at_once(&mut self) {
        self.leave().await;
        tokio::time::sleep(LEAVE_NOW_MAX).await;
    }
}
