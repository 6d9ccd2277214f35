//! A tree of files in memory: what specs are read from in tests and benches.

#![allow(dead_code, reason = "each test binary and bench uses its part")]

use std::cell::Cell;
use std::collections::BTreeMap;

use osier::names::ObjectId;
use osier::specs::tree::{Entry, EntryKind, Tree, TreeError};

/// What stands at a path.
#[derive(Debug, Clone)]
pub enum Item {
    File(Vec<u8>),
    Symlink(String),
    Submodule,
}

/// Built from paths; ids are made from content, as git's are.
#[derive(Debug, Default)]
pub struct MemoryTree {
    items: BTreeMap<String, Item>,
    folders: BTreeMap<String, Vec<Entry>>,
    /// How many files and folders have been read.
    pub reads: Cell<usize>,
}

impl MemoryTree {
    /// A tree of files by path.
    pub fn of<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        files
            .into_iter()
            .fold(Self::default(), |tree, (path, text)| {
                tree.with(path, Item::File(text.as_bytes().to_vec()))
            })
            .done()
    }

    /// The same with one more item; [`Self::done`] afterwards.
    pub fn with(mut self, path: &str, item: Item) -> Self {
        self.items.insert(path.to_owned(), item);
        self
    }

    /// The same without everything at or below `path`; [`Self::done`] afterwards.
    pub fn without(mut self, path: &str) -> Self {
        let below = format!("{path}/");
        self.items
            .retain(|item, _| item != path && !item.starts_with(&below));
        self
    }

    /// Computes folders and ids.
    pub fn done(mut self) -> Self {
        let mut folders: BTreeMap<String, BTreeMap<String, Entry>> = BTreeMap::new();
        folders.entry(String::new()).or_default();
        for (path, item) in &self.items {
            let (kind, content) = match item {
                Item::File(bytes) => (EntryKind::File { is_executable: false }, bytes.clone()),
                Item::Symlink(target) => (EntryKind::Symlink, target.clone().into_bytes()),
                Item::Submodule => (EntryKind::Submodule, path.clone().into_bytes()),
            };
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
            let id = id_of(&content);
            folders.entry(parent.to_owned()).or_default().insert(
                name.to_owned(),
                Entry {
                    name: name.to_owned(),
                    kind,
                    id,
                },
            );
            let mut above = parent;
            while let Some((next, _)) = above.rsplit_once('/') {
                folders.entry(next.to_owned()).or_default();
                above = next;
            }
        }
        // Deepest first, so that each folder's id covers what is below.
        let mut paths: Vec<String> = folders.keys().filter(|path| !path.is_empty()).cloned().collect();
        paths.sort_by_key(|path| std::cmp::Reverse(path.matches('/').count()));
        for path in paths {
            let text: String = folders[&path]
                .values()
                .map(|entry| format!("{entry:?}"))
                .collect();
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", &path));
            let entry = Entry {
                name: name.to_owned(),
                kind: EntryKind::Folder,
                id: id_of(text.as_bytes()),
            };
            folders
                .entry(parent.to_owned())
                .or_default()
                .insert(name.to_owned(), entry);
        }
        self.folders = folders
            .into_iter()
            .map(|(path, entries)| (path, entries.into_values().collect()))
            .collect();
        self
    }
}

fn id_of(content: &[u8]) -> ObjectId {
    let hex = blake3::hash(content).to_hex();
    hex.as_str()[..40].parse().unwrap()
}

impl Tree for MemoryTree {
    fn folder(&self, path: &str) -> Result<Option<Vec<Entry>>, TreeError> {
        self.reads.set(self.reads.get() + 1);
        Ok(self.folders.get(path).cloned())
    }

    fn entry(&self, path: &str) -> Result<Option<Entry>, TreeError> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let entries = self.folders.get(parent).map(Vec::as_slice).unwrap_or_default();
        Ok(entries.iter().find(|entry| entry.name == name).cloned())
    }

    fn file(&self, _: &Entry, path: &str, bytes_max: u64) -> Result<Vec<u8>, TreeError> {
        self.reads.set(self.reads.get() + 1);
        match self.items.get(path) {
            Some(Item::File(bytes)) if bytes.len() as u64 > bytes_max => Err(TreeError::TooLarge {
                path: path.to_owned(),
                found: bytes.len() as u64,
                limit: bytes_max,
                unit: "bytes",
            }),
            Some(Item::File(bytes)) => Ok(bytes.clone()),
            _ => Err(TreeError::Unreadable {
                path: path.to_owned(),
                reason: "no such file".to_owned(),
            }),
        }
    }
}
