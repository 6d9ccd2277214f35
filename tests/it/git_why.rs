//! `why` and `show` of the real binary: which commit, author, file and line an app comes from.

use crate::real_daemon::RealDaemon;
use crate::specs_repository::Specs;

const COMMAND: &str = "command: [/bin/sleep, '1000']\n";

/// A repository in which `web` was changed by Ada, then by Grace, and other things after that.
fn specs() -> (Specs, String) {
    let specs = Specs::new();
    specs.put(
        "apps/web/app.yaml",
        &format!("name: web\nversion: 1.0.0\n{COMMAND}env:\n  PORT: '80'\n"),
    );
    specs.put("apps/db/app.yaml", &format!("version: 1.0.0\n{COMMAND}"));
    specs.commit("web and db");
    specs.put(
        "apps/web/app.yaml",
        &format!("name: web\nversion: 1.0.0\n{COMMAND}env:\n  PORT: '8080'\n"),
    );
    specs.git(&["add", "-A"]);
    specs.git(&["-c", "user.name=Grace", "commit", "-q", "-m", "another port"]);
    let changed = specs.head();
    specs.put("apps/db/app.yaml", &format!("version: 2.0.0\n{COMMAND}"));
    specs.commit("db 2");
    (specs, changed)
}

fn why(rig: &RealDaemon, app: &str) -> String {
    rig.osier(&["why", app]).out.replace('\n', " ")
}

#[test]
fn why_names_the_commit_that_changed_the_app_and_not_the_newest_also_after_a_restart_without_the_server() {
    let (specs, changed) = specs();
    let mut rig = RealDaemon::new(&specs.url(), &[]);
    rig.start();
    rig.wait_for_sync(&specs.head());
    let expected = format!(
        "web should run 1.0.0 since {} \"another port\" (Grace, ",
        &changed[..7]
    );
    let place = ", apps/web/app.yaml:5).";
    let told = why(&rig, "web");
    assert!(told.starts_with(&expected) && told.contains(place), "{told}");
    assert!(why(&rig, "db").contains("\"db 2\" (Ada, "), "{}", why(&rig, "db"));

    let shown = rig.osier(&["show", "app/web", "-o", "json"]).json();
    let origin = &shown["origin"];
    assert_eq!(origin["commit"]["id"], changed);
    assert_eq!(origin["commit"]["author"], "Grace");
    assert_eq!(origin["commit"]["subject"], "another port");
    assert_eq!(
        (&origin["file"], &origin["line"]),
        (&"apps/web/app.yaml".into(), &5.into())
    );
    let page = rig.osier(&["show", "app/web"]).out;
    assert!(page.contains("\"another port\" (Grace, "), "{page}");

    rig.leave();
    std::fs::rename(specs.bare(), specs.bare().with_extension("away")).unwrap();
    rig.start();
    rig.wait("the accepted commit is read", |rig| {
        rig.status()["last_commit"] == specs.head()
    });
    let told = why(&rig, "web");
    assert!(told.starts_with(&expected) && told.contains(place), "{told}");
}

#[test]
fn a_shallow_clone_says_that_the_change_is_older_than_what_was_fetched() {
    let (specs, _) = specs();
    let mut rig = RealDaemon::new(&specs.url(), &["repo.depth = 1"]);
    rig.start();
    rig.wait_for_sync(&specs.head());
    let told = why(&rig, "web");
    assert!(
        told.starts_with(
            "web should run 1.0.0 (apps/web/app.yaml:1); who changed it last is not known: older than what was fetched."
        ),
        "{told}"
    );
    // What comes after the boundary is known.
    specs.put(
        "apps/web/app.yaml",
        &format!("name: web\nversion: 1.1.0\n{COMMAND}"),
    );
    specs.commit("web 1.1");
    rig.wait_for_sync(&specs.head());
    let told = why(&rig, "web");
    assert!(
        told.contains("\"web 1.1\" (Ada, ") && told.contains("apps/web/app.yaml:2)"),
        "{told}"
    );
}

#[test]
fn a_mistake_names_who_made_it_and_a_removal_who_removed() {
    let (specs, _) = specs();
    let mut rig = RealDaemon::new(&specs.url(), &[]);
    rig.start();
    rig.wait_for_sync(&specs.head());
    for (slip, place) in [
        (
            format!("name: web\nversion: 1.0.0\n{COMMAND}prot: 80\n"),
            "4:1: unknown key `prot`",
        ),
        // The misspelt key, and not that the right one is missing.
        (
            format!("name: web\nvresion: 1.0.0\n{COMMAND}"),
            "2:1: unknown key `vresion`",
        ),
        // What is missing stands in no line that somebody could have written.
        (format!("name: web\n{COMMAND}"), "1:1: `version` is missing"),
    ] {
        specs.put("apps/web/app.yaml", &slip);
        let slip = specs.commit("a slip");
        specs.put("README", &slip);
        let unrelated = specs.commit("unrelated");
        rig.wait("the mistake is seen", |rig| {
            rig.status()["last_commit"] == unrelated && rig.app("web")["sync"] == "error"
        });
        let told = why(&rig, "web");
        let expected = format!(
            "The spec of web has a mistake since {} \"a slip\" (Ada, ",
            &slip[..7]
        );
        let place = format!("): apps/web/app.yaml:{place}");
        assert!(told.starts_with(&expected) && told.contains(&place), "{told}");
    }

    // A node that removes nothing by itself tells who took the apps out of git.
    for app in ["a", "b", "c"] {
        specs.put(
            &format!("apps/{app}/app.yaml"),
            &format!("version: 1.0.0\n{COMMAND}"),
        );
    }
    specs.remove("apps/web/app.yaml");
    specs.commit("three more");
    rig.wait_for_sync(&specs.head());
    for app in ["a", "b", "c"] {
        specs.remove(&format!("apps/{app}/app.yaml"));
    }
    specs.commit("too many at once");
    rig.wait("the removals are held back", |rig| {
        rig.status()["blocked"]["kind"] == "prune"
    });
    let told = why(&rig, "a");
    let expected = format!(
        "Git does not ask for a since {} \"too many at once\" (Ada, ",
        &specs.head()[..7]
    );
    assert!(told.starts_with(&expected), "{told}");
}
