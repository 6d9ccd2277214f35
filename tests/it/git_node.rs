//! The real daemon and a repository that misbehaves: killed in mid-fetch, a full disk, a server that hangs, a history
//! that was rewritten, a store or a clone that is lost.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use osier::node::{Git, Node, ProcessSettings};
use osier::rpc::procedures::ReconcileRequest;

use crate::git_server_http::{HttpServer, Mood};
use crate::git_source::Source;
use crate::poll::until;
use crate::real_daemon::{PATIENCE, RealDaemon};
use crate::specs_repository::Specs;

const WEB: &str = "version: 1.0.0\ncommand: [/bin/sleep, '1000']\n";

/// What a fetch has begun in a clone and not ended: temporary files, locks, packs without an index.
fn unfinished(clone: &Path) -> Vec<PathBuf> {
    let folders = ["", "refs/osier", "objects/pack"];
    let files = folders
        .iter()
        .flat_map(|folder| std::fs::read_dir(clone.join(folder)).into_iter().flatten());
    files
        .flatten()
        .map(|entry| entry.path())
        .filter(
            |path| match path.extension().and_then(|extension| extension.to_str()) {
                Some("pack") => !path.with_extension("idx").exists(),
                Some("idx") => !path.with_extension("pack").exists(),
                Some("lock" | "keep") => true,
                _ => path.file_name().is_some_and(|name| {
                    name.to_string_lossy().starts_with(".tmp") || name.to_string_lossy().starts_with("tmp")
                }),
            },
        )
        .collect()
}

/// Bytes that no compression makes smaller.
fn noise(count: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    std::fs::File::open("/dev/urandom")
        .unwrap()
        .take(count)
        .read_to_end(&mut bytes)
        .unwrap();
    bytes
}

#[test]
fn a_daemon_killed_in_the_middle_of_a_fetch_goes_on_from_what_was_accepted_and_fetches_again() {
    let source = Source::with(&[("apps/web/app.yaml", WEB)]);
    let server = HttpServer::start(source.room.path());
    let mut rig = RealDaemon::new(&server.url("source"), &[]);
    rig.start();
    let first = source.head();
    rig.wait_for_sync(first.as_str());
    let pid = rig.app("web")["os_pid"].clone();

    server.set(Mood::StallAfter(500_000));
    std::fs::write(source.path.join("noise"), noise(1_000_000)).unwrap();
    let next = source.commit("more", &[]);
    rig.wait("half a pack is there", |rig| !unfinished(&rig.clone()).is_empty());
    rig.kill();
    assert_ne!(
        unfinished(&rig.clone()),
        [] as [PathBuf; 0],
        "the kill came too late"
    );

    server.set(Mood::Status(503));
    rig.start();
    let status = rig.wait_for_reason("503");
    assert_eq!(status["last_commit"], first.as_str());
    assert_eq!(rig.app("web")["os_pid"], pid, "the app never noticed");
    assert_eq!(
        unfinished(&rig.clone()),
        [] as [PathBuf; 0],
        "half a pack was left behind"
    );

    server.set(Mood::Good);
    rig.wait_for_sync(next.as_str());
    assert_eq!(rig.app("web")["os_pid"], pid);
    // Everything that the new commit needs is there and whole.
    source.git(&[
        "--git-dir",
        rig.clone().to_str().unwrap(),
        "rev-list",
        "--objects",
        "refs/osier/fetched",
    ]);
}

/// A small disk for the data directory, and how it is made larger while it is in use.
pub(crate) struct SmallDisk {
    pub(crate) prefix: Vec<String>,
    relief: Vec<String>,
}

impl SmallDisk {
    /// A file system of its own in a mount namespace of the daemon's own. Where the kernel grants none, files that cannot
    /// grow: the same failing writes, by another error.
    pub(crate) fn at(folder: &Path) -> Self {
        let can = |words: &[&str]| {
            Command::new(words[0])
                .args(&words[1..])
                .output()
                .is_ok_and(|done| done.status.success())
        };
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let folder = folder.to_str().unwrap();
        let mount = format!("mount -t tmpfs -o size=8m,mode=700 tmpfs {folder} && exec \"$@\"");
        let remount = format!("remount,size=100m {folder}");
        let larger: Vec<&str> = ["mount", "-o"].into_iter().chain(remount.split(' ')).collect();
        for (apart, into) in [
            (vec!["unshare", "-m"], vec!["nsenter", "-m", "-t", "PID"]),
            (
                vec!["unshare", "-rm"],
                vec!["nsenter", "--preserve-credentials", "-U", "-m", "-t", "PID"],
            ),
        ] {
            if can(&[&apart[..], &["mount", "-t", "tmpfs", "tmpfs", folder]].concat()) {
                return Self {
                    prefix: words(&[&apart[..], &["sh", "-c", &mount, "sh"]].concat()),
                    relief: words(&[into, larger].concat()),
                };
            }
        }
        Self {
            prefix: words(&["sh", "-c", "trap '' XFSZ; ulimit -f 12000; exec \"$@\"", "sh"]),
            relief: words(&["prlimit", "--fsize=unlimited", "--pid", "PID"]),
        }
    }
}

#[test]
fn a_full_disk_during_a_fetch_is_told_harms_nothing_and_heals_when_there_is_room() {
    let source = Source::with(&[("apps/web/app.yaml", WEB)]);
    let mut rig = RealDaemon::new(&source.url(), &[]);
    std::fs::create_dir(rig.data_dir()).unwrap();
    let disk = SmallDisk::at(&rig.data_dir());
    println!("by {:?}", disk.prefix);
    let command = rig.daemon_under(&disk.prefix);
    rig.start_as(command);
    let first = source.head();
    rig.wait_for_sync(first.as_str());
    let web = rig.app("web");

    std::fs::write(source.path.join("noise"), noise(9_000_000)).unwrap();
    let next = source.commit(
        "more than there is room for",
        &[("apps/web/app.yaml", &WEB.replace("1.0.0", "2.0.0"))],
    );
    let status = rig.wait_for_reason("no space left");
    assert_eq!(
        (&status["status"], &status["last_commit"]),
        (&"degraded".into(), &first.as_str().into())
    );
    assert_eq!(rig.app("web")["os_pid"], web["os_pid"]);
    // What came of the pack does not keep the disk full for everybody else.
    let clone = PathBuf::from(format!("/proc/{}/root{}", rig.pid(), rig.clone().display()));
    rig.wait("the part that came is removed", |_| unfinished(&clone).is_empty());
    rig.wait("an app can be restarted meanwhile", |rig| {
        rig.osier(&["restart", "web"]).code == Some(0)
    });

    let pid = rig.pid().to_string();
    let relief: Vec<&str> = disk
        .relief
        .iter()
        .map(|word| if word == "PID" { pid.as_str() } else { word })
        .collect();
    let done = Command::new(relief[0]).args(&relief[1..]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    rig.wait_for_sync(next.as_str());
    assert_eq!(rig.app("web")["version"], "2.0.0");
}

#[test]
fn a_server_that_hangs_delays_no_command_no_restart_and_no_leave() {
    let source = Source::with(&[("apps/web/app.yaml", WEB)]);
    let server = HttpServer::start(source.room.path());
    let mut rig = RealDaemon::new(&server.url("source"), &[]);
    rig.start();
    rig.wait_for_sync(source.head().as_str());
    server.set(Mood::Silent);
    server.seen();
    rig.wait("a fetch hangs", |_| !server.seen().is_empty());
    let web = rig.app("web");
    assert_eq!(rig.osier(&["restart", "web"]).code, Some(0));
    rig.wait("web runs again", |rig| {
        let now = rig.app("web");
        now["status"] == "running" && now["os_pid"] != web["os_pid"]
    });
    assert_eq!(rig.status()["last_commit"], source.head().as_str());
    // The fetch that hung is the same all the time: no second one was begun beside it.
    assert_eq!(server.seen().len(), 0);
    assert!(rig.leave().success());
    assert!(
        !rig.log().contains("something hangs; leaving without it"),
        "{}",
        rig.log()
    );
}

#[test]
fn a_rewritten_history_is_refused_though_the_store_is_lost_and_accepted_for_good_by_an_operators_word() {
    let specs = Specs::new();
    specs.put("apps/web/app.yaml", WEB);
    specs.commit("web");
    let mut rig = RealDaemon::new(&specs.url(), &[]);
    rig.start();
    let accepted = specs.head();
    rig.wait_for_sync(&accepted);
    let pid = rig.app("web")["os_pid"].clone();
    rig.leave();
    for entry in std::fs::read_dir(rig.data_dir()).unwrap().flatten() {
        if entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "redb")
        {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    specs.put("apps/web/app.yaml", &WEB.replace("1.0.0", "6.6.6"));
    specs.git(&["add", "-A"]);
    specs.git(&["commit", "-q", "--amend", "-m", "rewritten"]);
    specs.git(&["push", "-q", "--force", "origin", "main"]);
    let rewritten = specs.head();
    rig.start();
    rig.wait("the rewrite is refused", |rig| {
        rig.status()["blocked"]["kind"] == "history"
    });
    let status = rig.status();
    assert_eq!(status["blocked"]["commit"], rewritten);
    rig.wait("web runs as it was accepted", |rig| {
        let web = rig.app("web");
        web["version"] == "1.0.0" && web["status"] == "running" && web["os_pid"] == pid
    });

    let wrong = rig.osier(&["reconcile", "--accept", "0123456"]);
    assert!(
        wrong.code == Some(1) && wrong.err.contains("not 0123456"),
        "{wrong:?}"
    );
    let done = rig.osier(&["reconcile", "--accept", &rewritten[..8], "--wait", "-o", "json"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let done = done.json();
    assert_eq!(done["commit"], rewritten.as_str());
    assert_eq!(
        done["reason"],
        serde_json::Value::Null,
        "the refusal is over: {done}"
    );
    assert_eq!(done["actions"][0]["result"], "ok", "{done}");
    assert_eq!(rig.app("web")["version"], "6.6.6");
    rig.kill();
    rig.start();
    rig.wait_for_sync(&rewritten);
    assert_eq!(rig.status()["blocked"], serde_json::Value::Null);
}

#[test]
fn a_clone_that_is_lost_is_fetched_again_at_the_first_look_and_still_refuses_a_rewrite() {
    // The clone itself, and all that is kept beside it.
    for lost in ["repo/current", "repo"] {
        let specs = Specs::new();
        specs.put("apps/web/app.yaml", WEB);
        specs.commit("web");
        let mut rig = RealDaemon::new(&specs.url(), &[]);
        let lost = rig.data_dir().join(lost);
        rig.start();
        rig.wait_for_sync(&specs.head());
        rig.leave();
        std::fs::remove_dir_all(&lost).unwrap();
        rig.start();
        rig.wait_for_sync(&specs.head());
        let events = rig.osier(&["events", "-o", "jsonl"]).out;
        assert!(!events.contains("there is no commit"), "{events}");

        let pid = rig.app("web")["os_pid"].clone();
        rig.leave();
        std::fs::remove_dir_all(&lost).unwrap();
        specs.put("apps/web/app.yaml", &WEB.replace("1.0.0", "6.6.6"));
        specs.git(&["commit", "-q", "-a", "--amend", "-m", "rewritten"]);
        specs.git(&["push", "-q", "--force", "origin", "main"]);
        rig.start();
        rig.wait("the rewrite is refused", |rig| {
            let status = rig.status();
            status["blocked"]["kind"] == "history" && status["status"] == "degraded"
        });
        rig.wait("web goes on", |rig| rig.app("web")["os_pid"] == pid);
        let why = rig.osier(&["why", "web"]).out;
        assert!(
            why.contains("What git asks of web has not been read yet"),
            "{why}"
        );
    }
}

fn processes() -> ProcessSettings {
    ProcessSettings::installed(env!("CARGO_BIN_EXE_osier")).ending_with_node()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_server_is_asked_less_and_less_often_up_to_a_limit_and_found_again() {
    const INTERVAL: Duration = Duration::from_millis(300);
    let source = Source::with(&[("apps/web/app.yaml", WEB)]);
    let server = HttpServer::start(source.room.path());
    let folder = tempfile::tempdir().unwrap();
    let node = Node::builder(Git::new(server.url("source")))
        .data_dir(folder.path())
        .interval(INTERVAL);
    let node = node.processes(processes()).start().await.unwrap();
    let synced =
        |status: &osier::status::NodeStatus, _: &_| status.status == osier::status::NodeState::Synced;
    tokio::time::timeout(PATIENCE, node.wait_until(synced))
        .await
        .unwrap();
    server.set(Mood::Status(500));
    server.seen();
    let mut asked = Vec::new();
    until("it has asked five times", || {
        asked.extend(server.seen().into_iter().map(|seen| seen.at));
        asked.len() >= 5
    })
    .await;
    // Twice, then four times the interval, less a tenth; never sooner, however loaded the machine is.
    let least = [1.8, 3.6, 3.6, 3.6].map(|times| INTERVAL.mul_f64(times));
    for (pair, least) in asked.windows(2).zip(least) {
        assert!(
            pair[1] - pair[0] >= least,
            "{:?} is less than {least:?}",
            pair[1] - pair[0]
        );
    }
    server.set(Mood::Good);
    tokio::time::timeout(PATIENCE, node.wait_until(synced))
        .await
        .unwrap();
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconcile_that_does_not_wait_still_answers_with_the_new_commit_on_the_board() {
    let specs = Specs::new();
    let apps: Vec<String> = (0..20).map(|at| format!("a{at}")).collect();
    let folder = tempfile::tempdir().unwrap();
    let node = Node::builder(Git::new(specs.url()))
        .data_dir(folder.path())
        .interval(Duration::from_secs(3600));
    specs.put("apps/.keep", "");
    specs.commit("nothing yet");
    let node = node.processes(processes()).start().await.unwrap();
    for round in 1..4 {
        for app in &apps {
            let text = format!("version: {round}.0.0\ncommand: [/bin/sleep, '1000']\n");
            specs.put(&format!("apps/{app}/app.yaml"), &text);
        }
        specs.commit("the next");
        let reply = node.reconcile(ReconcileRequest::default()).await.unwrap();
        assert_eq!(reply.commit.unwrap().as_str(), specs.head());
        for app in &apps {
            let state = node.app(app).unwrap();
            let desired = state.desired_version.as_ref().map(osier::names::Version::as_str);
            assert_eq!(
                desired,
                Some(format!("{round}.0.0").as_str()),
                "{app} still speaks of what was before"
            );
        }
    }
    node.shutdown().await;
}
