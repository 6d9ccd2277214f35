//! Limits of version 2 on an imitated directory: that the right files get the right values. That a kernel then enforces
//! them is not shown here.

use std::collections::BTreeMap;

use super::*;

fn imitated(controllers: &[Controller]) -> (tempfile::TempDir, Groups) {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("osier-x");
    fs::create_dir(&base).unwrap();
    let groups = Groups::of(Hierarchies {
        v2: Some(base),
        v2_controllers: controllers.to_vec(),
        v1: BTreeMap::new(),
        name: "osier-x".into(),
    });
    (folder, groups)
}

fn all_limits() -> Limits {
    Limits {
        memory_bytes: Some(64 * 1024 * 1024),
        cpu_milli: Some(1_500),
        pids: Some(20),
        open_files: None,
    }
}

#[test]
fn version_2_limits_go_to_their_files_and_are_lifted_again() {
    let (folder, groups) = imitated(&Controller::LIMITING);
    let app: AppName = "web".parse().unwrap();
    let read = |file: &str| fs::read_to_string(folder.path().join("osier-x/web").join(file)).unwrap();
    let (app_groups, faults) = groups.prepare(&app, &all_limits(), None);
    assert_eq!(faults, []);
    assert!(app_groups.hold_the_tree());
    let values = ["memory.max", "memory.swap.max", "cpu.max", "pids.max"].map(read);
    assert_eq!(values, ["67108864", "0", "150000 100000", "20"]);
    groups.prepare(&app, &Limits::default(), Some(&all_limits()));
    let values = ["memory.max", "memory.swap.max", "cpu.max", "pids.max"].map(read);
    assert_eq!(values, ["max", "max", "max 100000", "max"]);
}

#[test]
fn what_cannot_be_had_is_named_and_only_if_it_was_asked_for() {
    let (_folder, groups) = imitated(&[Controller::Pids]);
    let app: AppName = "web".parse().unwrap();
    let (_, faults) = groups.prepare(&app, &all_limits(), None);
    let named: Vec<&str> = faults.iter().map(|fault| fault.limit.as_str()).collect();
    assert_eq!(named, ["memory", "cpus"]);
    let (_, faults) = groups.prepare(
        &app,
        &Limits {
            pids: Some(1),
            ..Limits::default()
        },
        None,
    );
    assert_eq!(faults, []);
    let (can, missing) = groups.limits();
    assert_eq!((can.len(), missing.len()), (2, 2));
}

#[test]
fn an_oom_kill_is_read_from_the_groups_events() {
    let (folder, groups) = imitated(&Controller::LIMITING);
    let (app_groups, _) = groups.prepare(&"web".parse().unwrap(), &all_limits(), None);
    assert_eq!(app_groups.oom_kills(), None);
    let events = "low 0\nhigh 0\nmax 7\noom 2\noom_kill 1\noom_group_kill 0\n";
    fs::write(folder.path().join("osier-x/web/memory.events"), events).unwrap();
    assert_eq!(app_groups.oom_kills(), Some(1));
}
