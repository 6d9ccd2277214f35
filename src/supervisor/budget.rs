//! How many restarts are still allowed: OTP's sliding window.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The restarts of the last `period`. Holds at most `intensity + 1` entries.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    spent: VecDeque<Instant>,
}

/// What became of an attempt to spend a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spent {
    /// It is within the intensity.
    Within,
    /// It would be one too many.
    Exceeded,
}

impl Budget {
    /// Counts a restart at `at` (monotonic). An entry that is exactly `period` old still counts, as in OTP's `supervisor.erl`.
    pub(crate) fn spend(&mut self, at: Instant, intensity: u32, period: Duration) -> Spent {
        while self
            .spent
            .front()
            .is_some_and(|&then| at.saturating_duration_since(then) > period)
        {
            self.spent.pop_front();
        }
        self.spent.push_back(at);
        if self.spent.len() <= intensity as usize {
            Spent::Within
        } else {
            Spent::Exceeded
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_exactly_as_old_as_the_period_still_counts() {
        let (start, period) = (Instant::now(), Duration::from_secs(5));
        let mut budget = Budget::default();
        assert_eq!(budget.spend(start, 1, period), Spent::Within);
        assert_eq!(budget.spend(start + period, 1, period), Spent::Exceeded);

        let mut budget = Budget::default();
        assert_eq!(budget.spend(start, 1, period), Spent::Within);
        let after = start + period + Duration::from_nanos(1);
        assert_eq!(budget.spend(after, 1, period), Spent::Within);
    }

    #[test]
    fn an_intensity_of_zero_allows_no_restart() {
        let mut budget = Budget::default();
        assert_eq!(
            budget.spend(Instant::now(), 0, Duration::from_secs(5)),
            Spent::Exceeded
        );
    }
}
