//! How an app is asked how it fares: by [`http`], by [`tcp`], or by a function of the host ([`custom`]).
//!
//! Each asks once, of a server on this machine, and answers in words. Who asks when, how long an answer may take, and what
//! follows from it, is decided elsewhere.

pub mod custom;
pub mod http;
pub mod tcp;

/// Of what somebody said so many characters are shown.
const SHOWN_CHARS_MAX: usize = 100;

/// The first line of what somebody sent or wrote, short and without control characters.
#[must_use]
pub fn readable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    let chars = line.unwrap_or_default().chars().take(SHOWN_CHARS_MAX);
    chars.map(|c| if c.is_control() { ' ' } else { c }).collect()
}
