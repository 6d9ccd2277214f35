//! The actors of a node. Each is thin: it takes messages, asks pure code what to do, and starts effects.

pub mod app;
pub(crate) mod apps;
pub mod board;
mod deadline;
pub(crate) mod directory;
pub(crate) mod health;
pub(crate) mod housekeeper;
pub mod mailbox;
pub(crate) mod memory;
#[cfg(test)]
mod no_artefacts;
pub(crate) mod node_board;
pub(crate) mod recollection;
pub(crate) mod reconciler;
pub(crate) mod repo_watcher;
pub mod store_watch;
pub mod telemetry_router;
