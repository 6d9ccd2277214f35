//! `ssh://` through a real `ssh` to a real `sshd`.

use osier::git::{GitError, GitRepository, GitSettings};

use crate::git_server_inetd::SshServer;
use crate::git_source::{Source, settings};

fn ssh_settings(server: &SshServer, url: &str) -> GitSettings {
    let mut settings = settings(url);
    settings.auth.ssh_key = Some(server.key.clone());
    settings.auth.known_hosts = Some(server.known_hosts.clone());
    settings
}

#[tokio::test]
async fn ssh_serves_updates_with_the_key_and_the_known_host() {
    let source = Source::with(&[("a", "1")]);
    let server = SshServer::start(source.room.path());
    let settings = ssh_settings(&server, &server.url(&source.path));
    let repository = GitRepository::open(settings, source.clone_folder())
        .await
        .unwrap();
    assert_eq!(repository.update().await.unwrap().head(), &source.head());
    let head = source.commit("second", &[("a", "2")]);
    assert_eq!(repository.poll().await.unwrap(), head);
    assert_eq!(repository.update().await.unwrap().head(), &head);
}

#[tokio::test]
async fn an_unknown_host_a_wrong_key_and_an_absent_repository_are_told_apart() {
    let source = Source::with(&[("a", "1")]);
    let server = SshServer::start(source.room.path());
    let room = source.room.path();

    let mut strange = ssh_settings(&server, &server.url(&source.path));
    let empty = room.join("nobody");
    std::fs::write(&empty, "").unwrap();
    strange.auth.known_hosts = Some(empty);
    let mut changed = ssh_settings(&server, &server.url(&source.path));
    let other = room.join("changed");
    let key = std::fs::read_to_string(server.other_key.with_extension("pub")).unwrap();
    std::fs::write(&other, format!("[127.0.0.1]:{} {key}", server.server.port)).unwrap();
    changed.auth.known_hosts = Some(other);
    for settings in [strange, changed] {
        let repository = GitRepository::open(settings, source.clone_folder())
            .await
            .unwrap();
        let error = repository.update().await.unwrap_err();
        assert!(matches!(error, GitError::HostKey { .. }), "{error:?}");
        assert!(!error.is_retryable());
    }

    let mut wrong_key = ssh_settings(&server, &server.url(&source.path));
    wrong_key.auth.ssh_key = Some(server.other_key.clone());
    let repository = GitRepository::open(wrong_key, source.clone_folder())
        .await
        .unwrap();
    let error = repository.update().await.unwrap_err();
    assert!(matches!(error, GitError::Unauthorized { .. }), "{error:?}");

    let absent = ssh_settings(&server, &server.url(&room.join("absent")));
    let repository = GitRepository::open(absent, source.clone_folder()).await.unwrap();
    let error = repository.update().await.unwrap_err();
    assert!(matches!(error, GitError::NotFound { .. }), "{error:?}");
}

#[tokio::test]
async fn a_path_that_a_shell_would_take_apart_arrives_whole() {
    let source = Source::with(&[("a", "1")]);
    let server = SshServer::start(source.room.path());
    let strange = source.room.path().join("it's $(touch pwned) `x`;");
    source.git(&["clone", "-q", "--bare", ".", strange.to_str().unwrap()]);
    let path: String = strange
        .to_str()
        .unwrap()
        .bytes()
        .map(|byte| match byte {
            b'/' | b'.' => char::from(byte).to_string(),
            byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect();
    let url = format!("ssh://{}@127.0.0.1:{}{path}", server.user, server.server.port);
    let repository = GitRepository::open(ssh_settings(&server, &url), source.clone_folder())
        .await
        .unwrap();
    assert_eq!(repository.update().await.unwrap().head(), &source.head());
}
