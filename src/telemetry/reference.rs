//! Every event with an example of it: the reference page is made from them.

use std::fmt::Write;

use super::sentence::{Gravity, gravity, sentence};
use super::{ActionKind, Event};
use crate::names::{AppName, CommitId, NodeName, Version};

/// One example of every event.
pub fn samples() -> impl Iterator<Item = Event> {
    std::iter::successors(
        Some(Event::ReconcileStart {
            commit: Some(commit()),
        }),
        next,
    )
}

/// The example after `sample`. The compiler asks for an arm for each new event, so none is forgotten in the documents.
fn next(sample: &Event) -> Option<Event> {
    Some(match sample {
        Event::ReconcileStart { .. } => Event::ReconcileStop {
            commit: commit(),
            duration_ms: 12,
            actions: 2,
            invalid: 0,
        },
        Event::ReconcileStop { .. } => Event::ReconcileError {
            code: "osier::reconcile::no_specs".to_owned(),
            error: "the folder `apps` is not there".to_owned(),
            duration_ms: 3,
        },
        Event::ReconcileError { .. } => action_start(ActionKind::Deploy),
        Event::ActionStart { action, .. } => action_stop(*action),
        Event::ActionStop {
            action: ActionKind::Deploy,
            ..
        } => action_start(ActionKind::Upgrade),
        Event::ActionStop {
            action: ActionKind::Upgrade,
            ..
        } => action_start(ActionKind::Reconfigure),
        Event::ActionStop {
            action: ActionKind::Reconfigure,
            ..
        } => action_start(ActionKind::Remove),
        Event::ActionStop {
            action: ActionKind::Remove,
            ..
        } => action_start(ActionKind::Rollback),
        Event::ActionStop {
            action: ActionKind::Rollback,
            ..
        } => Event::AppRestart {
            app: app(),
            exit: "exit 1".to_owned(),
            restarts: 2,
            delay_ms: 2_000,
        },
        Event::AppRestart { .. } => Event::AppKilled {
            app: app(),
            grace_ms: 10_000,
        },
        Event::AppKilled { .. } => Event::AppFailed {
            app: app(),
            reason: "it ended 6 times within 60 s".to_owned(),
            restarts: 5,
        },
        Event::AppFailed { .. } => Event::HealthChanged {
            app: app(),
            from: "healthy".to_owned(),
            to: "unhealthy".to_owned(),
            reason: Some("connection refused".to_owned()),
        },
        Event::HealthChanged { .. } => Event::GitFetched {
            from: None,
            to: commit(),
            author: "Dana".to_owned(),
            subject: "web 2.0".to_owned(),
            duration_ms: 80,
        },
        Event::GitFetched { .. } => Event::GitError {
            code: "osier::git::unreachable".to_owned(),
            error: "git.example.org: no route to host".to_owned(),
        },
        Event::GitError { .. } => Event::SpecInvalid {
            app: Some(app()),
            file: "apps/web/app.yaml".to_owned(),
            line: 4,
            column: 3,
            code: "osier::spec::unknown_key".to_owned(),
            error: "there is no `comand`".to_owned(),
            commit: commit(),
        },
        Event::SpecInvalid { .. } => Event::HistoryRefused {
            accepted: commit(),
            refused: other_commit(),
        },
        Event::HistoryRefused { .. } => Event::PruneRefused {
            commit: commit(),
            apps: vec![app()],
        },
        Event::PruneRefused { .. } => Event::ActorExited {
            path: "core/reconciler".to_owned(),
            reason: "panicked".to_owned(),
            restarts: 1,
        },
        Event::ActorExited { .. } => Event::StoreFailing {
            code: "osier::store::disk_full".to_owned(),
            error:
                "/var/lib/osier/state.redb cannot be written, the disk is full: the node goes on in memory"
                    .to_owned(),
        },
        Event::StoreFailing { .. } => Event::StoreRecovered,
        Event::StoreRecovered => Event::StoreSetAside {
            file: "/var/lib/osier/state.redb".to_owned(),
            kept_as: Some("/var/lib/osier/state.redb.unreadable-1".to_owned()),
            error: "it is empty".to_owned(),
        },
        Event::StoreSetAside { .. } => Event::KeeperUnreachable {
            code: "osier::keeper::unreachable".to_owned(),
            error: "it is there and says nothing".to_owned(),
        },
        Event::KeeperUnreachable { .. } => Event::KeeperRecovered,
        Event::KeeperRecovered => Event::Audit {
            actor: "dana (uid 1000, pid 4711)".to_owned(),
            procedure: "bc_gitops.suspend".to_owned(),
            target: Some("web".to_owned()),
            arguments: Some("suspend:true for_ms:600000".to_owned()),
            reason: Some("maintenance".to_owned()),
            result: "ok".to_owned(),
        },
        Event::Audit { .. } => return None,
    })
}

/// What an event means.
fn meaning(event: &Event) -> &'static str {
    match event {
        Event::ReconcileStart { .. } => "A reconcile began.",
        Event::ReconcileStop { .. } => "A reconcile ended: all its actions were handed over to the apps.",
        Event::ReconcileError { .. } => "A reconcile could not be done.",
        Event::ActionStart { .. } => "It is being done.",
        Event::ActionStop { .. } => "It is done (`result` is `ok`), or could not be done.",
        Event::AppRestart { .. } => "An app ended and is started again after `delay_ms`.",
        Event::AppKilled { .. } => "An app did not heed its stop signal within `grace_ms`.",
        Event::AppFailed { .. } => {
            "An app gave up. It stays so until its spec changes or an operator says so."
        }
        Event::HealthChanged { .. } => "An app's health is another than before.",
        Event::GitFetched { .. } => "A new commit was fetched.",
        Event::GitError { .. } => {
            "The repository could not be fetched. Repeated only when the reason changes."
        }
        Event::SpecInvalid { .. } => "A spec has a mistake. Once for each commit that has it.",
        Event::HistoryRefused { .. } => {
            "A commit does not descend from the accepted one. It waits for an operator's word."
        }
        Event::PruneRefused { .. } => {
            "A commit would remove too many apps. The removals wait for an operator's word."
        }
        Event::ActorExited { .. } => "An actor ended unasked and was started again.",
        Event::StoreFailing { .. } => {
            "State cannot be written. The node goes on in memory and writes when it can."
        }
        Event::StoreRecovered => "State is written again.",
        Event::StoreSetAside { .. } => "A state file could not be read. It was moved aside and is made anew.",
        Event::KeeperUnreachable { .. } => {
            "The keeper does not answer, or none can be started. Apps go on, but none can be started, stopped or watched."
        }
        Event::KeeperRecovered => "The keeper answers again: what happened meanwhile is made up for.",
        Event::Audit { .. } => {
            "Somebody asked for something that changes the node. Written to the disk at once."
        }
    }
}

/// `docs/reference/telemetry.md`.
///
/// # Panics
/// Never: its examples are literals, which a test makes.
#[must_use]
pub fn page() -> String {
    let mut text = String::from(PAGE_HEAD);
    let node: NodeName = literal("garden");
    for event in samples() {
        let record = event.record(
            "9f3c1c0a5be2d704:1764000000000000".to_owned(),
            &node,
            1_764_000_000_000,
        );
        let names = |map: &serde_json::Map<String, serde_json::Value>| {
            let names: Vec<String> = map.keys().map(|name| format!("`{name}`")).collect();
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            }
        };
        let log = match gravity(&record) {
            Gravity::Note => "debug",
            Gravity::Good => "info",
            Gravity::Warning => "warn",
            Gravity::Bad => "error",
        };
        let _ = write!(
            text,
            "\n### `{}`\n\n{}\n\n- measurements: {}\n- metadata: {}\n- in the log: `{log}`, as in \"{}\"\n",
            record.name(),
            meaning(&event),
            names(&record.measurements),
            names(&record.metadata),
            sentence(&record),
        );
    }
    text
}

fn action_start(action: ActionKind) -> Event {
    let (from, to) = versions(action);
    Event::ActionStart {
        action,
        app: app(),
        from,
        to,
        commit: Some(commit()),
    }
}

fn action_stop(action: ActionKind) -> Event {
    let (from, to) = versions(action);
    Event::ActionStop {
        action,
        app: app(),
        from,
        to,
        commit: Some(commit()),
        digest: Some(literal(&"0123456789abcdef".repeat(4))),
        by: None,
        duration_ms: 230,
        error: None,
    }
}

fn versions(action: ActionKind) -> (Option<Version>, Option<Version>) {
    let (old, new) = (Some(literal("1.0")), Some(literal("2.0")));
    match action {
        ActionKind::Deploy => (None, new),
        ActionKind::Upgrade => (old, new),
        ActionKind::Reconfigure => (new.clone(), new),
        ActionKind::Remove => (new, None),
        ActionKind::Rollback => (new, old),
    }
}

fn app() -> AppName {
    literal("web")
}

fn commit() -> CommitId {
    literal("41b09de1f0c3a5d2e4b6978890a1b2c3d4e5f607")
}

fn other_commit() -> CommitId {
    literal("c0ffee00f0c3a5d2e4b6978890a1b2c3d4e5f607")
}

fn literal<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    #[expect(
        clippy::expect_used,
        reason = "examples are literals; a test makes each of them"
    )]
    text.parse().expect("an example is valid")
}

const PAGE_HEAD: &str = "\
# Telemetry

<!-- Generated from src/telemetry/. `OSIER_BLESS=1 cargo test --test it telemetry` writes it anew. -->

Everything that happens on a node is an event. Events go through the telemetry router to the log, to the ring on the disk
(`osier events`), to counters, to followers (`osier events -f`) and to the handlers of a host that embeds a node. A sink that
is slow loses events of its own and counts them; it delays nobody.

An event's JSON, the payload of the seed protocol:

```json
{
  \"id\": \"9f3c1c0a5be2d704:1764000000000000\",
  \"node\": \"garden\",
  \"event\": [\"bc_gitops\", \"deploy\", \"stop\"],
  \"measurements\": { \"duration_ms\": 230 },
  \"metadata\": { \"app\": \"web\", \"to_version\": \"2.0\", \"result\": \"ok\" },
  \"timestamp\": 1764000000000
}
```

- `id`: the id of the data directory, and a counter that only grows: across restarts, crashes, lost state and clocks that go
  back, no two events have the same. `osier events --after ID` goes on behind one.
- `timestamp`: milliseconds since the epoch.
- Texts are cut to 500 characters; control characters are escaped; user and password of URLs are `***`.
- `result` is `ok` or `error` (for `audit`: `ok` or the refusal in words); with `error` comes the reason, and where there is
  one, a stable `code`.

Kept are 100,000 events or those of 30 days (`[telemetry] retention`), whichever is less; they are written in batches of at most
a second, `audit` at once. `reconcile.start`, and `reconcile.stop` when there was nothing to do, are told to followers, counted
and logged at `debug`, and of them only the newest 256 are kept, in memory: a node that polls each second would else hold
nothing but those.

## Events
";
