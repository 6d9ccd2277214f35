//! `osier why`: one paragraph that says where an app comes from, why it is as it is, and what happens next. Pure.

use crate::names::{AppName, Version, shown};
use crate::plan::changes::changes;
use crate::rpc::procedures::PastExit;
use crate::specs::DesiredApp;
use crate::specs::app_spec::{Restart, RestartPolicy, RestartType};
use crate::specs::values::Span;
use crate::status::hold::Hold;
use crate::status::origin::Origin;
use crate::status::time::span;
use crate::status::unfollowed::Unfollowed;
use crate::status::{AppState, HealthState, KeeperTrouble, ROLLED_BACK, RunState, SyncState, UPGRADE_FAILED};

/// What the paragraph is made from.
#[derive(Debug, Clone, Copy)]
pub struct WhyFacts<'a> {
    /// The app as it is published.
    pub state: &'a AppState,
    /// What git asks for now.
    pub desired: Option<&'a DesiredApp>,
    /// Whether that is known: the accepted commit was read.
    pub is_git_read: bool,
    /// What runs, or ran last.
    pub applied: Option<&'a DesiredApp>,
    /// Who changed what is asked for (or its mistake, or its absence) last.
    pub origin: Option<&'a Origin>,
    /// The app's ends, newest first.
    pub exits: &'a [PastExit],
    /// The last lines of its output, oldest first, escaped.
    pub last_words: &'a [String],
    /// Why git is not applied to it.
    pub hold: Option<Hold>,
    /// An operator stopped it.
    pub is_stopped_by_hand: bool,
    /// What git asks for beyond the accepted commit, or may.
    pub unfollowed: Option<&'a Unfollowed>,
    /// Those that it waits for and that have given up.
    pub waits_in_vain_for: &'a [AppName],
    /// When the repository is looked at next, milliseconds since the epoch.
    pub next_look_ms: Option<u64>,
    /// Nobody sees what becomes of it.
    pub unseen: Option<&'a KeeperTrouble>,
    /// Milliseconds since the epoch.
    pub now_ms: u64,
}

/// How much of an app's last words is repeated.
const LAST_WORDS_CHARS_MAX: usize = 300;
/// How many of its last lines.
const LAST_WORDS_LINES_MAX: usize = 3;
/// How many fields in which what runs differs from git are named.
const FIELDS_MAX: usize = 5;

/// The paragraph.
#[must_use]
pub fn why(facts: &WhyFacts<'_>) -> String {
    let sentences = [
        facts.origin(),
        facts.present(),
        facts.not_in_force(),
        facts.difference(),
        facts.last_words(),
        facts.next(),
        facts.held(),
        facts.unfollowed.map(|unfollowed| unfollowed.sentence() + "."),
    ];
    let sentences: Vec<String> = sentences.into_iter().flatten().collect();
    sentences.join(" ")
}

impl WhyFacts<'_> {
    /// Where it comes from.
    fn origin(&self) -> Option<String> {
        let app = &self.state.name;
        if self.state.sync == SyncState::Error {
            let error = self.state.last_error.as_ref()?;
            let numbers = [error.line, error.column];
            let numbers = numbers.iter().map_while(|number| *number);
            let place = error
                .file
                .iter()
                .cloned()
                .chain(numbers.map(|number| number.to_string()));
            let place: String = place.map(|part| part + ":").collect();
            let place = if place.is_empty() { place } else { place + " " };
            return Some(format!(
                "The spec of {app} has a mistake{}: {place}{}.",
                self.since(None),
                unstopped(&error.message)
            ));
        }
        if self.state.manual {
            return Some(self.by_hand());
        }
        let Some(desired) = self.desired else {
            if !self.is_git_read {
                return Some(format!(
                    "What git asks of {app} has not been read yet; it goes on as it was last applied."
                ));
            }
            return Some(format!("Git does not ask for {app}{}.", self.since(None)));
        };
        let version = &desired.spec.version;
        let spec = format!("{}:{}", desired.file, desired.line);
        let Some(origin) = self.origin else {
            return Some(format!("{app} should run {version} ({spec})."));
        };
        if let Some(unknown) = &origin.unknown {
            return Some(format!(
                "{app} should run {version} ({spec}); who changed it last is not known: {unknown}."
            ));
        }
        let changed = match origin.line {
            Some(line) => format!("{}:{line}", shown(&origin.file)),
            None if origin.file == desired.file => spec,
            None => shown(&origin.file),
        };
        Some(format!(
            "{app} should run {version}{}.",
            self.since(Some(&changed))
        ))
    }

    /// What an operator made of it, and what git asks for.
    fn by_hand(&self) -> String {
        let app = &self.state.name;
        let git = match self.desired {
            Some(desired) => format!(
                "git asks for {} ({}:{})",
                desired.spec.version,
                shown(&desired.file),
                desired.line
            ),
            None if self.is_git_read => "git does not ask for it".to_owned(),
            None => "what git asks of it has not been read yet".to_owned(),
        };
        match (self.is_removed(), &self.state.desired_version) {
            (false, Some(version)) => format!("{app} should run {version} by hand; {git}."),
            (false, None) => format!("{app} was changed by hand; {git}."),
            (true, _) => format!("{app} was removed by hand; {git}."),
        }
    }

    /// The last good version stands in for what is asked for.
    fn is_rolled_back(&self) -> bool {
        let error = self.state.last_error.as_ref();
        error.is_some_and(|error| error.code == ROLLED_BACK)
    }

    fn is_removed(&self) -> bool {
        matches!(self.hold, Some(Hold::Removed(_)))
    }

    /// ` since 1a2b3c4 "subject" (author, 2 min ago, …)`, as far as that is known.
    fn since(&self, place: Option<&str>) -> String {
        let words = self.origin.and_then(|origin| origin.words(self.now_ms, place));
        words.map_or_else(String::new, |words| format!(" since {words}"))
    }

    /// How it is, and why.
    fn present(&self) -> Option<String> {
        let state = self.state;
        if let Some(trouble) = self.unseen {
            return Some(self.unseen(trouble));
        }
        let restarts = match state.restarts {
            0 => String::new(),
            1 if self.never_ran() => " It was tried once more.".to_owned(),
            count if self.never_ran() => format!(" It was tried {count} times more."),
            1 => " It was restarted once.".to_owned(),
            count => format!(" It was restarted {count} times."),
        };
        Some(match state.status {
            RunState::Pending => match state.sync {
                SyncState::Suspended => "Nothing runs of it.".to_owned(),
                _ => "Nothing was done about it yet.".to_owned(),
            },
            RunState::Waiting => format!("Its first start waits for {}.", self.waited_for()),
            RunState::Fetching => {
                let progress = state.progress.map(|progress| format!(" ({})", progress.words()));
                format!(
                    "Its artefact is on the way{}; nothing runs before it is there.",
                    progress.unwrap_or_default()
                )
            }
            RunState::Starting => format!("It is being started.{}", self.last_end()),
            RunState::Running => format!("{}{restarts}{}", self.running(), self.unapplied()),
            RunState::Upgrading => format!(
                "It gives way to {} just now.",
                self.shown(state.desired_version.as_ref())
            ),
            RunState::Backoff => format!("It does not run: {}.{restarts}", self.cause()),
            RunState::Stopping => match &state.last_error {
                Some(error) if state.health == HealthState::Unhealthy => {
                    format!(
                        "It has got its stop signal, to be started again: {}.",
                        unstopped(&error.message)
                    )
                }
                _ => "It has got its stop signal.".to_owned(),
            },
            RunState::Stopped if self.is_removed() => "Nothing runs of it.".to_owned(),
            RunState::Stopped if self.is_stopped_by_hand => "It was stopped by hand.".to_owned(),
            RunState::Stopped => "It ended with success and is done.".to_owned(),
            RunState::Failed => self.failure(),
            RunState::Invalid => "Nothing runs of it, and nothing ran before.".to_owned(),
        })
    }

    /// No instance of it was ever there, as far as anybody remembers.
    fn never_ran(&self) -> bool {
        self.state.started_at.is_none() && self.exits.is_empty()
    }

    /// Its process cannot be seen.
    fn unseen(&self, trouble: &KeeperTrouble) -> String {
        let pid = self.state.os_pid;
        let seen = pid.map_or_else(
            || "No process of it has been seen yet".to_owned(),
            |pid| format!("It was process {pid} when it was last seen"),
        );
        format!(
            "{seen}. Whether it still runs is not known since {} ago: the keeper does not answer: {}.",
            age(self.now_ms, trouble.since_ms),
            unstopped(&trouble.why)
        )
    }

    fn running(&self) -> String {
        let state = self.state;
        let since = state
            .started_at
            .as_deref()
            .and_then(millis)
            .map(|at_ms| age(self.now_ms, at_ms));
        let since = since.map_or_else(String::new, |since| format!(" for {since}"));
        let pid = state
            .os_pid
            .map_or_else(String::new, |pid| format!(" as process {pid}"));
        let health = self.health();
        format!(
            "{} has run{since}{pid} and {health}.",
            self.shown(state.version.as_ref())
        )
    }

    /// How it fares, and what its checks found last.
    fn health(&self) -> String {
        let checks = self.state.checks.as_ref();
        let failing = checks.and_then(|checks| {
            let since_ms = checks.failing_since.as_deref().and_then(millis)?;
            Some(format!(
                "{} since {} ago",
                checks.failing()?,
                age(self.now_ms, since_ms)
            ))
        });
        let newest = || Some(checks?.reasons.first()?.reason.clone());
        match (self.state.health, failing) {
            (HealthState::Healthy, None) => "is healthy".to_owned(),
            (HealthState::Healthy, Some(failing)) => format!("is healthy, though its checks fail: {failing}"),
            (HealthState::Unhealthy, failing) => match failing.or_else(newest) {
                Some(failing) => format!("is not healthy: {failing}"),
                None => "is not healthy".to_owned(),
            },
            (HealthState::Unknown, failing) => match failing.or_else(newest) {
                Some(failing) => format!("has yet to prove healthy: {failing}"),
                None => "has yet to prove healthy".to_owned(),
            },
        }
    }

    /// What was asked for and is not in force while something else runs.
    fn unapplied(&self) -> String {
        let is_another = self
            .desired
            .is_some_and(|desired| self.state.digest.as_ref() != Some(&desired.digest));
        let error = self
            .state
            .last_error
            .as_ref()
            .filter(|_| self.state.sync != SyncState::Error);
        match error {
            Some(error) if error.code == UPGRADE_FAILED => {
                format!(
                    " It did not come up and stays all the same (`on_failure: halt`): {}; `osier rollback {}` brings the last \
                     good version back.",
                    unstopped(&error.message),
                    self.state.name
                )
            }
            Some(error) if is_another && self.is_rolled_back() => {
                format!(" It was taken back: {}.", unstopped(&error.message))
            }
            Some(error) if is_another => {
                format!(
                    " What is asked for could not be brought about: {}.",
                    unstopped(&error.message)
                )
            }
            _ => String::new(),
        }
    }

    /// What it runs without, though it was asked for (`enforce = "best_effort"`).
    fn not_in_force(&self) -> Option<String> {
        let not_enforced = &self.state.not_enforced;
        (!not_enforced.is_empty())
            .then(|| format!("It runs without what was asked for: {}.", not_enforced.join("; ")))
    }

    /// In what it differs from git, which is not applied to it.
    fn difference(&self) -> Option<String> {
        if self.state.manual || self.hold.is_none() {
            return None;
        }
        let changes = changes(self.applied?, self.desired?);
        // Whether git is applied is no difference in what runs.
        let fields = changes.iter().filter(|change| change.path != "suspend");
        let mut fields: Vec<String> = fields.map(|change| shown(&change.path)).collect();
        let count = fields.len();
        if count > FIELDS_MAX {
            fields.truncate(FIELDS_MAX);
            fields.push(format!("{} more fields", count - FIELDS_MAX));
        }
        (count > 0).then(|| format!("It differs from what git asks for in {}.", listed(&fields)))
    }

    fn failure(&self) -> String {
        let policy = self.policy();
        let is_limit = self.state.restarts > 0 && policy.kind != RestartType::Temporary;
        let limit = if is_limit {
            let period = Span::from_millis(u64::try_from(policy.period.as_millis()).unwrap_or(u64::MAX));
            let unit = if policy.intensity == 1 {
                "restart"
            } else {
                "restarts"
            };
            format!(" after more than {} {unit} within {period}", policy.intensity)
        } else {
            String::new()
        };
        format!("It gave up{limit}: {}.", self.cause())
    }

    /// Why it does not run, in a few words.
    fn cause(&self) -> String {
        let error = self.state.last_error.as_ref();
        match (self.exits.first(), error) {
            (Some(end), Some(error)) if error.message == end.how => {
                format!("it ended with {} after {}", end.how, span(end.ran_ms))
            }
            (_, Some(error)) => unstopped(&error.message).to_owned(),
            (Some(end), None) => format!("it ended with {} after {}", end.how, span(end.ran_ms)),
            (None, None) => "nobody knows why".to_owned(),
        }
    }

    fn last_end(&self) -> String {
        let end = self.exits.first();
        end.map_or_else(String::new, |end| {
            format!(" It ended with {} after {}.", end.how, span(end.ran_ms))
        })
    }

    /// What it said before it ended badly.
    fn last_words(&self) -> Option<String> {
        let is_down = matches!(
            self.state.status,
            RunState::Backoff | RunState::Failed | RunState::Starting
        );
        let end = self.exits.first().filter(|_| is_down)?;
        let skipped = self.last_words.len().saturating_sub(LAST_WORDS_LINES_MAX);
        let lines: Vec<&str> = self
            .last_words
            .iter()
            .skip(skipped)
            .map(|line| line.trim())
            .collect();
        let words = lines.join(" / ");
        let words: String = words.chars().take(LAST_WORDS_CHARS_MAX).collect();
        (!words.is_empty()).then(|| format!("Last words ({}): \"{words}\".", end.how))
    }

    fn waited_for(&self) -> String {
        if self.state.waits_for.is_empty() {
            return "others".to_owned();
        }
        listed(&self.state.waits_for)
    }

    fn shown(&self, version: Option<&Version>) -> String {
        version.map_or_else(|| "something else".to_owned(), ToString::to_string)
    }

    fn policy(&self) -> RestartPolicy {
        let spec = self.desired.or(self.applied).map(|app| &app.spec);
        spec.map_or_else(|| Restart::default().policy(), |spec| spec.restart.policy())
    }
}

/// `a, b and c`.
fn listed(words: &[impl AsRef<str>]) -> String {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    match words.split_last() {
        None => String::new(),
        Some((only, [])) => (*only).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

/// Without the full stop that the sentence brings itself.
fn unstopped(message: &str) -> &str {
    message.trim_end_matches('.')
}

fn millis(at: &str) -> Option<u64> {
    let at: jiff::Timestamp = at.parse().ok()?;
    u64::try_from(at.as_millisecond()).ok()
}

fn age(now_ms: u64, at_ms: u64) -> String {
    span(now_ms.saturating_sub(at_ms))
}

mod next;
#[cfg(test)]
mod tests;
