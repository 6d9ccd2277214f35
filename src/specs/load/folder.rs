//! One folder of the apps directory: which file is the spec, and what it says.

use std::sync::Arc;

use super::Settings;
use super::search::{Finder, Found, find_spec, kind_in_words};
use crate::names::{AppName, ObjectId, shown};
use crate::specs::app_file::{self, key_place, runs_here};
use crate::specs::app_spec::{AppSpec, Placement, Sha256, Source as ArtefactSource};
use crate::specs::decode::Context;
use crate::specs::desired::{DesiredApp, SpecError};
use crate::specs::facts::NodeFacts;
use crate::specs::format::{FILE_BYTES_MAX, too_large};
use crate::specs::layers::{Layered, resolve};
use crate::specs::mistake::{Mistake, codes};
use crate::specs::node::Place;
use crate::specs::source::{Source, Sources, Spot};
use crate::specs::tree::{Entry, EntryKind, Tree, TreeError};

/// What a folder says.
#[derive(Debug, Default)]
pub(in crate::specs) struct FolderOutcome {
    /// The name that its spec declares, where it is valid.
    pub(super) name: Option<AppName>,
    /// The app, where its spec has no mistake.
    pub(super) app: Option<Arc<DesiredApp>>,
    /// Does this node run it? Also where its placement cannot be read.
    pub(super) is_placed_here: bool,
    /// What is wrong.
    pub(super) errors: Vec<SpecError>,
    /// What is odd.
    pub(super) warnings: Vec<SpecError>,
    /// Where its name stands.
    pub(super) name_spot: Spot,
    /// Its dependencies.
    pub(super) depends_on: Vec<(AppName, Spot)>,
    /// Its sockets.
    pub(super) sockets: Vec<(String, Spot)>,
    /// Where it may run, where that can be read.
    pub(super) placement: Option<Placement>,
}

impl FolderOutcome {
    fn unreadable(error: SpecError) -> Self {
        Self {
            is_placed_here: true,
            name_spot: Spot {
                file: error.file.clone(),
                width: 1,
                ..Spot::default()
            },
            errors: vec![error],
            ..Self::default()
        }
    }
}

/// Reads the entry at `path`. `None`: it is no app. `is_known`: an app was read from this path before.
pub(super) fn read(
    tree: &dyn Tree,
    entry: &Entry,
    path: &str,
    is_known: bool,
    settings: Option<&Settings>,
    facts: &NodeFacts,
) -> Result<Option<FolderOutcome>, TreeError> {
    match entry.kind {
        EntryKind::Folder if entry.name.chars().any(char::is_control) => {
            let message = format!(
                "the folder's name `{}` holds control characters",
                shown(&entry.name)
            );
            let error = Spot::file(path).error(None, codes::BAD_VALUE, message, "name the folder as the app");
            return Ok(Some(FolderOutcome::unreadable(error)));
        }
        EntryKind::Folder => {}
        EntryKind::File { .. } if !is_known => return Ok(None),
        kind => {
            let message = format!("{} is in the place of an app's folder", kind_in_words(kind));
            let help = "put a plain folder in its place; nothing outside of the repository is ever read";
            let error = Spot::file(path).error(None, codes::NOT_A_FILE, message, help);
            return Ok(Some(FolderOutcome::unreadable(error)));
        }
    }
    match read_folder(tree, entry, path, settings, facts) {
        // Something in this folder is too large: that is this app's trouble alone.
        Err(error @ TreeError::TooLarge { .. }) => {
            let help = "keep specs small; data belongs into an artefact";
            let error = Spot::file(path).error(None, codes::LIMIT, error.to_string(), help);
            Ok(Some(FolderOutcome::unreadable(error)))
        }
        read => read,
    }
}

fn read_folder(
    tree: &dyn Tree,
    entry: &Entry,
    path: &str,
    settings: Option<&Settings>,
    facts: &NodeFacts,
) -> Result<Option<FolderOutcome>, TreeError> {
    let entries = tree.folder_of(entry, path)?;
    let (spec, warnings) = match find_spec(&entries, path) {
        Found::Nothing => return Ok(None),
        Found::Mistake(error) => return Ok(Some(FolderOutcome::unreadable(error))),
        Found::Spec(spec, warnings) => (spec, warnings),
    };
    let mut outcome = read_spec(tree, entry, &entries, path, spec, settings, facts)?;
    outcome.warnings.extend(warnings);
    Ok(Some(outcome))
}

fn read_spec(
    tree: &dyn Tree,
    folder: &Entry,
    entries: &[Entry],
    path: &str,
    spec: &Entry,
    settings: Option<&Settings>,
    facts: &NodeFacts,
) -> Result<FolderOutcome, TreeError> {
    let file = format!("{path}/{}", spec.name);
    let bytes = match tree.file(spec, &file, FILE_BYTES_MAX as u64) {
        Ok(bytes) => bytes,
        Err(TreeError::TooLarge { found, .. }) => {
            let source = Source {
                path: file,
                ..Source::default()
            };
            let error = Sources(&[&source]).error(None, &too_large(0, found));
            return Ok(FolderOutcome::unreadable(error));
        }
        Err(error) => return Err(error),
    };
    let (source, root) = match app_file::parse(&file, &bytes) {
        Ok(parsed) => parsed,
        Err(error) => return Ok(FolderOutcome::unreadable(*error)),
    };
    let nothing = Source::default();
    let files = [&source, settings.map_or(&nothing, |settings| &settings.source)];
    let context = Context {
        sources: Sources(&files),
        facts,
        folder_name: &folder.name,
    };
    let layered = resolve(&root, settings.map(|settings| &settings.defaults), context);
    let finder = Finder {
        tree,
        folder,
        entries,
        path,
    };
    Outcome {
        layered,
        context,
        path,
        file,
    }
    .finish(&finder)
}

/// A decoded spec on its way to a [`FolderOutcome`].
struct Outcome<'a> {
    layered: Layered,
    context: Context<'a>,
    path: &'a str,
    file: String,
}

impl Outcome<'_> {
    fn finish(mut self, finder: &Finder<'_>) -> Result<FolderOutcome, TreeError> {
        let sources = self.context.sources;
        let facts = self.context.facts;
        let mut spec = self.layered.decoded.spec.take();
        let mut artefact = None;
        let mut parts = Vec::new();
        if let Some(spec) = &mut spec {
            self.settle_digest(spec);
            artefact = self.named_files(spec, finder, &mut parts)?;
            if self.layered.decoded.mistakes.is_empty() {
                let lacks = app_file::not_supported_yet(&self.layered.tree, spec, facts);
                self.layered.decoded.mistakes.extend(lacks);
            }
        }
        let decoded = self.layered.decoded;
        let placement_at = self.layered.tree.get("placement").map(|node| node.at);
        let is_placement_known =
            placement_at.is_none_or(|at| !decoded.mistakes.iter().any(|mistake| at.holds(mistake.at)));
        let name = decoded.name.as_ref();
        let spot = |at: Place| sources.spot(at);
        let name_spot = decoded.places.name.map_or_else(|| Spot::file(&self.file), spot);
        let mut outcome = FolderOutcome {
            errors: decoded
                .mistakes
                .iter()
                .map(|mistake| sources.error(name, mistake))
                .collect(),
            warnings: decoded
                .warnings
                .iter()
                .map(|mistake| sources.error(name, mistake))
                .collect(),
            depends_on: decoded
                .places
                .depends_on
                .into_iter()
                .map(|(app, at)| (app, spot(at)))
                .collect(),
            sockets: decoded
                .places
                .sockets
                .into_iter()
                .map(|(socket, at)| (socket, spot(at)))
                .collect(),
            is_placed_here: spec.as_ref().is_none_or(|spec| runs_here(&spec.placement, facts)),
            placement: spec
                .as_ref()
                .filter(|_| is_placement_known)
                .map(|spec| spec.placement.clone()),
            name: decoded.name.clone(),
            ..FolderOutcome::default()
        };
        if let Some(spec) = spec.filter(|_| outcome.errors.is_empty()) {
            let parts: Vec<&str> = parts.iter().map(ObjectId::as_str).collect();
            outcome.app = Some(Arc::new(DesiredApp {
                digest: spec.digest(&parts),
                spec: Arc::new(spec),
                file: self.file,
                line: name_spot.line,
                folder: self.path.to_owned(),
                artefact,
            }));
        }
        outcome.name_spot = name_spot;
        Ok(outcome)
    }

    /// Of digests by target a node keeps its own: what is published for other machines changes nothing on it.
    fn settle_digest(&mut self, spec: &mut AppSpec) {
        let (Some(ArtefactSource::Release { sha256, .. }), true) =
            (&mut spec.source, self.context.facts.is_known())
        else {
            return;
        };
        let Sha256::ByTarget(digests) = sha256 else { return };
        let target = &self.context.facts.target;
        if let Some(digest) = digests.get(target) {
            *sha256 = Sha256::One(digest.clone());
            return;
        }
        let at = key_place(&self.layered.tree, &["source", "sha256"]);
        let message = format!("`source.sha256` has no digest for {target}, which this node is");
        let help = format!("add `{target}: …`, or place the app on other nodes");
        self.layered
            .decoded
            .mistakes
            .push(Mistake::new(at, codes::BAD_VALUE, message, help));
    }

    /// Finds the files that the spec names beside it; their ids are part of the digest. Gives a path source's folder.
    fn named_files(
        &mut self,
        spec: &AppSpec,
        finder: &Finder<'_>,
        parts: &mut Vec<ObjectId>,
    ) -> Result<Option<ObjectId>, TreeError> {
        let files = spec
            .config_files
            .iter()
            .map(|(target, file)| (["config_files", target], &file.from));
        let secrets = spec
            .secrets
            .iter()
            .map(|(name, secret)| (["secrets", name], &secret.path));
        for (keys, file) in files.chain(secrets) {
            match finder.find(file)? {
                Some(Entry {
                    kind: EntryKind::File { .. },
                    id,
                    ..
                }) => parts.push(id),
                found => self.not_there(&keys, file, found.map(|entry| entry.kind), "file"),
            }
        }
        let Some(ArtefactSource::Path { path }) = &spec.source else {
            return Ok(None);
        };
        if path.starts_with('/') {
            return Ok(None);
        }
        match finder.find(path)? {
            Some(Entry {
                kind: EntryKind::Folder,
                id,
                ..
            }) => {
                parts.push(id.clone());
                Ok(Some(id))
            }
            found => {
                self.not_there(&["source", "path"], path, found.map(|entry| entry.kind), "folder");
                Ok(None)
            }
        }
    }

    fn not_there(&mut self, keys: &[&str], file: &str, found: Option<EntryKind>, wanted: &str) {
        let at = key_place(&self.layered.tree, keys);
        let shown = crate::names::shown(file);
        let message = match found {
            None => format!("there is no {wanted} `{shown}` in {}", self.path),
            Some(kind) => format!("`{shown}` is {}, not a {wanted}", kind_in_words(kind)),
        };
        let help = format!("add the {wanted} beside the spec, or correct the path");
        self.layered
            .decoded
            .mistakes
            .push(Mistake::new(at, codes::NOT_A_FILE, message, help));
    }
}
