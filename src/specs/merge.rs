//! Laying one map over another: maps merge deeply, lists and everything else replace, null deletes.

use super::node::{Map, Node, Value};

/// `over` laid over `base`. Keys keep the place where their value was written last.
#[must_use]
pub fn merged(base: &Map, over: &Map) -> Map {
    let mut result = base.clone();
    lay(&mut result, over);
    result
}

fn lay(base: &mut Map, over: &Map) {
    for (key, entry) in &over.0 {
        let below = base.0.get_mut(key).map(|below| &mut below.node);
        match (&entry.node.value, below) {
            (
                Value::Map(over),
                Some(Node {
                    value: Value::Map(base),
                    ..
                }),
            ) => lay(base, over),
            // A null stays behind as a null, which every reader takes as absent: so it deletes what lies below, and a
            // later layer can still set the key anew.
            _ => {
                base.0.insert(key.clone(), entry.clone());
            }
        }
    }
}
