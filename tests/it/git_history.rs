//! Where an app comes from: commit, author, line.

use std::num::NonZeroU32;

use osier::git::{Certainty, GitRepository};

use crate::git_source::{Source, settings};

#[tokio::test]
async fn the_commits_that_changed_a_folder_are_found_newest_first() {
    let source = Source::with(&[("apps/web/app.yaml", "1"), ("apps/db/app.yaml", "1")]);
    let first = source.head();
    let web = source.commit("web 2", &[("apps/web/app.yaml", "2")]);
    source.commit("db 2", &[("apps/db/app.yaml", "2")]);
    let web_file = source.commit("web file", &[("apps/web/files/x", "x")]);
    source.commit("unrelated", &[("README", "x")]);
    let repository = source.open().await;
    let head = repository.update().await.unwrap().head().clone();

    let changes = repository
        .changes(head.clone(), "apps/web".to_owned(), 10)
        .await
        .unwrap();
    let ids: Vec<_> = changes.iter().map(|change| change.commit.id.clone()).collect();
    assert_eq!(ids, [web_file.clone(), web.clone(), first.clone()]);
    assert!(changes.iter().all(|change| change.certainty == Certainty::Exact));
    assert_eq!(changes[0].commit.subject, "web file");
    let places: Vec<_> = changes
        .iter()
        .map(|change| (change.file.as_str(), change.line))
        .collect();
    assert_eq!(
        places,
        [
            ("apps/web/files/x", None),
            ("apps/web/app.yaml", Some(1)),
            ("apps/web/app.yaml", None)
        ]
    );
    let newest = repository
        .changes(head.clone(), "apps/web/app.yaml".to_owned(), 1)
        .await
        .unwrap();
    assert_eq!(newest[0].commit.id, web);
    assert_eq!(
        repository
            .changes(head.clone(), "apps/absent".to_owned(), 9)
            .await
            .unwrap(),
        []
    );

    // What was removed was changed last by its removal.
    source.git(&["rm", "-rq", "apps/db"]);
    let removal = source.commit("no db", &[]);
    let head = repository.update().await.unwrap().head().clone();
    let changes = repository.changes(head, "apps/db".to_owned(), 1).await.unwrap();
    assert_eq!((&changes[0].commit.id, changes[0].line), (&removal, None));
}

#[tokio::test]
async fn a_line_is_traced_to_the_commit_that_wrote_it() {
    let source = Source::with(&[("a.yaml", "name: a\nversion: 1\nenv:\n  X: 1\n")]);
    let first = source.head();
    let version = source.commit("version 2", &[("a.yaml", "name: a\nversion: 2\nenv:\n  X: 1\n")]);
    let head_line = source.commit(
        "comment",
        &[("a.yaml", "# hello\nname: a\nversion: 2\nenv:\n  X: 1\n")],
    );
    let repository = source.open().await;
    let head = repository.update().await.unwrap().head().clone();
    for (line, expected) in [
        (1, Some(&head_line)),
        (2, Some(&first)),
        (3, Some(&version)),
        (5, Some(&first)),
        (9, None),
        (0, None),
    ] {
        let change = repository
            .change_of_line(head.clone(), "a.yaml".to_owned(), line)
            .await
            .unwrap();
        assert_eq!(
            change.map(|change| change.commit.id).as_ref(),
            expected,
            "line {line}"
        );
    }
    assert_eq!(
        repository
            .change_of_line(head, "absent".to_owned(), 1)
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn a_shallow_clone_says_that_it_does_not_know() {
    let source = Source::with(&[("a", "1")]);
    source.commit("b", &[("b", "1")]);
    source.commit("c", &[("c", "1")]);
    let mut settings = settings(&source.url());
    settings.depth = NonZeroU32::new(1);
    let repository = GitRepository::open(settings, source.clone_folder())
        .await
        .unwrap();
    let head = repository.update().await.unwrap().head().clone();
    let changes = repository.changes(head.clone(), "a".to_owned(), 5).await.unwrap();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].certainty, Certainty::OlderThanFetched);
    let change = repository
        .change_of_line(head, "a".to_owned(), 1)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(change.certainty, Certainty::OlderThanFetched);
}

#[tokio::test]
async fn the_line_that_a_commit_changed_is_told_with_it() {
    let source = Source::with(&[("apps/web/app.yaml", "name: web\nversion: 1\nenv:\n  X: 1\n")]);
    source.commit(
        "env",
        &[("apps/web/app.yaml", "name: web\nversion: 1\nenv:\n  X: 2\n")],
    );
    let repository = source.open().await;
    let head = repository.update().await.unwrap().head().clone();
    let changes = repository.changes(head, "apps/web".to_owned(), 1).await.unwrap();
    assert_eq!(
        (changes[0].file.as_str(), changes[0].line),
        ("apps/web/app.yaml", Some(4))
    );
}

#[tokio::test]
async fn what_lies_very_far_back_is_not_known_rather_than_waited_for() {
    let source = Source::with(&[("old", "1"), ("a", "1")]);
    let script: String = (0..1_100)
        .map(|at| {
            let from = if at == 0 { "from refs/heads/main^0\n" } else { "" };
            let time = 1_700_001_000 + at;
            format!("commit refs/heads/main\ncommitter A <a@b> {time} +0000\ndata 1\nx{from}\n")
        })
        .collect();
    source.git_with_input(&["fast-import", "--quiet"], Some(script.as_bytes()));
    let repository = source.open().await;
    let head = repository.update().await.unwrap().head().clone();
    let changes = repository
        .changes(head.clone(), "old".to_owned(), 1)
        .await
        .unwrap();
    assert_eq!(changes[0].certainty, Certainty::OlderThanWalked);
    let line = repository
        .change_of_line(head, "old".to_owned(), 1)
        .await
        .unwrap();
    assert_eq!(line.unwrap().certainty, Certainty::OlderThanWalked);
}

#[tokio::test]
async fn a_merge_is_looked_at_from_the_main_line() {
    let source = Source::with(&[("a", "1")]);
    source.git(&["checkout", "-q", "-b", "side"]);
    source.commit("on the side", &[("b", "1")]);
    source.git(&["checkout", "-q", "main"]);
    source.commit("on main", &[("c", "1")]);
    source.git(&["merge", "-q", "--no-ff", "-m", "merge side", "side"]);
    let repository = source.open().await;
    let head = repository.update().await.unwrap().head().clone();
    let changes = repository.changes(head.clone(), "b".to_owned(), 5).await.unwrap();
    assert_eq!(
        changes[0].commit.id, head,
        "the merge brought it to the accepted line"
    );
    assert_eq!(changes[0].commit.parents.len(), 2);
}
