//! The order of actions: a dependency before its dependants, or after them. Ties by name, so that a plan is the same each time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::names::AppName;

/// One app to be ordered: its name and what it depends on.
pub(super) type Node<'a> = (&'a AppName, &'a [AppName]);

/// The positions of `nodes` so that each stands behind those it depends on. `nodes` are sorted by name.
///
/// Dependencies on others than `nodes` are met already. What is caught in a cycle (the specs' checks leave none, but what
/// is applied may stem from several commits) comes last, by name. O(n + e) but for the ties, which cost a heap.
pub(super) fn dependencies_first(nodes: &[Node<'_>]) -> Vec<usize> {
    sort(nodes, |dependant, dependency| (dependency, dependant))
}

/// The same the other way round: each stands before those it depends on.
pub(super) fn dependants_first(nodes: &[Node<'_>]) -> Vec<usize> {
    sort(nodes, |dependant, dependency| (dependant, dependency))
}

/// For each app those that are to be stopped before it: its dependents. Where apps depend on each other in a circle one of
/// them does not wait. `apps`: each with what it depends on.
#[must_use]
pub fn stop_order(apps: &BTreeMap<AppName, Vec<AppName>>) -> BTreeMap<AppName, Vec<AppName>> {
    let nodes: Vec<Node<'_>> = apps
        .iter()
        .map(|(app, depends_on)| (app, depends_on.as_slice()))
        .collect();
    let mut place = BTreeMap::new();
    for (position, index) in dependants_first(&nodes).into_iter().enumerate() {
        if let Some((app, _)) = nodes.get(index) {
            place.insert(*app, position);
        }
    }
    let mut before: BTreeMap<AppName, Vec<AppName>> = BTreeMap::new();
    for (dependant, depends_on) in apps {
        for dependency in depends_on {
            let is_before = place.get(dependant) < place.get(dependency);
            if is_before && place.contains_key(dependency) {
                before
                    .entry(dependency.clone())
                    .or_default()
                    .push(dependant.clone());
            }
        }
    }
    before
}

/// Kahn's algorithm. `edge` says which of a dependant and its dependency goes first.
fn sort(nodes: &[Node<'_>], edge: impl Fn(usize, usize) -> (usize, usize)) -> Vec<usize> {
    let mut followers: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    let mut waits_for = vec![0_usize; nodes.len()];
    for (dependant, (_, depends_on)) in nodes.iter().enumerate() {
        for name in *depends_on {
            let Ok(dependency) = nodes.binary_search_by(|(other, _)| (*other).cmp(name)) else {
                continue;
            };
            let (first, then) = edge(dependant, dependency);
            // A dependency that is named twice counts twice here and is released twice below.
            if let (Some(list), Some(count)) = (followers.get_mut(first), waits_for.get_mut(then)) {
                list.push(then);
                *count += 1;
            }
        }
    }
    let free = waits_for.iter().enumerate().filter(|(_, count)| **count == 0);
    let mut ready: BinaryHeap<Reverse<usize>> = free.map(|(index, _)| Reverse(index)).collect();
    let mut sorted = Vec::with_capacity(nodes.len());
    while let Some(Reverse(index)) = ready.pop() {
        sorted.push(index);
        for follower in followers.get(index).into_iter().flatten() {
            let Some(count) = waits_for.get_mut(*follower) else {
                continue;
            };
            *count -= 1;
            if *count == 0 {
                ready.push(Reverse(*follower));
            }
        }
    }
    let caught = waits_for.iter().enumerate().filter(|(_, count)| **count > 0);
    sorted.extend(caught.map(|(index, _)| index));
    sorted
}
