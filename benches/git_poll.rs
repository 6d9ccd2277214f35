//! What a poll of an unchanged repository costs, beside `git ls-remote`; and the first fetch and reading of a large one.
//!
//! `cargo bench --bench git_poll [-- ROUNDS]` prints medians of interleaved rounds in milliseconds. The http server is the
//! real `git http-backend`, so both sides pay for its processes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    dead_code,
    reason = "a measurement that cannot go on fails"
)]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use osier::git::{GitRepository, Update};
use osier::specs::tree::Tree;

#[path = "../tests/support/git_server_http.rs"]
mod git_server_http;
#[path = "../tests/support/git_source.rs"]
mod git_source;

use git_server_http::HttpServer;
use git_source::{Source, open};

const ROUNDS: usize = 51;
const SPECS: usize = 1_000;
const FILES: usize = 5_000;

fn main() {
    let rounds = std::env::args()
        .filter_map(|word| word.parse().ok())
        .next()
        .unwrap_or(ROUNDS);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        println!(
            "{:44} {:>9} {:>14}",
            "median of interleaved rounds, ms", "osier", "git ls-remote"
        );
        let source = source(100);
        let server = HttpServer::start(source.room.path());
        for (name, url) in [("file", source.url()), ("http", server.url("source"))] {
            let repository = open(&url, &source.room.path().join(name)).await;
            repository.update().await.unwrap();
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..rounds {
                ours.push(
                    timed(async || {
                        assert!(matches!(
                            repository.update().await.unwrap(),
                            Update::Unchanged { .. }
                        ));
                    })
                    .await,
                );
                theirs.push(timed(async || ls_remote(&url)).await);
            }
            println!(
                "{:44} {:>9.2} {:>14.2}",
                format!("poll of an unchanged repository, {name}"),
                median(ours),
                median(theirs)
            );
        }
        first_fetch(rounds.min(15)).await;
        reading(rounds.min(15)).await;
        history(rounds.min(15)).await;
    });
}

/// A repository of `specs` apps, each a folder with one spec, in loose objects as right after a commit.
fn source(specs: usize) -> Source {
    let source = Source::empty();
    for at in 0..specs {
        let folder = source.path.join(format!("apps/app-{at:05}"));
        std::fs::create_dir_all(&folder).unwrap();
        let text = format!(
            "name: app-{at:05}\nversion: 1.0.{at}\ncommand: [\"/usr/bin/sleep\", \"infinity\"]\nenv: {{ PORT: {at}, LOG: info }}\n"
        );
        std::fs::write(folder.join("app.yaml"), text).unwrap();
    }
    source.commit("all", &[]);
    source
}

async fn first_fetch(rounds: usize) {
    for (name, packed) in [("loose", false), ("packed", true)] {
        let source = source(SPECS);
        if packed {
            source.git(&["gc", "-q"]);
        }
        let server = HttpServer::start(source.room.path());
        for (way, url) in [("file", source.url()), ("http", server.url("source"))] {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for round in 0..rounds {
                let folder = source.room.path().join(format!("{way}-{round}"));
                ours.push(
                    timed(async || {
                        let repository = open(&url, &folder).await;
                        repository.update().await.unwrap();
                    })
                    .await,
                );
                std::fs::remove_dir_all(&folder).unwrap();
                theirs.push(timed(async || clone(&url, &folder)).await);
                std::fs::remove_dir_all(&folder).unwrap();
            }
            let name = format!("first fetch of {SPECS} specs ({name}), {way}");
            println!(
                "{name:44} {:>9.2} {:>14.2}  (git clone --bare)",
                median(ours),
                median(theirs)
            );
        }
    }
}

async fn reading(rounds: usize) {
    let source = source(FILES);
    let repository = source.open().await;
    let head = repository.update().await.unwrap().head().clone();
    let mut ours = Vec::new();
    for _ in 0..rounds {
        ours.push(
            timed(async || {
                let tree = repository.tree(head.clone()).await.unwrap();
                let mut bytes = 0;
                for app in tree.folder("apps").unwrap().unwrap() {
                    for entry in tree.folder_of(&app, &app.name).unwrap() {
                        bytes += tree.file(&entry, &entry.name, 1 << 20).unwrap().len();
                    }
                }
                assert!(bytes > FILES * 50);
            })
            .await,
        );
    }
    println!(
        "{:44} {:>9.2}",
        format!("reading {FILES} apps' folders and specs"),
        median(ours)
    );
}

async fn history(rounds: usize) {
    let source = source(SPECS);
    for at in 0..50 {
        source.commit("more", &[("README", &at.to_string())]);
    }
    let repository: GitRepository = source.open().await;
    let head = repository.update().await.unwrap().head().clone();
    let mut ours = Vec::new();
    for _ in 0..rounds {
        ours.push(
            timed(async || {
                let path = "apps/app-00500".to_owned();
                assert_eq!(repository.changes(head.clone(), path, 1).await.unwrap().len(), 1);
            })
            .await,
        );
    }
    println!(
        "{:44} {:>9.2}",
        "who changed an app, 50 commits back",
        median(ours)
    );
}

async fn timed(work: impl AsyncFnOnce()) -> Duration {
    let begun = Instant::now();
    work().await;
    begun.elapsed()
}

fn ls_remote(url: &str) {
    git(&["ls-remote", url, "refs/heads/main"]);
}

fn clone(url: &str, folder: &std::path::Path) {
    git(&[
        "clone",
        "-q",
        "--bare",
        "--single-branch",
        "--no-tags",
        url,
        folder.to_str().unwrap(),
    ]);
}

fn git(args: &[&str]) {
    let status = Command::new("git")
        .args(args)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e3
}
