//! When to look at the repository again. Pure.

use std::time::Duration;

/// Errors stretch the interval to at most so many times itself: a server that comes back is found soon.
const STRETCH_MAX: u32 = 4;
/// However long the interval is, errors stretch it to no more than this, unless it is longer by itself.
const STRETCHED_MAX: Duration = Duration::from_secs(300);
/// Nodes that were started together must not ask together: ±10 %.
const JITTER_SHARE: f64 = 0.1;

/// The wait before the next look, after `errors` failed ones in a row. `chance` is in 0.0..1.0.
pub(super) fn wait(interval: Duration, errors: u32, chance: f64) -> Duration {
    let stretch = 1_u32.checked_shl(errors).unwrap_or(STRETCH_MAX).min(STRETCH_MAX);
    let base = interval.saturating_mul(stretch).min(STRETCHED_MAX.max(interval));
    base.mul_f64(1.0 + JITTER_SHARE * (2.0 * chance.clamp(0.0, 1.0) - 1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn errors_stretch_the_interval_up_to_a_cap() {
        let seconds = |interval, errors| wait(Duration::from_secs(interval), errors, 0.5).as_secs();
        assert_eq!(
            [
                seconds(1, 0),
                seconds(1, 1),
                seconds(1, 2),
                seconds(1, 3),
                seconds(1, 60)
            ],
            [1, 2, 4, 4, 4]
        );
        assert_eq!(
            [seconds(60, 0), seconds(60, 2), seconds(200, 3), seconds(3600, 9)],
            [60, 240, 300, 3600]
        );
    }

    proptest! {
        #[test]
        fn jitter_stays_within_ten_per_cent(interval_ms in 1_u64..10_000_000, errors in 0_u32..100, chance in 0.0..1.0) {
            let interval = Duration::from_millis(interval_ms);
            let (plain, jittered) = (wait(interval, errors, 0.5), wait(interval, errors, chance));
            prop_assert!(jittered >= plain.mul_f64(0.899) && jittered <= plain.mul_f64(1.101));
        }
    }
}
