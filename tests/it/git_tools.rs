//! A machine without `git`, or without `ssh`: the real daemon and `doctor` name what is missing and what to do.

use std::process::Command;

use serde_json::Value as Json;

use crate::fake_daemon::{osier, ran};
use crate::git_source::Source;
use crate::real_daemon::RealDaemon;

/// The daemon with no program to be found.
fn bare(rig: &RealDaemon) -> Command {
    let mut command = rig.daemon();
    command.env("PATH", rig.room.path());
    command
}

fn check<'a>(doctor: &'a Json, name: &str) -> &'a Json {
    let checks = doctor.as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap()
}

#[test]
fn an_address_whose_program_is_missing_is_told_with_the_program_and_the_next_step() {
    let source = Source::with(&[(
        "apps/web/app.yaml",
        "version: 1.0.0\ncommand: [/bin/sleep, '1000']\n",
    )]);
    for (url, tool, package) in [
        (source.url(), "git", "git"),
        (source.path.display().to_string(), "git", "git"),
        ("ssh://git@127.0.0.1/specs".to_owned(), "ssh", "openssh-client"),
        ("git@127.0.0.1:specs".to_owned(), "ssh", "openssh-client"),
    ] {
        let mut rig = RealDaemon::new(&url, &[]);
        let command = bare(&rig);
        rig.start_as(command);
        let status = rig.wait_for_reason(&format!("needs the program `{tool}`"));
        let reason = status["reason"].as_str().unwrap();
        let remedy = format!("install it (Debian package: {package}), or follow the repository by https");
        assert!(reason.contains(&remedy), "{reason}");

        // The command line finds all programs; what counts is what the daemon finds.
        let doctor = rig.osier(&["doctor", "-o", "json"]);
        assert_eq!(doctor.code, Some(1), "{doctor:?}");
        let doctor = doctor.json();
        let missing = check(&doctor, tool);
        assert_eq!(
            (&missing["state"], &missing["fix"]),
            (&"bad".into(), &remedy.as_str().into())
        );
        assert!(
            missing["found"]
                .as_str()
                .unwrap()
                .contains("not on the daemon's PATH"),
            "{missing}"
        );
    }
}

#[test]
fn doctor_alone_names_the_program_that_the_configured_address_needs() {
    for (url, needed, other) in [
        ("/srv/specs", "git", "ssh"),
        ("git@127.0.0.1:specs", "ssh", "git"),
        ("ssh://127.0.0.1/specs", "ssh", "git"),
    ] {
        let rig = RealDaemon::new(url, &[]);
        let mut command = osier(&["doctor", "-o", "json"]);
        command
            .env("OSIER_CONFIG", rig.config())
            .env("PATH", rig.room.path());
        command.env("HOME", rig.room.path());
        let ran = ran(command);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        let doctor = ran.json();
        assert_eq!(check(&doctor, needed)["state"], "bad", "{url}");
        assert_eq!(check(&doctor, other)["state"], "warning", "{url}");
        assert!(
            check(&doctor, needed)["fix"]
                .as_str()
                .unwrap()
                .starts_with("install it")
        );
    }
}
