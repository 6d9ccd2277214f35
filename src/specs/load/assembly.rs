//! Puts the folders' outcomes together: one app a name, mistakes where they belong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::folder::FolderOutcome;
use super::{Outcomes, Settings, across};
use crate::names::AppName;
use crate::specs::desired::{Desired, SpecError};
use crate::specs::facts::NodeFacts;
use crate::specs::mistake::codes;

pub(super) fn assemble(
    outcomes: &Outcomes,
    settings: Option<&Settings>,
    facts: &NodeFacts,
    names: &mut BTreeMap<String, AppName>,
) -> Desired {
    let claims = claims(outcomes, names);
    let mut desired = Desired {
        file_count: outcomes.len(),
        ..Desired::default()
    };
    let mut errors: Vec<SpecError> = Vec::new();
    for (path, outcome) in outcomes {
        let app = claims.by_folder.get(path.as_str());
        errors.extend(outcome.errors.iter().map(|error| SpecError {
            app: app.cloned(),
            ..error.clone()
        }));
        desired
            .warnings
            .extend(outcome.warnings.iter().cloned().map(Arc::new));
        if let Some(app) = app.filter(|_| !outcome.is_placed_here) {
            desired.elsewhere.insert(app.clone());
        }
        if let Some(app) = outcome.app.as_ref().filter(|_| outcome.is_placed_here) {
            desired.apps.insert(app.spec.name.clone(), app.clone());
        }
    }
    let known: BTreeSet<&AppName> = claims.by_folder.values().collect();
    let whole: Vec<(&str, &FolderOutcome)> = outcomes
        .iter()
        .filter(|(_, outcome)| outcome.app.is_some())
        .map(|(path, outcome)| (path.as_str(), outcome.as_ref()))
        .collect();
    across::duplicates(&claims.by_name, &mut errors);
    across::dependencies(
        &whole,
        &known,
        &desired.elsewhere,
        &mut errors,
        &mut desired.warnings,
    );
    across::sockets(&whole, facts, &mut errors);
    across::names(&whole, &mut desired.warnings);
    if let Some(settings) = settings {
        desired
            .warnings
            .extend(settings.warnings.iter().cloned().map(Arc::new));
    }
    blame(&mut desired, errors);
    remember(outcomes, names);
    desired
}

/// Which folders claim which app.
pub(super) struct Claims<'a> {
    by_folder: BTreeMap<&'a str, AppName>,
    by_name: BTreeMap<AppName, Vec<(&'a str, &'a FolderOutcome)>>,
}

/// A spec that can be read claims the name that it declares. One that cannot claims the app that its folder last named;
/// failing that, the app of the folder's name, unless another folder declares it.
fn claims<'a>(outcomes: &'a Outcomes, names: &BTreeMap<String, AppName>) -> Claims<'a> {
    let mut claims = Claims {
        by_folder: BTreeMap::new(),
        by_name: BTreeMap::new(),
    };
    let mut nameless = Vec::new();
    for (path, outcome) in outcomes {
        match outcome.name.as_ref().or_else(|| names.get(path)) {
            Some(name) => claims.add(path, outcome, name),
            None => nameless.push((path, outcome)),
        }
    }
    for (path, outcome) in nameless {
        let folder = path.rsplit('/').next().unwrap_or(path);
        if let Some(name) = folder
            .parse()
            .ok()
            .filter(|name| !claims.by_name.contains_key(name))
        {
            claims.add(path, outcome, &name);
        }
    }
    claims
}

impl<'a> Claims<'a> {
    fn add(&mut self, path: &'a str, outcome: &'a FolderOutcome, name: &AppName) {
        self.by_folder.insert(path, name.clone());
        self.by_name
            .entry(name.clone())
            .or_default()
            .push((path, outcome));
    }
}

/// Moves every app with an error from `apps` to `invalid`, where its most telling error stands for it: a true mistake
/// before something that is merely not supported yet.
fn blame(desired: &mut Desired, mut errors: Vec<SpecError>) {
    errors.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    errors.dedup();
    desired.mistakes = errors.into_iter().map(Arc::new).collect();
    desired
        .warnings
        .sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    let (unsupported, mistaken): (Vec<_>, Vec<_>) = desired
        .mistakes
        .iter()
        .partition(|error| error.code == codes::NOT_SUPPORTED_YET);
    for error in mistaken.into_iter().chain(unsupported) {
        if let Some(app) = &error.app {
            desired.apps.remove(app);
            desired
                .invalid
                .entry(app.clone())
                .or_insert_with(|| error.clone());
        }
    }
}

/// Keeps for which app each folder stands; what left the repository is forgotten, what is unreadable is not.
fn remember(outcomes: &Outcomes, names: &mut BTreeMap<String, AppName>) {
    let mut next = BTreeMap::new();
    for (path, outcome) in outcomes {
        let name = outcome.name.clone().or_else(|| names.get(path).cloned());
        next.extend(name.map(|name| (path.clone(), name)));
    }
    *names = next;
}
