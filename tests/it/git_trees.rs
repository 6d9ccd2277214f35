//! Trees of every origin: hostile ones in a commit, a plain folder, a revision of a repository where it lies.

use osier::git::{FolderTree, GitError, open_revision};
use osier::specs::tree::{EntryKind, Tree, TreeError};

use crate::git_source::Source;

/// A repository whose root tree holds one blob under `name`, made from raw bytes: git's own commands would refuse.
fn with_entry(name: &[u8]) -> Source {
    let source = Source::with(&[("a", "1")]);
    let blob = source.git(&["rev-parse", "HEAD:a"]);
    let id: Vec<u8> = (0..20)
        .map(|at| u8::from_str_radix(&blob[at * 2..at * 2 + 2], 16).unwrap())
        .collect();
    let raw = [b"100644 ".as_slice(), name, b"\0", &id].concat();
    let tree = source.git_with_input(
        &["hash-object", "-t", "tree", "-w", "--literally", "--stdin"],
        Some(&raw),
    );
    let commit = source.git(&["commit-tree", "-m", "hostile", "-p", "HEAD", &tree]);
    source.git(&["update-ref", "refs/heads/main", &commit]);
    source
}

#[tokio::test]
async fn a_tree_that_git_would_refuse_refuses_the_commit() {
    for name in [
        b"..".as_slice(),
        b".",
        b".git",
        b".GIT",
        b"git~1",
        b"a/b",
        b"a\\b",
        b".git ",
        ".g\u{200c}it".as_bytes(),
    ] {
        let source = with_entry(name);
        let repository = source.open().await;
        let head = repository.update().await.unwrap().head().clone();
        let tree = repository.tree(head).await.unwrap();
        for error in [
            tree.folder("").unwrap_err(),
            tree.entry("a").unwrap_err(),
            tree.folder("apps").unwrap_err(),
        ] {
            assert!(
                matches!(error, TreeError::Malformed { .. }),
                "{name:?}: {error:?}"
            );
            assert_eq!(GitError::from(error).code(), "malformed_tree");
        }
    }
}

#[tokio::test]
async fn a_name_that_git_takes_and_no_app_could_have_refuses_nothing() {
    for (name, shown) in [
        (b"note\x1b".as_slice(), "note\u{1b}"),
        (b"caf\xe9", "caf\u{fffd}"),
    ] {
        let source = with_entry(name);
        let repository = source.open().await;
        let head = repository.update().await.unwrap().head().clone();
        let entries = repository.tree(head).await.unwrap().folder("").unwrap().unwrap();
        assert!(entries.iter().any(|entry| entry.name == shown), "{entries:?}");
    }
}

#[tokio::test]
async fn an_entry_without_a_name_is_not_even_sent() {
    let source = with_entry(b"");
    let error = source.open().await.update().await.unwrap_err();
    assert_eq!(error.code(), "broken_answer", "{error:?}");
}

#[tokio::test]
async fn an_entry_that_stands_twice_refuses_the_commit() {
    let source = Source::with(&[("a", "1")]);
    let blob = source.git(&["rev-parse", "HEAD:a"]);
    let id: Vec<u8> = (0..20)
        .map(|at| u8::from_str_radix(&blob[at * 2..at * 2 + 2], 16).unwrap())
        .collect();
    let entry = [b"100644 a\0".as_slice(), &id].concat();
    let raw = [&entry[..], &entry[..]].concat();
    let tree = source.git_with_input(
        &["hash-object", "-t", "tree", "-w", "--literally", "--stdin"],
        Some(&raw),
    );
    let commit = source.git(&["commit-tree", "-m", "twice", &tree]);
    source.git(&["update-ref", "refs/heads/main", &commit]);
    let repository = source.open().await;
    let head = repository.update().await.unwrap().head().clone();
    let error = repository.tree(head).await.unwrap().folder("").unwrap_err();
    assert!(matches!(error, TreeError::Malformed { .. }), "{error:?}");
}

#[tokio::test]
async fn a_branch_that_points_to_no_commit_is_an_error_and_changes_nothing() {
    let source = Source::with(&[("a", "1")]);
    let repository = source.open().await;
    let head = repository.update().await.unwrap().head().clone();
    let blob = source.git(&["rev-parse", "HEAD:a"]);
    std::fs::write(source.path.join(".git/refs/heads/main"), format!("{blob}\n")).unwrap();
    for _ in 0..2 {
        let error = repository.update().await.unwrap_err();
        assert_eq!(error.code(), "bad_commit", "{error:?}");
    }
    std::fs::write(source.path.join(".git/refs/heads/main"), format!("{head}\n")).unwrap();
    assert_eq!(repository.update().await.unwrap().head(), &head);
}

fn files(tree: &dyn Tree, path: &str, into: &mut Vec<(String, EntryKind, String)>) {
    for entry in tree.folder(path).unwrap().unwrap() {
        let below = if path.is_empty() {
            entry.name.clone()
        } else {
            format!("{path}/{}", entry.name)
        };
        into.push((below.clone(), entry.kind, entry.id.to_string()));
        if entry.kind == EntryKind::Folder {
            files(tree, &below, into);
        }
    }
}

#[test]
fn a_folder_reads_like_the_commit_that_will_be_made_of_it() {
    let source = Source::empty();
    std::fs::create_dir_all(source.path.join("apps/web/bin")).unwrap();
    std::fs::write(source.path.join("apps/web/app.yaml"), "name: web").unwrap();
    std::fs::write(source.path.join("apps/web.txt"), "").unwrap();
    std::fs::write(source.path.join("apps/web/bin/run"), "#!/bin/sh").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", source.path.join("apps/link")).unwrap();
    std::os::unix::fs::symlink("web", source.path.join("apps/folder_link")).unwrap();
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(
            source.path.join("apps/web/bin/run"),
            std::fs::Permissions::from_mode(0o755),
        )
        .unwrap();
    }
    source.commit("all", &[]);
    let folder = FolderTree::new(source.path.clone());
    let (commit, committed) = open_revision(&source.path, "HEAD").unwrap();
    assert_eq!(commit.subject, "all");
    let (mut plain, mut from_commit) = (Vec::new(), Vec::new());
    files(&folder, "", &mut plain);
    files(&committed, "", &mut from_commit);
    assert_eq!(plain, from_commit);
    assert_eq!(plain.len(), 8);

    // Links are never followed, neither at the end nor in the middle.
    let link = folder.entry("apps/link").unwrap().unwrap();
    assert_eq!(link.kind, EntryKind::Symlink);
    assert!(folder.file(&link, "apps/link", 9999).is_err());
    assert_eq!(folder.entry("apps/folder_link/app.yaml").unwrap(), None);
    assert_eq!(folder.folder("apps/folder_link").unwrap(), None);
    let web = folder.entry("apps/web/app.yaml").unwrap().unwrap();
    assert_eq!(folder.file(&web, "apps/folder_link/app.yaml", 9999).ok(), None);
    assert_eq!(
        folder.file(&web, "apps/web/app.yaml", 9999).unwrap(),
        b"name: web"
    );
    assert!(matches!(
        folder.file(&web, "apps/web/app.yaml", 3),
        Err(TreeError::TooLarge { .. })
    ));
    assert_eq!(folder.entry("../outside").unwrap(), None);
    assert_eq!(folder.folder("apps/../..").unwrap(), None);
}

#[test]
fn a_folder_leaves_out_what_git_cannot_hold_and_shows_nested_repositories_as_submodules() {
    let source = Source::empty();
    std::fs::create_dir_all(source.path.join("apps/nested/.git")).unwrap();
    std::fs::write(source.path.join("apps/nested/app.yaml"), "name: x").unwrap();
    let pipe = source.path.join("apps/pipe");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let folder = FolderTree::new(source.path.clone());
    let entries = folder.folder("apps").unwrap().unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(
        (entries[0].name.as_str(), entries[0].kind),
        ("nested", EntryKind::Submodule)
    );
}

#[test]
fn a_revision_is_found_from_below_and_what_is_none_is_said() {
    let source = Source::with(&[("apps/web/app.yaml", "1")]);
    let first = source.head();
    source.commit("second", &[("apps/web/app.yaml", "2")]);
    source.git(&["tag", "-m", "annotated", "v1", first.as_str()]);
    for revision in ["HEAD~1", "main^", first.as_str(), first.short(), "v1"] {
        let (commit, tree) = open_revision(&source.path.join("apps/web"), revision).unwrap();
        assert_eq!(commit.id, first, "{revision}");
        let entry = tree.entry("apps/web/app.yaml").unwrap().unwrap();
        assert_eq!(tree.file(&entry, "apps/web/app.yaml", 9).unwrap(), b"1");
    }
    for revision in [
        "absent",
        "",
        "-x",
        "--all",
        "HEAD:apps",
        "a b",
        "\u{1b}[31m",
        "HEAD~9",
    ] {
        let error = open_revision(&source.path, revision).unwrap_err();
        assert_eq!(error.code(), "no_such_commit", "{revision}: {error}");
        assert!(!error.to_string().contains('\u{1b}'));
    }
    let room = tempfile::tempdir().unwrap();
    assert_eq!(open_revision(room.path(), "HEAD").unwrap_err().code(), "io");
}
