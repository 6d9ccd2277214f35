//! A node: everything that one daemon or one embedded runtime is, from settings to a running supervision tree.
//!
//! [`Node::builder`] makes one, [`NodeHandle`] speaks to it. Nothing is global: any number of nodes live in one process,
//! no log subscriber is installed here, and signals are listened for only if [`NodeBuilder::shutdown_on_signal`] asks.

mod assembly;
mod builder;
pub(crate) mod configuration;
pub mod daemon;
mod git;
mod handle;
#[cfg(all(target_os = "linux", feature = "process"))]
mod processes;
#[cfg(not(all(target_os = "linux", feature = "process")))]
#[path = "node/no_processes.rs"]
mod processes;
mod settings;
mod signals;

pub use builder::{EventHandler, INTERVAL_DEFAULT, NodeBuilder};
pub use git::Git;
pub use handle::NodeHandle;
pub use processes::ProcessSettings;
pub use settings::NodeSettings;

use std::sync::Arc;

/// A node that is to be; see [`Node::builder`].
#[derive(Debug)]
pub enum Node {}

impl Node {
    /// Begins with the specs repository; everything else has a default.
    pub fn builder(repository: Git) -> NodeBuilder {
        NodeBuilder::new(repository)
    }
}

/// What is still to be done when a node's tree has ended.
type AtEnd = futures::future::BoxFuture<'static, ()>;

/// Why a node does not start. Nothing of it runs then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// Settings are wrong: all mistakes, one each.
    #[error("{}", .0.join("\n"))]
    Settings(Vec<String>),
    /// Signals cannot be listened for.
    #[error("cannot listen for signals: {0}")]
    Signals(#[source] Arc<std::io::Error>),
    /// The data directory cannot be used, or another node uses it.
    #[error("{0}")]
    DataDir(String),
    /// The control socket cannot be opened.
    #[error("{0}")]
    Door(String),
    /// An actor of the tree does not start.
    #[error("the node does not start: {0}")]
    Start(#[from] crate::supervisor::StartError),
}
