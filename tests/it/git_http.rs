//! `http://` and `https://` from the real `git http-backend` behind a web server that can fail in every way.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use osier::git::{GitError, GitRepository, GitSettings, Update};

use crate::git_server_http::{HttpServer, Mood};
use crate::git_source::{Source, open, settings};

/// A source whose pack is large enough to be cut in the middle, and its server.
fn served() -> (Source, HttpServer) {
    let source = Source::empty();
    let noise: String = (0..20_000).map(|_| fastrand::alphanumeric()).collect();
    source.commit("first", &[("apps/web/app.yaml", "version: 1"), ("noise", &noise)]);
    let server = HttpServer::start(source.room.path());
    (source, server)
}

fn quick(url: &str) -> GitSettings {
    let mut settings = settings(url);
    // Long enough for a good answer of a loaded machine.
    settings.deadlines.idle = Duration::from_secs(3);
    settings
}

async fn open_with(settings: GitSettings, source: &Source) -> GitRepository {
    GitRepository::open(settings, source.clone_folder())
        .await
        .unwrap()
}

#[tokio::test]
async fn http_serves_updates_and_an_unchanged_branch_costs_no_pack() {
    let (source, server) = served();
    let repository = open(&server.url("source"), &source.clone_folder()).await;
    assert!(matches!(
        repository.update().await.unwrap(),
        Update::Fetched { .. }
    ));
    server.seen();
    assert!(matches!(
        repository.update().await.unwrap(),
        Update::Unchanged { .. }
    ));
    assert!(server.seen().len() <= 2);
    let head = source.commit("second", &[("a", "2")]);
    assert_eq!(repository.poll().await.unwrap(), head);
    assert_eq!(repository.update().await.unwrap().head(), &head);
}

#[tokio::test]
async fn each_status_is_told_for_what_it_is() {
    let (source, server) = served();
    let repository = open(&server.url("source"), &source.clone_folder()).await;
    for (status, code) in [
        (401, "unauthorized"),
        (403, "unauthorized"),
        (407, "unauthorized"),
        (404, "not_found"),
        (410, "not_found"),
        (429, "server_error"),
        (500, "server_error"),
        (502, "server_error"),
        (503, "server_error"),
    ] {
        server.set(Mood::Status(status));
        for error in [
            repository.update().await.unwrap_err(),
            repository.poll().await.unwrap_err(),
        ] {
            assert_eq!(error.code(), code, "{status}: {error}");
            assert!(error.to_string().contains(&status.to_string()), "{error}");
        }
    }
    server.set(Mood::Page);
    assert_eq!(repository.update().await.unwrap_err().code(), "broken_answer");
    server.set(Mood::Good);
    assert!(repository.update().await.is_ok());
    let absent = open(&server.url("absent"), &source.room.path().join("c2")).await;
    assert_eq!(absent.update().await.unwrap_err().code(), "not_found");
}

#[tokio::test]
async fn a_broken_pack_leaves_what_was_there_and_the_next_update_heals() {
    let (source, server) = served();
    let mut settings = quick(&server.url("source"));
    settings.deadlines.total = Duration::from_secs(20);
    let repository = open_with(settings, &source).await;
    let first = repository.update().await.unwrap().head().clone();
    repository.accept(first.clone()).await.unwrap();
    for (mood, code) in [
        (Mood::StallAfter(9000), "timed_out"),
        (Mood::StallAfter(0), "timed_out"),
        (Mood::CutAfter(9000), "broken_answer"),
        (Mood::CutAfter(0), "broken_answer"),
        (Mood::ShortenTo(9000), "broken_answer"),
        (Mood::Damage(300), "broken_answer"),
    ] {
        let noise: String = (0..20_000).map(|_| fastrand::alphanumeric()).collect();
        let head = source.commit("more", &[("noise", &noise)]);
        server.set(mood);
        let error = repository.update().await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        let fetched = repository.fetched().await.unwrap().unwrap();
        assert!(
            repository.tree(fetched).await.is_ok(),
            "what was there can still be read"
        );
        server.set(Mood::Good);
        assert_eq!(repository.update().await.unwrap().head(), &head);
        assert!(repository.tree(head).await.is_ok());
    }
}

#[tokio::test]
async fn an_endless_pack_and_endless_references_meet_a_limit() {
    let (source, server) = served();
    let mut settings = settings(&server.url("source"));
    settings.fetch_bytes_max = 2 << 20;
    let repository = open_with(settings, &source).await;
    server.set(Mood::Endless);
    let error = repository.update().await.unwrap_err();
    assert!(
        matches!(error, GitError::TooMuch { what: "a pack", .. }),
        "{error:?}"
    );
    server.set(Mood::ManyRefs(400_000));
    let error = repository.update().await.unwrap_err();
    assert!(
        matches!(
            error,
            GitError::TooMuch {
                what: "references",
                ..
            }
        ),
        "{error:?}"
    );
    server.set(Mood::Good);
    assert!(repository.update().await.is_ok());
}

#[tokio::test]
async fn a_token_is_sent_to_its_server_and_appears_nowhere_else() {
    let (source, server) = served();
    let token = source.room.path().join("token");
    std::fs::write(&token, "hunter2\n").unwrap();
    let mut settings = settings(&server.url("source"));
    settings.auth.token_file = Some(token.clone());
    let repository = open_with(settings, &source).await;
    let login = "Basic eC1hY2Nlc3MtdG9rZW46aHVudGVyMg==";
    server.set(Mood::Login(login.to_owned()));
    assert!(repository.update().await.is_ok());
    assert!(
        server
            .seen()
            .iter()
            .all(|seen| seen.authorization.as_deref() == Some(login))
    );

    // A rotated token is read anew.
    std::fs::write(&token, "wrong-secret\n").unwrap();
    let error = repository.poll().await.unwrap_err();
    assert_eq!(error.code(), "unauthorized");
    let said = format!("{error} {error:?} {repository:?} {:?}", repository.settings());
    assert!(!said.contains("secret") && !said.contains("hunter2"), "{said}");
    std::fs::remove_file(&token).unwrap();
    assert_eq!(repository.poll().await.unwrap_err().code(), "bad_setting");
}

#[tokio::test]
async fn credentials_in_the_address_work_and_are_never_shown_or_stored() {
    let (source, server) = served();
    let url = format!("http://user:hunter2@127.0.0.1:{}/source", server.port);
    let repository = open(&url, &source.clone_folder()).await;
    server.set(Mood::Login("Basic dXNlcjpodW50ZXIy".to_owned()));
    assert!(repository.update().await.is_ok());
    server.set(Mood::Status(500));
    let error = repository.update().await.unwrap_err();
    let said = format!("{error} {error:?} {repository:?} {:?}", repository.settings());
    assert!(!said.contains("hunter2"), "{said}");
    assert!(
        !holds(&source.clone_folder(), b"hunter2"),
        "a file of the clone holds the password"
    );
}

/// Does any file below `folder` hold these bytes?
fn holds(folder: &Path, bytes: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().flatten().any(|entry| {
        if entry.file_type().unwrap().is_dir() {
            holds(&entry.path(), bytes)
        } else {
            std::fs::read(entry.path())
                .unwrap()
                .windows(bytes.len())
                .any(|part| part == bytes)
        }
    })
}

#[tokio::test]
async fn a_redirect_within_the_server_is_followed_and_any_other_is_refused() {
    let (source, server) = served();
    let token = source.room.path().join("token");
    std::fs::write(&token, "hunter2\n").unwrap();
    let mut settings = settings(&server.url("moved"));
    settings.auth.token_file = Some(token);
    let repository = open_with(settings, &source).await;

    let elsewhere = HttpServer::start(source.room.path());
    for to in [
        elsewhere.url("source"),
        format!("http://localhost:{}/source", server.port),
        "https://127.0.0.1/source".to_owned(),
        "file:///etc/passwd".to_owned(),
        "ssh://127.0.0.1/x".to_owned(),
        "http://169.254.169.254/latest".to_owned(),
    ] {
        server.set(Mood::Redirect(to.clone()));
        let error = repository.update().await.unwrap_err();
        assert_eq!(error.code(), "redirected", "{to}: {error}");
    }
    assert!(
        elsewhere.seen().is_empty(),
        "nothing was sent to the other server"
    );

    // To itself for ever.
    server.set(Mood::Redirect(server.url("moved")));
    assert_eq!(repository.update().await.unwrap_err().code(), "broken_answer");

    // Within the server: `moved` redirects, `source` answers.
    std::os::unix::fs::symlink(&source.path, source.room.path().join("renamed")).unwrap();
    server.set(Mood::RedirectOnly("/moved/".to_owned(), "/renamed".to_owned()));
    assert_eq!(repository.update().await.unwrap().head(), &source.head());
}

#[tokio::test]
async fn a_proxy_is_used_if_it_is_configured() {
    let (source, server) = served();
    let mut settings = settings("http://specs.invalid/source");
    settings.proxy = Some(format!("http://127.0.0.1:{}", server.port).parse().unwrap());
    let repository = open_with(settings, &source).await;
    assert_eq!(repository.update().await.unwrap().head(), &source.head());

    let repository = open("http://specs.invalid/source", &source.room.path().join("c2")).await;
    assert_eq!(repository.update().await.unwrap_err().code(), "unreachable");
}

/// A certificate authority, and a server with its certificate for this name.
pub fn tls(room: &Path, name: &str) -> (std::path::PathBuf, Arc<rustls::ServerConfig>) {
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    authority.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let certificate = authority.self_signed(&authority_key).unwrap();
    let ca_file = room.join("ca.pem");
    std::fs::write(&ca_file, certificate.pem()).unwrap();

    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    (ca_file, Arc::new(config))
}

#[tokio::test]
async fn https_trusts_an_own_authority_and_nobody_else() {
    let source = Source::with(&[("a", "1")]);
    let (ca_file, config) = tls(source.room.path(), "127.0.0.1");
    let server = HttpServer::start_tls(source.room.path(), config);
    let url = format!("https://127.0.0.1:{}/source", server.port);

    let repository = open(&url, &source.clone_folder()).await;
    let error = repository.update().await.unwrap_err();
    assert_eq!(error.code(), "certificate", "{error:?}");

    let mut settings = settings(&url);
    settings.ca_file = Some(ca_file.clone());
    let trusting = open_with(settings.clone(), &source).await;
    assert_eq!(trusting.update().await.unwrap().head(), &source.head());

    // Another name than the certificate's.
    let mut other_name = settings.clone();
    other_name.url = format!("https://localhost:{}/source", server.port)
        .parse()
        .unwrap();
    let error = open_with(other_name, &source).await.update().await.unwrap_err();
    assert_eq!(error.code(), "certificate", "{error:?}");

    for text in [
        "",
        "no certificate",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        std::fs::write(&ca_file, text).unwrap();
        let error = open_with(settings.clone(), &source)
            .await
            .update()
            .await
            .unwrap_err();
        assert_eq!(error.code(), "bad_setting", "{error:?}");
    }
}

#[tokio::test]
async fn a_silent_server_delays_no_read() {
    let (source, server) = served();
    let repository = open_with(settings(&server.url("source")), &source).await;
    let head = repository.update().await.unwrap().head().clone();
    server.set(Mood::Silent);
    tokio::select! {
        update = repository.update() => panic!("{update:?} of a silent server"),
        commit = repository.commit(head) => assert_eq!(commit.unwrap().subject, "first"),
    }
}
