//! A clone of a repository on this machine, by `file://` and by path: updates, commits, trees, history.

use osier::git::{GitError, GitRepository, Update};
use osier::specs::tree::{EntryKind, Tree, TreeError};

use crate::git_source::{Source, open, settings};

fn web(version: &str) -> String {
    format!("name: web\nversion: {version}\ncommand: [/bin/true]\n")
}

#[tokio::test]
async fn a_first_update_fetches_and_a_second_finds_nothing_new() {
    let source = Source::with(&[("apps/web/app.yaml", &web("1"))]);
    let repository = source.open().await;
    assert_eq!(repository.poll().await.unwrap(), source.head());
    let head = source.head();
    let update = repository.update().await.unwrap();
    assert_eq!(
        update,
        Update::Fetched {
            head: head.clone(),
            previous: None
        }
    );
    assert_eq!(
        repository.update().await.unwrap(),
        Update::Unchanged { head: head.clone() }
    );

    let new = source.commit("second", &[("apps/web/app.yaml", &web("2"))]);
    let update = repository.update().await.unwrap();
    assert_eq!(
        update,
        Update::Fetched {
            head: new.clone(),
            previous: Some(head)
        }
    );
    assert_eq!(repository.fetched().await.unwrap(), Some(new));
}

#[tokio::test]
async fn a_plain_path_a_bare_repository_and_a_path_with_a_space_work_alike() {
    let source = Source::with(&[("apps/web/app.yaml", &web("1"))]);
    let bare = source.room.path().join("bare specs.git");
    source.git(&["clone", "-q", "--bare", ".", bare.to_str().unwrap()]);
    let encoded = format!("file://{}", bare.to_str().unwrap().replace(' ', "%20"));
    for (at, url) in [source.path.to_str().unwrap(), bare.to_str().unwrap(), &encoded]
        .into_iter()
        .enumerate()
    {
        let repository = open(url, &source.room.path().join(format!("clone-{at}"))).await;
        assert_eq!(repository.update().await.unwrap().head(), &source.head(), "{url}");
    }
}

#[tokio::test]
async fn a_tree_is_read_with_its_kinds_and_limits() {
    let source = Source::with(&[
        ("apps/web/app.yaml", &web("1")),
        ("apps/db/app.toml", "name = \"db\""),
        ("apps/db.yaml", "x"),
        ("README", "hello"),
    ]);
    std::os::unix::fs::symlink("/etc/passwd", source.path.join("apps/link")).unwrap();
    std::fs::write(source.path.join("apps/run"), "#!/bin/sh\n").unwrap();
    source.git(&["add", "-A"]);
    source.git(&["update-index", "--chmod=+x", "apps/run"]);
    source.git(&["commit", "-q", "-m", "kinds"]);
    let repository = source.open().await;
    let head = repository.update().await.unwrap().head().clone();
    let tree = repository.tree(head).await.unwrap();

    let apps = tree.folder("apps").unwrap().unwrap();
    let kinds: Vec<(&str, EntryKind)> = apps
        .iter()
        .map(|entry| (entry.name.as_str(), entry.kind))
        .collect();
    assert_eq!(
        kinds,
        [
            ("db", EntryKind::Folder),
            ("db.yaml", EntryKind::File { is_executable: false }),
            ("link", EntryKind::Symlink),
            ("run", EntryKind::File { is_executable: true }),
            ("web", EntryKind::Folder),
        ]
    );
    let entry = tree.entry("apps/web/app.yaml").unwrap().unwrap();
    assert_eq!(
        tree.file(&entry, "apps/web/app.yaml", 1024).unwrap(),
        web("1").as_bytes()
    );
    let too_large = tree.file(&entry, "apps/web/app.yaml", 10).unwrap_err();
    assert!(
        matches!(
            too_large,
            TreeError::TooLarge {
                limit: 10,
                unit: "bytes",
                ..
            }
        ),
        "{too_large}"
    );
    let link = tree.entry("apps/link").unwrap().unwrap();
    assert!(tree.file(&link, "apps/link", 1024).is_err());
    assert_eq!(tree.entry("apps/web/absent").unwrap(), None);
    assert_eq!(tree.entry("apps/link/passwd").unwrap(), None);
    assert_eq!(tree.folder("absent").unwrap(), None);
    assert_eq!(tree.folder("README").unwrap(), None);
    let web_folder = apps.iter().find(|entry| entry.name == "web").unwrap();
    assert_eq!(tree.folder_of(web_folder, "apps/web").unwrap().len(), 1);
    assert_eq!(tree.folder("").unwrap().unwrap().len(), 2);
}

#[tokio::test]
async fn the_facts_of_a_commit_are_told_and_hostile_texts_stay_harmless() {
    let source = Source::with(&[("a", "1")]);
    let repository = source.open().await;
    let head = repository.update().await.unwrap().head().clone();
    let commit = repository.commit(head.clone()).await.unwrap();
    assert_eq!(
        (commit.author.as_str(), commit.email.as_str()),
        ("Ada Author", "ada@example.com")
    );
    assert_eq!((commit.subject.as_str(), commit.parents.len()), ("first", 0));
    assert!((1_700_000_000..1_700_001_000).contains(&commit.at));

    let text = format!(
        "tree {}\nparent {head}\nauthor Ev\u{1b}[31mil <e@x> 1700000500 +0000\ncommitter E <e@x> 1700000500 +0000\n\n",
        source.git(&["rev-parse", "HEAD^{tree}"])
    );
    let raw = [text.as_bytes(), b"bad \xff utf-8 \x1b[2J\nbody\n"].concat();
    let id = source.git_with_input(&["hash-object", "-t", "commit", "-w", "--stdin"], Some(&raw));
    source.git(&["update-ref", "refs/heads/main", &id]);
    let head = repository.update().await.unwrap().head().clone();
    let commit = repository.commit(head).await.unwrap();
    assert_eq!(commit.subject, "bad \u{fffd} utf-8 \u{1b}[2J");
    assert!(!commit.summary().contains('\u{1b}'), "{}", commit.summary());
}

#[tokio::test]
async fn a_branch_that_is_gone_is_told_from_an_empty_repository_and_from_none() {
    let source = Source::empty();
    let repository = source.open().await;
    let error = repository.update().await.unwrap_err();
    assert!(matches!(error, GitError::EmptyRepository { .. }), "{error:?}");

    let first = source.commit("first", &[("a", "1")]);
    assert_eq!(repository.update().await.unwrap().head(), &first);
    source.git(&["branch", "-m", "main", "trunk"]);
    let error = repository.update().await.unwrap_err();
    assert!(
        matches!(&error, GitError::BranchGone { others, .. } if others == &["`trunk`"]),
        "{error:?}"
    );
    assert!(repository.poll().await.is_err());
    assert_eq!(
        repository.fetched().await.unwrap(),
        Some(first),
        "what was fetched stays"
    );

    std::fs::rename(&source.path, source.room.path().join("away")).unwrap();
    let error = repository.update().await.unwrap_err();
    assert!(matches!(error, GitError::NotFound { .. }), "{error:?}");
}

#[tokio::test]
async fn a_rewritten_history_is_refused_until_it_is_accepted() {
    let source = Source::with(&[("a", "1")]);
    let repository = source.open().await;
    let first = repository.update().await.unwrap().head().clone();
    repository.accept(first.clone()).await.unwrap();
    let second = source.commit("second", &[("a", "2")]);
    assert_eq!(repository.update().await.unwrap().head(), &second);
    repository.accept(second.clone()).await.unwrap();
    assert_eq!(repository.accepted().await.unwrap(), Some(second.clone()));

    source.git(&["reset", "-q", "--hard", first.as_str()]);
    let other = source.commit("other", &[("a", "3")]);
    for _ in 0..2 {
        let error = repository.update().await.unwrap_err();
        assert!(
            matches!(&error, GitError::HistoryRewritten { old, new } if *old == second && *new == other),
            "{error:?}"
        );
    }
    // An older commit is a rewrite as well: nothing goes back by itself.
    source.git(&["reset", "-q", "--hard", first.as_str()]);
    assert!(matches!(
        repository.update().await,
        Err(GitError::HistoryRewritten { .. })
    ));

    source.git(&["reset", "-q", "--hard", other.as_str()]);
    assert!(repository.update().await.is_err());
    repository.accept(other.clone()).await.unwrap();
    assert_eq!(
        repository.update().await.unwrap(),
        Update::Unchanged { head: other }
    );
}

#[tokio::test]
async fn a_shallow_clone_looks_further_back_for_what_was_accepted() {
    let source = Source::with(&[("a", "0")]);
    let mut settings = settings(&source.url());
    settings.depth = std::num::NonZeroU32::new(1);
    let repository = GitRepository::open(settings, source.clone_folder())
        .await
        .unwrap();
    let first = repository.update().await.unwrap().head().clone();
    repository.accept(first.clone()).await.unwrap();
    for at in 1..12 {
        source.quick_commit(&at.to_string());
    }
    assert_eq!(repository.update().await.unwrap().head(), &source.head());
    assert!(repository.commit(first.clone()).await.is_ok());

    source.git(&["checkout", "-q", "--orphan", "new"]);
    source.commit("unrelated", &[("a", "x")]);
    source.git(&["branch", "-f", "main", "new"]);
    let error = repository.update().await.unwrap_err();
    assert!(
        matches!(&error, GitError::HistoryRewritten { old, .. } if *old == first),
        "{error:?}"
    );
}
