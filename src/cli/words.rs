//! Values in the words of people: times, durations, sizes, and text from elsewhere made safe for a terminal.

use std::borrow::Cow;

/// `text` with everything escaped that could steer a terminal or reorder what is read: control characters
/// (escape sequences with them), and Unicode's direction overrides.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_dangerous) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_dangerous(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

/// As [`escape`], but lines and tabs stay as they are.
pub(crate) fn escape_lines(text: &str) -> String {
    let lines: Vec<_> = text
        .split('\n')
        .map(|line| line.split('\t').map(escape).collect::<Vec<_>>().join("\t"))
        .collect();
    lines.join("\n")
}

fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Milliseconds since the epoch of an RFC 3339 time.
pub(crate) fn millis_of(rfc3339: &str) -> Option<i64> {
    rfc3339
        .parse::<jiff::Timestamp>()
        .ok()
        .map(jiff::Timestamp::as_millisecond)
}

/// The time of day on this machine, or date and time if that was not today.
pub(crate) fn clock(at_ms: i64, now_ms: i64) -> String {
    let local = |ms: i64| {
        jiff::Timestamp::from_millisecond(ms)
            .ok()
            .map(|at| at.to_zoned(jiff::tz::TimeZone::system()))
    };
    let (Some(at), Some(now)) = (local(at_ms), local(now_ms)) else {
        return at_ms.to_string();
    };
    let form = if at.date() == now.date() {
        "%H:%M:%S%.3f"
    } else {
        "%Y-%m-%d %H:%M:%S"
    };
    at.strftime(form).to_string()
}

/// How long ago an RFC 3339 time was: `3m`; `-` where there is none.
pub(crate) fn age(rfc3339: Option<&str>, now_ms: i64) -> String {
    rfc3339
        .and_then(millis_of)
        .map_or_else(|| "-".to_owned(), |at| span(now_ms.saturating_sub(at)))
}

/// A length of time in its largest unit: `0s`, `12s`, `3m`, `2h`, `5d`. A negative one is none.
pub(crate) fn span(millis: i64) -> String {
    let ms = millis.max(0);
    match ms {
        0..60_000 => format!("{}s", ms / 1_000),
        60_000..3_600_000 => format!("{}m", ms / 60_000),
        3_600_000..86_400_000 => format!("{}h", ms / 3_600_000),
        _ => format!("{}d", ms / 86_400_000),
    }
}

/// How long something took: `850 ms`, `1.2 s`, `3 m 5 s`.
pub(crate) fn took(millis: u64) -> String {
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..60_000 => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
        _ => format!("{} m {} s", millis / 60_000, millis % 60_000 / 1_000),
    }
}

/// A size with its unit: `1.5 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // Tenths, so that no floating point is needed.
    let mut tenths = bytes.saturating_mul(10) / 1024;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    while tenths >= 10_240 {
        let Some(larger) = units.next() else { break };
        tenths /= 1024;
        unit = Some(larger);
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, unit.unwrap_or(&"KiB"))
}

/// `1 app`, `2 apps`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_elsewhere_cannot_steer_the_terminal() {
        assert_eq!(escape("plain ünïcode"), "plain ünïcode");
        assert_eq!(
            escape("\u{1b}]0;x\u{7}\u{202e}\n\u{9b}"),
            "\\u{1b}]0;x\\u{7}\\u{202e}\\n\\u{9b}"
        );
        assert_eq!(escape_lines("a\tb\nc\r"), "a\tb\nc\\r");
    }

    #[test]
    fn lengths_and_sizes_have_one_unit() {
        for (ms, text) in [
            (-5, "0s"),
            (999, "0s"),
            (59_999, "59s"),
            (60_000, "1m"),
            (7_200_000, "2h"),
            (172_800_000, "2d"),
        ] {
            assert_eq!(span(ms), text);
        }
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (10 << 20, "10.0 MiB"),
            (3 << 40, "3.0 TiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(
            (took(12), took(1_250), took(65_000)),
            ("12 ms".into(), "1.2 s".into(), "1 m 5 s".into())
        );
    }
}
