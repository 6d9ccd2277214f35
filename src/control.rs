//! The doors of a node: carries out the procedures of `rpc`, alike for every door; today's door is the control socket.

mod audit;
pub mod client;
pub(crate) mod dispatch;
pub(crate) mod door;
pub(crate) mod procedures;
mod room;
pub mod server;
pub mod wire;
