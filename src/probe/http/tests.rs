//! Against servers that answer well, badly, slowly, endlessly and not at all.

use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use super::*;

/// A server that gives `answer` to each connection and then closes it. Its port.
async fn server(answer: impl Into<Vec<u8>>) -> u16 {
    let answer = answer.into();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                let _ = stream.write_all(&answer).await;
                let _ = stream.shutdown().await;
                // Until the other side has closed: bytes that nobody read must not reset the connection.
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest).await;
            });
        }
    });
    port
}

async fn asked(answer: impl Into<Vec<u8>>) -> Result<(), String> {
    let port = server(answer).await;
    let asked = ask(port, "/health").await;
    asked.map_err(|reason| reason.replace(&port.to_string(), "PORT"))
}

const URL: &str = "http://127.0.0.1:PORT/health";

#[tokio::test]
async fn a_status_of_200_to_299_is_well_and_any_other_is_told_with_its_first_words() {
    for status in ["200 OK", "204 No Content", "299 "] {
        assert_eq!(
            asked(format!("HTTP/1.1 {status}\r\n\r\n")).await,
            Ok(()),
            "{status}"
        );
    }
    assert_eq!(asked("HTTP/1.0 200 OK\r\nServer: old\r\n\r\nfine").await, Ok(()));
    assert_eq!(
        asked("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n").await,
        Ok(())
    );
    for (answer, reason) in [
        ("HTTP/1.1 503 Unavailable\r\n\r\n", format!("http 503 from {URL}")),
        (
            "HTTP/1.1 500 Oops\r\n\r\n\r\n\x1b[2Jdatabase down\nat line 1",
            format!("http 500 from {URL}:  [2Jdatabase down"),
        ),
        ("HTTP/1.1 404 Not Found\r\n\r\n", format!("http 404 from {URL}")),
        (
            "HTTP/1.1 304 Not Modified\r\n\r\n",
            format!("http 304 from {URL}"),
        ),
        ("", format!("{URL} closes the connection without an answer")),
        ("HTTP/1.1 200 OK\r\n", format!("{URL} breaks its answer off")),
    ] {
        assert_eq!(asked(answer).await, Err(reason), "{answer:?}");
    }
    assert!(
        asked("SSH-2.0-OpenSSH\r\n")
            .await
            .unwrap_err()
            .contains("no answer by HTTP")
    );
}

#[tokio::test]
async fn a_redirect_is_followed_on_the_same_server_and_not_for_ever() {
    let port = server("HTTP/1.1 302 Found\r\nLocation: /health\r\n\r\n").await;
    let reason = ask(port, "/health").await.unwrap_err();
    assert_eq!(
        reason,
        format!("more than 5 redirects from http://127.0.0.1:{port}/health")
    );
    for (location, path) in [
        ("/ready", Some("/ready")),
        ("ready?x=1", Some("/a/ready?x=1")),
        ("http://127.0.0.1:8080/ready#part", Some("/ready")),
        ("http://localhost:8080", Some("/")),
        ("http://[::1]:8080?x", Some("/?x")),
        ("http://127.0.0.1:8081/", None),
        ("http://127.0.0.1/", None),
        ("http://169.254.169.254/latest", None),
        ("http://127.0.0.1:8080@evil/", None),
        ("https://127.0.0.1:8080/", None),
        ("//evil/", None),
        ("file:///etc/passwd", None),
        ("/a b", None),
        ("/a\u{7}", None),
    ] {
        assert_eq!(
            followed(8080, "/a/health", location).as_deref(),
            path,
            "{location}"
        );
    }
    let away = asked("HTTP/1.1 301 Moved\r\nLocation: http://169.254.169.254/\r\n\r\n").await;
    let reason = format!("http 301 from {URL} leads away from this app, to http://169.254.169.254/");
    assert_eq!(away, Err(reason));
    assert!(
        asked("HTTP/1.1 301 Moved\r\n\r\n")
            .await
            .unwrap_err()
            .contains("not where to")
    );
}

#[tokio::test]
async fn endless_heads_bodies_and_announcements_are_cut_off() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    assert!(asked(long).await.unwrap_err().contains("more than 16 KiB"));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(1_000));
    assert!(asked(many).await.unwrap_err().contains("no answer by HTTP"));
    let body = format!("HTTP/1.1 500 Oops\r\n\r\n{}", "y".repeat(1 << 20));
    assert_eq!(
        asked(body).await.unwrap_err().matches('y').count(),
        crate::probe::SHOWN_CHARS_MAX
    );
    let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(100);
    assert!(asked(interim).await.unwrap_err().contains("announces answers"));
}

#[tokio::test]
async fn nobody_who_listens_is_told_as_that_and_ipv6_alone_is_found() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let reason = ask(port, "/").await.unwrap_err();
    assert_eq!(reason, format!("nobody listens on 127.0.0.1:{port}"));
    let Ok(listener) = TcpListener::bind("[::1]:0").await else {
        return; // a machine without IPv6
    };
    assert_eq!(tcp::ask(listener.local_addr().unwrap().port()).await, Ok(()));
}

#[tokio::test]
async fn one_that_sends_its_status_and_hangs_is_told_by_its_status() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (keep, kept) = tokio::sync::oneshot::channel::<()>();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 503 Later\r\n\r\n").await.unwrap();
        let _ = kept.await;
    });
    let asked = tokio::time::timeout(Duration::from_secs(30), ask(port, "/"))
        .await
        .unwrap();
    assert_eq!(
        asked.unwrap_err(),
        format!("http 503 from http://127.0.0.1:{port}/")
    );
    drop(keep);
}
