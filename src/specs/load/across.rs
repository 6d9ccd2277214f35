//! What only shows when all specs are seen together: names, dependencies, sockets. Each finding marks exactly the apps
//! that it names.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::folder::FolderOutcome;
use crate::names::AppName;
use crate::specs::desired::SpecError;
use crate::specs::facts::NodeFacts;
use crate::specs::mistake::{codes, nearest};
use crate::specs::source::Spot;

/// A spec that could be read as far as its name, with the folder it is in.
pub(super) type Named<'a> = (&'a str, &'a FolderOutcome);

/// One name claimed by several folders: an error of each, so that what runs under that name is left alone.
pub(super) fn duplicate(name: &AppName, claims: &[&FolderOutcome]) -> Vec<SpecError> {
    let others = |outcome: &FolderOutcome| -> Vec<&str> {
        claims
            .iter()
            .map(|other| other.name_spot.file.as_str())
            .filter(|file| *file != outcome.name_spot.file)
            .collect()
    };
    claims
        .iter()
        .map(|outcome| {
            let message = format!(
                "two apps are named `{name}`: {} and {}",
                outcome.name_spot.file,
                others(outcome).join(", ")
            );
            let help =
                "give each app a name of its own; until then whatever runs under this name is left alone";
            outcome
                .name_spot
                .clone()
                .error(Some(name.clone()), codes::DUPLICATE_NAME, message, help)
        })
        .collect()
}

/// Dependencies that nobody declares, circles, and dependencies on apps of other nodes.
pub(super) fn dependencies(
    specs: &[Named<'_>],
    known: &HashSet<&AppName>,
    elsewhere: &BTreeSet<AppName>,
    facts: &NodeFacts,
    errors: &mut Vec<SpecError>,
    warnings: &mut Vec<Arc<SpecError>>,
) {
    let by_name: HashMap<&AppName, &FolderOutcome> = specs
        .iter()
        .filter_map(|(_, outcome)| outcome.name.as_ref().map(|name| (name, *outcome)))
        .collect();
    for (_, outcome) in specs {
        for (dependency, spot) in &outcome.depends_on {
            let app = outcome.name.clone();
            if !known.contains(dependency) {
                let message = format!("`depends_on`: there is no app `{dependency}`");
                let help = match nearest(dependency.as_str(), known.iter().map(|name| name.as_str())) {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => "add that app, or remove the dependency".to_owned(),
                };
                errors.push(spot.clone().error(app, codes::UNKNOWN_DEPENDENCY, message, help));
                continue;
            }
            let lack = if facts.is_known() {
                (outcome.is_placed_here && elsewhere.contains(dependency))
                    .then_some("does not run on this node")
            } else {
                by_name
                    .get(dependency)
                    .filter(|other| may_miss(outcome, other))
                    .map(|_| "may be missing on a node that runs this app")
            };
            if let Some(lack) = lack {
                let message = format!("`depends_on`: `{dependency}` {lack}, where it counts as met");
                let help = "place both on the same nodes if the order matters";
                warnings.push(Arc::new(spot.clone().error(
                    app,
                    codes::SUSPICIOUS,
                    message,
                    help,
                )));
            }
        }
    }
    circles(specs, errors);
}

/// Judged for all nodes: may there be one that runs `dependant` and not `dependency`?
fn may_miss(dependant: &FolderOutcome, dependency: &FolderOutcome) -> bool {
    let (Some(here), Some(there)) = (&dependant.placement, &dependency.placement) else {
        return false;
    };
    let are_nodes_covered =
        there.nodes.is_empty() || (!here.nodes.is_empty() && here.nodes.is_subset(&there.nodes));
    let are_labels_covered = there
        .labels
        .iter()
        .all(|(key, value)| here.labels.get(key) == Some(value));
    !(are_nodes_covered && are_labels_covered)
}

/// What it depends on beside itself: that is the spec's own mistake, told where it is decoded.
fn others(outcome: &FolderOutcome) -> impl Iterator<Item = &(AppName, Spot)> {
    let is_other = |(dependency, _): &&(AppName, Spot)| outcome.name.as_ref() != Some(dependency);
    outcome.depends_on.iter().filter(is_other)
}

/// Apps that wait for each other, and those that wait for such apps.
fn circles(specs: &[Named<'_>], errors: &mut Vec<SpecError>) {
    let apps: HashMap<&AppName, usize> = specs
        .iter()
        .enumerate()
        .filter_map(|(index, (_, outcome))| outcome.name.as_ref().map(|name| (name, index)))
        .collect();
    // Takes away, layer by layer, what waits for nothing that is left: the rest never starts.
    let mut waited_by: Vec<Vec<usize>> = vec![Vec::new(); specs.len()];
    let mut wait_counts: Vec<usize> = vec![0; specs.len()];
    for (index, (_, outcome)) in specs.iter().enumerate() {
        for (dependency, _) in others(outcome) {
            if let Some(dependants) = apps.get(dependency).and_then(|at| waited_by.get_mut(*at)) {
                dependants.push(index);
                if let Some(count) = wait_counts.get_mut(index) {
                    *count = count.saturating_add(1);
                }
            }
        }
    }
    let free_at = |counts: &[usize], index: usize| counts.get(index) == Some(&0);
    let mut free: Vec<usize> = (0..specs.len())
        .filter(|index| free_at(&wait_counts, *index))
        .collect();
    let mut free_count = 0_usize;
    while let Some(index) = free.pop() {
        free_count = free_count.saturating_add(1);
        for dependant in waited_by.get(index).into_iter().flatten() {
            if let Some(count) = wait_counts.get_mut(*dependant) {
                *count = count.saturating_sub(1);
            }
            if free_at(&wait_counts, *dependant) {
                free.push(*dependant);
            }
        }
    }
    if free_count == specs.len() {
        return;
    }
    let waits: BTreeMap<&AppName, &FolderOutcome> = specs
        .iter()
        .zip(&wait_counts)
        .filter(|(_, count)| **count > 0)
        .filter_map(|((_, outcome), _)| outcome.name.as_ref().map(|name| (name, *outcome)))
        .collect();
    for (name, outcome) in &waits {
        errors.extend(circle_of(name, outcome, &waits));
    }
}

/// The error of an app that waits for a circle, or is part of one.
fn circle_of(
    name: &AppName,
    outcome: &FolderOutcome,
    waits: &BTreeMap<&AppName, &FolderOutcome>,
) -> Option<SpecError> {
    let next = |from: &FolderOutcome| {
        others(from).find_map(|(dependency, spot)| {
            waits
                .get_key_value(dependency)
                .map(|(name, outcome)| (*name, *outcome, spot.clone()))
        })
    };
    let (_, _, spot) = next(outcome)?;
    let mut path = vec![name];
    let mut at = outcome;
    let start = loop {
        let (step, step_outcome, _) = next(at)?;
        if let Some(start) = path.iter().position(|before| *before == step) {
            break start;
        }
        path.push(step);
        at = step_outcome;
    };
    let circle = path.get(start..)?;
    let names: Vec<&str> = circle
        .iter()
        .chain(circle.first())
        .map(|name| name.as_str())
        .collect();
    let circle_text = names.join(" -> ");
    let files: Vec<String> = circle
        .iter()
        .filter_map(|name| waits.get(*name))
        .map(|outcome| outcome.name_spot.file.clone())
        .collect();
    let message = if start == 0 {
        format!(
            "apps depend on each other in a circle: {circle_text} ({})",
            files.join(", ")
        )
    } else {
        format!(
            "`{name}` depends on apps that depend on each other in a circle: {circle_text} ({})",
            files.join(", ")
        )
    };
    let help = "remove one of these `depends_on` entries";
    Some(spot.error(Some(name.clone()), codes::CYCLE, message, help))
}

/// One socket wanted by two apps that meet on a node. An app whose placement cannot be read surely meets nobody.
pub(super) fn sockets(specs: &[Named<'_>], facts: &NodeFacts, errors: &mut Vec<SpecError>) {
    let mut taken: BTreeMap<&str, Vec<(&FolderOutcome, usize)>> = BTreeMap::new();
    let is_here = |outcome: &FolderOutcome| outcome.is_placed_here && outcome.placement.is_some();
    for (_, outcome) in specs.iter().filter(|(_, outcome)| is_here(outcome)) {
        for (index, (socket, _)) in outcome.sockets.iter().enumerate() {
            taken.entry(socket).or_default().push((outcome, index));
        }
    }
    for (socket, claims) in taken {
        for (outcome, index) in &claims {
            // For no node in particular only apps with the same placement surely meet.
            let other = claims.iter().find(|(other, _)| {
                other.name != outcome.name && (facts.is_known() || other.placement == outcome.placement)
            });
            let spot = outcome.sockets.get(*index).map(|(_, spot)| spot.clone());
            if let (Some((other, _)), Some(spot)) = (other, spot) {
                let message = format!(
                    "the socket {socket} is claimed by two apps: {} and {}",
                    outcome.name_spot.file, other.name_spot.file
                );
                let help = "give one of them another address";
                errors.push(spot.error(outcome.name.clone(), codes::SOCKET_TAKEN, message, help));
            }
        }
    }
}

/// Folders that are not named as their app: allowed, but seldom meant.
pub(super) fn names(specs: &[Named<'_>], warnings: &mut Vec<Arc<SpecError>>) {
    for (path, outcome) in specs {
        let folder = path.rsplit('/').next().unwrap_or(path);
        if let Some(name) = outcome.name.as_ref().filter(|name| name.as_str() != folder) {
            let message = format!(
                "the folder `{}` holds the app `{name}`",
                crate::names::shown(folder)
            );
            let spot = outcome.name_spot.clone();
            let help = "name the folder as the app: people look for it there";
            warnings.push(Arc::new(spot.error(
                Some(name.clone()),
                codes::SUSPICIOUS,
                message,
                help,
            )));
        }
    }
}
