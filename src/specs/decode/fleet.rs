//! Which nodes run an app, and in which order across the fleet.

use std::collections::{BTreeMap, BTreeSet};

use super::artefact::SPAN_HELP;
use super::fields::{Decoder, Fields, Key};
use crate::names::NodeName;
use crate::specs::app_spec::{Placement, Rollout, UpgradeFailure};
use crate::specs::node::{Node, Place, Value};

impl Decoder<'_> {
    pub(super) fn placement(&mut self, fields: &Fields<'_>) -> Placement {
        let Some(inner) = self.group(fields, "placement", &["nodes", "labels"]) else {
            return Placement::default();
        };
        let nodes = inner
            .get("nodes")
            .and_then(|node| self.list(node, &"placement.nodes"))
            .unwrap_or_default();
        let nodes: BTreeSet<String> = nodes
            .iter()
            .filter_map(|item| self.parsed::<NodeName>(item, &"placement.nodes", "write names of nodes"))
            .map(|name| name.to_string())
            .collect();
        let labels = inner
            .get("labels")
            .map(|node| self.labels(node, &"placement.labels"))
            .unwrap_or_default();
        Placement { nodes, labels }
    }

    /// A map of labels; numbers and booleans are their text.
    pub(super) fn labels(&mut self, node: &Node, key: Key<'_>) -> BTreeMap<String, String> {
        let Some(map) = self.map(node, key) else {
            return BTreeMap::new();
        };
        let mut labels = BTreeMap::new();
        for (name, entry) in map.0.iter().filter(|(_, entry)| entry.node.value != Value::Null) {
            let value = self.scalar(&entry.node, &format_args!("{key}.{name}"));
            labels.extend(value.map(|value| (name.clone(), value)));
        }
        labels
    }

    pub(super) fn rollout(&mut self, node: &Node, at: Place) -> Rollout {
        const KEYS: &[&str] = &["max_unavailable", "canary", "pause", "on_failure"];
        const FAILURES: &[(&str, UpgradeFailure)] = &[
            ("halt", UpgradeFailure::Halt),
            ("rollback", UpgradeFailure::Rollback),
        ];
        const NODES_MAX: u32 = 1_000_000;
        let Some(inner) = self.fields(node, at, &"rollout", KEYS) else {
            return Rollout::default();
        };
        Rollout {
            max_unavailable: inner.get("max_unavailable").and_then(|node| self.share(node)),
            canary: inner
                .get("canary")
                .and_then(|node| self.small(node, &"rollout.canary", 0..=NODES_MAX)),
            pause: inner
                .get("pause")
                .and_then(|node| self.measured(node, &"rollout.pause", SPAN_HELP)),
            on_failure: inner
                .get("on_failure")
                .and_then(|node| self.choice(node, &"rollout.on_failure", FAILURES)),
        }
    }

    /// A count, or a share such as `10%`.
    fn share(&mut self, node: &Node) -> Option<String> {
        let text = self.scalar(node, &"rollout.max_unavailable")?;
        let is_valid = match text.strip_suffix('%') {
            Some(percent) => percent
                .parse::<u32>()
                .is_ok_and(|percent| (1..=100).contains(&percent)),
            None => text.parse::<u32>().is_ok_and(|count| count >= 1),
        };
        if !is_valid {
            self.bad_value(
                node,
                &"rollout.max_unavailable",
                "it is neither a count nor a share",
                "write 2 or 10%",
            );
        }
        is_valid.then_some(text)
    }
}
