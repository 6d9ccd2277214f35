//! A node whose keeper hangs, cannot be found or cannot start: it says so, and goes on by itself when that is over.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::keeper_rig::{Caller, kill};
use crate::real_daemon::{Followed, sleeper};
use crate::specs_repository::Specs;

const UNREACHABLE: &str = "the keeper does not answer: ";

fn node_with(apps: &[&str]) -> Followed {
    let specs = Specs::new();
    for app in apps {
        specs.put(&format!("apps/{app}/app.yaml"), &sleeper(""));
    }
    let commit = specs.commit("apps");
    let daemon = Followed::start(specs, &[]);
    daemon.wait_for_sync(&commit);
    daemon
}

fn keeper(daemon: &Followed) -> u32 {
    let mut caller = Caller::connect(&daemon.data_dir()).unwrap();
    caller.say_hello().unwrap().pid
}

fn pid(daemon: &Followed, app: &str) -> u32 {
    u32::try_from(daemon.app_pid(app).unwrap()).unwrap()
}

/// Waits until the node is well and `app` is another process than `before`.
fn wait_for_another(daemon: &Followed, app: &str, before: u32) {
    daemon.wait("it runs again", |daemon| {
        let now = daemon.app_pid(app);
        now.is_some_and(|now| now != u64::from(before)) && daemon.status()["status"] == "synced"
    });
}

fn assert_unknown(daemon: &Followed, app: &str) {
    let ran = daemon.osier(&["status", "-o", "json"]);
    let status = ran.json();
    assert_eq!(ran.code, Some(1), "{status}");
    assert_eq!(status["status"], "degraded");
    assert_eq!(status["healthy_count"], 0);
    let state = daemon.app(app);
    assert_eq!(state["health"], "unknown", "{state}");
    let why = daemon.does(&["why", app]).out;
    assert!(why.contains("not known since"), "{why}");
}

#[test]
fn a_keeper_that_hangs_is_told_and_what_it_missed_is_made_up_for() {
    let mut daemon = node_with(&["b"]);
    let (keeper, b) = (keeper(&daemon), pid(&daemon, "b"));
    kill(keeper, libc::SIGSTOP);
    kill(b, libc::SIGKILL);
    daemon.wait_for_reason(UNREACHABLE);
    assert_unknown(&daemon, "b");
    // A daemon that never saw the app does not say that it runs.
    daemon.leave();
    daemon.start();
    daemon.wait_for_reason(UNREACHABLE);
    assert_unknown(&daemon, "b");
    let state = daemon.app("b");
    assert!(
        state["status"] != "running" && state["sync"] != "synced",
        "{state}"
    );
    kill(keeper, libc::SIGCONT);
    wait_for_another(&daemon, "b", b);
    assert_eq!(daemon.events("keeper.unreachable").len(), 2);
    assert_eq!(daemon.events("keeper.recovered").len(), 1);
}

#[test]
fn a_keeper_whose_socket_was_lost_or_replaced_is_found_again_with_its_apps() {
    let mut daemon = node_with(&["a", "b"]);
    let keeper_before = keeper(&daemon);
    let a = pid(&daemon, "a");
    let elsewhere = daemon.file("elsewhere", "not to be touched");
    let file = |place: &Path| fs::write(place, "garbage").unwrap();
    let folder = |place: &Path| fs::create_dir_all(place.join("within")).unwrap();
    let link = |place: &Path| symlink(&elsewhere, place).unwrap();
    let puts: [&dyn Fn(&Path); 4] = [&|_| (), &file, &folder, &link];
    for put in puts {
        let b = pid(&daemon, "b");
        daemon.leave();
        let place = daemon.data_dir().join("keeper.sock");
        fs::remove_file(&place).unwrap();
        put(&place);
        daemon.start();
        daemon.wait("both are seen", |daemon| {
            daemon.app_pid("a") == Some(u64::from(a)) && daemon.app_pid("b") == Some(u64::from(b))
        });
        kill(b, libc::SIGKILL);
        wait_for_another(&daemon, "b", b);
        assert_eq!(keeper(&daemon), keeper_before);
    }
    let aside = |number: u32| daemon.data_dir().join(format!("keeper.sock.set-aside-{number}"));
    assert_eq!(fs::read_to_string(aside(1)).unwrap(), "garbage");
    assert!(aside(2).join("within").is_dir());
    assert_eq!(fs::read_link(aside(3)).unwrap(), elsewhere);
    assert_eq!(fs::read_to_string(elsewhere).unwrap(), "not to be touched");
}

#[test]
fn what_keeps_a_keeper_from_starting_is_told_with_its_path() {
    let mut daemon = node_with(&["a"]);
    for name in ["keeper.sock", "keeper.lock", "keeper.records"] {
        let a = pid(&daemon, "a");
        let keeper = keeper(&daemon);
        daemon.leave();
        kill(keeper, libc::SIGKILL);
        let place = daemon.data_dir().join(name);
        let kept = daemon.room.path().join("kept");
        fs::rename(&place, &kept).unwrap();
        fs::create_dir_all(place.join("within")).unwrap();
        daemon.start();
        if name != "keeper.sock" {
            daemon.wait_for_reason(&format!(
                "{UNREACHABLE}the keeper cannot start: {}: ",
                place.display()
            ));
            assert_unknown(&daemon, "a");
            fs::remove_dir_all(&place).unwrap();
            fs::rename(&kept, &place).unwrap();
        }
        daemon.wait("it is well, and the app was not touched", |daemon| {
            daemon.app_pid("a") == Some(u64::from(a)) && daemon.status()["status"] == "synced"
        });
    }
}
