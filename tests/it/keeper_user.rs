//! Apps of another user, and a keeper of an ordinary one. Both need root to be set up; without it they are skipped.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use osier::runtime::keeper::link::KeeperError;
use osier::runtime::keeper::protocol::{ExitHow, Limits, SpawnFault, TreeKill, User};

use crate::keeper_rig::{Rig, wait_until};

/// `nobody`, everywhere.
const NOBODY: u32 = 65534;

fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        println!("skipped: needs root");
    }
    is_root
}

fn nobody() -> User {
    User {
        uid: NOBODY,
        gid: NOBODY,
        groups: vec![NOBODY],
    }
}

/// A folder through which everybody may pass.
fn open_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    folder
}

#[tokio::test]
async fn an_app_runs_as_its_user_with_its_groups_alone_in_its_own_folder() {
    if !is_root() {
        return;
    }
    let folder = open_folder();
    let rig = Rig::start_in(folder.path().canonicalize().unwrap(), false).await;
    let mut spawn = rig.spawn_of(
        "web",
        &[
            "sh",
            "-c",
            "echo > mine; id -u; id -g; id -G; cat /proc/self/status; echo by name > /dev/stdout; sleep 1000",
        ],
    );
    spawn.user = Some(nobody());
    spawn.no_new_privileges = true;
    spawn.umask = 0o077;
    let spawned = rig.link.spawn(spawn).await.unwrap();
    wait_until("it has said all", || rig.log("web").contains("by name")).await;
    let said = rig.texts("web");
    assert_eq!(said[..3], ["65534", "65534", "65534"]);
    assert!(
        said.contains(&"NoNewPrivs:\t1".to_owned()) && said.contains(&"CapEff:\t0000000000000000".to_owned()),
        "{said:?}"
    );
    let mode = |name: &str| {
        std::fs::metadata(rig.app_dir("web").join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(
        (mode("data"), mode("data/mine"), mode("logs")),
        (0o700, 0o600, 0o700)
    );
    let exit = rig.stop(&spawned, Duration::from_secs(2)).await;
    assert_eq!(exit.how, ExitHow::Signal(15));
    // The same app as the keeper's own user again.
    let spawned = rig.script("web", "echo root; cat mine").await;
    assert_eq!(rig.exit(&spawned).await.how, ExitHow::Code(0));
}

#[tokio::test]
async fn an_app_of_another_user_is_adopted() {
    if !is_root() {
        return;
    }
    let folder = open_folder();
    let mut rig = Rig::start_in(folder.path().canonicalize().unwrap(), false).await;
    let mut spawn = rig.spawn_of("web", &["sleep", "1000"]);
    spawn.user = Some(nobody());
    let web = rig.link.spawn(spawn).await.unwrap();
    rig.kill_keeper().await;
    assert_eq!(rig.link.list().await.unwrap().running[0].pid, web.pid);
}

/// A keeper that runs as nobody; root may speak to it.
async fn ordinary_keeper(folder: &Path) -> Option<Rig> {
    let data_dir = folder.canonicalize().unwrap().join("data");
    std::fs::create_dir(&data_dir).unwrap();
    std::os::unix::fs::chown(&data_dir, Some(NOBODY), Some(NOBODY)).unwrap();
    let program = folder.join("osier");
    std::fs::copy(env!("CARGO_BIN_EXE_osier"), &program).unwrap();
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&program);
    command.args(["keeper", "--data-dir"]).arg(&data_dir);
    let Ok(mut keeper) = command.spawn() else {
        println!("skipped: needs setpriv");
        return None;
    };
    wait_until("it listens", || data_dir.join("keeper.sock").exists()).await;
    std::thread::spawn(move || keeper.wait());
    Some(Rig::start_in(data_dir, false).await)
}

#[tokio::test]
async fn an_ordinary_users_keeper_does_it_without_groups() {
    if !is_root() {
        return;
    }
    let folder = open_folder();
    let Some(rig) = ordinary_keeper(folder.path()).await else {
        return;
    };
    let capabilities = rig.link.capabilities().await.unwrap();
    assert_eq!(capabilities.tree_kill, TreeKill::Walk);
    assert!(capabilities.tree_kill.blind_spot().is_some());
    // The whole tree, those that left the session among it.
    let web = rig
        .script(
            "web",
            "(setsid sleep 999 & setsid sh -c 'setsid sleep 998 & sleep 997 & wait' & wait) & echo up; wait",
        )
        .await;
    wait_until("the tree is grown", || rig.marked().len() >= 6).await;
    let usage = rig.link.usage(vec![web.instance.clone()]).await.unwrap();
    assert!(usage[0].processes_count >= 6, "{usage:?}");
    let exit = rig.stop(&web, Duration::from_secs(2)).await;
    assert_eq!((exit.how, exit.survivors_count), (ExitHow::Signal(15), 0));
    assert_eq!(rig.marked(), Vec::<i32>::new());
    // A daemon as of old.
    let old = rig
        .script(
            "old",
            "setsid sh -c 'setsid sleep 999 &' & wait; sleep 0.1; exit 0",
        )
        .await;
    let exit = rig.exit(&old).await;
    assert_eq!((exit.how, exit.leftovers_count), (ExitHow::Code(0), 1));
    assert_eq!(rig.marked(), Vec::<i32>::new());
    let bomb = rig
        .script("bomb", "trap '' TERM; while :; do (sleep 5 &); sleep 0.001; done")
        .await;
    wait_until("it forks", || rig.marked().len() > 20).await;
    rig.kill_app(&bomb.instance).await;
    assert_eq!(rig.exit(&bomb).await.survivors_count, 0);
    assert_eq!(rig.marked(), Vec::<i32>::new());
}

#[tokio::test]
async fn what_an_ordinary_user_may_not_is_refused_by_name() {
    if !is_root() {
        return;
    }
    let folder = open_folder();
    let Some(rig) = ordinary_keeper(folder.path()).await else {
        return;
    };
    let mut spawn = rig.spawn_of("web", &["true"]);
    spawn.limits = Limits {
        memory_bytes: Some(1 << 30),
        pids: Some(10),
        ..Limits::default()
    };
    let KeeperError::NotSpawned(SpawnFault::Limits { faults }) = rig.fails(spawn).await else {
        panic!("not a fault of limits");
    };
    let named: Vec<&str> = faults.iter().map(|fault| fault.limit.as_str()).collect();
    assert_eq!(named, ["memory", "pids"]);
    let mut spawn = rig.spawn_of("web", &["true"]);
    spawn.user = Some(User {
        uid: 1,
        gid: 1,
        groups: Vec::new(),
    });
    let KeeperError::NotSpawned(SpawnFault::System { errno, .. }) = rig.fails(spawn).await else {
        panic!("not a system fault");
    };
    assert_eq!(errno, libc::EPERM);
    let spawned = rig.script("web", "exit 6").await;
    assert_eq!(rig.exit(&spawned).await.how, ExitHow::Code(6));
}
