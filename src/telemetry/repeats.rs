//! Keeps a log from saying the same thing for ever: of a repeated line, the first, each change, and now and then how
//! often it was held back.

use std::time::{Duration, Instant};

/// How long a line that stays the same is held back.
pub const REMIND_AFTER: Duration = Duration::from_secs(3_600);

/// What to do with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Log it. So many like it were held back since the last time.
    Say {
        /// How many.
        held_back: u64,
    },
    /// It was said.
    HoldBack,
}

/// Remembers the last line about one thing. It has no clock: whoever asks says when.
#[derive(Debug, Clone, Default)]
pub struct Repeats {
    last: Option<(String, Instant)>,
    held_back: u64,
}

impl Repeats {
    /// May `line` be logged `now`?
    pub fn ask(&mut self, line: &str, now: Instant) -> Repeat {
        if let Some((last, said_at)) = &self.last
            && last == line
            && now.saturating_duration_since(*said_at) < REMIND_AFTER
        {
            self.held_back += 1;
            return Repeat::HoldBack;
        }
        self.last = Some((line.to_owned(), now));
        Repeat::Say {
            held_back: std::mem::take(&mut self.held_back),
        }
    }

    /// It is over: the same line is news again.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_line_is_said_once_an_hour_and_a_new_one_at_once() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(repeats.ask("no route", at(0)), Repeat::Say { held_back: 0 });
        assert_eq!(repeats.ask("no route", at(1)), Repeat::HoldBack);
        assert_eq!(repeats.ask("no route", at(3_599)), Repeat::HoldBack);
        assert_eq!(repeats.ask("no route", at(3_600)), Repeat::Say { held_back: 2 });
        assert_eq!(repeats.ask("refused", at(3_601)), Repeat::Say { held_back: 0 });
        assert_eq!(repeats.ask("no route", at(3_602)), Repeat::Say { held_back: 0 });
        repeats.forget();
        assert_eq!(repeats.ask("no route", at(3_603)), Repeat::Say { held_back: 0 });
    }
}
