//! The daemon's log, in processes of their own: a process has but one.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use osier::actors::telemetry_router::{Telemetry, logging};
use osier::config::values::{LogFilter, LogFormat};
use osier::store::Store;
use osier::supervisor::{Blueprint, Flags, Strategy};
use osier::telemetry::{Event, EventSink};
use serde_json::Value;

/// Runs the other half of `test` and returns what it wrote to standard error.
fn stderr_of(test: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stderr");
    let status = crate::other_half::of(test, folder.path())
        .stdout(Stdio::null())
        .stderr(fs::File::create(&file).unwrap())
        .status()
        .unwrap();
    let text = fs::read_to_string(file).unwrap();
    assert!(status.success(), "{text}");
    text
}

fn filter(text: &str) -> LogFilter {
    text.parse().unwrap()
}

async fn tell(events: Vec<Event>) {
    let telemetry = Telemetry::new("garden".parse().unwrap(), Store::in_memory());
    let flags = Flags::new(Strategy::OneForOne).intensity(10, Duration::from_secs(60));
    let root = Blueprint::new(flags)
        .child(telemetry.child_spec())
        .start(None)
        .await
        .unwrap();
    for event in events {
        telemetry.emit(event);
    }
    root.shutdown().await;
}

fn reconciled(actions: usize) -> Event {
    let commit = "41b09de1f0c3a5d2e4b6978890a1b2c3d4e5f607".parse().unwrap();
    Event::ReconcileStop {
        commit,
        duration_ms: 4,
        actions,
        invalid: 0,
    }
}

#[tokio::main]
async fn log_json() {
    logging::install(&filter("info"), LogFormat::Json).unwrap();
    let mut events = vec![Event::ReconcileStart { commit: None }; 2_000];
    events.extend(std::iter::repeat_with(|| reconciled(0)).take(2_000));
    events.push(reconciled(2));
    events.push(Event::GitError {
        code: "osier::git::auth".to_owned(),
        error: "https://me:hunter2@host/x refused\n\u{1b}[31m".to_owned(),
    });
    tell(events).await;
}

#[test]
fn events_are_lines_of_json_with_stable_fields_and_routine_is_no_line() {
    if crate::other_half::folder().is_some() {
        return log_json();
    }
    let text = stderr_of("telemetry_log::events_are_lines_of_json_with_stable_fields_and_routine_is_no_line");
    assert!(!text.contains("hunter2") && !text.contains('\u{1b}'), "{text}");
    let lines: Vec<Value> = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    assert_eq!(
        lines.len(),
        2,
        "4,000 reconciles without change are no line: {text}"
    );
    assert_eq!(lines[0]["event"], "reconcile.stop");
    assert_eq!(lines[0]["level"], "INFO");
    assert_eq!(lines[0]["target"], "osier::event");
    assert_eq!(lines[0]["duration_ms"], 4);
    assert_eq!(lines[0]["commit"], "41b09de1f0c3a5d2e4b6978890a1b2c3d4e5f607");
    assert_eq!(lines[0]["message"], "reconciled to 41b09de in 4 ms, 2 actions");
    assert_eq!(
        (&lines[1]["level"], &lines[1]["code"]),
        (&"WARN".into(), &"osier::git::auth".into())
    );
}

fn change_the_level_and_panic() {
    let control = logging::install(&filter("warn"), LogFormat::Pretty).unwrap();
    assert!(
        logging::install(&filter("warn"), LogFormat::Pretty).is_err(),
        "there is one log"
    );
    tracing::info!("before");
    control.set(&filter("off,osier::event=info")).unwrap();
    tracing::info!("other");
    tracing::info!(target: "osier::event", "told");
    control.set(&filter("error")).unwrap();
    let ended = std::thread::Builder::new()
        .name("fragile".to_owned())
        .spawn(|| panic!("it broke"))
        .unwrap()
        .join();
    assert!(ended.is_err());
}

#[test]
fn the_level_can_be_changed_and_a_panic_is_one_line() {
    if crate::other_half::folder().is_some() {
        return change_the_level_and_panic();
    }
    let text = stderr_of("telemetry_log::the_level_can_be_changed_and_a_panic_is_one_line");
    assert!(!text.contains("before") && !text.contains("other"), "{text}");
    assert!(text.contains("told"), "{text}");
    let panics: Vec<&str> = text.lines().filter(|line| line.contains("it broke")).collect();
    assert_eq!(panics.len(), 1, "{text}");
    assert!(
        panics[0].contains("fragile") && panics[0].contains("telemetry_log.rs"),
        "{}",
        panics[0]
    );
    assert!(!text.contains("stack backtrace"), "{text}");
}
