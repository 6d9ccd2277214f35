//! Which file of a folder is its spec, and what stands beside it.

use crate::specs::desired::SpecError;
use crate::specs::mistake::codes;
use crate::specs::source::Spot;
use crate::specs::tree::{Entry, EntryKind, Tree, TreeError};

/// Where a spec is looked for first; two of these in one folder are an error.
const FIRST_NAMES: &[&str] = &["app.yaml", "app.yml", "app.toml", "app.json", "app.config"];
/// Where it is looked for after that, in this order. A bare `config` holds Erlang terms, as in bc_gitops.
const SECOND_NAMES: &[&str] = &[
    "config.yaml",
    "config.yml",
    "config.toml",
    "config.json",
    "config.config",
    "config",
];

/// What a folder holds.
pub(super) enum Found<'e> {
    /// No spec: it is no app.
    Nothing,
    /// Something that is in a spec's place and none.
    Mistake(SpecError),
    /// The spec, and what is odd about its neighbours.
    Spec(&'e Entry, Vec<SpecError>),
}

/// Looks for the spec among the entries of the folder at `path`.
pub(super) fn find_spec<'e>(entries: &'e [Entry], path: &str) -> Found<'e> {
    let of = |names: &[&str]| -> Vec<&'e Entry> {
        names
            .iter()
            .filter_map(|name| entries.iter().find(|entry| entry.name == *name))
            .collect()
    };
    let first = of(FIRST_NAMES);
    match first.as_slice() {
        [] => {}
        [one] => return checked_kind(one, path, Vec::new()),
        [one, other, ..] => {
            let spot = Spot::file(&format!("{path}/{}", one.name));
            let message = format!(
                "two specs in one folder: {path}/{} and {path}/{}",
                one.name, other.name
            );
            return Found::Mistake(spot.error(None, codes::TWO_FILES, message, "remove one of them"));
        }
    }
    let second: Vec<&Entry> = of(SECOND_NAMES)
        .into_iter()
        // A folder named `config` is nothing special.
        .filter(|entry| entry.kind != EntryKind::Folder)
        .collect();
    match second.as_slice() {
        [] => Found::Nothing,
        [one, others @ ..] => {
            let warnings = others
                .iter()
                .map(|other| {
                    let message = format!(
                        "{path}/{} is not read: {path}/{} comes first",
                        other.name, one.name
                    );
                    Spot::file(&format!("{path}/{}", other.name)).error(
                        None,
                        codes::SUSPICIOUS,
                        message,
                        "remove one of them",
                    )
                })
                .collect();
            checked_kind(one, path, warnings)
        }
    }
}

fn checked_kind<'e>(entry: &'e Entry, path: &str, warnings: Vec<SpecError>) -> Found<'e> {
    match entry.kind {
        EntryKind::File { .. } => Found::Spec(entry, warnings),
        kind => {
            let file = format!("{path}/{}", entry.name);
            let message = format!("the spec file is {}", kind_in_words(kind));
            let help = "put a plain file in its place; nothing outside of the repository is ever read";
            Found::Mistake(Spot::file(&file).error(None, codes::NOT_A_FILE, message, help))
        }
    }
}

/// Looks for files beside a spec.
pub(super) struct Finder<'a> {
    pub(super) tree: &'a dyn Tree,
    pub(super) folder: &'a Entry,
    pub(super) entries: &'a [Entry],
    pub(super) path: &'a str,
}

impl Finder<'_> {
    /// The entry at a path below the spec's folder. Symlinks on the way are not followed.
    pub(super) fn find(&self, below: &str) -> Result<Option<Entry>, TreeError> {
        let mut parts = below
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".")
            .peekable();
        let mut found = self.folder.clone();
        let mut path = self.path.to_owned();
        let mut entries = None;
        while let Some(part) = parts.next() {
            let here: &[Entry] = entries.as_deref().unwrap_or(self.entries);
            let Some(entry) = here.iter().find(|entry| entry.name == part) else {
                return Ok(None);
            };
            found = entry.clone();
            path = format!("{path}/{part}");
            if parts.peek().is_some() {
                if found.kind != EntryKind::Folder {
                    return Ok(Some(found));
                }
                entries = Some(self.tree.folder_of(&found, &path)?);
            }
        }
        Ok(Some(found))
    }
}

/// An entry's kind for a message.
pub(super) fn kind_in_words(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::File { .. } => "a file",
        EntryKind::Folder => "a folder",
        EntryKind::Symlink => "a symlink",
        EntryKind::Submodule => "a submodule",
    }
}
