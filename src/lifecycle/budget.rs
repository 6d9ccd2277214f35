//! How often an app is restarted, and how long before each: OTP's intensity and period, with the back-off that OTP lacks.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::specs::app_spec::RestartPolicy;

/// A factor of 0.8 to 1.2 on a delay, so that apps that fell together do not rise together. Passed in: the decision is pure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jitter(u16);

impl Jitter {
    /// ±20 % (SPEC_FORMAT "Running"), in thousandths.
    const SPREAD: u16 = 200;
    /// No jitter.
    pub const NONE: Self = Self(1_000);

    /// From any number; equal numbers give equal jitter.
    #[must_use]
    pub fn from_random(random: u64) -> Self {
        let span = u64::from(2 * Self::SPREAD + 1);
        Self(1_000 - Self::SPREAD + u16::try_from(random % span).unwrap_or(Self::SPREAD))
    }

    pub(super) fn applied_to(self, delay: Duration) -> Duration {
        delay.saturating_mul(u32::from(self.0)) / 1_000
    }
}

/// Was there a restart left?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// Yes: start again after this delay.
    Within(Duration),
    /// No: more than `intensity` within `period`.
    Exceeded,
}

/// Restarts so far. Survives the daemon, so that a crash-looping app gets no fresh burst from each of its crashes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Restarts within the period, oldest first.
    recent: VecDeque<Burst>,
    /// Restarts one after the other without a healthy period between them: the exponent of the back-off.
    streak: u32,
    /// All automatic restarts that were carried out since the app was deployed.
    total: u64,
}

/// Restarts at about the same time. Up to [`EXACT_RESTARTS_MAX`] each stands alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Burst {
    first_at_ms: u64,
    last_at_ms: u64,
    count: u32,
}

/// Beyond so many restarts within a period they are counted in slices of it: a budget of a million restarts must not cost
/// a million entries. A slice leaves the window with its newest restart, so that no app ever gets more than its due.
const EXACT_RESTARTS_MAX: usize = 64;

/// The exponent beyond which no delay grows any more (2^40 ms are 34 years).
const STREAK_MAX: u32 = 40;

impl Budget {
    /// All automatic restarts that were carried out since the app was deployed.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// How many of them lie within `period` of `now_ms`.
    #[must_use]
    pub fn recent(&self, period: Duration, now_ms: u64) -> u32 {
        let is_recent = |burst: &&Burst| age(burst.last_at_ms, now_ms) <= period;
        self.recent
            .iter()
            .filter(is_recent)
            .map(|burst| burst.count)
            .sum()
    }

    /// Takes one restart out of the budget. The one that would be one too many is not taken.
    pub fn spend(&mut self, policy: &RestartPolicy, jitter: Jitter, now_ms: u64) -> Spent {
        // As in OTP an entry that is exactly `period` old still counts.
        while self
            .recent
            .front()
            .is_some_and(|burst| age(burst.last_at_ms, now_ms) > policy.period)
        {
            self.recent.pop_front();
        }
        let used: u32 = self.recent.iter().map(|burst| burst.count).sum();
        if used >= policy.intensity {
            return Spent::Exceeded;
        }
        self.note(policy.period, now_ms);
        let delay = jitter.applied_to(self.delay(policy));
        self.streak = (self.streak + 1).min(STREAK_MAX);
        Spent::Within(delay)
    }

    /// A restart that was decided is carried out. Some are not: an operator or another digest comes first.
    pub fn note_restart(&mut self) {
        self.total += 1;
    }

    /// The next delay before jitter: `initial` doubled once for each restart of the streak, up to `max`.
    fn delay(&self, policy: &RestartPolicy) -> Duration {
        let factor = 1_u32.checked_shl(self.streak).unwrap_or(u32::MAX);
        policy
            .backoff_initial
            .saturating_mul(factor)
            .min(policy.backoff_max)
    }

    fn note(&mut self, period: Duration, now_ms: u64) {
        let slice = period / u32::try_from(EXACT_RESTARTS_MAX).unwrap_or(1);
        let is_crowded = self.recent.len() >= EXACT_RESTARTS_MAX;
        match self.recent.back_mut() {
            Some(burst) if is_crowded && age(burst.first_at_ms, now_ms) <= slice => {
                burst.last_at_ms = now_ms;
                burst.count += 1;
            }
            _ => self.recent.push_back(Burst {
                first_at_ms: now_ms,
                last_at_ms: now_ms,
                count: 1,
            }),
        }
    }

    /// Takes up what an earlier daemon wrote. The wall clock may have been set back since: nothing lies in the future.
    pub fn resume(&mut self, now_ms: u64) {
        for burst in &mut self.recent {
            burst.first_at_ms = burst.first_at_ms.min(now_ms);
            burst.last_at_ms = burst.last_at_ms.min(now_ms);
        }
    }

    /// Is there a streak of restarts without a healthy period between them?
    #[must_use]
    pub fn is_in_streak(&self) -> bool {
        self.streak > 0
    }

    /// The app was healthy for `period`: back-off begins anew.
    pub fn end_streak(&mut self) {
        self.streak = 0;
    }

    /// Another digest, or an operator's word: everything begins anew but the total.
    pub fn refresh(&mut self) {
        self.streak = 0;
        self.recent.clear();
    }
}

fn age(at_ms: u64, now_ms: u64) -> Duration {
    Duration::from_millis(now_ms.saturating_sub(at_ms))
}

#[cfg(test)]
mod tests;
