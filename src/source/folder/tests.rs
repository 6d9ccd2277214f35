use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// Folders by id, files by id.
#[derive(Default)]
struct MemoryTree {
    folders: BTreeMap<ObjectId, Vec<Entry>>,
    files: BTreeMap<ObjectId, Vec<u8>>,
}

fn id(digit: char) -> ObjectId {
    digit.to_string().repeat(40).parse().unwrap()
}

fn entry(name: &str, kind: EntryKind, digit: char) -> Entry {
    Entry {
        name: name.into(),
        kind,
        id: id(digit),
    }
}

impl Tree for MemoryTree {
    fn folder(&self, _: &str) -> Result<Option<Vec<Entry>>, TreeError> {
        Ok(None)
    }

    fn entry(&self, _: &str) -> Result<Option<Entry>, TreeError> {
        Ok(None)
    }

    fn file(&self, entry: &Entry, path: &str, bytes_max: u64) -> Result<Vec<u8>, TreeError> {
        let bytes = self.files.get(&entry.id).cloned().unwrap_or_default();
        let found = bytes.len() as u64;
        if found > bytes_max {
            return Err(TreeError::TooLarge {
                path: path.into(),
                found,
                limit: bytes_max,
                unit: "bytes",
            });
        }
        Ok(bytes)
    }

    fn folder_of(&self, entry: &Entry, _: &str) -> Result<Vec<Entry>, TreeError> {
        Ok(self.folders.get(&entry.id).cloned().unwrap_or_default())
    }
}

fn sample() -> MemoryTree {
    let mut tree = MemoryTree::default();
    tree.folders.insert(
        id('a'),
        vec![
            entry("bin", EntryKind::Folder, 'b'),
            entry("notes", EntryKind::File { is_executable: false }, 'd'),
        ],
    );
    tree.folders.insert(
        id('b'),
        vec![entry("run", EntryKind::File { is_executable: true }, 'c')],
    );
    tree.files.insert(id('c'), b"#!/bin/sh\n".to_vec());
    tree.files.insert(id('d'), b"hello".to_vec());
    tree
}

#[test]
fn a_folder_is_written_whole_with_its_executables() {
    let root = tempfile::tempdir().unwrap();
    let folders = ArtefactStore::at(root.path().join("artefacts"));
    let place = folders.write_out(&sample(), &id('a')).unwrap();
    assert_eq!(fs::read(place.join("notes")).unwrap(), b"hello");
    assert_eq!(
        fs::metadata(place.join("bin/run")).unwrap().permissions().mode() & 0o777,
        0o555
    );
    assert_eq!(
        folders.write_out(&MemoryTree::default(), &id('a')).unwrap(),
        place,
        "it is not written twice"
    );
}

#[test]
fn a_symlink_or_submodule_refuses_the_folder_and_leaves_nothing() {
    for kind in [EntryKind::Symlink, EntryKind::Submodule] {
        let root = tempfile::tempdir().unwrap();
        let mut tree = sample();
        tree.folders.insert(id('b'), vec![entry("link", kind, 'c')]);
        let error = ArtefactStore::at(root.path().into())
            .write_out(&tree, &id('a'))
            .unwrap_err();
        assert!(
            matches!(error, FolderError::NotPlain { ref path, .. } if path == "bin/link"),
            "{error}"
        );
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }
}

#[test]
fn a_folder_within_itself_is_refused_by_its_depth() {
    let root = tempfile::tempdir().unwrap();
    let mut tree = MemoryTree::default();
    tree.folders
        .insert(id('a'), vec![entry("again", EntryKind::Folder, 'a')]);
    let error = ArtefactStore::at(root.path().into())
        .write_out(&tree, &id('a'))
        .unwrap_err();
    assert!(
        matches!(error, FolderError::TooLarge { unit: "levels", .. }),
        "{error}"
    );
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

fn left_in(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root).unwrap().flatten();
    let mut names: Vec<_> = entries
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_sweep_keeps_what_is_named_and_removes_the_rest_and_what_a_crash_left() {
    let root = tempfile::tempdir().unwrap();
    let folders = ArtefactStore::at(root.path().into());
    for digit in ['a', 'b'] {
        folders.write_out(&sample(), &id(digit)).unwrap();
    }
    for crashed in [".new-0123", ".old-0123"] {
        fs::create_dir(root.path().join(crashed)).unwrap();
    }
    folders.keep(BTreeSet::from([ArtefactId::from(&id('b'))]));
    folders.sweep();
    assert_eq!(left_in(root.path()), [id('b').as_str()]);
}

#[test]
fn a_sweep_leaves_alone_what_was_handed_out_since_it_was_said_what_to_keep() {
    let root = tempfile::tempdir().unwrap();
    let folders = ArtefactStore::at(root.path().into());
    for digit in ['a', 'b'] {
        folders.write_out(&sample(), &id(digit)).unwrap();
    }
    folders.keep(BTreeSet::new());
    assert!(folders.find(&ArtefactId::from(&id('a'))).is_some());
    folders.clone().sweep();
    assert_eq!(left_in(root.path()), [id('a').as_str()]);
}

/// Sweeps while its last file is being read.
struct SweptTree(MemoryTree, ArtefactStore);

impl Tree for SweptTree {
    fn folder(&self, path: &str) -> Result<Option<Vec<Entry>>, TreeError> {
        self.0.folder(path)
    }

    fn entry(&self, path: &str) -> Result<Option<Entry>, TreeError> {
        self.0.entry(path)
    }

    fn file(&self, entry: &Entry, path: &str, bytes_max: u64) -> Result<Vec<u8>, TreeError> {
        if path == "notes" {
            self.1.keep(BTreeSet::new());
            self.1.sweep();
        }
        self.0.file(entry, path, bytes_max)
    }

    fn folder_of(&self, entry: &Entry, path: &str) -> Result<Vec<Entry>, TreeError> {
        self.0.folder_of(entry, path)
    }
}

#[test]
fn a_sweep_leaves_alone_what_is_being_written() {
    let root = tempfile::tempdir().unwrap();
    let folders = ArtefactStore::at(root.path().into());
    let place = folders
        .write_out(&SweptTree(sample(), folders.clone()), &id('a'))
        .unwrap();
    assert!(place.join("bin/run").is_file() && place.join("notes").is_file());
}
