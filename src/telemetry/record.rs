//! From an event to its record: its name, its numbers, everything else about it.

use serde_json::{Map, Value};

use super::text::safe;
use super::{Event, EventRecord};
use crate::names::{AppName, CommitId, NodeName, Version};

/// The first part of every event's name: the seed protocol's.
pub const PREFIX: &str = "bc_gitops";

/// The most apps that one record names.
const APPS_MAX: usize = 50;

impl Event {
    /// Its name in parts, without the prefix: `["deploy", "stop"]`.
    #[must_use]
    pub fn name(&self) -> [&'static str; 2] {
        match self {
            Self::ReconcileStart { .. } => ["reconcile", "start"],
            Self::ReconcileStop { .. } => ["reconcile", "stop"],
            Self::ReconcileError { .. } => ["reconcile", "error"],
            Self::ActionStart { action, .. } => [action.as_str(), "start"],
            Self::ActionStop { action, .. } => [action.as_str(), "stop"],
            Self::AppRestart { .. } => ["app", "restart"],
            Self::AppKilled { .. } => ["app", "killed"],
            Self::AppFailed { .. } => ["app", "failed"],
            Self::HealthChanged { .. } => ["health", "changed"],
            Self::GitFetched { .. } => ["git", "fetched"],
            Self::GitError { .. } => ["git", "error"],
            Self::SpecInvalid { .. } => ["spec", "invalid"],
            Self::HistoryRefused { .. } => ["history", "refused"],
            Self::PruneRefused { .. } => ["prune", "refused"],
            Self::ActorExited { .. } => ["actor", "exited"],
            Self::StoreFailing { .. } => ["store", "failing"],
            Self::StoreRecovered => ["store", "recovered"],
            Self::KeeperUnreachable { .. } => ["keeper", "unreachable"],
            Self::KeeperRecovered => ["keeper", "recovered"],
            Self::StoreSetAside { .. } => ["store", "set_aside"],
            Self::Audit { .. } => ["audit", ""],
        }
    }

    /// Does it say only that nothing changed? Such events are counted and told to followers, but a log and a ring that
    /// kept them would hold nothing else: a node reconciles a thousand times a day.
    #[must_use]
    pub fn is_routine(&self) -> bool {
        matches!(
            self,
            Self::ReconcileStart { .. } | Self::ReconcileStop { actions: 0, .. }
        )
    }

    /// Must it be on the disk at once? What an operator asked for is never lost with the second that is gathered.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        matches!(self, Self::Audit { .. })
    }

    /// The record of it. `id` is the data directory's id, `:`, and the event's counter.
    #[must_use]
    pub fn record(&self, id: String, node: &NodeName, timestamp: i64) -> EventRecord {
        let mut fields = Fields::default();
        self.fill(&mut fields);
        let name = self.name().into_iter().filter(|part| !part.is_empty());
        EventRecord {
            id,
            node: node.to_string(),
            event: std::iter::once(PREFIX).chain(name).map(str::to_owned).collect(),
            measurements: fields.measurements,
            metadata: fields.metadata,
            timestamp,
        }
    }

    fn fill(&self, fields: &mut Fields) {
        match self {
            Self::ReconcileStart { commit } => fields.commit("commit", commit.as_ref()),
            Self::ReconcileStop {
                commit,
                duration_ms,
                actions,
                invalid,
            } => {
                fields.number("duration_ms", *duration_ms);
                fields.count("actions", *actions);
                fields.count("invalid", *invalid);
                fields.commit("commit", Some(commit));
                fields.word("result", "ok");
            }
            Self::ReconcileError {
                code,
                error,
                duration_ms,
            } => {
                fields.number("duration_ms", *duration_ms);
                fields.failed(code, error);
            }
            Self::ActionStart {
                app,
                from,
                to,
                commit,
                ..
            } => {
                fields.app(app);
                fields.versions(from.as_ref(), to.as_ref());
                fields.commit("commit", commit.as_ref());
            }
            Self::ActionStop {
                app,
                from,
                to,
                commit,
                digest,
                by,
                duration_ms,
                error,
                ..
            } => {
                fields.number("duration_ms", *duration_ms);
                fields.app(app);
                fields.versions(from.as_ref(), to.as_ref());
                fields.commit("commit", commit.as_ref());
                fields.maybe("digest", digest.as_ref().map(AsRef::as_ref));
                fields.maybe("by", by.as_deref());
                fields.word("result", if error.is_some() { "error" } else { "ok" });
                fields.maybe("error", error.as_deref());
            }
            Self::AppRestart {
                app,
                exit,
                restarts,
                delay_ms,
            } => {
                fields.number("restarts", *restarts);
                fields.number("delay_ms", *delay_ms);
                fields.app(app);
                fields.word("exit", exit);
            }
            Self::AppKilled { app, grace_ms } => {
                fields.number("grace_ms", *grace_ms);
                fields.app(app);
            }
            Self::AppFailed {
                app,
                reason,
                restarts,
            } => {
                fields.number("restarts", *restarts);
                fields.app(app);
                fields.word("reason", reason);
            }
            Self::HealthChanged {
                app,
                from,
                to,
                reason,
            } => {
                fields.app(app);
                fields.word("from", from);
                fields.word("to", to);
                fields.maybe("reason", reason.as_deref());
            }
            Self::GitFetched {
                from,
                to,
                author,
                subject,
                duration_ms,
            } => {
                fields.number("duration_ms", *duration_ms);
                fields.commit("from", from.as_ref());
                fields.commit("to", Some(to));
                fields.word("author", author);
                fields.word("subject", subject);
            }
            Self::GitError { code, error } => fields.failed(code, error),
            Self::SpecInvalid {
                app,
                file,
                line,
                column,
                code,
                error,
                commit,
            } => {
                fields.number("line", u64::from(*line));
                fields.number("column", u64::from(*column));
                fields.maybe("app", app.as_ref().map(AppName::as_str));
                fields.word("file", file);
                fields.commit("commit", Some(commit));
                fields.failed(code, error);
            }
            Self::HistoryRefused { accepted, refused } => {
                fields.commit("accepted", Some(accepted));
                fields.commit("refused", Some(refused));
            }
            Self::PruneRefused { commit, apps } => {
                fields.count("removals", apps.len());
                fields.commit("commit", Some(commit));
                fields.apps(apps);
            }
            Self::ActorExited {
                path,
                reason,
                restarts,
            } => {
                fields.number("restarts", *restarts);
                fields.word("path", path);
                fields.word("reason", reason);
            }
            Self::StoreFailing { code, error } | Self::KeeperUnreachable { code, error } => {
                fields.failed(code, error);
            }
            Self::StoreRecovered | Self::KeeperRecovered => {}
            Self::StoreSetAside { file, kept_as, error } => {
                fields.word("file", file);
                fields.maybe("kept_as", kept_as.as_deref());
                fields.word("error", error);
            }
            Self::Audit {
                actor,
                procedure,
                target,
                arguments,
                reason,
                result,
            } => {
                fields.word("actor", actor);
                fields.word("procedure", procedure);
                fields.maybe("target", target.as_deref());
                fields.maybe("arguments", arguments.as_deref());
                fields.maybe("reason", reason.as_deref());
                fields.word("result", result);
            }
        }
    }
}

/// Every text that goes in is made harmless on the way.
#[derive(Default)]
struct Fields {
    measurements: Map<String, Value>,
    metadata: Map<String, Value>,
}

impl Fields {
    fn number(&mut self, name: &str, number: u64) {
        self.measurements.insert(name.to_owned(), Value::from(number));
    }

    fn count(&mut self, name: &str, count: usize) {
        self.number(name, u64::try_from(count).unwrap_or(u64::MAX));
    }

    fn word(&mut self, name: &str, word: &str) {
        self.metadata.insert(name.to_owned(), Value::from(safe(word)));
    }

    fn maybe(&mut self, name: &str, word: Option<&str>) {
        if let Some(word) = word {
            self.word(name, word);
        }
    }

    fn app(&mut self, app: &AppName) {
        self.word("app", app.as_str());
    }

    fn apps(&mut self, apps: &[AppName]) {
        let names = apps
            .iter()
            .take(APPS_MAX)
            .map(|app| Value::from(app.as_str()))
            .collect();
        self.metadata.insert("apps".to_owned(), Value::Array(names));
    }

    fn commit(&mut self, name: &str, commit: Option<&CommitId>) {
        self.maybe(name, commit.map(CommitId::as_str));
    }

    fn versions(&mut self, from: Option<&Version>, to: Option<&Version>) {
        self.maybe("from_version", from.map(Version::as_str));
        self.maybe("to_version", to.map(Version::as_str));
    }

    fn failed(&mut self, code: &str, error: &str) {
        self.word("result", "error");
        self.word("code", code);
        self.word("error", error);
    }
}

impl EventRecord {
    /// `deploy.stop`: the name without the protocol's prefix.
    #[must_use]
    pub fn name(&self) -> String {
        let parts = self
            .event
            .iter()
            .map(String::as_str)
            .filter(|part| *part != PREFIX);
        parts.collect::<Vec<_>>().join(".")
    }

    /// A text of the metadata.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.metadata.get(name)?.as_str()
    }

    /// The app it is about.
    #[must_use]
    pub fn app(&self) -> Option<&str> {
        self.text("app")
    }

    /// `ok`, `error`, or nothing where an event has no outcome.
    #[must_use]
    pub fn outcome(&self) -> &'static str {
        match self.text("result") {
            None => "",
            Some("ok") => "ok",
            Some(_) => "error",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::reference::samples;
    use crate::telemetry::sentence::sentence;

    fn record(event: &Event) -> EventRecord {
        event.record("0123456789abcdef:7".to_owned(), &"garden".parse().unwrap(), 1)
    }

    #[test]
    fn every_event_has_a_name_of_its_own_and_a_sentence_without_gaps() {
        let mut names: Vec<String> = samples().map(|event| record(&event).name()).collect();
        for event in samples() {
            let record = record(&event);
            let said = sentence(&record);
            assert!(
                said.len() > 5 && !said.contains("  ") && !said.contains(" :"),
                "{}: {said}",
                record.name()
            );
            assert!(
                !said.contains('='),
                "{} is unknown to the sentences: {said}",
                record.name()
            );
        }
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn foreign_words_cannot_hurt_a_terminal_a_log_or_the_ring() {
        let event = Event::GitError {
            code: "osier::git::auth".to_owned(),
            error: format!(
                "https://me:secret@host/x refused \u{1b}]0;{}",
                "x".repeat(100_000)
            ),
        };
        let text = serde_json::to_string(&record(&event)).unwrap();
        assert!(
            !text.contains("secret") && !text.contains('\u{1b}') && text.len() < 2_000,
            "{text}"
        );
    }

    #[test]
    fn a_record_names_so_many_apps_and_says_how_many_there_were() {
        let apps = (0..5_000)
            .map(|number| format!("app-{number}").parse().unwrap())
            .collect();
        let commit = "0123456789012345678901234567890123456789".parse().unwrap();
        let record = record(&Event::PruneRefused { commit, apps });
        assert_eq!(record.metadata["apps"].as_array().unwrap().len(), APPS_MAX);
        assert_eq!(record.measurements["removals"], 5_000);
    }
}
