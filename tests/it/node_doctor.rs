//! `doctor` and `show` say what is in force on this machine, as the keeper has it and not as one would like it.

use osier::runtime::keeper::protocol::{Capabilities, Message, Reply, Request, TreeKill};
use serde_json::Value;

use crate::keeper_rig::Caller;
use crate::real_daemon::{Followed, sleeper};
use crate::specs_repository::Specs;

fn capabilities(daemon: &Followed) -> Capabilities {
    let mut caller = Caller::connect(&daemon.data_dir()).unwrap();
    caller.say_hello();
    caller.send(Request::Capabilities);
    match caller.receive() {
        Some(Message::Reply {
            result: Ok(Reply::Capabilities(capabilities)),
            ..
        }) => capabilities,
        other => panic!("{other:?}"),
    }
}

fn check<'a>(checks: &'a Value, name: &str) -> &'a Value {
    let checks = checks.as_array().unwrap().iter();
    let mut named = checks.filter(|check| check["name"] == name);
    named.next().unwrap_or_else(|| panic!("no check {name}"))
}

#[test]
fn doctor_names_how_trees_are_killed_and_limits_enforced_and_what_that_cannot_catch() {
    let specs = Specs::new();
    specs.put(
        "apps/a/app.yaml",
        &sleeper("limits: { memory: 64MiB, pids: 50 }\n"),
    );
    specs.commit("a");
    let mut daemon = Followed::start(specs, &[]);
    daemon.kill();
    daemon.configure(&["node.enforce = \"best_effort\""]);
    daemon.start();
    daemon.wait("a runs", |daemon| daemon.app_pid("a").is_some());
    let has = capabilities(&daemon);
    let told = daemon.osier(&["doctor", "-o", "json"]).json();

    let kill = check(&told, "killing trees");
    let way = match has.tree_kill {
        TreeKill::CgroupKill => "cgroup.kill",
        TreeKill::CgroupFreeze => "v2, frozen",
        TreeKill::FreezerV1 => "v1 freezer",
        TreeKill::Walk => "/proc",
    };
    let found = kill["found"].as_str().unwrap();
    assert!(found.contains(way), "{kill}");
    match has.tree_kill.blind_spot() {
        None => assert_eq!(kill["state"], "good"),
        Some(blind_spot) => assert!(kill["state"] == "warning" && found.contains(blind_spot), "{kill}"),
    }
    for (limit, how) in &has.limits {
        let limit = check(&told, &format!("limits.{limit}"));
        assert!(
            limit["state"] == "good" && limit["found"] == how.as_str(),
            "{limit}"
        );
    }
    for fault in &has.missing {
        let limit = check(&told, &format!("limits.{}", fault.limit));
        assert_eq!(limit["state"], "warning");
        assert!(limit["found"].as_str().unwrap().contains(&fault.why), "{limit}");
    }

    // What was asked for and is not in force is shown with the app.
    let shown = daemon.does(&["show", "app/a", "-o", "json"]).json();
    let shown = shown["state"]["not_enforced"].to_string();
    let text = daemon.does(&["show", "app/a"]).out;
    for limit in ["memory", "pids"] {
        let is_missing = has.missing.iter().any(|fault| fault.limit == limit);
        assert_eq!(shown.contains(&format!("limits.{limit}")), is_missing, "{shown}");
        assert_eq!(text.contains(&format!("limits.{limit}")), is_missing, "{text}");
    }
}
