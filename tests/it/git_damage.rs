//! Clones that were cut off, damaged or have grown, and how they come right again.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use osier::git::{GitError, GitRepository, Update};
use osier::specs::tree::Tree;

use crate::git_source::{Source, open, settings};

fn packs(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let packs = std::fs::read_dir(folder.join("current/objects/pack"))
        .unwrap()
        .flatten();
    packs
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|known| known == extension))
        .collect()
}

fn writable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
}

/// Reads everything of `head`; true if it could be read.
async fn is_whole(repository: &GitRepository) -> bool {
    let Ok(Some(head)) = repository.fetched().await else {
        return false;
    };
    let Ok(tree) = repository.tree(head).await else {
        return false;
    };
    let Ok(Some(entry)) = tree.entry("noise") else {
        return false;
    };
    tree.file(&entry, "noise", 1 << 20).is_ok()
}

fn noisy() -> Source {
    let noise: String = (0..40_000).map(|_| fastrand::alphanumeric()).collect();
    Source::with(&[("noise", &noise), ("apps/web/app.yaml", "version: 1")])
}

#[tokio::test]
async fn a_damaged_clone_is_noticed_and_cloned_anew_with_what_was_accepted() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 8] = [
        ("a truncated pack", |folder| {
            let pack = packs(folder, "pack").remove(0);
            writable(&pack);
            std::fs::OpenOptions::new()
                .write(true)
                .open(pack)
                .unwrap()
                .set_len(4000)
                .unwrap();
        }),
        ("a pack of zeros", |folder| {
            let pack = packs(folder, "pack").remove(0);
            writable(&pack);
            let bytes = vec![0; std::fs::metadata(&pack).unwrap().len() as usize];
            std::fs::write(pack, bytes).unwrap();
        }),
        ("an empty index", |folder| {
            let index = packs(folder, "idx").remove(0);
            writable(&index);
            std::fs::write(index, "").unwrap();
        }),
        ("no pack", |folder| {
            std::fs::remove_file(packs(folder, "pack").remove(0)).unwrap();
        }),
        ("no objects", |folder| {
            std::fs::remove_dir_all(folder.join("current/objects")).unwrap();
        }),
        ("no HEAD", |folder| {
            std::fs::remove_file(folder.join("current/HEAD")).unwrap();
        }),
        ("a configuration of garbage", |folder| {
            std::fs::write(folder.join("current/config"), "\0[[[").unwrap();
        }),
        ("an empty reference", |folder| {
            std::fs::write(folder.join("current/refs/osier/fetched"), "").unwrap();
        }),
    ];
    for (name, harm) in harms {
        let source = noisy();
        let folder = source.clone_folder();
        let repository = source.open().await;
        let head = repository.update().await.unwrap().head().clone();
        repository.accept(head.clone()).await.unwrap();
        assert!(is_whole(&repository).await);
        drop(repository);
        harm(&folder);

        let repository = source.open().await;
        // A reader meets the damage first, as it would after a start without network.
        let _ = is_whole(&repository).await;
        let update = repository.update().await;
        assert_eq!(
            update.unwrap_or_else(|error| panic!("{name}: {error}")).head(),
            &head,
            "{name}"
        );
        assert!(is_whole(&repository).await, "{name}");
        assert_eq!(repository.accepted().await.unwrap(), Some(head), "{name}");
        let next = source.commit("next", &[("a", "2")]);
        assert_eq!(repository.update().await.unwrap().head(), &next, "{name}");
    }
}

#[tokio::test]
async fn a_clone_damaged_while_in_use_is_mended_too() {
    let source = noisy();
    let repository = source.open().await;
    let head = repository.update().await.unwrap().head().clone();
    repository.accept(head.clone()).await.unwrap();
    for index in packs(&source.clone_folder(), "idx") {
        std::fs::remove_file(index).unwrap();
    }
    let next = source.commit("next", &[("a", "2")]);
    assert_eq!(repository.update().await.unwrap().head(), &next);
    assert!(is_whole(&repository).await);
}

#[tokio::test]
async fn a_damaged_clone_stays_while_the_server_is_away() {
    let source = noisy();
    let repository = source.open().await;
    let head = repository.update().await.unwrap().head().clone();
    repository.accept(head.clone()).await.unwrap();
    drop(repository);
    std::fs::write(source.clone_folder().join("current/refs/osier/fetched"), "").unwrap();
    let away = source.room.path().join("away");
    std::fs::rename(&source.path, &away).unwrap();
    let repository = source.open().await;
    assert!(repository.update().await.is_err());
    assert_eq!(repository.accepted().await.unwrap(), Some(head.clone()));
    assert!(
        repository.tree(head.clone()).await.is_ok(),
        "what can be read still is"
    );
    std::fs::rename(&away, &source.path).unwrap();
    assert_eq!(repository.update().await.unwrap().head(), &head);
}

#[tokio::test]
async fn what_a_killed_fetch_left_is_removed_and_in_nobody_s_way() {
    let source = noisy();
    let folder = source.clone_folder();
    let repository = source.open().await;
    repository.update().await.unwrap();
    drop(repository);
    let current = folder.join("current");
    let orphan = "objects/pack/pack-0123456789012345678901234567890123456789.pack";
    let left = [
        "shallow.lock",
        "config.lock",
        "packed-refs.lock",
        "refs/osier/fetched.lock",
        "refs/osier/accepted.lock",
        "objects/pack/tmp_pack_Ab12",
        "objects/pack/tmp_idx_Ab12",
        "objects/pack/.tmpXyZ123",
        orphan,
        "objects/pack/pack-0123.keep",
    ];
    for name in left {
        std::fs::write(current.join(name), "x").unwrap();
    }
    std::fs::create_dir(folder.join("fresh")).unwrap();
    std::fs::write(folder.join("fresh/half"), "x").unwrap();

    let repository = source.open().await;
    for name in left {
        assert!(!current.join(name).exists(), "{name}");
    }
    assert!(!folder.join("fresh").exists());
    let next = source.commit("next", &[("a", "2")]);
    assert_eq!(repository.update().await.unwrap().head(), &next);
    repository.accept(next).await.unwrap();
}

#[tokio::test]
async fn an_exchange_that_was_cut_off_leaves_one_whole_clone() {
    let source = noisy();
    let folder = source.clone_folder();
    let repository = source.open().await;
    let head = repository.update().await.unwrap().head().clone();
    drop(repository);
    // Between the two renames.
    std::fs::rename(folder.join("current"), folder.join("old")).unwrap();
    std::fs::create_dir(folder.join("fresh")).unwrap();
    let repository = source.open().await;
    assert_eq!(repository.fetched().await.unwrap(), Some(head));
    assert!(is_whole(&repository).await);
    assert!(!folder.join("old").exists());
}

#[tokio::test]
async fn many_fetches_leave_few_packs_and_a_short_boundary() {
    for depth in [None, NonZeroU32::new(1)] {
        let source = noisy();
        let folder = source.clone_folder();
        let mut settings = settings(&source.url());
        settings.depth = depth;
        let repository = GitRepository::open(settings, folder.clone()).await.unwrap();
        let mut most = 0;
        for at in 0..36 {
            let head = source.quick_commit(&at.to_string());
            assert_eq!(repository.update().await.unwrap().head(), &head);
            repository.accept(head.clone()).await.unwrap();
            assert_eq!(
                repository.update().await.unwrap(),
                Update::Unchanged { head: head.clone() }
            );
            most = most.max(packs(&folder, "pack").len());
            assert_eq!(repository.accepted().await.unwrap(), Some(head));
        }
        assert_eq!(most, 31, "one before the exchange");
        assert!(packs(&folder, "pack").len() < 10);
        assert!(is_whole(&repository).await);
        let shallow = std::fs::read_to_string(folder.join("current/shallow")).unwrap_or_default();
        assert!(shallow.lines().count() < 32, "{} lines", shallow.lines().count());
        assert_eq!(
            repository.update().await.unwrap(),
            Update::Unchanged { head: source.head() }
        );
    }
}

#[tokio::test]
async fn the_accepted_commit_survives_an_exchange_though_the_server_no_longer_has_it() {
    let source = noisy();
    let folder = source.clone_folder();
    let repository = source.open().await;
    let old = repository.update().await.unwrap().head().clone();
    repository.accept(old.clone()).await.unwrap();
    source.git(&["checkout", "-q", "--orphan", "new"]);
    source.commit("unrelated", &[("noise", "new")]);
    source.git(&["branch", "-q", "-f", "main", "new"]);
    source.git(&["reflog", "expire", "--expire=now", "--all"]);
    source.git(&["gc", "-q", "--prune=now"]);
    for at in 0..35 {
        source.quick_commit(&at.to_string());
        let error = repository.update().await.unwrap_err();
        assert!(
            matches!(&error, GitError::HistoryRewritten { old: known, .. } if *known == old),
            "{error:?}"
        );
    }
    assert!(packs(&folder, "pack").len() < 32);
    let tree = repository.tree(old.clone()).await.unwrap();
    let entry = tree.entry("noise").unwrap().unwrap();
    assert_eq!(tree.file(&entry, "noise", 1 << 20).unwrap().len(), 40_000);
    assert_eq!(repository.commit(old).await.unwrap().subject, "first");

    let unrelated = repository.fetched().await.unwrap().unwrap();
    repository.accept(unrelated).await.unwrap();
    let head = source.quick_commit("later");
    assert_eq!(repository.update().await.unwrap().head(), &head);
}

#[tokio::test]
async fn a_fresh_shallow_clone_looks_further_back_for_what_was_accepted() {
    for commits in [5, 30, 700] {
        let source = noisy();
        let mut settings = settings(&source.url());
        settings.depth = NonZeroU32::new(1);
        let repository = GitRepository::open(settings.clone(), source.clone_folder())
            .await
            .unwrap();
        let first = repository.update().await.unwrap().head().clone();
        repository.accept(first.clone()).await.unwrap();
        drop(repository);
        std::fs::write(source.clone_folder().join("current/config"), "[[[").unwrap();
        let script: String = (0..commits)
            .map(|at| {
                let from = if at == 0 { "from refs/heads/main^0\n" } else { "" };
                format!(
                    "commit refs/heads/main\ncommitter A <a@b> {} +0000\ndata 1\nx{from}\n",
                    1_700_001_000 + at
                )
            })
            .collect();
        source.git_with_input(&["fast-import", "--quiet"], Some(script.as_bytes()));

        let repository = GitRepository::open(settings, source.clone_folder())
            .await
            .unwrap();
        assert_eq!(repository.accepted().await.unwrap(), Some(first.clone()));
        assert_eq!(
            repository.update().await.unwrap().head(),
            &source.head(),
            "{commits}"
        );
        assert!(repository.commit(first).await.is_ok(), "{commits}");
    }
}

#[tokio::test]
async fn another_address_in_the_configuration_is_the_operator_s_word() {
    let first = noisy();
    let folder = first.clone_folder();
    let repository = first.open().await;
    let head = repository.update().await.unwrap().head().clone();
    repository.accept(head).await.unwrap();
    drop(repository);

    let other = Source::with(&[("noise", "other")]);
    let repository = open(&other.url(), &folder).await;
    assert_eq!(repository.update().await.unwrap().head(), &other.head());
    repository.accept(other.head()).await.unwrap();
    // From then on the new one's history counts.
    other.git(&["commit", "-q", "--amend", "-m", "rewritten"]);
    assert!(matches!(
        repository.update().await,
        Err(GitError::HistoryRewritten { .. })
    ));
}

#[tokio::test]
async fn a_repository_of_sha256_is_followed_and_a_change_of_hash_is_no_small_matter() {
    let source = Source::empty_with(&["--object-format=sha256"]);
    let head = source.commit("first", &[("noise", "1")]);
    assert_eq!(head.as_str().len(), 64);
    let repository = source.open().await;
    assert_eq!(
        repository.update().await.unwrap(),
        Update::Fetched {
            head: head.clone(),
            previous: None
        }
    );
    assert!(is_whole(&repository).await);
    repository.accept(head).await.unwrap();
    let next = source.commit("second", &[("noise", "2")]);
    assert_eq!(repository.update().await.unwrap().head(), &next);

    std::fs::remove_dir_all(&source.path).unwrap();
    std::fs::create_dir(&source.path).unwrap();
    source.git(&["init", "-q", "-b", "main"]);
    source.commit("sha1", &[("noise", "3")]);
    let error = repository.update().await.unwrap_err();
    assert_eq!(error.code(), "hash_changed", "{error}");
    assert!(repository.accepted().await.unwrap().is_some());
}

#[tokio::test]
async fn the_clone_is_private_and_knows_nothing_of_hooks() {
    use std::os::unix::fs::PermissionsExt as _;
    let source = noisy();
    let repository = source.open().await;
    repository.update().await.unwrap();
    for folder in [source.clone_folder(), source.clone_folder().join("current")] {
        assert_eq!(
            std::fs::metadata(folder).unwrap().permissions().mode() & 0o777,
            0o700
        );
    }
    assert!(!source.clone_folder().join("current/hooks").exists());
}
