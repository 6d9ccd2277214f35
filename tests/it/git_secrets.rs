//! Credentials of the repository: in no process list, no status, event, log, error or file of the real daemon.

use std::path::Path;

use crate::git_daemon::silent_port;
use crate::git_server_http::{HttpServer, Mood};
use crate::git_server_inetd::SshServer;
use crate::git_source::Source;
use crate::real_daemon::RealDaemon;

const WEB: &str = "version: 1.0.0\ncommand: [/bin/sleep, '1000']\n";

/// What everybody on the machine may see of the daemon and of everything that it started.
fn process_list(rig: &RealDaemon) -> Vec<(i32, String)> {
    let part = |pid: i32, name: &str| {
        let bytes = std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\0', " ")
    };
    let seen = |pid: i32| (pid, format!("{}| {}", part(pid, "cmdline"), part(pid, "environ")));
    rig.processes().into_iter().map(seen).collect()
}

/// Everything that the command line tells about the node.
fn told(rig: &RealDaemon) -> Vec<String> {
    let asked: [&[&str]; 9] = [
        &["status", "-o", "json"],
        &["status"],
        &["apps", "-o", "json"],
        &["show", "app/web", "-o", "json"],
        &["why", "web"],
        &["events", "-o", "jsonl"],
        &["doctor"],
        &["config", "show", "--origin"],
        &["tree"],
    ];
    let mut told = vec![rig.log()];
    for words in asked {
        let ran = rig.osier(words);
        assert_ne!(ran.out, "", "{words:?} says nothing: {ran:?}");
        told.push(format!("{} {}", ran.out, ran.err));
    }
    told
}

fn assert_hidden(rig: &RealDaemon, secrets: &[&str]) {
    for secret in secrets {
        for (pid, seen) in process_list(rig) {
            assert!(!seen.contains(secret), "process {pid}: {seen}");
        }
        for said in told(rig) {
            assert!(!said.contains(secret), "{said}");
        }
        assert_not_below(&rig.data_dir(), secret);
    }
}

/// No file below `folder` holds the text.
fn assert_not_below(folder: &Path, text: &str) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            assert_not_below(&path, text);
        } else if kind.is_file() {
            let bytes = std::fs::read(&path).unwrap_or_default();
            let is_there = bytes.windows(text.len()).any(|part| part == text.as_bytes());
            assert!(!is_there, "{} holds it", path.display());
        }
    }
}

#[test]
fn a_password_in_the_address_and_a_token_in_a_file_appear_nowhere_while_a_fetch_fails_and_while_it_hangs() {
    let source = Source::with(&[("apps/web/app.yaml", WEB)]);
    let server = HttpServer::start(source.room.path());
    let token = source.room.path().join("token");
    std::fs::write(&token, "hunter2\n").unwrap();
    let in_file = format!("repo.auth.token_file = \"{}\"", token.display());
    // `user:hunter2` and `x-access-token:hunter2`
    let (by_url, by_file) = ("dXNlcjpodW50ZXIy", "eC1hY2Nlc3MtdG9rZW46aHVudGVyMg==");
    for (url, more, login) in [
        (
            format!("http://user:hunter2@127.0.0.1:{}/source", server.port),
            None,
            by_url,
        ),
        (server.url("source"), Some(in_file.as_str()), by_file),
    ] {
        server.set(Mood::Login(format!("Basic {login}")));
        let more: Vec<&str> = more.into_iter().collect();
        let mut rig = RealDaemon::new(&url, &more);
        rig.start();
        rig.wait_for_sync(source.head().as_str());
        server.set(Mood::Status(401));
        rig.wait_for_reason("401");
        assert_hidden(&rig, &["hunter2", login]);
        server.set(Mood::Silent);
        server.seen();
        rig.wait("a fetch hangs", |_| !server.seen().is_empty());
        assert_hidden(&rig, &["hunter2", login]);
    }
}

#[test]
fn an_ssh_that_hangs_shows_names_of_files_and_nothing_of_what_is_in_them() {
    let source = Source::with(&[("apps/web/app.yaml", WEB)]);
    let server = SshServer::start(source.room.path());
    let auth = [
        format!("repo.auth.ssh_key = \"{}\"", server.key.display()),
        format!("repo.auth.known_hosts = \"{}\"", server.known_hosts.display()),
    ];
    let auth: Vec<&str> = auth.iter().map(String::as_str).collect();
    let mut rig = RealDaemon::new(&server.url(&source.path), &auth);
    rig.start();
    rig.wait_for_sync(source.head().as_str());
    rig.leave();

    rig.configure(&format!("ssh://git@127.0.0.1:{}/specs", silent_port()), &auth);
    rig.start();
    let is_ssh = |(_, seen): &(i32, String)| seen.starts_with("ssh ");
    rig.wait("ssh hangs", |rig| process_list(rig).iter().any(is_ssh));
    let key = std::fs::read_to_string(&server.key).unwrap();
    let secret = key.lines().nth(1).unwrap();
    assert!(secret.len() > 40);
    assert_hidden(&rig, &[secret]);
    let list = process_list(&rig);
    let (_, ssh) = list.iter().find(|seen| is_ssh(seen)).unwrap();
    assert!(
        ssh.contains("StrictHostKeyChecking=yes") && ssh.contains(server.key.to_str().unwrap()),
        "{ssh}"
    );
}
