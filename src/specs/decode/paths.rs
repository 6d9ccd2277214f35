//! Paths in specs stay below the folder that they are relative to.

use super::fields::{Decoder, Key};
use crate::specs::node::Node;

/// The longest path in a spec, in bytes (Linux's `PATH_MAX` less room for the folder it is relative to).
const PATH_BYTES_MAX: usize = 2048;

impl Decoder<'_> {
    /// A relative path that cannot leave its folder.
    pub(super) fn relative_path(&mut self, node: &Node, key: Key<'_>) -> Option<String> {
        let path = self.text(node, key)?;
        self.checked_path(node, key, path)
    }

    pub(super) fn checked_path(&mut self, node: &Node, key: Key<'_>, path: String) -> Option<String> {
        let why = if path.starts_with('/') {
            "it must not be absolute"
        } else if let Some(why) = wrong_with(&path) {
            why
        } else {
            return Some(path);
        };
        self.bad_value(node, key, why, "write a path below the folder it is relative to");
        None
    }

    /// A path as [`Self::relative_path`], or an absolute one.
    pub(super) fn any_path(&mut self, node: &Node, key: Key<'_>) -> Option<String> {
        let path = self.text(node, key)?;
        match wrong_with(&path) {
            None => Some(path),
            Some(why) => {
                self.bad_value(node, key, why, "write a plain path");
                None
            }
        }
    }
}

fn wrong_with(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        Some("it is empty")
    } else if path.len() > PATH_BYTES_MAX {
        Some("it is longer than 2048 bytes")
    } else if path.split('/').any(|part| part == "..") {
        Some("`..` must not stand in it")
    } else if path.chars().any(char::is_control) {
        Some("a control character stands in it")
    } else {
        None
    }
}
