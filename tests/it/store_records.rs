//! What a node remembers comes back as it was, whatever happened to the process and to its files.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use osier::lifecycle::record::AppRecord;
use osier::names::AppName;
use osier::store::record::{RecordError, decode, encode};
use osier::store::{DataDir, Key, Record, Retention, Store};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

/// A record of the tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    pub text: String,
    #[serde(default)]
    pub number: u64,
}

impl Record for Note {
    const VERSION: u8 = 2;

    fn read_old(version: u8, payload: &[u8]) -> Option<Self> {
        // Version 1 was the text alone.
        let text: String = (version == 1).then(|| rmp_serde::from_slice(payload).ok())??;
        Some(Self { text, number: 0 })
    }
}

/// Version 1 of the record.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct OldNote(String);

impl Record for OldNote {
    const VERSION: u8 = 1;
}

/// A version that this release does not know.
#[derive(Serialize, Deserialize)]
struct NewNote {
    body: String,
}

impl Record for NewNote {
    const VERSION: u8 = 3;
}

pub const NOTE: Key<Note> = Key::new("note");
const OTHER: Key<Note> = Key::new("other");

pub fn note(number: u64) -> Note {
    Note {
        text: format!("note {number}"),
        number,
    }
}

pub fn app(name: &str) -> AppName {
    name.parse().unwrap()
}

/// Opens the store in `folder`, as a start of the daemon does.
pub fn open(folder: &Path) -> (DataDir, Store) {
    let data_dir = DataDir::open(folder).unwrap();
    let store = Store::open(&data_dir, Retention::default());
    (data_dir, store)
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
}

/// Waits until everything is on the disk; fails after 20 s.
pub fn flush(store: &Store) {
    let flushed =
        runtime().block_on(async { tokio::time::timeout(Duration::from_secs(20), store.flush()).await });
    flushed.expect("in time").expect("a disk that is well");
}

#[test]
fn records_are_read_back_at_once_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    {
        let (_data_dir, store) = open(folder.path());
        assert_eq!(store.get(&NOTE), None);
        store.put(&NOTE, &note(1));
        store.put(&OTHER, &note(2));
        store.put_app(&app("web"), &note(3));
        store.put_app(&app("db"), &note(4));
        store.put(&NOTE, &note(5));
        store.delete(&OTHER);
        store.delete_app(&app("db"));
        assert_eq!(store.get(&NOTE), Some(note(5)));
        assert_eq!(store.apps::<Note>(), BTreeMap::from([(app("web"), note(3))]));
    }
    let (_data_dir, store) = open(folder.path());
    assert_eq!(store.get(&NOTE), Some(note(5)));
    assert_eq!(store.get(&OTHER), None);
    assert_eq!(store.apps::<Note>(), BTreeMap::from([(app("web"), note(3))]));
    assert_eq!(store.app(&app("web")), Some(note(3)));
    assert!(store.health().problem.is_none() && store.health().set_aside.is_empty());
}

#[test]
fn a_store_in_memory_behaves_alike_and_leaves_nothing() {
    let store = Store::in_memory();
    store.put(&NOTE, &note(1));
    flush(&store);
    assert_eq!(store.get(&NOTE), Some(note(1)));
}

#[test]
fn after_a_close_a_flush_says_so_instead_of_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let (_data_dir, store) = open(folder.path());
    store.put(&NOTE, &note(1));
    store.close();
    store.put(&NOTE, &note(2));
    let error = runtime().block_on(store.flush()).unwrap_err();
    assert_eq!(error.code(), "osier::store::closed");
}

#[test]
fn an_older_form_is_read_and_a_newer_one_is_reported_not_believed() {
    assert_eq!(
        decode::<Note>(&encode(&OldNote("hello".to_owned())).unwrap())
            .unwrap()
            .text,
        "hello"
    );
    let newer = encode(&NewNote { body: String::new() }).unwrap();
    assert_eq!(decode::<Note>(&newer), Err(RecordError::Version(3)));

    let folder = tempfile::tempdir().unwrap();
    {
        let (_data_dir, store) = open(folder.path());
        store.put(&Key::<NewNote>::new("note"), &NewNote { body: "x".to_owned() });
    }
    let (_data_dir, store) = open(folder.path());
    assert_eq!(store.get(&NOTE), None);
    assert_eq!(store.health().unreadable_records, ["note"]);
}

#[test]
fn a_record_that_was_altered_is_not_believed() {
    let bytes = encode(&note(7)).unwrap();
    for at in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[at] ^= 0x20;
        assert!(decode::<Note>(&altered).is_err(), "byte {at}");
        assert!(decode::<Note>(&bytes[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn thousand_records_are_written_in_few_batches() {
    let folder = tempfile::tempdir().unwrap();
    let (_data_dir, store) = open(folder.path());
    for number in 0..1_000 {
        store.put_app(&app(&format!("app-{number}")), &note(number));
    }
    flush(&store);
    drop((_data_dir, store));
    let (_data_dir, store) = open(folder.path());
    assert_eq!(store.apps::<Note>().len(), 1_000);
}

/// The stored form of an app's record, as the first release wrote it.
#[test]
fn golden_app_records_are_read() {
    let path = crate::project::root().join("tests/golden/v1/app_record.bin");
    let record = AppRecord {
        commit: Some("0123456789012345678901234567890123456789".parse().unwrap()),
        instance: Some("00112233445566778899aabbccddeeff".parse().unwrap()),
        ..AppRecord::default()
    };
    if std::env::var_os("OSIER_BLESS").is_some() && !path.exists() {
        std::fs::write(&path, encode(&record).unwrap()).unwrap();
    }
    assert_eq!(decode::<AppRecord>(&std::fs::read(path).unwrap()), Ok(record));
}

/// A whole state file of the first release. A node of today reads it.
#[test]
fn a_golden_state_file_is_read() {
    let golden = crate::project::root().join("tests/golden/v1/state.redb");
    let folder = tempfile::tempdir().unwrap();
    if std::env::var_os("OSIER_BLESS").is_some() && !golden.exists() {
        let (_data_dir, store) = open(folder.path());
        store.put(&NOTE, &note(1));
        store.put_app(&app("web"), &note(2));
        store.close();
        std::fs::copy(folder.path().join("state.redb"), &golden).unwrap();
    }
    std::fs::copy(golden, folder.path().join("state.redb")).unwrap();
    let (_data_dir, store) = open(folder.path());
    assert_eq!(store.get(&NOTE), Some(note(1)));
    assert_eq!(store.app(&app("web")), Some(note(2)));
    assert!(store.health().set_aside.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any sequence of writes ends, after a restart, in what the last of them said.
    #[test]
    fn what_was_written_last_is_what_comes_back(
        writes in proptest::collection::vec(("[a-d]", proptest::option::of((".{0,40}", any::<u64>()))), 0..40),
        reopen_at in 0usize..40,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut model: BTreeMap<AppName, Note> = BTreeMap::new();
        let mut opened = open(folder.path());
        for (index, (name, value)) in writes.into_iter().enumerate() {
            if index == reopen_at {
                drop(opened);
                opened = open(folder.path());
            }
            let name = app(&name);
            match value {
                Some((text, number)) => {
                    let note = Note { text, number };
                    opened.1.put_app(&name, &note);
                    model.insert(name, note);
                }
                None => {
                    opened.1.delete_app(&name);
                    model.remove(&name);
                }
            }
            prop_assert_eq!(&opened.1.apps::<Note>(), &model);
        }
        drop(opened);
        let (_data_dir, store) = open(folder.path());
        prop_assert_eq!(store.apps::<Note>(), model);
    }

    #[test]
    fn no_bytes_make_a_record_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode::<Note>(&bytes);
        let _ = decode::<AppRecord>(&bytes);
        let _ = decode::<osier::telemetry::EventRecord>(&bytes);
    }
}

#[test]
fn clones_share_one_memory() {
    let store = Arc::new(Store::in_memory());
    let clone = Store::clone(&store);
    clone.put(&NOTE, &note(9));
    assert_eq!(store.get(&NOTE), Some(note(9)));
}
