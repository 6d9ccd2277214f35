//! The health of one instance from what its checks find, and when to check again. Pure.
//!
//! Checks that count begin once an interval. An app that has just been started and was never well is looked at more often
//! in between: its dependants should not wait half a minute for an app that was ready after a second. What these extra
//! looks find wrong is shown, but counts for nothing. Nor is it ill in its first seconds because nobody listens yet.

use std::collections::VecDeque;
use std::time::Duration;

use crate::specs::app_spec::{HealthKind, HealthPolicy};
use crate::status::HealthState;
use crate::status::health::{HealthFailure, HealthReport, REASONS_MAX};
use crate::status::time::rfc3339;

/// The pause before the first extra look; it doubles.
const EXTRA_WAIT_MS: u64 = 100;
/// The longest pause between extra looks.
const EXTRA_WAIT_MS_MAX: u64 = 2_000;
/// The least time from one check to the next, whatever a spec says: a check costs something.
const PAUSE_MS_MIN: u64 = 50;
/// How long after its first check an app that was never well is still coming up: until then only a check that hangs, or the
/// app's own word, makes it ill.
const START_MS: u64 = 10_000;
/// A reason is cut after so many characters.
const REASON_CHARS_MAX: usize = 300;

/// What a check has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The app is well.
    Well,
    /// It is not.
    Ill(Illness),
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Illness {
    /// In words.
    pub reason: String,
    /// How much that says.
    pub weight: Weight,
}

/// How much one failure says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// One of those that have to come together.
    Counted,
    /// The same; and the app took the whole time that it had, so it is not asked more often than it must.
    Hung,
    /// Enough by itself: the app's own word, or the longest silence that was agreed.
    Final,
    /// Nothing about the app: nobody could look.
    Nothing,
}

impl Finding {
    /// A failure that counts.
    #[must_use]
    pub fn ill(reason: impl Into<String>) -> Self {
        Self::weighing(Weight::Counted, reason)
    }

    /// A failure of this weight.
    #[must_use]
    pub fn weighing(weight: Weight, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::Ill(Illness { reason, weight })
    }
}

/// The health of one instance.
#[derive(Debug, Clone)]
pub struct Checkup {
    policy: HealthPolicy,
    health: HealthState,
    failures: u32,
    successes: u32,
    failing_since_ms: Option<u64>,
    /// Newest first.
    reasons: VecDeque<(u64, String)>,
    status: Option<String>,
    /// When the next check that counts is due.
    counted_at_ms: u64,
    /// When an extra look is due before that.
    extra_at_ms: Option<u64>,
    extra_wait_ms: u64,
    /// Until then it may still be coming up; none: it was well once.
    starts_until_ms: Option<u64>,
}

impl Checkup {
    /// Of an instance that runs since `began_ms`, of which `known` was the last word.
    #[must_use]
    pub fn new(policy: HealthPolicy, known: HealthState, began_ms: u64, now_ms: u64) -> Self {
        // Whoever speaks by itself is not asked: the first look is at what it has said within the first interval.
        let first = match policy.kind {
            HealthKind::Notify => policy.initial_delay.saturating_add(policy.interval),
            HealthKind::Http | HealthKind::Tcp | HealthKind::Command | HealthKind::Custom => {
                policy.initial_delay
            }
        };
        let first_at_ms = began_ms.saturating_add(millis(first));
        // An app that was taken over has not begun just now, and what it said before may be forgotten.
        let counted_at_ms = match policy.kind {
            HealthKind::Notify if first_at_ms < now_ms => now_ms.saturating_add(millis(policy.interval)),
            _ => first_at_ms.max(now_ms),
        };
        Self {
            policy,
            health: known,
            failures: 0,
            successes: 0,
            failing_since_ms: None,
            reasons: VecDeque::new(),
            status: None,
            counted_at_ms,
            extra_at_ms: None,
            extra_wait_ms: EXTRA_WAIT_MS,
            starts_until_ms: (known != HealthState::Healthy)
                .then(|| began_ms.saturating_add(millis(policy.initial_delay) + START_MS)),
        }
    }

    /// When to check next.
    #[must_use]
    pub fn due_at_ms(&self) -> u64 {
        self.extra_at_ms.unwrap_or(self.counted_at_ms)
    }

    /// What follows so far.
    #[must_use]
    pub fn health(&self) -> HealthState {
        self.health
    }

    /// The check that was due has found this. Whether anything that is shown is another now.
    pub fn take(&mut self, finding: &Finding, now_ms: u64) -> bool {
        let is_extra = self.extra_at_ms.take().is_some();
        if !is_extra {
            self.counted_at_ms = self.counted_at_ms.saturating_add(millis(self.policy.interval));
        }
        // A check that took long is followed by one, and not by all that were missed.
        self.counted_at_ms = self.counted_at_ms.max(now_ms.saturating_add(PAUSE_MS_MIN));
        let is_news = self.judge(finding, !is_extra, now_ms);
        if self.is_looked_at_more_often(finding) {
            let extra_at_ms = now_ms.saturating_add(self.extra_wait_ms);
            self.extra_wait_ms = (self.extra_wait_ms * 2).min(EXTRA_WAIT_MS_MAX);
            self.extra_at_ms = Some(extra_at_ms).filter(|at_ms| *at_ms < self.counted_at_ms);
        }
        is_news
    }

    /// The app itself, or its silence, says this; no check was due. Whether anything that is shown is another now.
    pub fn hear(&mut self, finding: &Finding, now_ms: u64) -> bool {
        self.judge(finding, true, now_ms)
    }

    /// What the app says about itself. Whether that is news.
    pub fn hear_status(&mut self, status: Option<&str>) -> bool {
        let is_news = self.status.as_deref() != status;
        if is_news {
            self.status = status.map(str::to_owned);
        }
        is_news
    }

    fn is_looked_at_more_often(&self, finding: &Finding) -> bool {
        let may_come_up = match finding {
            Finding::Ill(illness) => illness.weight == Weight::Counted,
            // More than one success is wanted, each an interval after the other.
            Finding::Well => false,
        };
        may_come_up && self.health == HealthState::Unknown && self.policy.kind != HealthKind::Notify
    }

    fn judge(&mut self, finding: &Finding, counts: bool, now_ms: u64) -> bool {
        match finding {
            Finding::Well => self.is_well(),
            Finding::Ill(illness) => self.is_ill(illness, counts, now_ms),
        }
    }

    fn is_well(&mut self) -> bool {
        let was_failing = self.failures > 0;
        self.failures = 0;
        self.failing_since_ms = None;
        self.successes = self.successes.saturating_add(1);
        let is_turned =
            self.health != HealthState::Healthy && self.successes >= self.policy.success_threshold;
        if is_turned {
            self.health = HealthState::Healthy;
            self.starts_until_ms = None;
        }
        was_failing || is_turned
    }

    fn is_ill(&mut self, illness: &Illness, counts: bool, now_ms: u64) -> bool {
        let is_new_reason = self.remember(&illness.reason, now_ms);
        if !counts || illness.weight == Weight::Nothing {
            return is_new_reason;
        }
        self.successes = 0;
        self.failures = self.failures.saturating_add(1);
        self.failing_since_ms.get_or_insert(now_ms);
        let is_up =
            illness.weight == Weight::Hung || self.starts_until_ms.is_none_or(|until_ms| until_ms <= now_ms);
        let is_enough = self.failures >= self.policy.failure_threshold && is_up;
        if is_enough || illness.weight == Weight::Final {
            self.health = HealthState::Unhealthy;
        }
        true
    }

    /// Whether it is another reason than the one before.
    fn remember(&mut self, reason: &str, now_ms: u64) -> bool {
        let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
        if let Some((at_ms, newest)) = self.reasons.front_mut()
            && *newest == reason
        {
            *at_ms = now_ms;
            return false;
        }
        self.reasons.push_front((now_ms, reason));
        self.reasons.truncate(REASONS_MAX);
        true
    }

    /// As it is shown.
    #[must_use]
    pub fn report(&self) -> HealthReport {
        let reasons = self.reasons.iter().map(|(at_ms, reason)| HealthFailure {
            at: rfc3339(*at_ms),
            reason: reason.clone(),
        });
        HealthReport {
            kind: self.policy.kind,
            health: self.health,
            failures: self.failures,
            failing_since: self.failing_since_ms.map(rfc3339),
            reasons: reasons.collect(),
            status: self.status.clone(),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
