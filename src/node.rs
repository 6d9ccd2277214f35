//! A node: everything that one daemon or one embedded runtime is, from settings to a running supervision tree.
//!
//! [`Node::builder`] makes one, [`NodeHandle`] speaks to it. Nothing is global: any number of nodes live in one process,
//! no signal handler and no log subscriber is installed here.

mod assembly;
mod builder;
pub mod daemon;
mod handle;
mod settings;

pub use builder::{Git, NodeBuilder};
pub use handle::NodeHandle;
pub use settings::{NodeSettings, ProcessSettings};

/// A node that is to be; see [`Node::builder`].
#[derive(Debug)]
pub enum Node {}

impl Node {
    /// Begins with the specs repository; everything else has a default.
    pub fn builder(repository: Git) -> NodeBuilder {
        NodeBuilder::new(repository)
    }
}

/// Why a node does not start. Nothing of it runs then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// A setting is wrong.
    #[error("{0}")]
    Setting(String),
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
