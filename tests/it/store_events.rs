//! The ring of events and the history of deployments.

use std::sync::Arc;
use std::time::Duration;

use osier::names::AppName;
use osier::store::record::{decode, encode};
use osier::store::{DataDir, Deployment, EventQuery, Retention, Store, Urgency};
use osier::telemetry::{ActionKind, EventRecord};
use serde_json::{Map, json};

use crate::poll::until_blocking;
use crate::store_records::{app, flush, open};

fn record(counter: u64, text: &str, app: Option<&str>) -> EventRecord {
    let mut metadata = Map::new();
    metadata.insert("text".to_owned(), json!(text));
    if let Some(app) = app {
        metadata.insert("app".to_owned(), json!(app));
    }
    EventRecord {
        id: format!("0011223344556677:{counter}"),
        node: "garden".to_owned(),
        event: vec!["bc_gitops".to_owned(), "deploy".to_owned(), "stop".to_owned()],
        measurements: Map::from_iter([("duration_ms".to_owned(), json!(12))]),
        metadata,
        timestamp: i64::try_from(counter / 1_000).unwrap(),
    }
}

/// Appends an event with `text` in it.
pub fn append(store: &Store, text: &str) -> u64 {
    append_of(store, text, None)
}

fn append_of(store: &Store, text: &str, app: Option<&str>) -> u64 {
    let counter = store.next_event_counter();
    store.append_event(counter, Arc::new(record(counter, text, app)), Urgency::Behind);
    counter
}

/// The texts of all events.
pub fn texts(store: &Store) -> Vec<String> {
    texts_of(&store.events(&EventQuery::default(), 1_000))
}

fn texts_of(events: &[(u64, Arc<EventRecord>)]) -> Vec<String> {
    events
        .iter()
        .map(|(_, record)| record.metadata["text"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn events_are_read_in_order_before_and_after_they_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let (data_dir, store) = open(folder.path());
    let first = append(&store, "a");
    flush(&store);
    append(&store, "b");
    append(&store, "c");
    assert_eq!(texts(&store), ["a", "b", "c"]);
    let after = EventQuery {
        after: Some(first),
        ..EventQuery::default()
    };
    assert_eq!(texts_of(&store.events(&after, 1_000)), ["b", "c"]);
    assert_eq!(
        texts_of(&store.events(&EventQuery::default(), 2)),
        ["a", "b"],
        "a page begins at the oldest"
    );
    assert_eq!(
        texts_of(&store.newest_events(&EventQuery::default(), 2)),
        ["b", "c"]
    );
    drop((data_dir, store));
    let (_data_dir, store) = open(folder.path());
    assert_eq!(texts(&store), ["a", "b", "c"]);
}

#[test]
fn events_are_found_by_app_and_time() {
    let folder = tempfile::tempdir().unwrap();
    let (_data_dir, store) = open(folder.path());
    let mut counters = Vec::new();
    for (text, name) in [("a", "web"), ("b", "db"), ("c", "web")] {
        counters.push(append_of(&store, text, Some(name)));
        flush(&store);
        // The next one is of a later millisecond.
        let now = std::time::SystemTime::now();
        until_blocking("a millisecond is over", || {
            now.elapsed().is_ok_and(|age| age.as_millis() > 1)
        });
    }
    let of_web = EventQuery {
        app: Some(app("web")),
        ..EventQuery::default()
    };
    assert_eq!(texts_of(&store.events(&of_web, 10)), ["a", "c"]);
    assert_eq!(texts_of(&store.newest_events(&of_web, 1)), ["c"]);
    let since = EventQuery {
        since_ms: Some(i64::try_from(counters[1] / 1_000).unwrap()),
        ..EventQuery::default()
    };
    assert_eq!(texts_of(&store.events(&since, 10)), ["b", "c"]);
    let never = EventQuery {
        since_ms: Some(-5),
        app: Some(app("nobody")),
        after: None,
    };
    assert!(store.events(&never, 10).is_empty());
}

#[test]
fn the_ring_keeps_so_many_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = DataDir::open(folder.path()).unwrap();
    let store = Store::open(
        &data_dir,
        Retention {
            count: 100,
            ..Retention::default()
        },
    );
    for round in 0..5 {
        for number in 0..50 {
            append(&store, &format!("{}", round * 50 + number));
        }
        flush(&store);
    }
    let kept = texts(&store);
    assert_eq!(
        (kept.len(), kept[0].as_str(), kept[99].as_str()),
        (100, "150", "249")
    );
}

#[test]
fn the_ring_forgets_what_is_too_old() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = DataDir::open(folder.path()).unwrap();
    let store = Store::open(
        &data_dir,
        Retention {
            age: Duration::from_secs(3_600),
            ..Retention::default()
        },
    );
    let now = store.next_event_counter();
    for (hours, text) in [(30, "old"), (2, "older than an hour"), (0, "new")] {
        let counter = now - hours * 3_600_000_000;
        store.append_event(counter, Arc::new(record(counter, text, None)), Urgency::Behind);
    }
    flush(&store);
    assert_eq!(texts(&store), ["new"]);
}

#[test]
fn counters_grow_across_restarts_lost_files_and_a_deleted_state() {
    let folder = tempfile::tempdir().unwrap();
    let mut last = 0;
    for round in 0..6 {
        let (_data_dir, store) = open(folder.path());
        for _ in 0..1_000 {
            let counter = store.next_event_counter();
            assert!(counter > last, "round {round}: {counter} after {last}");
            last = counter;
        }
        append(&store, "x");
        last = store.last_event_counter();
        drop((_data_dir, store));
        match round {
            1 => std::fs::write(folder.path().join("events.redb"), "torn").unwrap(),
            2 => std::fs::write(folder.path().join("state.redb"), "").unwrap(),
            3 => std::fs::remove_file(folder.path().join("events.redb")).unwrap(),
            _ => {}
        }
    }
}

/// The clock has gone back by a day, and the state is lost as well: the files' times are in the future.
#[test]
fn counters_do_not_go_back_with_the_clock() {
    let folder = tempfile::tempdir().unwrap();
    drop(DataDir::open(folder.path()).unwrap());
    let future = std::time::SystemTime::now() + Duration::from_secs(86_400);
    let file = std::fs::File::create(folder.path().join("events.redb")).unwrap();
    file.set_modified(future).unwrap();
    let (_data_dir, store) = open(folder.path());
    let future_us = future.duration_since(std::time::UNIX_EPOCH).unwrap().as_micros();
    assert!(u128::from(store.next_event_counter()) > future_us);
}

#[test]
fn many_threads_never_get_the_same_counter() {
    let store = Store::in_memory();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let store = store.clone();
            std::thread::spawn(move || (0..5_000).map(|_| store.next_event_counter()).collect::<Vec<_>>())
        })
        .collect();
    let mut all: Vec<u64> = threads
        .into_iter()
        .flat_map(|thread| thread.join().unwrap())
        .collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 20_000);
}

fn deployment(name: &AppName, number: u64) -> Deployment {
    Deployment {
        app: name.clone(),
        action: ActionKind::Upgrade,
        from: Some(format!("1.{number}").parse().unwrap()),
        to: Some(format!("1.{}", number + 1).parse().unwrap()),
        digest: None,
        commit: Some("0123456789012345678901234567890123456789".parse().unwrap()),
        at_ms: number,
        duration_ms: 5,
        by: None,
        error: None,
    }
}

#[test]
fn the_history_of_an_app_is_kept_newest_first_and_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let (data_dir, store) = open(folder.path());
    let (web, db) = (app("web"), app("db"));
    for number in 0..120 {
        store.append_deployment(store.next_event_counter(), deployment(&web, number));
        if number % 40 == 0 {
            flush(&store);
        }
    }
    store.append_deployment(store.next_event_counter(), deployment(&db, 7));
    assert_eq!(store.deployments(Some(&web), 100).len(), 50);
    drop((data_dir, store));
    let (_data_dir, store) = open(folder.path());
    let kept: Vec<u64> = store
        .deployments(Some(&web), 100)
        .iter()
        .map(|deployment| deployment.at_ms)
        .collect();
    assert_eq!((kept.len(), kept[0], kept[49]), (50, 119, 70));
    assert_eq!(store.deployments(Some(&db), 100), [deployment(&db, 7)]);
    let all = store.deployments(None, 40);
    let first: Vec<_> = all.iter().take(2).map(|found| found.app.as_str()).collect();
    assert_eq!(
        (all.len(), first),
        (40, vec!["db", "web"]),
        "newest first, of all apps"
    );
}

/// Stored forms of the first release.
#[test]
fn golden_events_and_deployments_are_read() {
    let folder = crate::project::root().join("tests/golden/v1");
    let event = record(1_764_000_000_000_000, "golden", Some("web"));
    let history = deployment(&app("web"), 3);
    if std::env::var_os("OSIER_BLESS").is_some() && !folder.join("event.bin").exists() {
        std::fs::write(folder.join("event.bin"), encode(&event).unwrap()).unwrap();
        std::fs::write(folder.join("deployment.bin"), encode(&history).unwrap()).unwrap();
    }
    assert_eq!(
        decode::<EventRecord>(&std::fs::read(folder.join("event.bin")).unwrap()),
        Ok(event)
    );
    assert_eq!(
        decode::<Deployment>(&std::fs::read(folder.join("deployment.bin")).unwrap()),
        Ok(history)
    );
}
