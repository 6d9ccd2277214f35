//! `osier why`: one paragraph that says where an app comes from, why it is as it is, and what happens next. Pure.

use crate::names::{AppName, Version, shown};
use crate::plan::changes::changes;
use crate::rpc::procedures::PastExit;
use crate::specs::DesiredApp;
use crate::specs::app_spec::{Restart, RestartPolicy, RestartType};
use crate::specs::values::Span;
use crate::status::hold::{Hold, Until};
use crate::status::origin::Origin;
use crate::status::time::span;
use crate::status::unfollowed::Unfollowed;
use crate::status::{AppState, HealthState, KeeperTrouble, RunState, SyncState};

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
            1 => " It was restarted once.".to_owned(),
            count => format!(" It was restarted {count} times."),
        };
        Some(match state.status {
            RunState::Pending => match state.sync {
                SyncState::Suspended => "Nothing runs of it.".to_owned(),
                _ => "Nothing was done about it yet.".to_owned(),
            },
            RunState::Waiting => format!("Its first start waits for {}.", self.waited_for()),
            RunState::Fetching => "Its artefact is on the way; nothing runs before it is there.".to_owned(),
            RunState::Starting => format!("It is being started.{}", self.last_end()),
            RunState::Running => format!("{}{restarts}{}", self.running(), self.unapplied()),
            RunState::Upgrading => format!(
                "It gives way to {} just now.",
                self.shown(state.desired_version.as_ref())
            ),
            RunState::Backoff => format!("It does not run: {}.{restarts}", self.cause()),
            RunState::Stopping => "It has got its stop signal.".to_owned(),
            RunState::Stopped if self.is_removed() => "Nothing runs of it.".to_owned(),
            RunState::Stopped if self.is_stopped_by_hand => "It was stopped by hand.".to_owned(),
            RunState::Stopped => "It ended with success and is done.".to_owned(),
            RunState::Failed => self.failure(),
            RunState::Invalid => "Nothing runs of it, and nothing ran before.".to_owned(),
        })
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
        let health = match state.health {
            HealthState::Healthy => "is healthy",
            HealthState::Unhealthy => "is not healthy",
            HealthState::Unknown => "has yet to prove healthy",
        };
        format!(
            "{} has run{since}{pid} and {health}.",
            self.shown(state.version.as_ref())
        )
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

    /// What happens next, and when.
    fn next(&self) -> Option<String> {
        let app = &self.state.name;
        if self.unseen.is_some() {
            return Some("Next: it is looked for as soon as the keeper answers.".to_owned());
        }
        if self.state.sync == SyncState::Error {
            let kept = if self.state.status == RunState::Running {
                "What runs goes on. "
            } else {
                ""
            };
            return Some(format!("{kept}Next: a commit that mends the spec."));
        }
        Some(match self.state.status {
            RunState::Backoff => match self.state.next_try_at.as_deref().and_then(millis) {
                Some(at_ms) => format!(
                    "Next: it is tried again in {}.",
                    span(at_ms.saturating_sub(self.now_ms))
                ),
                None => "Next: it is tried again.".to_owned(),
            },
            RunState::Failed => format!(
                "Next: a commit that touches it, or `osier restart {app}`. Nothing more happens by itself."
            ),
            RunState::Stopped if self.is_removed() => return None,
            RunState::Stopped if self.is_stopped_by_hand => {
                format!("Next: `osier start {app}`, or a commit that touches it.")
            }
            RunState::Stopped => "Next: nothing, until a commit touches it.".to_owned(),
            RunState::Waiting => {
                let verb = if self.state.waits_for.len() > 1 {
                    "are"
                } else {
                    "is"
                };
                format!(
                    "Next: it starts when {} {verb} healthy.{}",
                    self.waited_for(),
                    self.in_vain()
                )
            }
            RunState::Invalid => "Next: a commit that mends the spec.".to_owned(),
            _ if self.state.sync == SyncState::Suspended => return None,
            RunState::Running if self.state.sync == SyncState::Orphaned => {
                "Its removal waits for an operator's word: see `osier status`.".to_owned()
            }
            RunState::Running if self.state.sync == SyncState::Synced && self.unfollowed.is_some() => {
                "Nothing is left to do for the accepted commit.".to_owned()
            }
            RunState::Running if self.state.sync == SyncState::Synced => "Nothing is left to do.".to_owned(),
            RunState::Running => match self.state.next_try_at.as_deref().and_then(millis) {
                Some(at_ms) => format!(
                    "Next: tried again in {}.",
                    span(at_ms.saturating_sub(self.now_ms))
                ),
                None if self.state.last_error.is_some() => format!(
                    "Next: a commit that touches it, or `osier restart {app}`. Nothing more happens by itself."
                ),
                None => return None,
            },
            RunState::Pending
            | RunState::Fetching
            | RunState::Starting
            | RunState::Upgrading
            | RunState::Stopping => {
                return None;
            }
        })
    }

    /// Until when git is not applied to it, and what ends that.
    fn held(&self) -> Option<String> {
        let app = &self.state.name;
        Some(match self.hold? {
            Hold::Changed(Until::NextReconcile) => {
                format!("The next reconcile undoes that{}.", self.next_look())
            }
            Hold::Removed(Until::NextReconcile) => {
                let again = format!("The next reconcile deploys it again{}", self.next_look());
                self.desired
                    .map(|_| format!("{again}; `osier resume {app}` does at once."))?
            }
            Hold::Removed(until) => format!("It stays so {}.", self.until(until, &format!(" {app}"))),
            Hold::Changed(until) | Hold::Suspended(until) => {
                format!(
                    "Git is not applied to it {}.",
                    self.until(until, &format!(" {app}"))
                )
            }
            Hold::NodeSuspended(until) => format!(
                "The node is suspended: git is applied to no app {}.",
                self.until(until, "")
            ),
            Hold::BySpec => {
                "Its spec suspends it: git is not applied to it until a commit changes that.".to_owned()
            }
        })
    }

    /// `for another 1 h, or until osier resume web`.
    fn until(&self, until: Until, what: &str) -> String {
        match until {
            Until::At(at_ms) => format!(
                "for another {}, or until `osier resume{what}`",
                span(at_ms.saturating_sub(self.now_ms))
            ),
            Until::Revoked | Until::NextReconcile => format!("until `osier resume{what}`"),
        }
    }

    fn next_look(&self) -> String {
        let wait_ms = self.next_look_ms.map(|at_ms| at_ms.saturating_sub(self.now_ms));
        wait_ms.map_or_else(String::new, |wait_ms| format!(", in {}", span(wait_ms)))
    }

    fn waited_for(&self) -> String {
        if self.state.waits_for.is_empty() {
            return "others".to_owned();
        }
        listed(&self.state.waits_for)
    }

    /// Who of those has given up, and is not tried again by itself.
    fn in_vain(&self) -> String {
        let verb = if self.waits_in_vain_for.len() > 1 {
            "have"
        } else {
            "has"
        };
        match self.waits_in_vain_for {
            [] => String::new(),
            [first, ..] => format!(
                " But {} {verb} given up: see `osier why {first}`.",
                listed(self.waits_in_vain_for)
            ),
        }
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

#[cfg(test)]
mod tests;
