//! Erlang terms as `file:consult` reads them.

use super::fault;
use crate::specs::mistake::Mistake;
use crate::specs::node::{Node, Place};

pub(super) fn read(_text: &str, source: u16) -> Result<Node, Mistake> {
    Err(fault::syntax(Place::whole(source), "soon", "soon"))
}
