//! Signals, for those who asked for them: the daemon, and hosts that leave theirs to the node.

use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{NodeError, NodeHandle};

/// What a signal asks for.
pub(super) enum Asked {
    Leave,
    Reload,
}

pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Option<Signal>,
}

impl Signals {
    /// SIGTERM and SIGINT.
    pub fn listen() -> Result<Self, NodeError> {
        Ok(Self {
            terminate: of(SignalKind::terminate())?,
            interrupt: of(SignalKind::interrupt())?,
            hang_up: None,
        })
    }

    /// SIGHUP as well.
    pub fn and_hang_up(self) -> Result<Self, NodeError> {
        Ok(Self {
            hang_up: Some(of(SignalKind::hangup())?),
            ..self
        })
    }

    pub async fn next(&mut self) -> Asked {
        let hang_up = async {
            match &mut self.hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => Asked::Leave,
            _ = self.interrupt.recv() => Asked::Leave,
            _ = hang_up => Asked::Reload,
        }
    }
}

fn of(kind: SignalKind) -> Result<Signal, NodeError> {
    signal(kind).map_err(|error| NodeError::Signals(Arc::new(error)))
}

/// Shuts `node` down at the first signal that asks for it.
pub(super) async fn shut_down(node: NodeHandle, mut signals: Signals) {
    tokio::select! {
        _ = signals.next() => node.shutdown().await,
        _ = node.ended() => {}
    }
}
