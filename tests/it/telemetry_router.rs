//! The telemetry router: every event to every sink once and in order, whatever happens to sinks and to the router.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use osier::actors::store_watch::{self, StoreWatchArguments};
use osier::actors::telemetry_router::{EventStream, EventsError, QUEUE_MAX, Telemetry};
use osier::rpc::procedures::EventsRequest;
use osier::store::{DataDir, EventQuery, Retention, Store};
use osier::supervisor::{Blueprint, Flags, Strategy, SupervisorRef};
use osier::telemetry::{Event, EventRecord, EventSink};

use crate::poll::until;

const DEADLINE: Duration = Duration::from_secs(30);

/// A kept event that can be told from others by its number.
fn numbered(number: usize) -> Event {
    Event::GitError {
        code: "test".to_owned(),
        error: number.to_string(),
    }
}

fn number_of(record: &EventRecord) -> usize {
    record.text("error").unwrap().parse().unwrap()
}

fn telemetry(store: &Store) -> Telemetry {
    Telemetry::new("garden".parse().unwrap(), store.clone())
}

/// The router under a supervisor that restarts it as often as it must.
async fn supervised(telemetry: &Telemetry) -> SupervisorRef {
    let flags = Flags::new(Strategy::OneForOne).intensity(10_000, Duration::from_secs(60));
    Blueprint::new(flags)
        .child(telemetry.child_spec())
        .start(None)
        .await
        .unwrap()
}

async fn kill_router(root: &SupervisorRef) {
    if let Ok(info) = root.child("telemetry_router").await
        && let Some(cell) = info.child.as_ref().map(|child| child.cell().clone())
    {
        cell.kill();
    }
}

async fn next(stream: &mut EventStream) -> Arc<EventRecord> {
    tokio::time::timeout(DEADLINE, stream.next())
        .await
        .expect("in time")
        .expect("an event")
}

async fn collect(mut stream: EventStream) -> Vec<Arc<EventRecord>> {
    let mut all = Vec::new();
    while let Some(record) = tokio::time::timeout(DEADLINE, stream.next())
        .await
        .expect("in time")
    {
        all.push(record);
    }
    all
}

/// Waits until the queue is empty and what was in it has been delivered.
async fn settled(telemetry: &Telemetry, name: &str, count: u64) {
    until("delivered", || telemetry.counts().of(name) >= count).await;
}

fn counter(record: &EventRecord) -> u64 {
    record.id.rsplit_once(':').unwrap().1.parse().unwrap()
}

fn follow() -> EventsRequest {
    EventsRequest {
        follow: true,
        ..EventsRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_reaches_the_ring_the_counters_a_follower_and_a_handler() {
    let store = Store::in_memory();
    let telemetry = telemetry(&store);
    let (told, handled) = mpsc::channel();
    telemetry.add_handler(move |record| told.send(record.clone()).unwrap());
    let mut stream = telemetry.events(&follow()).unwrap();
    let root = supervised(&telemetry).await;
    telemetry.emit(Event::AppKilled {
        app: "web".parse().unwrap(),
        grace_ms: 10,
    });

    let record = next(&mut stream).await;
    assert_eq!(record.event, ["bc_gitops", "app", "killed"]);
    assert_eq!(record.node, "garden");
    assert!(record.id.starts_with(&format!("{}:", store.id())));
    assert_eq!(handled.recv_timeout(DEADLINE).unwrap(), *record);
    let kept = store.events(&EventQuery::default(), 10);
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].1, record);
    assert_eq!(telemetry.counts().of("app.killed"), 1);
    root.shutdown().await;
}

#[tokio::test]
async fn events_before_the_router_starts_wait_and_those_at_the_end_are_delivered() {
    let store = Store::in_memory();
    let telemetry = telemetry(&store);
    for number in 0..10 {
        telemetry.emit(numbered(number));
    }
    assert_eq!(telemetry.waiting_count(), 10);
    let root = supervised(&telemetry).await;
    settled(&telemetry, "git.error", 10).await;
    for number in 10..400 {
        telemetry.emit(numbered(number));
    }
    root.shutdown().await;
    let kept = store.events(&EventQuery::default(), 1_000);
    let numbers: Vec<usize> = kept.iter().map(|(_, record)| number_of(record)).collect();
    assert_eq!(numbers, (0..400).collect::<Vec<_>>());
}

/// The router is killed again and again while events come from several sides.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_that_is_killed_loses_nothing_doubles_nothing_and_keeps_the_order() {
    const EACH: usize = 2_000;
    let store = Store::in_memory();
    let telemetry = telemetry(&store);
    let root = supervised(&telemetry).await;
    let stream = telemetry.events(&follow()).unwrap();
    let follower = tokio::spawn(async move {
        let mut stream = stream;
        let mut seen = Vec::new();
        while seen.len() < EACH {
            seen.push(number_of(&*next(&mut stream).await));
        }
        seen
    });
    let emitter = {
        let telemetry = telemetry.clone();
        tokio::spawn(async move {
            for number in 0..EACH {
                telemetry.emit(numbered(number));
                if number % 50 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        })
    };
    for _ in 0..40 {
        kill_router(&root).await;
        tokio::task::yield_now().await;
    }
    emitter.await.unwrap();
    let expected: Vec<usize> = (0..EACH).collect();
    assert_eq!(follower.await.unwrap(), expected);
    let mut after = None;
    let mut kept = Vec::new();
    loop {
        let page = store.events(
            &EventQuery {
                after,
                ..EventQuery::default()
            },
            1_000,
        );
        let Some(last) = page.last() else { break };
        after = Some(last.0);
        kept.extend(page.iter().map(|(_, record)| number_of(record)));
    }
    assert_eq!(kept, expected);
    assert_eq!(telemetry.counts().dropped, 0);
    root.shutdown().await;
}

#[tokio::test]
async fn a_full_queue_drops_and_counts_and_never_blocks_but_takes_what_an_operator_did() {
    let store = Store::in_memory();
    let telemetry = telemetry(&store);
    for number in 0..QUEUE_MAX + 100 {
        telemetry.emit(numbered(number));
    }
    assert_eq!(telemetry.counts().dropped, 100);
    telemetry.emit(Event::Audit {
        actor: "dana".to_owned(),
        procedure: "bc_gitops.suspend".to_owned(),
        target: None,
        arguments: None,
        reason: None,
        result: "ok".to_owned(),
    });
    assert_eq!(telemetry.counts().dropped, 100);
    let root = supervised(&telemetry).await;
    settled(&telemetry, "audit", 1).await;
    assert_eq!(
        telemetry.counts().of("git.error"),
        u64::try_from(QUEUE_MAX).unwrap()
    );
    root.shutdown().await;
}

/// Blocks until it is opened.
#[derive(Default)]
struct Gate(Mutex<bool>, Condvar);

impl Gate {
    fn pass(&self) {
        let mut is_open = self.0.lock().unwrap();
        while !*is_open {
            is_open = self.1.wait(is_open).unwrap();
        }
    }

    fn open(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }
}

#[tokio::test]
async fn a_handler_that_hangs_delays_nobody_and_its_losses_are_counted() {
    let store = Store::in_memory();
    let telemetry = telemetry(&store);
    let gate = Arc::new(Gate::default());
    let (slow_gate, fast_count) = (Arc::clone(&gate), Arc::new(AtomicUsize::new(0)));
    telemetry.add_handler(move |_| slow_gate.pass());
    let counted = Arc::clone(&fast_count);
    telemetry.add_handler(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let root = supervised(&telemetry).await;
    let mut stream = telemetry.events(&follow()).unwrap();
    for number in 0..3_000 {
        telemetry.emit(numbered(number));
        assert_eq!(
            number_of(&*next(&mut stream).await),
            number,
            "a follower is not delayed"
        );
    }
    let slow = telemetry.handlers()[0];
    assert_eq!(slow.handled, 0);
    assert!(slow.dropped >= 3_000 - 1_024 - 1, "{slow:?}");
    gate.open();
    let is_through = || telemetry.handlers()[0].handled + slow.dropped >= 3_000;
    until("it goes on when it can", is_through).await;
    let fast = telemetry.handlers()[1];
    assert!(
        fast_count.load(Ordering::SeqCst) > 0 && fast.panicked == 0,
        "{fast:?}"
    );
    root.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_panics_loses_that_event_alone() {
    let store = Store::in_memory();
    let telemetry = telemetry(&store);
    let (told, handled) = mpsc::channel();
    telemetry.add_handler(move |record| {
        assert!(number_of(record).is_multiple_of(2), "an odd one");
        told.send(number_of(record)).unwrap();
    });
    let root = supervised(&telemetry).await;
    for number in 0..6 {
        telemetry.emit(numbered(number));
    }
    for number in [0, 2, 4] {
        assert_eq!(handled.recv_timeout(DEADLINE).unwrap(), number);
    }
    until("counted", || telemetry.handlers()[0].panicked >= 3).await;
    assert_eq!(
        root.child("telemetry_router").await.unwrap().restarts,
        0,
        "the router does not notice"
    );
    root.shutdown().await;
}

#[tokio::test]
async fn a_reader_goes_on_behind_an_id_and_gets_each_event_once() {
    let store = Store::in_memory();
    let telemetry = telemetry(&store);
    let root = supervised(&telemetry).await;
    for number in 0..2_500 {
        telemetry.emit(numbered(number));
    }
    settled(&telemetry, "git.error", 2_500).await;
    let all = collect(telemetry.events(&EventsRequest::default()).unwrap()).await;
    assert_eq!(all.len(), 2_500, "several pages");
    assert!(all.windows(2).all(|pair| counter(&pair[0]) < counter(&pair[1])));

    let request = EventsRequest {
        after: Some(all[2_489].id.clone()),
        follow: true,
        ..EventsRequest::default()
    };
    let mut stream = telemetry.events(&request).unwrap();
    for number in 2_490..2_500 {
        assert_eq!(number_of(&*next(&mut stream).await), number);
    }
    telemetry.emit(numbered(2_500));
    assert_eq!(number_of(&*next(&mut stream).await), 2_500);
    root.shutdown().await;
}

/// It reads nothing while far more happens than is kept for followers, then gets all of it from the ring.
#[tokio::test]
async fn a_follower_that_falls_behind_goes_on_from_the_ring() {
    let store = Store::in_memory();
    let telemetry = telemetry(&store);
    let root = supervised(&telemetry).await;
    let mut stream = telemetry.events(&follow()).unwrap();
    telemetry.emit(numbered(0));
    assert_eq!(number_of(&*next(&mut stream).await), 0);
    for number in 1..5_000 {
        telemetry.emit(numbered(number));
        if number % 1_000 == 0 {
            settled(&telemetry, "git.error", u64::try_from(number).unwrap()).await;
        }
    }
    settled(&telemetry, "git.error", 5_000).await;
    for number in 1..5_000 {
        assert_eq!(number_of(&*next(&mut stream).await), number);
    }
    root.shutdown().await;
}

#[tokio::test]
async fn who_follows_without_saying_from_where_sees_the_newest_ten_first() {
    let store = Store::in_memory();
    let telemetry = telemetry(&store);
    let root = supervised(&telemetry).await;
    for number in 0..50 {
        telemetry.emit(numbered(number));
    }
    settled(&telemetry, "git.error", 50).await;
    let mut stream = telemetry.events(&follow()).unwrap();
    for number in 40..50 {
        assert_eq!(number_of(&*next(&mut stream).await), number);
    }
    root.shutdown().await;
}

#[tokio::test]
async fn events_are_filtered_by_app_while_read_and_while_followed() {
    let store = Store::in_memory();
    let telemetry = telemetry(&store);
    let root = supervised(&telemetry).await;
    let killed = |app: &str| Event::AppKilled {
        app: app.parse().unwrap(),
        grace_ms: 1,
    };
    telemetry.emit(killed("web"));
    telemetry.emit(killed("db"));
    settled(&telemetry, "app.killed", 2).await;
    let request = EventsRequest {
        app: Some("web".to_owned()),
        ..follow()
    };
    let mut stream = telemetry.events(&request).unwrap();
    assert_eq!(next(&mut stream).await.app(), Some("web"));
    telemetry.emit(killed("db"));
    telemetry.emit(killed("web"));
    assert_eq!(next(&mut stream).await.app(), Some("web"));
    root.shutdown().await;
    let bad = EventsRequest {
        app: Some("../x".to_owned()),
        ..EventsRequest::default()
    };
    assert!(matches!(telemetry.events(&bad), Err(EventsError::App(_))));
}

#[tokio::test]
async fn an_id_of_nobody_is_refused_and_one_of_an_older_data_directory_is_known_while_it_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let old_id = {
        let data_dir = DataDir::open(folder.path()).unwrap();
        let store = Store::open(&data_dir, Retention::default());
        let telemetry = telemetry(&store);
        let root = supervised(&telemetry).await;
        telemetry.emit(numbered(1));
        root.shutdown().await;
        store.events(&EventQuery::default(), 1)[0].1.id.clone()
    };
    std::fs::write(folder.path().join("id"), "torn").unwrap();
    let data_dir = DataDir::open(folder.path()).unwrap();
    let store = Store::open(&data_dir, Retention::default());
    let telemetry = telemetry(&store);
    let root = supervised(&telemetry).await;
    telemetry.emit(numbered(2));
    settled(&telemetry, "git.error", 1).await;
    let after = |id: &str| {
        telemetry.events(&EventsRequest {
            after: Some(id.to_owned()),
            ..EventsRequest::default()
        })
    };
    let found = collect(after(&old_id).unwrap()).await;
    assert_eq!(
        found.iter().map(|record| number_of(record)).collect::<Vec<_>>(),
        [2]
    );
    let own = format!("{}:99999999999999999", store.id());
    for bad in [
        "",
        "x",
        ":",
        "0123456789abcdef:12",
        "no:number",
        own.as_str(),
        "\u{1b}[31m:1",
    ] {
        let error = after(bad).unwrap_err();
        assert!(matches!(error, EventsError::UnknownEvent { .. }), "{bad}");
        assert!(!error.to_string().contains('\u{1b}'));
    }
    root.shutdown().await;
}

#[tokio::test]
async fn routine_events_are_told_and_counted_but_never_written() {
    let store = Store::in_memory();
    let telemetry = telemetry(&store);
    let root = supervised(&telemetry).await;
    let commit = || "0123456789012345678901234567890123456789".parse().unwrap();
    let reconciled = |actions| Event::ReconcileStop {
        commit: commit(),
        duration_ms: 1,
        actions,
        invalid: 0,
    };
    let mut stream = telemetry.events(&follow()).unwrap();
    telemetry.emit(Event::ReconcileStart { commit: None });
    assert_eq!(next(&mut stream).await.name(), "reconcile.start");
    for _ in 0..500 {
        telemetry.emit(Event::ReconcileStart {
            commit: Some(commit()),
        });
        telemetry.emit(reconciled(0));
    }
    telemetry.emit(reconciled(3));
    telemetry.emit(reconciled(0));
    settled(&telemetry, "reconcile.stop", 502).await;
    assert_eq!(
        store.events(&EventQuery::default(), 1_000).len(),
        1,
        "only the one that did something"
    );
    let shown = collect(telemetry.events(&EventsRequest::default()).unwrap()).await;
    assert_eq!(shown.len(), 257, "the newest are shown while the node runs");
    assert!(
        shown.windows(2).all(|pair| counter(&pair[0]) < counter(&pair[1])),
        "among the others, in order"
    );
    root.shutdown().await;
}

#[tokio::test]
async fn what_an_operator_did_is_on_the_disk_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = DataDir::open(folder.path()).unwrap();
    let store = Store::open(&data_dir, Retention::default());
    let telemetry = telemetry(&store);
    let root = supervised(&telemetry).await;
    let began = std::time::Instant::now();
    telemetry.emit(Event::Audit {
        actor: "dana".to_owned(),
        procedure: "bc_gitops.suspend".to_owned(),
        target: Some("web".to_owned()),
        arguments: None,
        reason: None,
        result: "ok".to_owned(),
    });
    let file = folder.path().join("events.redb");
    // A copy that another process could read: what is in the file, not in this store's memory.
    let is_written = || {
        let copy = tempfile::tempdir().unwrap();
        file.exists() && std::fs::copy(&file, copy.path().join("events.redb")).is_ok() && {
            let data_dir = DataDir::open(copy.path()).unwrap();
            let read = Store::open(&data_dir, Retention::default());
            read.events(&EventQuery::default(), 1).len() == 1
        }
    };
    until("written", is_written).await;
    println!("written after {:?}", began.elapsed());
    root.shutdown().await;
}

#[tokio::test]
async fn a_store_that_fails_and_recovers_is_told_once_each() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = DataDir::open(folder.path()).unwrap();
    std::fs::write(folder.path().join("state.redb"), "torn").unwrap();
    let store = Store::open(&data_dir, Retention::default());
    let telemetry = telemetry(&store);
    let reports: Arc<Mutex<Vec<Option<String>>>> = Arc::default();
    let reported = Arc::clone(&reports);
    let arguments = StoreWatchArguments {
        store: store.clone(),
        events: Arc::new(telemetry.clone()),
        report: Arc::new(move |problem| reported.lock().unwrap().push(problem)),
    };
    let flags = Flags::new(Strategy::OneForOne).intensity(100, Duration::from_secs(60));
    let blueprint = Blueprint::new(flags)
        .child(store_watch::child_spec(arguments))
        .child(telemetry.child_spec());
    let root = blueprint.start(None).await.unwrap();
    settled(&telemetry, "store.set_aside", 1).await;
    let mut cell = root.child("store").await.unwrap().child.unwrap().cell().clone();
    cell.kill();
    std::fs::remove_dir_all(folder.path()).unwrap();
    store.put(&crate::store_records::NOTE, &crate::store_records::note(1));
    assert!(store.flush().await.is_err());
    settled(&telemetry, "store.failing", 1).await;
    assert!(reports.lock().unwrap().last().unwrap().is_some());
    std::fs::create_dir(folder.path()).unwrap();
    settled(&telemetry, "store.recovered", 1).await;
    let counts = telemetry.counts();
    assert_eq!((counts.of("store.set_aside"), counts.of("store.failing")), (1, 1));
    let is_well = || reports.lock().unwrap().last().unwrap().is_none();
    until("reported", is_well).await;
    cell = root
        .child("telemetry_router")
        .await
        .unwrap()
        .child
        .unwrap()
        .cell()
        .clone();
    drop(cell);
    root.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_begins_to_follow_in_the_middle_of_a_flood_misses_nothing() {
    let store = Store::in_memory();
    let telemetry = telemetry(&store);
    let root = supervised(&telemetry).await;
    telemetry.emit(numbered(0));
    settled(&telemetry, "git.error", 1).await;
    let first = telemetry.events(&EventsRequest::default()).unwrap().next().await;
    let mut after = Some(first.unwrap().id.clone());
    // Kept events and routine ones lie in different places. Never far ahead: what is too much for a queue is dropped.
    let (is_over, heard_up_to) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let flood = std::thread::spawn({
        let (telemetry, is_over, heard_up_to) =
            (telemetry.clone(), Arc::clone(&is_over), Arc::clone(&heard_up_to));
        move || {
            for number in 1.. {
                while number > heard_up_to.load(Ordering::Relaxed) + 200 {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    std::thread::yield_now();
                }
                telemetry.emit(numbered(number));
                telemetry.emit(Event::ReconcileStart { commit: None });
            }
        }
    });
    let mut expected = 1;
    for _ in 0..300 {
        let request = EventsRequest {
            after: after.take(),
            follow: true,
            ..EventsRequest::default()
        };
        let mut stream = telemetry.events(&request).unwrap();
        let mut heard = 0;
        while heard < 5 {
            let record = next(&mut stream).await;
            if record.name() == "git.error" {
                assert_eq!(number_of(&record), expected);
                heard_up_to.store(expected, Ordering::Relaxed);
                (expected, heard) = (expected + 1, heard + 1);
            }
            after = Some(record.id.clone());
        }
    }
    is_over.store(true, Ordering::Relaxed);
    flood.join().unwrap();
    root.shutdown().await;
}
