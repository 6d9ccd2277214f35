//! The doors of a node: carries out the procedures of `rpc`, alike for every door; today's door is the control socket.

pub mod client;
pub mod server;
pub mod wire;
