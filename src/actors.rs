//! The actors of a node. Each is thin: it takes messages, asks pure code what to do, and starts effects.

pub mod app;
pub mod board;
