//! What happened, in one sentence: the same words on the command line, in the console, in alerts and in the log.

use serde_json::Value;

use super::EventRecord;

/// How much a person has to care. Ordered from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gravity {
    /// Something began, or happens all the time.
    Note,
    /// Something was done.
    Good,
    /// Something is odd and heals by itself, or somebody stepped in.
    Warning,
    /// Something failed and stays so until somebody does something.
    Bad,
}

/// How grave `event` is.
#[must_use]
pub fn gravity(event: &EventRecord) -> Gravity {
    let fields = Fields(event);
    match fields.kind().as_str() {
        "reconcile.start" | "deploy.start" | "upgrade.start" | "reconfigure.start" | "remove.start"
        | "rollback.start" => Gravity::Note,
        "app.failed" | "reconcile.error" | "spec.invalid" | "history.refused" | "prune.refused" => {
            Gravity::Bad
        }
        "store.failing" | "keeper.unreachable" => Gravity::Bad,
        "app.restart" | "app.killed" | "git.error" | "actor.exited" | "store.set_aside" => Gravity::Warning,
        "reconcile.stop" if fields.is_nothing("actions") => Gravity::Note,
        "health.changed" if fields.text("to") == "unhealthy" => Gravity::Bad,
        _ if fields.has("error") => Gravity::Bad,
        _ => Gravity::Good,
    }
}

/// What happened. The records of a node hold no control characters ([`super::text`]); those of a peer may: whoever shows
/// them escapes them.
#[must_use]
pub fn sentence(event: &EventRecord) -> String {
    let fields = Fields(event);
    let kind = fields.kind();
    let app = fields.text("app");
    match kind.as_str() {
        "reconcile.start" => match fields.short("commit") {
            Some(commit) => format!("reconciling to {commit}"),
            None => "reconciling".to_owned(),
        },
        "reconcile.stop" => fields.reconciled(),
        "reconcile.error" => format!("could not reconcile: {}", fields.text("error")),
        "app.restart" => format!(
            "{app} ended with {}; restart {} in {}",
            fields.text("exit"),
            fields.text("restarts"),
            fields.took("delay_ms").unwrap_or_default()
        ),
        "app.killed" => format!(
            "{app} did not heed its stop signal within {} and was killed",
            fields.took("grace_ms").unwrap_or_default()
        ),
        "app.failed" => format!("{app} failed: {}", fields.text("reason")),
        "health.changed" => fields.followed_by(
            "reason",
            format!("{app} is {}, was {}", fields.text("to"), fields.text("from")),
        ),
        "git.fetched" => format!(
            "fetched {} \"{}\" by {}",
            fields.short("to").unwrap_or_default(),
            fields.text("subject"),
            fields.text("author")
        ),
        "git.error" => format!("cannot fetch: {}", fields.text("error")),
        "spec.invalid" => format!("{}: {}", fields.place(), fields.text("error")),
        "history.refused" => format!(
            "refused {}: it does not descend from the accepted {}",
            fields.short("refused").unwrap_or_default(),
            fields.short("accepted").unwrap_or_default()
        ),
        "prune.refused" => format!(
            "refused to remove {} at {}",
            fields.text("apps"),
            fields.short("commit").unwrap_or_default()
        ),
        "actor.exited" => format!(
            "actor {} ended: {}; restart {}",
            fields.text("path"),
            fields.text("reason"),
            fields.text("restarts")
        ),
        "store.failing" => format!("state cannot be written: {}", fields.text("error")),
        "store.recovered" => "state is written again".to_owned(),
        "keeper.unreachable" => format!(
            "the keeper does not answer: {}; apps go on, and none can be started, stopped or watched",
            fields.text("error")
        ),
        "keeper.recovered" => "the keeper answers again".to_owned(),
        "store.set_aside" => format!(
            "{} cannot be read and was set aside: {}",
            fields.text("file"),
            fields.text("error")
        ),
        "audit" => fields.audited(),
        _ => match kind.split_once('.') {
            Some((verb, "start")) if !app.is_empty() => {
                format!("{} {app}{}", present(verb), fields.versions())
            }
            Some((verb, "stop")) if !app.is_empty() => fields.acted(verb, &app),
            _ => fields.unknown(&kind),
        },
    }
}

fn present(verb: &str) -> &str {
    match verb {
        "deploy" => "deploying",
        "upgrade" => "upgrading",
        "reconfigure" => "reconfiguring",
        "remove" => "removing",
        "rollback" => "rolling back",
        other => other,
    }
}

fn past(verb: &str) -> &str {
    match verb {
        "deploy" => "deployed",
        "upgrade" => "upgraded",
        "reconfigure" => "reconfigured",
        "remove" => "removed",
        "rollback" => "rolled back",
        other => other,
    }
}

/// Measurements and metadata of a record by name.
struct Fields<'a>(&'a EventRecord);

impl Fields<'_> {
    /// `deploy.stop`: the name without the protocol's prefix.
    fn kind(&self) -> String {
        let parts: Vec<_> = self
            .0
            .event
            .iter()
            .map(String::as_str)
            .filter(|part| *part != "bc_gitops")
            .collect();
        parts.join(".")
    }

    fn value(&self, name: &str) -> Option<&Value> {
        let value = self
            .0
            .metadata
            .get(name)
            .or_else(|| self.0.measurements.get(name));
        value.filter(|value| !value.is_null())
    }

    fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// Is the number there, and zero?
    fn is_nothing(&self, name: &str) -> bool {
        self.value(name).and_then(Value::as_u64) == Some(0)
    }

    fn text(&self, name: &str) -> String {
        self.value(name).map(words).unwrap_or_default()
    }

    /// `file:line:column`, as far as they are known: a line of 0 is the whole file.
    fn place(&self) -> String {
        let number = |name| {
            self.value(name)
                .and_then(Value::as_u64)
                .filter(|number| *number > 0)
        };
        let numbers = [number("line"), number("column")];
        let numbers = numbers.into_iter().map_while(|number| number);
        numbers.fold(self.text("file"), |place, number| format!("{place}:{number}"))
    }

    /// The first digits of a commit.
    fn short(&self, name: &str) -> Option<String> {
        self.has(name).then(|| self.text(name).chars().take(7).collect())
    }

    fn took(&self, name: &str) -> Option<String> {
        let millis = self.value(name)?.as_u64()?;
        Some(if millis < 1_000 {
            format!("{millis} ms")
        } else {
            format!("{}.{} s", millis / 1_000, millis % 1_000 / 100)
        })
    }

    /// ` 1.0 -> 2.0`, ` 1.0`, or nothing.
    fn versions(&self) -> String {
        match (self.text("from_version"), self.text("to_version")) {
            (from, to) if from == to || from.is_empty() => prefixed(&to),
            (from, to) if to.is_empty() => prefixed(&from),
            (from, to) => format!(" {from} -> {to}"),
        }
    }

    fn followed_by(&self, name: &str, text: String) -> String {
        if self.has(name) {
            format!("{text}: {}", self.text(name))
        } else {
            text
        }
    }

    fn reconciled(&self) -> String {
        let commit = self
            .short("commit")
            .map(|commit| format!(" to {commit}"))
            .unwrap_or_default();
        let took = self
            .took("duration_ms")
            .map(|took| format!(" in {took}"))
            .unwrap_or_default();
        let number = |name: &str| self.value(name).and_then(Value::as_u64).unwrap_or(0);
        let actions = match number("actions") {
            0 => ", nothing to do".to_owned(),
            1 => ", 1 action".to_owned(),
            n => format!(", {n} actions"),
        };
        let invalid = match number("invalid") {
            0 => String::new(),
            1 => ", 1 bad spec".to_owned(),
            n => format!(", {n} bad specs"),
        };
        format!("reconciled{commit}{took}{actions}{invalid}")
    }

    fn acted(&self, verb: &str, app: &str) -> String {
        if self.has("error") {
            return format!(
                "could not {verb} {app}{}: {}",
                self.versions(),
                self.text("error")
            );
        }
        let took = self
            .took("duration_ms")
            .map(|took| format!(" in {took}"))
            .unwrap_or_default();
        format!("{} {app}{}{took}", past(verb), self.versions())
    }

    fn audited(&self) -> String {
        let target = if self.has("target") {
            format!(" {}", self.text("target"))
        } else {
            String::new()
        };
        let procedure = self.text("procedure");
        let procedure = procedure.strip_prefix("bc_gitops.").unwrap_or(&procedure);
        // One procedure, two words for people.
        let (procedure, arguments) = match (procedure, self.text("arguments")) {
            ("suspend", said) if said == "suspend:false" => ("resume", String::new()),
            (procedure, said) if said.is_empty() => (procedure, said),
            (procedure, said) => (procedure, format!(" [{said}]")),
        };
        let result = if self.text("result") == "ok" {
            String::new()
        } else {
            format!(" ({})", self.text("result"))
        };
        self.followed_by(
            "reason",
            format!(
                "{} asked for {procedure}{target}{arguments}{result}",
                self.text("actor")
            ),
        )
    }

    /// An event of a newer node, or of a host: its name and what it carries.
    fn unknown(&self, kind: &str) -> String {
        let fields = self.0.metadata.iter().chain(&self.0.measurements);
        let fields: Vec<_> = fields
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| format!("{name}={}", words(value)))
            .collect();
        format!("{kind} {}", fields.join(" ")).trim_end().to_owned()
    }
}

fn prefixed(version: &str) -> String {
    if version.is_empty() {
        String::new()
    } else {
        format!(" {version}")
    }
}

fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(words).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(kind: &str, metadata: &Value) -> EventRecord {
        EventRecord {
            id: "d:1".into(),
            node: "lab-a".into(),
            event: std::iter::once("bc_gitops")
                .chain(kind.split('.'))
                .map(str::to_owned)
                .collect(),
            measurements: serde_json::Map::new(),
            metadata: metadata.as_object().unwrap().clone(),
            timestamp: 0,
        }
    }

    #[test]
    fn every_event_is_a_sentence_with_its_gravity() {
        for (kind, metadata, expected, grave) in [
            (
                "reconcile.stop",
                json!({"commit": "41b09de0000", "duration_ms": 12, "actions": 0}),
                "reconciled to 41b09de in 12 ms, nothing to do",
                Gravity::Note,
            ),
            (
                "deploy.start",
                json!({"app": "web", "to_version": "1.0"}),
                "deploying web 1.0",
                Gravity::Note,
            ),
            (
                "upgrade.stop",
                json!({"app": "web", "from_version": "1.0", "to_version": "2.0", "duration_ms": 1250}),
                "upgraded web 1.0 -> 2.0 in 1.2 s",
                Gravity::Good,
            ),
            (
                "reconfigure.stop",
                json!({"app": "web", "from_version": "1.0", "to_version": "1.0"}),
                "reconfigured web 1.0",
                Gravity::Good,
            ),
            (
                "deploy.stop",
                json!({"app": "web", "to_version": "1.0", "error": "no such file"}),
                "could not deploy web 1.0: no such file",
                Gravity::Bad,
            ),
            (
                "app.restart",
                json!({"app": "web", "exit": "signal 9", "restarts": 1, "delay_ms": 1000}),
                "web ended with signal 9; restart 1 in 1.0 s",
                Gravity::Warning,
            ),
            (
                "health.changed",
                json!({"app": "web", "from": "healthy", "to": "unhealthy", "reason": "connection refused"}),
                "web is unhealthy, was healthy: connection refused",
                Gravity::Bad,
            ),
            (
                "spec.invalid",
                json!({"file": "apps/a/app.yaml", "line": 3, "column": 0, "error": "no"}),
                "apps/a/app.yaml:3: no",
                Gravity::Bad,
            ),
            (
                "spec.invalid",
                json!({"file": "apps/link", "line": 0, "column": 0, "error": "no"}),
                "apps/link: no",
                Gravity::Bad,
            ),
            (
                "prune.refused",
                json!({"apps": ["a", "b"], "commit": "41b09de0000"}),
                "refused to remove a, b at 41b09de",
                Gravity::Bad,
            ),
            (
                "audit",
                json!({"actor": "uid 0", "procedure": "bc_gitops.suspend", "target": "web", "arguments": "suspend:true", "result": "ok", "reason": "maintenance"}),
                "uid 0 asked for suspend web [suspend:true]: maintenance",
                Gravity::Good,
            ),
            (
                "audit",
                json!({"actor": "uid 0", "procedure": "bc_gitops.suspend", "target": "web", "arguments": "suspend:false", "result": "ok"}),
                "uid 0 asked for resume web",
                Gravity::Good,
            ),
            (
                "host.blink",
                json!({"a": 1, "none": null}),
                "host.blink a=1",
                Gravity::Good,
            ),
        ] {
            let event = record(kind, &metadata);
            assert_eq!(sentence(&event), expected);
            assert_eq!(gravity(&event), grave, "{kind}");
        }
    }
}
