//! `git://` from a real `git daemon`.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use osier::git::{GitError, GitRepository, Update};

use crate::git_server_inetd::InetdServer;
use crate::git_source::{Source, open, settings};
use crate::poll::until;

#[tokio::test]
async fn a_git_daemon_serves_updates_and_says_what_is_missing() {
    let source = Source::with(&[("a", "1")]);
    let server = InetdServer::git_daemon(source.room.path());
    let url = format!("git://127.0.0.1:{}/source", server.port);
    let repository = open(&url, &source.clone_folder()).await;
    assert!(matches!(
        repository.update().await.unwrap(),
        Update::Fetched { .. }
    ));
    assert!(matches!(
        repository.update().await.unwrap(),
        Update::Unchanged { .. }
    ));
    let head = source.commit("second", &[("a", "2")]);
    assert_eq!(repository.poll().await.unwrap(), head);
    assert_eq!(repository.update().await.unwrap().head(), &head);

    let absent = open(
        &format!("git://127.0.0.1:{}/absent", server.port),
        &source.room.path().join("c2"),
    )
    .await;
    let error = absent.update().await.unwrap_err();
    assert!(matches!(error, GitError::NotFound { .. }), "{error:?}");
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_unreachable() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let room = tempfile::tempdir().unwrap();
    for url in [
        format!("git://127.0.0.1:{port}/x"),
        format!("http://127.0.0.1:{port}/x"),
        format!("ssh://127.0.0.1:{port}/x"),
    ] {
        let repository = open(&url, &room.path().join("clone")).await;
        let error = repository.update().await.unwrap_err();
        assert!(matches!(error, GitError::Unreachable { .. }), "{url}: {error:?}");
        assert!(error.is_retryable());
    }
}

/// Accepts connections and never says a word.
pub fn silent_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming() {
            kept.push(stream);
        }
    });
    port
}

#[tokio::test]
async fn a_server_that_says_nothing_times_out_on_every_way() {
    let port = silent_port();
    let room = tempfile::tempdir().unwrap();
    for url in [
        format!("git://127.0.0.1:{port}/x"),
        format!("http://127.0.0.1:{port}/x"),
        format!("https://127.0.0.1:{port}/x"),
        format!("ssh://127.0.0.1:{port}/x"),
    ] {
        let mut settings = settings(&url);
        settings.deadlines.connect = Duration::from_millis(300);
        settings.deadlines.idle = Duration::from_millis(300);
        let repository = GitRepository::open(settings, room.path().join("clone"))
            .await
            .unwrap();
        let begun = Instant::now();
        let error = repository.update().await.unwrap_err();
        assert!(matches!(error, GitError::TimedOut { .. }), "{url}: {error:?}");
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{url}: {:?}",
            begun.elapsed()
        );
        assert!(!repository.is_stuck());
    }
}

#[tokio::test]
async fn a_dropped_update_is_cancelled_at_once_and_the_next_one_runs() {
    let port = silent_port();
    let room = tempfile::tempdir().unwrap();
    for scheme in ["git", "http", "https", "ssh"] {
        let repository = open(
            &format!("{scheme}://127.0.0.1:{port}/x"),
            &room.path().join("clone"),
        )
        .await;
        assert!(
            tokio::time::timeout(Duration::from_millis(200), repository.update())
                .await
                .is_err()
        );
        until(&format!("{scheme}: the thread ends"), || !repository.is_stuck()).await;
    }
}

#[tokio::test]
async fn the_total_deadline_ends_what_is_never_idle() {
    let source = Source::with(&[("a", "1")]);
    let server = crate::git_server_http::HttpServer::start(source.room.path());
    let mut settings = settings(&server.url("source"));
    settings.deadlines.total = Duration::from_millis(600);
    let repository = GitRepository::open(settings, source.clone_folder())
        .await
        .unwrap();
    server.set(crate::git_server_http::Mood::Drip);
    let begun = Instant::now();
    let error = repository.update().await.unwrap_err();
    assert!(matches!(error, GitError::TimedOut { .. }), "{error:?}");
    // The whole at one byte every 20 ms would take minutes.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    server.set(crate::git_server_http::Mood::Good);
    drop(repository);
    let repository = open(&server.url("source"), &source.clone_folder()).await;
    assert_eq!(repository.update().await.unwrap().head(), &source.head());
}
