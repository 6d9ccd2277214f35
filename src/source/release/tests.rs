//! Against a real server on loopback that misbehaves as it is told.

use std::sync::atomic::{AtomicUsize, Ordering};

use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// What is answered to a request: bytes of a head and a body, after which the connection is closed.
type Script = dyn Fn(&Request) -> Vec<u8> + Send + Sync;

struct Request {
    path: String,
    /// From where on; 0: all of it.
    from: usize,
}

struct Server {
    address: std::net::SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Server {
    async fn start(script: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let (script, count): (Arc<Script>, _) = (Arc::new(script), asked.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, script.clone()));
            }
        });
        Self { address, asked }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// The head of a request; none: whoever asked has left.
async fn head_of(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap().to_ascii_lowercase())
}

async fn serve(mut stream: TcpStream, script: Arc<Script>) {
    let Some(head) = head_of(&mut stream).await else {
        return;
    };
    let range = head.lines().find_map(|line| line.strip_prefix("range: bytes="));
    let request = Request {
        path: head.split(' ').nth(1).unwrap().to_owned(),
        from: range.map_or(0, |range| range.trim_end_matches('-').parse().unwrap()),
    };
    let _ = stream.write_all(&script(&request)).await;
    let _ = stream.shutdown().await;
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status}\r\nconnection: close\r\n{headers}\r\n").into_bytes();
    bytes.extend(body);
    bytes
}

fn redirect(to: &str) -> Vec<u8> {
    answer(
        "302 Found",
        &format!("location: {to}\r\ncontent-length: 0\r\n"),
        b"",
    )
}

fn whole(body: &[u8]) -> Vec<u8> {
    broken(body, body.len())
}

/// Promises all of `body` and breaks off after `bytes`.
fn broken(body: &[u8], bytes: usize) -> Vec<u8> {
    let headers = format!("content-length: {}\r\n", body.len());
    answer("200 OK", &headers, &body[..bytes])
}

fn rest(body: &[u8], from: usize) -> Vec<u8> {
    let (last, length) = (body.len() - 1, body.len());
    let headers = format!(
        "content-length: {}\r\ncontent-range: bytes {from}-{last}/{length}\r\n",
        length - from
    );
    answer("206 Partial Content", &headers, &body[from..])
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

struct Room {
    folder: tempfile::TempDir,
    releases: Releases,
}

fn room() -> Room {
    room_with(|_| {})
}

fn room_with(change: impl FnOnce(&mut ReleaseSettings)) -> Room {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = ReleaseSettings::default();
    change(&mut settings);
    let releases = Releases::new(ArtefactStore::at(folder.path().join("artefacts")), settings);
    Room { folder, releases }
}

impl Room {
    async fn get(&self, url: &str, sha256: &str) -> Result<PathBuf, ReleaseError> {
        let id = release::artefact_id(url, sha256).unwrap();
        let app = "web".parse().unwrap();
        self.releases.get(&app, url, sha256, &id).await
    }

    /// What lies where artefacts do, by name.
    fn left(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path().join("artefacts"));
        let mut names: Vec<_> = entries
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

/// What the smallest file takes of a disk.
const BLOCK: u64 = 4096;

const TOOL: &[u8] = b"#!/bin/sh\necho tool\n";

#[tokio::test]
async fn a_release_is_fetched_once_for_all_who_want_it() {
    let server = Server::start(|_| whole(TOOL)).await;
    let room = room();
    let (url, digest) = (server.url("tool"), sha256(TOOL));
    let (one, other) = tokio::join!(room.get(&url, &digest), room.get(&url, &digest));
    let place = one.unwrap();
    assert_eq!(other.unwrap(), place);
    assert_eq!(room.get(&url, &digest).await.unwrap(), place);
    assert_eq!(std::fs::read(place.join("tool")).unwrap(), TOOL);
    assert_eq!(server.asked(), 1);
    assert_eq!(room.left().len(), 1, "{:?}", room.left());
}

#[tokio::test]
async fn another_file_than_was_meant_is_refused_and_nothing_is_left_of_it() {
    let server = Server::start(|_| whole(b"evil")).await;
    let room = room();
    let error = room.get(&server.url("tool"), &sha256(TOOL)).await.unwrap_err();
    assert_eq!(error.code(), "digest_mismatch");
    let told = error.to_string();
    assert!(
        told.contains(&sha256(b"evil")) && told.contains(&sha256(TOOL)),
        "{told}"
    );
    assert_eq!(room.left(), Vec::<String>::new());
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn a_transfer_that_breaks_off_goes_on_where_it_was() {
    let body: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let served = body.clone();
    let server = Server::start(move |request| match request.from {
        0 => broken(&served, 150_000),
        from => rest(&served, from),
    })
    .await;
    let room = room();
    let place = room.get(&server.url("tool"), &sha256(&body)).await.unwrap();
    assert!(std::fs::read(place.join("tool")).unwrap() == body);
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn a_server_without_ranges_sends_all_of_it_again() {
    let asked = AtomicUsize::new(0);
    let server = Server::start(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => broken(TOOL, 7),
        _ => whole(TOOL),
    })
    .await;
    let room = room();
    let place = room.get(&server.url("tool"), &sha256(TOOL)).await.unwrap();
    assert_eq!(std::fs::read(place.join("tool")).unwrap(), TOOL);
}

#[tokio::test]
async fn what_an_earlier_try_left_of_another_file_is_fetched_anew() {
    let server = Server::start(|request| match request.from {
        0 => whole(TOOL),
        from => rest(TOOL, from),
    })
    .await;
    let room = room();
    let (url, digest) = (server.url("tool"), sha256(TOOL));
    let id = release::artefact_id(&url, &digest).unwrap();
    let (file, claim) = room.releases.store.partial(&id).unwrap();
    std::fs::write(&file, b"garbage").unwrap();
    drop(claim);
    let place = room.get(&url, &digest).await.unwrap();
    assert_eq!(std::fs::read(place.join("tool")).unwrap(), TOOL);
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn a_server_that_says_no_is_told_with_its_answer() {
    let server = Server::start(|_| answer("404 Not Found", "content-length: 0\r\n", b"")).await;
    let url = server.url("tool?token=secret");
    let error = room().get(&url, &sha256(TOOL)).await.unwrap_err().to_string();
    assert!(error.ends_with("/tool answers 404"), "{error}");
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn redirects_are_followed_and_circles_are_not() {
    let server = Server::start(|request| match request.path.as_str() {
        "/tool" => redirect("/there"),
        "/there" => whole(TOOL),
        _ => redirect("/circle"),
    })
    .await;
    let room = room();
    room.get(&server.url("tool"), &sha256(TOOL)).await.unwrap();
    let error = room
        .get(&server.url("circle"), &sha256(b"x"))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("redirects more than 5 times"), "{error}");
    assert_eq!(server.asked(), 2 + 6);
}

#[tokio::test]
async fn what_the_node_does_not_allow_is_not_asked() {
    let server = Server::start(|_| whole(TOOL)).await;
    let denied = room_with(|settings| {
        settings.web.policy.deny = vec!["127.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()];
    });
    for url in [
        server.url("tool"),
        format!("http://localhost:{}/tool", server.address.port()),
    ] {
        let error = denied.get(&url, &sha256(TOOL)).await.unwrap_err();
        assert_eq!(error.code(), "not_allowed", "{error}");
    }
    let elsewhere = room_with(|settings| {
        settings.web.policy.allow = vec!["https://example.org/".parse().unwrap()];
    });
    let error = elsewhere
        .get(&server.url("tool"), &sha256(TOOL))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "not_allowed", "{error}");
    assert_eq!(server.asked(), 0);
}

#[tokio::test]
async fn a_redirect_is_checked_like_the_first_address() {
    let inner = Server::start(|_| whole(TOOL)).await;
    let to = format!("http://localhost:{}/tool", inner.address.port());
    let outer = Server::start(move |_| redirect(&to)).await;
    let room = room_with(|settings| {
        settings.web.policy.allow = vec![outer.url("").parse().unwrap()];
    });
    let error = room.get(&outer.url("tool"), &sha256(TOOL)).await.unwrap_err();
    assert_eq!(error.code(), "not_allowed", "{error}");
    assert_eq!((outer.asked(), inner.asked()), (1, 0));
}

#[tokio::test]
async fn what_is_too_large_is_refused_whether_or_not_the_server_says_so() {
    let large = vec![7; 300_000];
    for says_length in [true, false] {
        let body = large.clone();
        let server = Server::start(move |_| {
            if says_length {
                whole(&body)
            } else {
                answer("200 OK", "", &body)
            }
        })
        .await;
        let room = room_with(|settings| settings.max_size = 100_000);
        let error = room.get(&server.url("tool"), &sha256(&large)).await.unwrap_err();
        assert_eq!(error.code(), "too_large", "{error}");
        assert_eq!(room.left(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_full_budget_refuses_what_is_new_and_leaves_what_is_there() {
    let server = Server::start(|_| whole(TOOL)).await;
    // One file takes a block of the disk, 4 KiB as a rule; a little more than that is allowed.
    let room = room_with(|settings| settings.disk_max = BLOCK + 10);
    let there = room.get(&server.url("one"), &sha256(TOOL)).await.unwrap();
    let error = room.get(&server.url("two"), &sha256(TOOL)).await.unwrap_err();
    assert_eq!(error.code(), "disk_budget", "{error}");
    assert!(there.join("one").is_file());
    assert_eq!(room.left().len(), 1, "{:?}", room.left());
}

#[tokio::test]
async fn an_archive_that_must_not_be_unpacked_leaves_nothing() {
    let body = b"no archive at all";
    let server = Server::start(|_| whole(body)).await;
    let room = room();
    let error = room
        .get(&server.url("x.tar.gz"), &sha256(body))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "bad_archive", "{error}");
    assert_eq!(room.left(), Vec::<String>::new());
}

/// A server of which the connection stays open and silent after `bytes`.
async fn silent_after(bytes: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            head_of(&mut stream).await;
            let _ = stream.write_all(&bytes).await;
            held.push(stream);
        }
    });
    format!("http://{address}/tool")
}

#[tokio::test]
async fn a_server_that_falls_silent_is_given_up_and_what_it_sent_is_kept() {
    let url = silent_after(broken(TOOL, 5)).await;
    let room = room();
    let digest = sha256(TOOL);
    let asking = room.get(&url, &digest);
    tokio::pin!(asking);
    // Until the first bytes are on the disk, in real time; then the clock is ours.
    let is_there = |room: &Room| {
        let artefacts = room.folder.path().join("artefacts");
        room.left()
            .first()
            .is_some_and(|name| std::fs::metadata(artefacts.join(name)).is_ok_and(|file| file.len() == 5))
    };
    while !is_there(&room) {
        tokio::select! {
            _ = &mut asking => panic!("it ended"),
            () = tokio::task::yield_now() => {}
        }
    }
    // It does not run ahead by itself while a thread waits for what is to be written.
    tokio::time::pause();
    let error = loop {
        tokio::select! {
            biased;
            ended = &mut asking => break ended.unwrap_err().to_string(),
            () = tokio::time::advance(std::time::Duration::from_secs(1)) => {}
        }
    };
    assert!(error.contains("too slow: nothing for 20 s"), "{error}");
    assert_eq!(room.left().len(), 1, "what came is kept for the next try");
}

#[tokio::test]
async fn who_looks_on_sees_how_far_a_release_has_come() {
    let body = vec![7; 3 << 20];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/web", listener.local_addr().unwrap());
    let room = room();
    let app: AppName = "web".parse().unwrap();
    assert_eq!(room.releases.progress(&app), None);
    let digest = sha256(&body);
    let serving = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        head_of(&mut stream).await.unwrap();
        let bytes = whole(&body);
        let (first, rest) = bytes.split_at(bytes.len() - (1 << 20));
        stream.write_all(first).await.unwrap();
        let half = Progress {
            done_bytes: 2 << 20,
            total_bytes: Some(3 << 20),
        };
        while room.releases.progress(&app) != Some(half) {
            tokio::task::yield_now().await;
        }
        assert_eq!(half.words(), "2.0 of 3.0 MiB");
        stream.write_all(rest).await.unwrap();
    };
    let (got, ()) = tokio::join!(room.get(&url, &digest), serving);
    got.unwrap();
    assert_eq!(room.releases.progress(&app), None, "nothing is on its way");
}
