//! What an app says about itself by the protocol of `sd_notify`: `READY=1`, `STATUS=…`, `WATCHDOG=1`. Pure.

use serde::{Deserialize, Serialize};

/// A longer datagram is nobody's: `READY=1` and a status take some hundred bytes.
pub const DATAGRAM_BYTES_MAX: usize = 4096;
/// More lines of a datagram are not read.
const LINES_MAX: usize = 64;
/// A status is cut after so many characters.
const STATUS_CHARS_MAX: usize = 200;

/// All that an instance has said so far.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Notice {
    /// `READY=1` was said.
    pub is_ready: bool,
    /// The last `STATUS=`, control characters replaced; empty: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// How often `WATCHDOG=1` was said.
    #[serde(default)]
    pub alive_count: u64,
    /// How often `WATCHDOG=trigger` was said: the app itself finds that something is wrong.
    #[serde(default)]
    pub trigger_count: u64,
    /// Nobody hears it at present.
    #[serde(skip)]
    pub is_deaf: bool,
}

impl Notice {
    /// Takes in one datagram. What is not known is left aside, as the protocol wants it. Whether anything was.
    pub fn hear(&mut self, datagram: &[u8]) -> bool {
        let before = self.clone();
        let lines = datagram.split(|byte| *byte == b'\n').take(LINES_MAX);
        for line in lines {
            match line {
                b"READY=1" => self.is_ready = true,
                b"WATCHDOG=1" => self.alive_count = self.alive_count.saturating_add(1),
                b"WATCHDOG=trigger" => self.trigger_count = self.trigger_count.saturating_add(1),
                _ => {
                    if let Some(status) = line.strip_prefix(b"STATUS=") {
                        self.status = Some(readable(status)).filter(|status| !status.is_empty());
                    }
                }
            }
        }
        *self != before
    }

    /// Goes on from `before`, which another ear has heard of the same instance: what was said stays said.
    pub fn follow(&mut self, before: &Self) {
        self.is_ready |= before.is_ready;
        if self.status.is_none() {
            self.status.clone_from(&before.status);
        }
    }
}

fn readable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let chars = text.trim().chars().take(STATUS_CHARS_MAX);
    chars.map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_words_of_the_protocol_are_understood_and_others_left_aside() {
        let mut notice = Notice::default();
        assert!(!notice.hear(b"MAINPID=7\nREADY=0\nready=1\nREADY=1 \nFDSTORE=1\n"));
        assert!(notice.hear(b"READY=1\nSTATUS=Serving 12 requests\n"));
        assert!(notice.is_ready);
        assert_eq!(notice.status.as_deref(), Some("Serving 12 requests"));
        assert!(notice.hear(b"WATCHDOG=1") && notice.hear(b"WATCHDOG=1\nWATCHDOG=1"));
        assert!(notice.hear(b"WATCHDOG=trigger"));
        assert_eq!((notice.alive_count, notice.trigger_count), (3, 1));
        // An empty one takes the status back.
        assert!(notice.hear(b"STATUS="));
        assert_eq!(notice.status, None);
    }

    #[test]
    fn a_status_is_bounded_and_moves_no_cursor() {
        let mut notice = Notice::default();
        let long = [b"STATUS=\x1b[2J\xff\r".as_slice(), &[b'x'; 4000]].concat();
        notice.hear(&long);
        let status = notice.status.unwrap();
        assert_eq!(status.chars().count(), STATUS_CHARS_MAX);
        assert!(!status.chars().any(char::is_control));
    }

    #[test]
    fn what_another_ear_heard_stays_said() {
        let mut before = Notice::default();
        before.hear(b"READY=1\nSTATUS=up");
        let mut notice = Notice::default();
        notice.follow(&before);
        assert_eq!((notice.is_ready, notice.status.as_deref()), (true, Some("up")));
    }

    proptest! {
        #[test]
        fn no_datagram_does_harm(datagram in proptest::collection::vec(any::<u8>(), 0..DATAGRAM_BYTES_MAX)) {
            let mut notice = Notice::default();
            notice.hear(&datagram);
            prop_assert!(notice.status.is_none_or(|status| status.chars().count() <= STATUS_CHARS_MAX));
        }
    }
}
