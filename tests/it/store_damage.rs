//! Torn files, killed writers, full and read-only disks: a store never refuses, never lies, and recovers.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use osier::store::{DataDir, DataDirError, Retention, Store, StoreProblem};

use crate::poll::until_blocking;
use crate::store_events::{append, texts};
use crate::store_records::{NOTE, Note, app, flush, note, open, runtime};

/// A data directory with a record, an app and some events in it.
fn filled() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (_data_dir, store) = open(folder.path());
    store.put(&NOTE, &note(1));
    for number in 0..50 {
        store.put_app(&app(&format!("app-{number}")), &note(number));
        append(&store, &format!("event {number}"));
    }
    folder
}

/// The ways of acceptance case O30, and bytes that are wrong in the middle.
fn damage(file: &Path, how: &str) {
    let bytes = fs::read(file).unwrap();
    let random =
        |count: usize| -> Vec<u8> { std::iter::repeat_with(|| fastrand::u8(..)).take(count).collect() };
    let damaged = match how {
        "truncated to nothing" => Vec::new(),
        "cut in half" => bytes[..bytes.len() / 2].to_vec(),
        "random bytes" => random(bytes.len()),
        "short random bytes" => random(100),
        "random in the middle" => {
            let (from, to) = (bytes.len() / 4, bytes.len() / 2);
            [&bytes[..from], &random(to - from), &bytes[to..]].concat()
        }
        "random head" => [&random(512.min(bytes.len())), &bytes[512.min(bytes.len())..]].concat(),
        "foreign" => b"SQLite format 3\0 and so on".to_vec(),
        other => panic!("{other}"),
    };
    fs::write(file, damaged).unwrap();
}

const WAYS: [&str; 7] = [
    "truncated to nothing",
    "cut in half",
    "random bytes",
    "short random bytes",
    "random in the middle",
    "random head",
    "foreign",
];

fn files_of(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| path.is_file());
    files.sort();
    files
}

#[test]
fn every_file_may_be_damaged_in_every_way_and_the_store_opens_works_and_says_so() {
    let names: Vec<PathBuf> = files_of(filled().path())
        .iter()
        .map(|path| path.file_name().unwrap().into())
        .collect();
    assert!(
        names.contains(&PathBuf::from("state.redb")) && names.contains(&PathBuf::from("events.redb")),
        "{names:?}"
    );
    for name in &names {
        for how in WAYS {
            let folder = filled();
            let before = texts(&open(folder.path()).1).len();
            assert_eq!(before, 50);
            damage(&folder.path().join(name), how);

            let (data_dir, store) = open(folder.path());
            append(&store, "after");
            store.put_app(&app("after"), &note(99));
            let events = texts(&store);
            assert_eq!(events.last().map(String::as_str), Some("after"), "{name:?} {how}");
            flush(&store);
            let health = store.health();
            assert!(health.problem.is_none(), "{name:?} {how}: {health:?}");
            let is_redb = name.extension().is_some_and(|end| end == "redb");
            let lost_nothing = store.apps::<Note>().len() == 51 && events.len() == 51;
            assert!(
                lost_nothing || !health.set_aside.is_empty(),
                "{name:?} {how}: lost in silence"
            );
            if is_redb
                && matches!(
                    how,
                    "truncated to nothing" | "random bytes" | "short random bytes" | "foreign"
                )
            {
                let aside = &health.set_aside[0];
                assert_eq!(aside.file.file_name(), Some(name.as_os_str()), "{how}");
                assert!(aside.kept_as.as_ref().unwrap().exists(), "{how}");
            }
            drop((data_dir, store));

            let (_data_dir, store) = open(folder.path());
            assert_eq!(store.app(&app("after")), Some(note(99)), "{name:?} {how}");
            assert_eq!(
                texts(&store).last().map(String::as_str),
                Some("after"),
                "{name:?} {how}"
            );
            assert!(
                store.health().set_aside.is_empty(),
                "{name:?} {how}: once is enough"
            );
        }
    }
}

#[test]
fn of_unreadable_files_three_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..5 {
        fs::write(folder.path().join("state.redb"), format!("round {round}")).unwrap();
        let (_data_dir, store) = open(folder.path());
        assert_eq!(store.health().set_aside.len(), 1);
        store.put(&NOTE, &note(round));
    }
    let mut kept: Vec<String> = files_of(folder.path())
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .filter(|name| name.contains("unreadable"))
        .collect();
    kept.sort();
    assert_eq!(
        kept,
        [
            "state.redb.unreadable-3",
            "state.redb.unreadable-4",
            "state.redb.unreadable-5"
        ]
    );
    assert_eq!(
        fs::read_to_string(folder.path().join("state.redb.unreadable-5")).unwrap(),
        "round 4"
    );
}

/// The other half of `test`, in a process of its own; it ends with this one.
fn child(test: &str, folder: &Path) -> Command {
    let mut command = crate::other_half::of(test, folder);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn write_until_killed(folder: &Path) {
    let (_data_dir, store) = open(folder);
    for number in 1.. {
        store.put(&NOTE, &note(number));
        append(&store, &number.to_string());
        flush(&store);
        fs::write(folder.join("durable.tmp"), number.to_string()).unwrap();
        fs::rename(folder.join("durable.tmp"), folder.join("durable")).unwrap();
    }
}

#[test]
fn a_killed_writer_loses_nothing_that_it_said_was_durable() {
    if let Some(folder) = crate::other_half::folder() {
        return write_until_killed(&folder);
    }
    let folder = tempfile::tempdir().unwrap();
    let mut last_counter = 0;
    for round in 0..6_u64 {
        let mut writer = child(
            "store_damage::a_killed_writer_loses_nothing_that_it_said_was_durable",
            folder.path(),
        )
        .spawn()
        .unwrap();
        let said = || {
            fs::read_to_string(folder.path().join("durable"))
                .ok()
                .and_then(|text| text.parse::<u64>().ok())
        };
        let wanted = 3 + round * 5;
        until_blocking("the writer writes", || {
            said().is_some_and(|number| number >= wanted)
        });
        writer.kill().unwrap();
        writer.wait().unwrap();
        let durable = said().unwrap();

        let (_data_dir, store) = open(folder.path());
        let kept = store.get(&NOTE).expect("the record").number;
        assert!(
            kept >= durable,
            "round {round}: {kept} is kept, {durable} was durable"
        );
        let events = store.newest_events(&Default::default(), 1);
        assert!(
            events[0].1.metadata["text"]
                .as_str()
                .unwrap()
                .parse::<u64>()
                .unwrap()
                >= durable
        );
        assert!(events[0].0 > last_counter, "counters go on");
        last_counter = store.next_event_counter();
        assert!(last_counter > events[0].0);
        assert!(store.health().set_aside.is_empty(), "{:?}", store.health());
        fs::remove_file(folder.path().join("durable")).unwrap();
    }
}

#[test]
fn a_second_holder_is_told_the_first_within_milliseconds() {
    let folder = tempfile::tempdir().unwrap();
    let first = DataDir::open(folder.path()).unwrap();
    let began = Instant::now();
    match DataDir::open(folder.path()) {
        Err(error @ DataDirError::Held { holder, .. }) => {
            assert_eq!(holder, Some(std::process::id()));
            assert!(
                error
                    .to_string()
                    .contains(&format!("process {}", std::process::id())),
                "{error}"
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(began.elapsed() < Duration::from_millis(500));
    let id = first.id().clone();
    drop(first);
    let again = DataDir::open(folder.path()).unwrap();
    assert_eq!(*again.id(), id, "the id stays");
}

fn hold_until_killed(folder: &Path) {
    let _data_dir = DataDir::open(&folder.join("data")).unwrap();
    fs::write(folder.join("held"), "").unwrap();
    // Or until whoever started it is gone.
    let _ = std::io::stdin().read(&mut [0]);
}

#[test]
fn a_killed_holder_leaves_no_lock() {
    if let Some(folder) = crate::other_half::folder() {
        return hold_until_killed(&folder);
    }
    let folder = tempfile::tempdir().unwrap();
    let mut holder = child("store_damage::a_killed_holder_leaves_no_lock", folder.path())
        .spawn()
        .unwrap();
    until_blocking("it holds", || folder.path().join("held").exists());
    match DataDir::open(&folder.path().join("data")) {
        Err(DataDirError::Held { holder: pid, .. }) => assert_eq!(pid, Some(holder.id())),
        other => panic!("{other:?}"),
    }
    holder.kill().unwrap();
    holder.wait().unwrap();
    DataDir::open(&folder.path().join("data")).unwrap();
}

#[cfg(unix)]
#[test]
fn a_data_directory_is_made_closed_and_one_that_others_may_write_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b");
    drop(DataDir::open(&path).unwrap());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o711);
    for mode in [0o777, 0o770, 0o702, 0o1777] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = DataDir::open(&path).unwrap_err();
        assert!(
            matches!(error, DataDirError::WritableByOthers { .. }),
            "{mode:o}: {error}"
        );
        assert!(error.to_string().contains("chmod go-w"), "{error}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    drop(DataDir::open(&path).unwrap());
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(
        DataDir::open(&file),
        Err(DataDirError::NotAFolder { .. })
    ));
}

#[test]
fn leftovers_of_files_that_were_being_written_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    drop(DataDir::open(folder.path()).unwrap());
    fs::write(folder.path().join(".id.tmp-0123456789abcdef"), "half").unwrap();
    fs::write(folder.path().join("mine.tmp-0123456789abcdef"), "whole").unwrap();
    drop(DataDir::open(folder.path()).unwrap());
    assert!(!folder.path().join(".id.tmp-0123456789abcdef").exists());
    assert!(
        folder.path().join("mine.tmp-0123456789abcdef").exists(),
        "only our own"
    );
}

#[test]
fn a_torn_id_is_replaced() {
    for torn in ["", "0123", "zzzzzzzzzzzzzzzz", "\u{1}\u{2}"] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("id"), torn).unwrap();
        let first = DataDir::open(folder.path()).unwrap();
        let id = first.id().clone();
        assert_eq!(id.as_str().len(), 16);
        drop(first);
        assert_eq!(*DataDir::open(folder.path()).unwrap().id(), id);
    }
}

/// A file system of its own, mounted by `mount` and unmounted at the end.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// None: this process may not mount.
    fn new(options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "osier-test"])
            .arg(folder.path())
            .stderr(Stdio::null())
            .status();
        mounted
            .is_ok_and(|status| status.success())
            .then_some(Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn remount(&self, options: &str) {
        let status = Command::new("mount")
            .args(["-o", &format!("remount,{options}")])
            .arg(self.path())
            .status();
        assert!(status.unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

fn wait_for_health(store: &Store, what: &str, wanted: impl Fn(Option<&StoreProblem>) -> bool) {
    let mut health = store.watch_health();
    runtime().block_on(async {
        let found = health.wait_for(|health| wanted(health.problem.as_deref()));
        tokio::time::timeout(Duration::from_secs(60), found)
            .await
            .unwrap_or_else(|_| panic!("not {what} in 60 s"))
            .unwrap();
    });
}

fn flush_fails(store: &Store) -> bool {
    runtime().block_on(store.flush()).is_err()
}

#[test]
fn on_a_full_disk_the_store_goes_on_in_memory_and_writes_when_there_is_space_again() {
    let Some(disk) = SmallDisk::new("size=8m,mode=700") else {
        println!("skipped: mounting a tmpfs is not permitted here");
        return;
    };
    let (data_dir, store) = open(disk.path());
    store.put(&NOTE, &note(1));
    append(&store, "before");
    flush(&store);

    let stuffing = disk.path().join("stuffing");
    let mut room = 8 << 20;
    while room > 0 {
        match fs::write(&stuffing, vec![7; room]) {
            Ok(()) => break,
            Err(_) => room -= 64 << 10,
        }
    }
    // Whatever is still free is taken by the pages of these writes.
    let mut number = 1;
    while !flush_fails(&store) {
        number += 1;
        assert!(number < 10_000, "the disk never gets full");
        store.put_app(
            &app("big"),
            &Note {
                text: "x".repeat(40_000 + usize::try_from(number).unwrap() % 1_000),
                number,
            },
        );
        append(&store, &"y".repeat(20_000));
    }
    wait_for_health(&store, "full", |problem| {
        matches!(problem, Some(StoreProblem::DiskFull { .. }))
    });
    store.put(&NOTE, &note(2));
    append(&store, "while full");
    assert_eq!(store.get(&NOTE), Some(note(2)), "it is remembered");
    assert!(texts(&store).contains(&"while full".to_owned()));

    fs::remove_file(&stuffing).unwrap();
    wait_for_health(&store, "well", |problem| problem.is_none());
    flush(&store);
    drop((data_dir, store));
    let (_data_dir, store) = open(disk.path());
    assert_eq!(store.get(&NOTE), Some(note(2)));
    assert_eq!(
        store.app::<Note>(&app("big")).map(|note| note.number),
        Some(number)
    );
    let events = texts(&store);
    assert_eq!(
        (
            events.first().map(String::as_str),
            events.last().map(String::as_str)
        ),
        (Some("before"), Some("while full"))
    );
    assert!(store.health().set_aside.is_empty(), "{:?}", store.health());
}

#[test]
fn a_start_on_a_full_disk_reads_what_is_there() {
    let Some(disk) = SmallDisk::new("size=8m,mode=700") else {
        println!("skipped: mounting a tmpfs is not permitted here");
        return;
    };
    let (data_dir, store) = open(disk.path());
    store.put(&NOTE, &note(1));
    drop((data_dir, store));
    let mut room = 8 << 20;
    while room > 0 && fs::write(disk.path().join("stuffing"), vec![7; room]).is_err() {
        room -= 4 << 10;
    }
    let (_data_dir, store) = open(disk.path());
    assert_eq!(store.get(&NOTE), Some(note(1)));
}

#[test]
fn on_a_read_only_disk_the_store_reads_and_goes_on_in_memory() {
    let Some(disk) = SmallDisk::new("size=16m,mode=700") else {
        println!("skipped: mounting a tmpfs is not permitted here");
        return;
    };
    let (data_dir, store) = open(disk.path());
    store.put(&NOTE, &note(1));
    drop((data_dir, store));

    disk.remount("ro");
    let (data_dir, store) = open(disk.path());
    assert_eq!(store.get(&NOTE), Some(note(1)));
    store.put(&NOTE, &note(2));
    assert!(flush_fails(&store));
    wait_for_health(&store, "read-only", |problem| {
        matches!(problem, Some(StoreProblem::ReadOnly { .. }))
    });
    assert!(
        matches!(DataDir::open(disk.path()), Err(DataDirError::Held { .. })),
        "the lock holds nevertheless"
    );

    disk.remount("rw");
    wait_for_health(&store, "well", |problem| problem.is_none());
    drop((data_dir, store));
    let (_data_dir, store) = open(disk.path());
    assert_eq!(store.get(&NOTE), Some(note(2)));
}

#[test]
fn a_new_data_directory_on_a_read_only_disk_still_gives_a_working_store() {
    let Some(disk) = SmallDisk::new("size=16m,mode=700") else {
        println!("skipped: mounting a tmpfs is not permitted here");
        return;
    };
    disk.remount("ro");
    let data_dir = DataDir::open(disk.path()).unwrap();
    assert!(data_dir.problem().is_some());
    assert!(matches!(
        DataDir::open(disk.path()),
        Err(DataDirError::Held { .. })
    ));
    let store = Store::open(&data_dir, Retention::default());
    store.put(&NOTE, &note(1));
    assert!(flush_fails(&store));
    assert_eq!(store.get(&NOTE), Some(note(1)));
}

#[test]
fn files_that_vanish_under_a_running_store_are_written_anew() {
    let folder = filled();
    let (data_dir, store) = open(folder.path());
    store.put(&NOTE, &note(6));
    append(&store, "now both files are open");
    flush(&store);
    for file in ["state.redb", "events.redb"] {
        fs::remove_file(folder.path().join(file)).unwrap();
    }
    store.put(&NOTE, &note(7));
    append(&store, "later");
    flush(&store);
    drop((data_dir, store));
    let (_data_dir, store) = open(folder.path());
    assert_eq!(store.get(&NOTE), Some(note(7)));
    assert_eq!(
        store.apps::<Note>().len(),
        50,
        "all of the mirror is in the new file"
    );
}

#[test]
fn a_folder_that_vanishes_is_a_problem_and_no_loss_while_the_node_runs() {
    let folder = filled();
    let (_data_dir, store) = open(folder.path());
    store.put(&NOTE, &note(6));
    flush(&store);
    fs::remove_dir_all(folder.path()).unwrap();
    store.put(&NOTE, &note(7));
    assert!(flush_fails(&store));
    assert!(store.health().problem.is_some());
    assert_eq!(store.get(&NOTE), Some(note(7)));
    fs::create_dir(folder.path()).unwrap();
    wait_for_health(&store, "well", |problem| problem.is_none());
}

/// Pages of 4 KiB, as the kernel writes them back.
const PAGE_BYTES: usize = 4096;

/// After a power cut each page that was written since the last sync is the old one or the new one. redb must find either
/// the old or the new state in that, or the file is set aside; it must never make up a third.
#[test]
fn after_a_power_cut_in_the_middle_of_a_batch_the_state_is_the_old_or_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.redb");
    let (data_dir, store) = open(folder.path());
    for number in 0..200 {
        store.put_app(&app(&format!("app-{number}")), &note(1));
    }
    flush(&store);
    let old = fs::read(&file).unwrap();
    for number in 0..200 {
        store.put_app(&app(&format!("app-{number}")), &note(2));
    }
    flush(&store);
    let new = fs::read(&file).unwrap();
    drop((data_dir, store));

    let (mut kept_old, mut kept_new, mut set_aside) = (0, 0, 0);
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..200 {
        let share = random.f64();
        let mut torn = new.clone();
        for (torn_page, old_page) in torn.chunks_mut(PAGE_BYTES).zip(old.chunks(PAGE_BYTES)) {
            if torn_page.len() == old_page.len() && random.f64() < share {
                torn_page.copy_from_slice(old_page);
            }
        }
        let cut = tempfile::tempdir().unwrap();
        fs::write(cut.path().join("state.redb"), torn).unwrap();
        let (_data_dir, store) = open(cut.path());
        let found = store.apps::<Note>();
        let numbers: std::collections::BTreeSet<u64> = found.values().map(|note| note.number).collect();
        match numbers.into_iter().collect::<Vec<_>>().as_slice() {
            [] => {
                assert!(
                    !store.health().set_aside.is_empty(),
                    "round {round}: lost in silence"
                );
                set_aside += 1;
            }
            [1] if found.len() == 200 => kept_old += 1,
            [2] if found.len() == 200 => kept_new += 1,
            mixed => panic!("round {round}: {mixed:?} in {} records", found.len()),
        }
    }
    println!("old {kept_old}, new {kept_new}, set aside {set_aside}");
    assert!(kept_old + kept_new > 0);
}

/// What the kernel counts for the threads of this process that are called `osier-store`.
#[cfg(target_os = "linux")]
fn asleep_store_threads() -> Vec<(u64, u64)> {
    let mut found = Vec::new();
    for task in fs::read_dir("/proc/self/task").unwrap().flatten() {
        let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
        if !status.starts_with("Name:\tosier-store\n") || !status.contains("\nState:\tS") {
            continue;
        }
        let switches = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))
            .unwrap();
        let id = task.file_name().to_str().unwrap().parse().unwrap();
        found.push((id, switches.trim().parse().unwrap()));
    }
    found.sort_unstable();
    found
}

#[cfg(target_os = "linux")]
fn have_nothing_to_write(folder: &Path) {
    let (_data_dir, store) = open(&folder.join("data"));
    store.put(&NOTE, &note(1));
    append(&store, "x");
    flush(&store);
    // Whoever waits for a flush is woken before the thread has gone to sleep again.
    until_blocking("the store's thread sleeps", || asleep_store_threads().len() == 1);
    let before = asleep_store_threads();
    std::thread::sleep(Duration::from_secs(3)); // time itself is measured here
    assert_eq!(asleep_store_threads(), before);
    fs::write(folder.join("slept"), "").unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_store_with_nothing_to_write_wakes_nobody() {
    if let Some(folder) = crate::other_half::folder() {
        return have_nothing_to_write(&folder);
    }
    let folder = tempfile::tempdir().unwrap();
    let status = child(
        "store_damage::a_store_with_nothing_to_write_wakes_nobody",
        folder.path(),
    )
    .status()
    .unwrap();
    assert!(status.success() && folder.path().join("slept").exists());
}
