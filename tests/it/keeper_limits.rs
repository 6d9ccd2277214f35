//! Limits that the kernel really enforces, as far as this machine lets them be set.

use std::time::Duration;

use osier::runtime::keeper::link::KeeperError;
use osier::runtime::keeper::protocol::{Enforce, ExitHow, Limits, Spawn, SpawnFault};

use crate::keeper_rig::{Rig, wait_until};

/// Whether this machine lets the keeper set `limit`; says so if not.
async fn can(rig: &Rig, limit: &str) -> bool {
    let capabilities = rig.link.capabilities().await.unwrap();
    let can = capabilities.limits.iter().any(|(name, _)| name == limit);
    if !can {
        println!("skipped: limits.{limit} cannot be had here");
    }
    can
}

fn limited(rig: &Rig, script: &str, limits: Limits) -> Spawn {
    Spawn {
        limits,
        ..rig.spawn_of("web", &["sh", "-c", script])
    }
}

#[tokio::test]
async fn memory_beyond_the_limit_ends_the_app_and_the_exit_says_why() {
    let rig = Rig::start().await;
    if !can(&rig, "memory").await {
        return;
    }
    let limits = Limits {
        memory_bytes: Some(32 * 1024 * 1024),
        ..Limits::default()
    };
    for _ in 0..2 {
        let spawned = rig
            .link
            .spawn(limited(
                &rig,
                "exec dd if=/dev/zero of=/dev/null bs=300M count=1",
                limits,
            ))
            .await
            .unwrap();
        let exit = rig.exit(&spawned).await;
        assert_eq!(
            (exit.how, exit.oom, exit.asked),
            (ExitHow::Signal(9), true, false)
        );
    }
    // Another's KILL is not for want of memory.
    let spawned = rig.link.spawn(limited(&rig, "kill -9 $$", limits)).await.unwrap();
    let exit = rig.exit(&spawned).await;
    assert_eq!((exit.how, exit.oom), (ExitHow::Signal(9), false));
}

#[tokio::test]
async fn a_tree_has_no_more_processes_than_it_may() {
    let rig = Rig::start().await;
    if !can(&rig, "pids").await {
        return;
    }
    let limits = Limits {
        pids: Some(5),
        ..Limits::default()
    };
    let bomb = "b() { b | b & }; b; sleep 1000";
    let spawned = rig.link.spawn(limited(&rig, bomb, limits)).await.unwrap();
    wait_until("the bomb went off", || rig.log("web").contains("fork")).await;
    assert!(rig.marked().len() <= 5);
    let usage = rig.link.usage(vec![spawned.instance.clone()]).await.unwrap();
    assert!(usage[0].processes_count <= 5, "{usage:?}");
    rig.kill_app(&spawned.instance).await;
    rig.exit(&spawned).await;
    assert_eq!(rig.marked(), Vec::<i32>::new());
}

#[tokio::test]
async fn a_busy_app_gets_no_more_cpu_than_it_may() {
    let rig = Rig::start().await;
    if !can(&rig, "cpus").await {
        return;
    }
    let limits = Limits {
        cpu_milli: Some(100),
        ..Limits::default()
    };
    let spawned = rig
        .link
        .spawn(limited(&rig, "while :; do :; done", limits))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await; // time itself is measured here
    let usage = rig.link.usage(vec![spawned.instance]).await.unwrap();
    assert!(usage[0].cpu_ms > 50 && usage[0].cpu_ms < 600, "{usage:?}");
}

#[tokio::test]
async fn open_files_are_limited_and_the_keepers_own_limit_is_not_passed_on() {
    let rig = Rig::start().await;
    let own = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let spawned = rig.script("free", "ulimit -Sn; ulimit -Hn").await;
    rig.exit(&spawned).await;
    let expected =
        [own.current, own.maximum].map(|limit| limit.map_or("unlimited".into(), |limit| limit.to_string()));
    assert_eq!(rig.texts("free"), expected);
    let limits = Limits {
        open_files: Some(64),
        ..Limits::default()
    };
    let spawned = rig
        .link
        .spawn(limited(&rig, "ulimit -Sn; ulimit -Hn", limits))
        .await
        .unwrap();
    rig.exit(&spawned).await;
    assert_eq!(rig.texts("web"), ["64", "64"]);
}

#[tokio::test]
async fn what_cannot_be_enforced_fails_the_start_or_is_told() {
    let rig = Rig::start().await;
    let limits = Limits {
        open_files: Some(u64::from(u32::MAX)),
        ..Limits::default()
    };
    let mut spawn = limited(&rig, "sleep 1000", limits);
    let KeeperError::NotSpawned(SpawnFault::Limits { faults }) = rig.fails(spawn.clone()).await else {
        panic!("not a fault of limits");
    };
    assert_eq!((faults.len(), faults[0].limit.as_str()), (1, "open_files"));
    assert_eq!(rig.marked(), Vec::<i32>::new());
    spawn.enforce = Enforce::BestEffort;
    let spawned = rig.link.spawn(spawn).await.unwrap();
    assert_eq!(spawned.not_in_force, faults);
    assert_eq!(rig.link.list().await.unwrap().running[0].not_in_force, faults);
}

#[tokio::test]
async fn the_usage_of_a_tree_counts_all_of_it() {
    let rig = Rig::start().await;
    let spawned = rig
        .script("web", "setsid sleep 999 & sleep 998 & exec sleep 997")
        .await;
    wait_until("the tree is grown", || {
        let marked = rig.marked();
        marked.len() == 3
            && marked.iter().all(|pid| {
                std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == "sleep\n")
            })
    })
    .await;
    let usage = rig.link.usage(Vec::new()).await.unwrap();
    assert_eq!(usage.len(), 1);
    assert_eq!(usage[0].instance, spawned.instance);
    assert_eq!((usage[0].processes_count, usage[0].open_files_count), (3, 9));
    assert!(usage[0].memory_bytes > 0);
}
