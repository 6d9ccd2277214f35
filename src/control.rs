//! The doors of a node: carries out the procedures of `rpc`, alike for every door; today's door is the control socket.

pub mod client;
pub(crate) mod dispatch;
pub(crate) mod door;
pub(crate) mod procedures;
pub mod server;
pub mod wire;
