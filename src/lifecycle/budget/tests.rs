//! OTP's window, our back-off, and a budget of a million that costs no million entries.

use super::*;
use crate::specs::app_spec::RestartType;

fn policy(intensity: u32, period_ms: u64, initial_ms: u64, max_ms: u64) -> RestartPolicy {
    RestartPolicy {
        kind: RestartType::Permanent,
        intensity,
        period: Duration::from_millis(period_ms),
        backoff_initial: Duration::from_millis(initial_ms),
        backoff_max: Duration::from_millis(max_ms),
    }
}

fn delay_ms(spent: Spent) -> Option<u128> {
    match spent {
        Spent::Within(delay) => Some(delay.as_millis()),
        Spent::Exceeded => None,
    }
}

#[test]
fn as_many_restarts_as_the_intensity_are_allowed_and_not_one_more() {
    let policy = policy(3, 10_000, 0, 0);
    let mut budget = Budget::default();
    let spent: Vec<_> = [0, 1, 2, 3, 10_000, 10_001]
        .map(|at_ms| delay_ms(budget.spend(&policy, Jitter::NONE, at_ms)))
        .into();
    // An entry that is exactly `period` old still counts, as in OTP; one millisecond later it does not.
    assert_eq!(spent, [Some(0), Some(0), Some(0), None, None, Some(0)]);
    assert_eq!(budget.recent(policy.period, 10_001), 3);
}

#[test]
fn an_intensity_of_zero_allows_none() {
    assert_eq!(
        Budget::default().spend(&policy(0, 10_000, 0, 0), Jitter::NONE, 0),
        Spent::Exceeded
    );
}

#[test]
fn the_delay_doubles_up_to_its_maximum_and_begins_anew_after_health() {
    let policy = policy(100, 1, 1_000, 5_000);
    let mut budget = Budget::default();
    let next = |budget: &mut Budget, at_ms| delay_ms(budget.spend(&policy, Jitter::NONE, at_ms));
    let delays: Vec<_> = (0..5).map(|index| next(&mut budget, index * 100)).collect();
    assert_eq!(delays, [1_000, 2_000, 4_000, 5_000, 5_000].map(Some));
    budget.end_streak();
    assert_eq!(next(&mut budget, 1_000), Some(1_000));
    for index in 0..200 {
        assert!(
            next(&mut budget, 2_000 + index * 100) <= Some(5_000),
            "no overflow at the {index}th"
        );
    }
}

#[test]
fn no_back_off_is_no_delay_whatever_the_streak() {
    let policy = policy(u32::MAX, 1_000, 0, 300_000);
    let mut budget = Budget::default();
    for at_ms in 0..100 {
        assert_eq!(
            budget.spend(&policy, Jitter::from_random(at_ms), at_ms),
            Spent::Within(Duration::ZERO)
        );
    }
}

#[test]
fn jitter_stays_within_a_fifth() {
    let second = Duration::from_secs(1);
    let delays: Vec<_> = (0..10_000)
        .map(|random| Jitter::from_random(random * 7_919).applied_to(second))
        .collect();
    let (least, most) = (delays.iter().min().unwrap(), delays.iter().max().unwrap());
    assert_eq!((least.as_millis(), most.as_millis()), (800, 1_200));
    assert_eq!(Jitter::NONE.applied_to(second), second);
}

#[test]
fn a_large_budget_is_held_in_few_entries_and_never_overdrawn() {
    let policy = policy(100_000, 60_000, 0, 0);
    let mut budget = Budget::default();
    let mut allowed: VecDeque<u64> = VecDeque::new();
    // Three restarts a millisecond for a minute would be 180,000.
    for step in 0..180_000_u64 {
        let at_ms = step / 3;
        if budget.spend(&policy, Jitter::NONE, at_ms) != Spent::Exceeded {
            allowed.push_back(at_ms);
        }
    }
    assert_eq!(allowed.len(), 100_000);
    assert!(
        budget.recent.len() <= 2 * EXACT_RESTARTS_MAX + 2,
        "{}",
        budget.recent.len()
    );
    // Long after, all of it is there again.
    assert_ne!(budget.spend(&policy, Jitter::NONE, 200_000), Spent::Exceeded);
    assert_eq!(budget.recent(policy.period, 200_000), 1);
}

#[test]
fn a_wall_clock_that_was_set_back_makes_no_restart_last_for_ever() {
    let policy = policy(1, 10_000, 0, 0);
    let mut budget = Budget::default();
    let year_ahead = 31_536_000_000;
    assert_ne!(budget.spend(&policy, Jitter::NONE, year_ahead), Spent::Exceeded);
    budget.resume(1_000);
    assert_eq!(budget.spend(&policy, Jitter::NONE, 2_000), Spent::Exceeded);
    assert_ne!(budget.spend(&policy, Jitter::NONE, 11_001), Spent::Exceeded);
}
