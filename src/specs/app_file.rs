//! One spec file by itself: what `osier deploy FILE` takes, and what each folder of a repository is read with.

use super::app_spec::{AppSpec, Placement};
use super::decode::Context;
use super::desired::SpecError;
use super::facts::NodeFacts;
use super::format::{Format, read, read_any, shown_text, text_of};
use super::layers::resolve;
use super::mistake::{Mistake, codes};
use super::node::{Map, Node, Place};
use super::source::{Source, Sources};
use super::support::unsupported;
use crate::names::AppName;

/// What one file says.
#[derive(Debug, Clone, Default)]
pub struct AppFile {
    /// The app's name, where it is a valid one.
    pub name: Option<AppName>,
    /// As much of the spec as could be read; usable only without errors.
    pub spec: Option<AppSpec>,
    /// What is wrong, in the order of the file.
    pub errors: Vec<SpecError>,
    /// What is odd.
    pub warnings: Vec<SpecError>,
}

/// Reads one spec file for the node of `facts`. Its format follows from the name's ending; `folder_name` is the app's
/// name if it has none. Files that it names beside itself are not looked for.
#[must_use]
pub fn read_app(path: &str, bytes: &[u8], folder_name: &str, facts: &NodeFacts) -> AppFile {
    let (source, root) = match parse(path, bytes) {
        Ok(parsed) => parsed,
        Err(error) => {
            return AppFile {
                errors: vec![*error],
                ..AppFile::default()
            };
        }
    };
    let files = [&source];
    let sources = Sources(&files);
    let layered = resolve(
        &root,
        None,
        Context {
            sources,
            facts,
            folder_name,
        },
    );
    let mut decoded = layered.decoded;
    if let Some(spec) = decoded.spec.as_ref().filter(|_| decoded.mistakes.is_empty()) {
        decoded
            .mistakes
            .extend(not_supported_yet(&layered.tree, spec, facts));
    }
    let name = decoded.name.as_ref();
    let shown = |mistakes: &[Mistake]| {
        mistakes
            .iter()
            .map(|mistake| sources.error(name, mistake))
            .collect()
    };
    AppFile {
        errors: shown(&decoded.mistakes),
        warnings: shown(&decoded.warnings),
        name: decoded.name.clone(),
        spec: decoded.spec,
    }
}

/// The text and the value tree of a spec file, whose format follows from its name.
pub(super) fn parse(path: &str, bytes: &[u8]) -> Result<(Source, Node), Box<SpecError>> {
    let name = path.rsplit('/').next().unwrap_or(path);
    parse_with(path, Format::of_file(name).unwrap_or_default(), bytes, read)
}

/// The same of a file with any top, read as `format`.
pub(super) fn parse_any(path: &str, format: Format, bytes: &[u8]) -> Result<(Source, Node), Box<SpecError>> {
    parse_with(path, format, bytes, read_any)
}

fn parse_with(
    path: &str,
    format: Format,
    bytes: &[u8],
    read: fn(Format, &str, u16) -> Result<Node, Mistake>,
) -> Result<(Source, Node), Box<SpecError>> {
    let mut source = Source {
        path: path.to_owned(),
        text: String::new(),
        format,
    };
    let fail = |source: &Source, mistake: &Mistake| Box::new(Sources(&[source]).error(None, mistake));
    match text_of(bytes, 0) {
        Ok(text) => text.clone_into(&mut source.text),
        Err(mistake) => {
            if !mistake.at.is_whole() {
                source.text = shown_text(bytes);
            }
            return Err(fail(&source, &mistake));
        }
    }
    match read(format, &source.text, 0) {
        Ok(root) => Ok((source, root)),
        Err(mistake) => Err(fail(&source, &mistake)),
    }
}

/// What `spec` asks for on this node and this release does not carry out. Told of specs without a mistake only: first
/// things first.
pub(super) fn not_supported_yet(tree: &Map, spec: &AppSpec, facts: &NodeFacts) -> Vec<Mistake> {
    const HELP: &str = "the spec is valid, but this release does not carry it out: remove it, or wait for a release that does";
    if !runs_here(&spec.placement, facts) {
        return Vec::new();
    }
    unsupported(spec, &facts.capabilities)
        .into_iter()
        .map(|lack| {
            let keys: Vec<&str> = lack.key.split('.').collect();
            let message = format!("not supported yet: {}", lack.what);
            Mistake::new(key_place(tree, &keys), codes::NOT_SUPPORTED_YET, message, HELP)
        })
        .collect()
}

/// The place of the key at the end of a path of keys, or of the last one that there is.
pub(super) fn key_place(tree: &Map, keys: &[&str]) -> Place {
    let mut at = Place::whole(0);
    let mut map = Some(tree);
    for key in keys {
        let Some(entry) = map.and_then(|map| map.0.get(*key)) else {
            break;
        };
        at = entry.key_at;
        map = entry.node.as_map();
    }
    at
}

/// Does a node with these facts run an app with this placement? Nobody's node runs all.
pub(super) fn runs_here(placement: &Placement, facts: &NodeFacts) -> bool {
    let Some(name) = &facts.name else {
        return true;
    };
    let is_named = placement.nodes.is_empty() || placement.nodes.contains(name.as_str());
    is_named && facts.has_labels(&placement.labels)
}
