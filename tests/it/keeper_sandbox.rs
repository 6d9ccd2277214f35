//! What a confined app can and cannot do, asked of the kernel: by root, by another user, and by an ordinary user's keeper.
//! All of it needs root to be set up; without it, it is skipped.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use osier::runtime::keeper::link::KeeperError;
use osier::runtime::keeper::protocol::{
    Confinement, Enforce, ExitHow, Spawn, SpawnFault, SpawnStep, Spawned, User,
};

use crate::keeper_rig::{PATIENCE, Rig, environment_of, wait_until};

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

/// The oldest Landlock that rules truncating.
const LANDLOCK_ABI_MIN: u32 = 3;

/// Who runs the keeper, and whom the app runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// Root and root.
    Root,
    /// Root, and the app as nobody.
    RootForNobody,
    /// Nobody and nobody.
    Ordinary,
}

const EVERYBODY: [Who; 3] = [Who::Root, Who::RootForNobody, Who::Ordinary];

/// A keeper, and beside it the open app `other` of the same user, which runs and has files of its own.
struct Place {
    rig: Rig,
    who: Who,
    other: Spawned,
    _folder: tempfile::TempDir,
}

/// A script that is a keeper's program: `osier`, started in some other way.
fn wrapper(folder: &Path, how: &str) -> PathBuf {
    let osier = folder.join("osier");
    if !osier.exists() {
        fs::copy(env!("CARGO_BIN_EXE_osier"), &osier).unwrap();
    }
    let path = folder.join("wrapped");
    fs::write(
        &path,
        format!("#!/bin/sh\n{}\n", how.replace("OSIER", osier.to_str().unwrap())),
    )
    .unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

const AS_NOBODY: &str = "exec setpriv --reuid=65534 --regid=65534 --clear-groups OSIER \"$@\"";

impl Place {
    /// None where this machine does not give what confines: asked of other programs, not of the keeper.
    async fn new(who: Who) -> Option<Self> {
        let (how, probe) = match who {
            Who::Ordinary => (
                AS_NOBODY,
                "exec setpriv --reuid=65534 --regid=65534 --clear-groups unshare --user --mount true",
            ),
            Who::Root | Who::RootForNobody => ("exec OSIER \"$@\"", "exec unshare --mount true"),
        };
        let probed = Command::new("sh").args(["-c", probe]).status().unwrap();
        let place = Self::with(who, how).await;
        let means = place.rig.link.capabilities().await.unwrap().sandbox.unwrap();
        if !probed.success() || means.landlock_abi < LANDLOCK_ABI_MIN {
            println!("skipped: this machine has no mount namespaces for {who:?}, or no Landlock");
            return None;
        }
        assert_eq!(means.missing, [], "{who:?}");
        Some(place)
    }

    /// Whose keeper is started by the shell command `how`.
    async fn with(who: Who, how: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
        let data_dir = folder.path().canonicalize().unwrap().join("node");
        fs::create_dir(&data_dir).unwrap();
        fs::set_permissions(&data_dir, fs::Permissions::from_mode(0o711)).unwrap();
        if who == Who::Ordinary {
            chown(&data_dir, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let rig = Rig::start_with(wrapper(folder.path(), how), data_dir, false).await;
        let spawn = Self::spawn_in(
            &rig,
            who,
            "other",
            "umask 0; echo theirs > theirs; exec sleep 1000",
        );
        let other = rig.link.spawn(spawn).await.unwrap();
        let theirs = rig.app_dir("other").join("data/theirs");
        wait_until("the other app has a file", || theirs.exists()).await;
        Self {
            rig,
            who,
            other,
            _folder: folder,
        }
    }

    fn spawn_in(rig: &Rig, who: Who, app: &str, script: &str) -> Spawn {
        let mut spawn = rig.spawn_of(app, &["sh", "-c", script]);
        spawn.user = (who == Who::RootForNobody).then(nobody);
        spawn
    }

    /// The app `web`, which is to run `script`.
    fn spawn(&self, script: &str, confinement: Option<Confinement>) -> Spawn {
        let mut spawn = Self::spawn_in(&self.rig, self.who, "web", script);
        let other = self.rig.app_dir("other").join("data");
        spawn.environment.extend([
            ("OTHER".to_owned(), other.to_str().unwrap().to_owned()),
            ("PID".to_owned(), self.other.pid.to_string()),
        ]);
        spawn.no_new_privileges = confinement.is_some();
        spawn.confinement = confinement;
        spawn
    }

    /// Runs `script` to its end, and returns what it said.
    async fn says(&self, script: &str, confinement: Option<Confinement>) -> Vec<String> {
        let before = self.rig.texts("web").len();
        let spawned = self
            .rig
            .link
            .spawn(self.spawn(script, confinement))
            .await
            .unwrap();
        let exit = self.rig.exit(&spawned).await;
        assert_eq!(exit.how, ExitHow::Code(0), "{:?}", self.rig.texts("web"));
        self.rig.texts("web").split_off(before)
    }
}

fn data() -> Confinement {
    writable(&["data"])
}

fn writable(folders: &[&str]) -> Confinement {
    Confinement {
        writable: folders.iter().map(|folder| (*folder).to_owned()).collect(),
        visible: Vec::new(),
    }
}

/// Says `yes` or `no` of each attempt.
const TRY: &str =
    "try() { if sh -c \"$2\" > /dev/null 2>&1; then echo \"$1 yes\"; else echo \"$1 no\"; fi; }\n";

/// Each changes something of the other app's, by a way of its own.
const WAYS_OUT: [(&str, &str); 19] = [
    ("create", "echo x > $OTHER/new"),
    ("append", "echo x >> $OTHER/theirs"),
    ("truncate", "truncate -s 1 $OTHER/theirs"),
    ("make a folder", "mkdir $OTHER/folder"),
    ("make a link", "ln -s x $OTHER/symlink"),
    ("make a pipe", "mkfifo $OTHER/pipe"),
    ("rename", "mv $OTHER/new $OTHER/renamed"),
    ("rename into", "echo x > mine; mv mine $OTHER/mine"),
    (
        "rename out of",
        "mv $OTHER/renamed ./renamed && test ! -e $OTHER/renamed",
    ),
    ("link into", "echo x > mine; ln mine $OTHER/linked"),
    ("link out of", "ln $OTHER/theirs ./theirs"),
    ("change the mode", "chmod 0640 $OTHER/theirs"),
    ("change the time", "touch -d 2001-01-01 $OTHER/theirs"),
    ("by another's root", "echo x > /proc/$PID/root$OTHER/by-root"),
    ("by another's folder", "echo x > /proc/$PID/cwd/by-cwd"),
    ("by another's file", "echo x > /proc/$PID/fd/1"),
    ("by a link of its own", "ln -sfn $OTHER way; echo x > way/by-link"),
    (
        "in a namespace in it",
        "unshare -rm sh -c 'echo x > $OTHER/by-namespace'",
    ),
    ("remove", "rm $OTHER/theirs"),
];

fn script_of(ways: &[(&str, &str)]) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    let tries = ways
        .iter()
        .map(|(name, way)| format!("try {} {}\n", quoted(name), quoted(way)));
    TRY.to_owned() + &tries.collect::<String>()
}

fn all(ways: &[(&str, &str)], answer: &str) -> Vec<String> {
    ways.iter().map(|(name, _)| format!("{name} {answer}")).collect()
}

#[tokio::test]
async fn a_confined_app_changes_nothing_of_others_by_no_way_that_is_open_without_the_sandbox() {
    if !is_root() {
        return;
    }
    for who in EVERYBODY {
        let Some(place) = Place::new(who).await else {
            continue;
        };
        let said = place.says(&script_of(&WAYS_OUT), Some(data())).await;
        assert_eq!(said, all(&WAYS_OUT, "no"), "{who:?}");
        // Each way is one: without the sandbox it is open.
        let said = place.says(&script_of(&WAYS_OUT), None).await;
        assert_eq!(said, all(&WAYS_OUT, "yes"), "{who:?}");
    }
}

/// What only root may, and could undo a sandbox with.
const WAYS_OF_ROOT: [(&str, &str); 6] = [
    ("write to /etc", "echo x > /etc/osier-sandbox-test"),
    ("mount", "mkdir -p m; mount -t tmpfs none m && umount m"),
    ("unmount", "unshare -m umount /proc"),
    ("mount writable", "unshare -m mount -o remount,bind,rw /"),
    ("enter another's mounts", "nsenter -t $PID -m true"),
    ("make a device", "mknod disk b 7 0 && rm disk"),
];

#[tokio::test]
async fn root_itself_cannot_undo_its_sandbox() {
    if !is_root() {
        return;
    }
    let Some(place) = Place::new(Who::Root).await else {
        return;
    };
    let said = place.says(&script_of(&WAYS_OF_ROOT), Some(data())).await;
    assert_eq!(said, all(&WAYS_OF_ROOT, "no"));
    let said = place.says(&script_of(&WAYS_OF_ROOT), None).await;
    fs::remove_file("/etc/osier-sandbox-test").unwrap();
    assert_eq!(said, all(&WAYS_OF_ROOT, "yes"));
}

#[tokio::test]
async fn a_device_in_a_writable_folder_is_none() {
    if !is_root() {
        return;
    }
    let Some(place) = Place::new(Who::Root).await else {
        return;
    };
    // A second null, made when nobody confined the app.
    let ways = [("write to it", "echo x > device")];
    let made = place
        .says(&format!("mknod device c 1 3; {}", script_of(&ways)), None)
        .await;
    assert_eq!(made, all(&ways, "yes"));
    let said = place.says(&script_of(&ways), Some(data())).await;
    assert_eq!(said, all(&ways, "no"));
}

/// What a program may expect of its surroundings.
const NEEDED: [(&str, &str); 14] = [
    ("write a file", "echo x > file && test x = $(cat file)"),
    ("truncate it", "truncate -s 0 file && test ! -s file"),
    (
        "rename it into a folder",
        "mkdir -p folder && mv file folder/file",
    ),
    ("link it", "ln folder/file linked && ln -s file symlink"),
    ("remove it", "rm -r folder linked symlink"),
    (
        "change a mode",
        "echo x > file && chmod 0600 file && touch -d 2001-01-01 file",
    ),
    ("make a pipe", "mkfifo pipe && rm pipe"),
    (
        "run a script of its own",
        "printf \"#!/bin/sh\\nexit 0\\n\" > run && chmod 0755 run && ./run",
    ),
    (
        "read what everybody may",
        "test -s /etc/passwd && ls / > /dev/null",
    ),
    (
        "write to devices",
        "echo x > /dev/null && echo x > /dev/zero && head -c 1 /dev/urandom > /dev/null",
    ),
    (
        "use /tmp",
        "echo x > /tmp/mine && mv /tmp/mine /tmp/moved && cat /tmp/moved",
    ),
    ("use /var/tmp", "echo x > /var/tmp/mine"),
    ("use /dev/shm", "echo x > /dev/shm/mine"),
    ("make a temporary file", "test -w $(mktemp)"),
];

#[tokio::test]
async fn a_confined_app_can_do_what_programs_need() {
    if !is_root() {
        return;
    }
    for who in EVERYBODY {
        let Some(place) = Place::new(who).await else {
            continue;
        };
        let said = place.says(&script_of(&NEEDED), Some(data())).await;
        assert_eq!(said, all(&NEEDED, "yes"), "{who:?}");
        let uid = if who == Who::Root { 0 } else { NOBODY };
        let said = place.says("id -u; id -g; stat -c %u .", Some(data())).await;
        assert_eq!(
            said,
            [uid.to_string(), uid.to_string(), uid.to_string()],
            "{who:?}"
        );
        // By its name, which leads to the keeper's pipe.
        let said = place.says("echo by name > /dev/stdout", Some(data())).await;
        assert_eq!(said, ["by name"], "{who:?}");
    }
}

#[tokio::test]
async fn only_what_is_listed_is_writable() {
    if !is_root() {
        return;
    }
    const TRIES: [(&str, &str); 5] = [
        ("data", "echo x > file"),
        ("uploads", "echo x > uploads/file"),
        ("cache", "echo x > ../cache/file"),
        ("logs", "echo x > ../logs/file"),
        ("beside", "echo x > ../file"),
    ];
    let expected = |writable: &[&str]| {
        let answer = |name: &str| if writable.contains(&name) { "yes" } else { "no" };
        TRIES.map(|(name, _)| format!("{name} {}", answer(name)))
    };
    for who in EVERYBODY {
        let Some(place) = Place::new(who).await else {
            continue;
        };
        let script = script_of(&TRIES);
        for (listed, writable_ones) in [
            (&["data/uploads", "cache"][..], &["uploads", "cache"][..]),
            (&["data"], &["data", "uploads"]),
            (&[], &[]),
        ] {
            let said = place.says(&script, Some(writable(listed))).await;
            assert_eq!(said, expected(writable_ones), "{who:?} {listed:?}");
        }
    }
}

#[tokio::test]
async fn a_link_that_an_app_put_in_the_place_of_its_folder_lets_nothing_start() {
    if !is_root() {
        return;
    }
    for who in EVERYBODY {
        let Some(place) = Place::new(who).await else {
            continue;
        };
        place.says("ln -s $OTHER uploads", Some(data())).await;
        let spawn = place.spawn("echo x > $OTHER/new", Some(writable(&["data/uploads"])));
        let KeeperError::NotSpawned(fault) = place.rig.fails(spawn).await else {
            panic!("not a fault of the start");
        };
        let told = fault.to_string();
        assert!(
            told.starts_with("cannot open the writable folder apps/web/data/uploads: "),
            "{told}"
        );
        assert!(!place.rig.app_dir("other").join("data/new").exists());
    }
}

#[tokio::test]
async fn tmp_is_the_apps_own_and_goes_with_the_instance() {
    if !is_root() {
        return;
    }
    for who in EVERYBODY {
        let Some(place) = Place::new(who).await else {
            continue;
        };
        let outside =
            ["/tmp", "/var/tmp", "/dev/shm"].map(|folder| tempfile::NamedTempFile::new_in(folder).unwrap());
        let look = "for folder in /tmp /var/tmp /dev/shm; do find $folder -maxdepth 1 -type f; echo x > $folder/mine; done";
        for _ in 0..2 {
            // Nothing of the machine's, and the second time nothing of the first.
            assert_eq!(
                place.says(look, Some(data())).await,
                Vec::<String>::new(),
                "{who:?}"
            );
        }
        for folder in ["/tmp", "/var/tmp", "/dev/shm"] {
            assert!(!Path::new(folder).join("mine").exists(), "{who:?} {folder}");
        }
        drop(outside);
    }
}

#[tokio::test]
async fn what_an_app_must_see_below_tmp_is_seen_and_read_only() {
    if !is_root() {
        return;
    }
    for who in EVERYBODY {
        let Some(place) = Place::new(who).await else {
            continue;
        };
        let artefact = tempfile::tempdir_in("/tmp").unwrap();
        let path = artefact.path().canonicalize().unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        fs::write(
            path.join("run"),
            "#!/bin/sh\necho ran\necho x > file || echo refused\n",
        )
        .unwrap();
        fs::set_permissions(path.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
        let mut spawn = place.spawn("", Some(data()));
        spawn.command = vec!["./run".to_owned()];
        spawn.working_dir = path.to_str().unwrap().to_owned();
        // Not seen, it cannot be run.
        place.rig.fails(spawn.clone()).await;
        spawn.confinement = Some(Confinement {
            visible: vec![spawn.working_dir.clone()],
            ..data()
        });
        let spawned = place.rig.link.spawn(spawn).await.unwrap();
        assert_eq!(place.rig.exit(&spawned).await.how, ExitHow::Code(0));
        let said = place.rig.texts("web");
        assert_eq!(
            (said.first().unwrap().as_str(), said.last().unwrap().as_str()),
            ("ran", "refused"),
            "{who:?}"
        );
        assert!(!path.join("file").exists());
    }
}

#[tokio::test]
async fn children_of_an_app_are_confined_with_it() {
    if !is_root() {
        return;
    }
    let Some(place) = Place::new(Who::RootForNobody).await else {
        return;
    };
    let script =
        "(setsid sh -c 'if echo x > $OTHER/new; then echo yes; else echo no; fi' 2> /dev/null) & wait";
    assert_eq!(place.says(script, Some(data())).await, ["no"]);
}

#[tokio::test]
async fn a_set_user_id_program_gives_nothing_where_new_privileges_are_given_up() {
    if !is_root() {
        return;
    }
    let Some(place) = Place::new(Who::RootForNobody).await else {
        return;
    };
    let program = place.rig.app_dir("id");
    fs::copy("/usr/bin/id", &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
    let run = format!("{} -u", program.display());
    assert_eq!(place.says(&run, Some(data())).await, ["65534"]);
    let mut spawn = place.spawn(&run, None);
    spawn.no_new_privileges = true;
    let spawned = place.rig.link.spawn(spawn).await.unwrap();
    place.rig.exit(&spawned).await;
    assert_eq!(place.says(&run, None).await, ["0"]);
    assert_eq!(place.rig.texts("web"), ["65534", "65534", "0"]);
}

#[tokio::test]
async fn one_that_may_gain_privileges_is_confined_with_them() {
    if !is_root() {
        return;
    }
    let Some(place) = Place::new(Who::RootForNobody).await else {
        return;
    };
    for name in ["id", "touch"] {
        let program = place.rig.app_dir(name);
        fs::copy(Path::new("/usr/bin").join(name), &program).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
    }
    let apps = place.rig.app_dir("");
    let script = format!(
        "{apps}/id -u; {apps}/touch $OTHER/new /etc/osier-sandbox-test 2> /dev/null || echo refused; {apps}/touch mine && echo fine",
        apps = apps.display()
    );
    let mut spawn = place.spawn(&script, Some(data()));
    spawn.no_new_privileges = false;
    let spawned = place.rig.link.spawn(spawn).await.unwrap();
    place.rig.exit(&spawned).await;
    assert_eq!(place.rig.texts("web"), ["0", "refused", "fine"]);
    assert!(!Path::new("/etc/osier-sandbox-test").exists());
}

#[tokio::test]
async fn confined_apps_outlive_keeper_and_daemon_and_are_found_again() {
    if !is_root() {
        return;
    }
    for who in EVERYBODY {
        let Some(mut place) = Place::new(who).await else {
            continue;
        };
        let spawn = place.spawn("setsid sleep 999 & exec sleep 998", Some(data()));
        let web = place.rig.link.spawn(spawn).await.unwrap();
        wait_until("the tree is grown", || place.rig.marked().len() == 3).await;
        place.rig.kill_keeper().await;
        place.rig.restart_daemon().await;
        let list = place.rig.link.list().await.unwrap();
        let run = list.running.iter().find(|run| run.app.as_str() == "web").unwrap();
        assert_eq!((run.pid, run.adopted), (web.pid, true), "{who:?}");
        let mark = format!("OSIER_INSTANCE={}", web.instance);
        assert!(environment_of(web.pid.cast_signed()).contains(&mark));
        let exit = place.rig.stop(&web, Duration::from_secs(2)).await;
        assert_eq!(exit.survivors_count, 0, "{who:?}");
        wait_until("its whole tree is gone", || place.rig.marked().len() == 1).await;
    }
}

/// Inside a user namespace that allows no mount namespaces.
const WITHOUT_MOUNTS: &str = "exec unshare --user --map-root-user sh -c \
    'echo 0 > /proc/sys/user/max_mnt_namespaces && echo 0 > /proc/sys/user/max_user_namespaces && exec OSIER \"$@\"' sh \"$@\"";

/// Behind a filter that does not know Landlock: system call 444 is none, as on a kernel without it.
const WITHOUT_LANDLOCK: &str = "exec python3 -c '
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
code = [(0x20, 0, 0, 0), (0x15, 0, 1, 444), (0x06, 0, 0, 0x00050026), (0x06, 0, 0, 0x7fff0000)]
code = ctypes.create_string_buffer(b\"\".join(struct.pack(\"HBBI\", *line) for line in code))
class Program(ctypes.Structure):
    _fields_ = [(\"length\", ctypes.c_ushort), (\"code\", ctypes.c_void_p)]
program = Program(4, ctypes.addressof(code))
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, ctypes.byref(program)) == 0
os.execv(sys.argv[1], sys.argv[1:])
' OSIER \"$@\"";

async fn faults_of(place: &Place, spawn: Spawn) -> Vec<String> {
    let KeeperError::NotSpawned(SpawnFault::Limits { faults }) = place.rig.fails(spawn).await else {
        panic!("not a fault of limits");
    };
    faults.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn without_mount_namespaces_a_confined_app_fails_or_is_told_to_be_confined_in_part() {
    if !is_root() {
        return;
    }
    let place = Place::with(Who::Root, WITHOUT_MOUNTS).await;
    let means = place.rig.link.capabilities().await.unwrap().sandbox.unwrap();
    assert_eq!(
        (means.mounts.as_ref(), means.missing.len()),
        (None, 1),
        "{means:?}"
    );
    let faults = faults_of(&place, place.spawn("exit 0", Some(data()))).await;
    assert!(
        faults.len() == 1 && faults[0].starts_with("sandbox.read_only: no private /tmp"),
        "{faults:?}"
    );
    // The rest is in force.
    let mut spawn = place.spawn(&script_of(&WAYS_OUT[..2]), Some(data()));
    spawn.enforce = Enforce::BestEffort;
    let spawned = place.rig.link.spawn(spawn).await.unwrap();
    let told: Vec<String> = spawned.not_in_force.iter().map(ToString::to_string).collect();
    assert_eq!(told, faults);
    place.rig.exit(&spawned).await;
    assert_eq!(place.rig.texts("web"), all(&WAYS_OUT[..2], "no"));
    // What was not asked for is not missed.
    assert_eq!(
        place.says("echo x > $OTHER/new && echo fine", None).await,
        ["fine"]
    );
}

/// Inside a user namespace that allows one confined app: two mount namespaces, of which one is for mounts on their way.
const WITH_ROOM_FOR_ONE: &str = "exec unshare --user --map-root-user sh -c \
    'echo 2 > /proc/sys/user/max_mnt_namespaces && echo 0 > /proc/sys/user/max_user_namespaces && exec OSIER \"$@\"' sh \"$@\"";

#[tokio::test]
async fn a_sandbox_that_was_there_before_and_is_not_now_fails_the_start_with_the_step_and_is_looked_for_anew()
{
    if !is_root() {
        return;
    }
    let place = Place::with(Who::Root, WITH_ROOM_FOR_ONE).await;
    let first = place
        .rig
        .link
        .spawn(place.spawn("exec sleep 1000", Some(writable(&[]))))
        .await
        .unwrap();
    assert_eq!(first.not_in_force, []);
    let second = || Spawn {
        app: "second".parse().unwrap(),
        ..place.spawn("exec sleep 1000", Some(writable(&[])))
    };
    let KeeperError::NotSpawned(SpawnFault::System { step, errno, .. }) = place.rig.fails(second()).await
    else {
        panic!("not a fault of a step");
    };
    assert_eq!((step, errno), (SpawnStep::PrivateFolders, libc::ENOSPC));
    assert_eq!(faults_of(&place, second()).await.len(), 1);
    place.rig.stop(&first, Duration::from_secs(2)).await;
    // Mended, as soon as the kernel has let go of the first one's: nothing of the failure is remembered.
    let started = async {
        loop {
            match place.rig.link.spawn(second()).await {
                Ok(spawned) => return spawned,
                Err(KeeperError::NotSpawned(SpawnFault::Limits { .. })) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    let spawned = tokio::time::timeout(PATIENCE, started).await.unwrap();
    assert_eq!(spawned.not_in_force, []);
}

#[tokio::test]
async fn without_landlock_a_confined_app_fails_or_is_told_to_be_confined_in_part() {
    if !is_root() {
        return;
    }
    let place = Place::with(Who::Root, WITHOUT_LANDLOCK).await;
    let means = place.rig.link.capabilities().await.unwrap().sandbox.unwrap();
    assert_eq!((means.landlock_abi, means.missing.len()), (0, 1), "{means:?}");
    let faults = faults_of(&place, place.spawn("exit 0", Some(data()))).await;
    assert!(
        faults.len() == 1 && faults[0].ends_with("found none"),
        "{faults:?}"
    );
    let mut spawn = place.spawn(&(script_of(&WAYS_OUT[..2]) + "sleep 1000"), Some(data()));
    spawn.enforce = Enforce::BestEffort;
    let spawned = place.rig.link.spawn(spawn).await.unwrap();
    let told: Vec<String> = spawned.not_in_force.iter().map(ToString::to_string).collect();
    assert_eq!(told, faults);
    wait_until("it has tried", || place.rig.texts("web").len() == 2).await;
    assert_eq!(place.rig.texts("web"), all(&WAYS_OUT[..2], "no"));
    let list = place.rig.link.list().await.unwrap();
    let run = list.running.iter().find(|run| run.app.as_str() == "web").unwrap();
    assert_eq!(run.not_in_force, spawned.not_in_force);
}
