//! One line of a log, and how it is shown.

use jiff::Timestamp;

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it was written, ms since the epoch.
    pub at_ms: i64,
    /// The first eight digits of the run's instance.
    pub run: String,
    /// What it is.
    pub kind: LineKind,
    /// The app's bytes as they came.
    pub text: Vec<u8>,
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineKind {
    /// Of the app's.
    Line,
    /// Goes on with the one before, which was too long for one.
    Continued,
    /// The keeper's own.
    Remark,
}

impl LogLine {
    /// Out of a line of the file; none for what the keeper did not write.
    #[must_use]
    pub fn parse(raw: &[u8]) -> Option<Self> {
        let mut parts = raw.splitn(4, |byte| *byte == b' ');
        let at: Timestamp = std::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
        let run = std::str::from_utf8(parts.next()?).ok()?.to_owned();
        let kind = match parts.next()? {
            b"|" => LineKind::Line,
            b"+" => LineKind::Continued,
            b"!" => LineKind::Remark,
            _ => return None,
        };
        Some(Self {
            at_ms: at.as_millisecond(),
            run,
            kind,
            text: parts.next()?.to_vec(),
        })
    }

    /// The text fit for a terminal and for JSON: see [`shown`].
    #[must_use]
    pub fn shown(&self) -> String {
        shown(&self.text)
    }
}

/// `bytes` with everything escaped that could steer a terminal or mislead its reader: control characters, invalid
/// bytes, and characters that turn the direction of writing or are not seen.
#[must_use]
pub fn shown(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            if is_harmless(char) {
                text.push(char);
            } else {
                text.extend(char.escape_unicode());
            }
        }
        for byte in chunk.invalid() {
            text.extend(std::ascii::escape_default(*byte).map(char::from));
        }
    }
    text
}

fn is_harmless(char: char) -> bool {
    let misleads = matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    char == '\t' || !(char.is_control() || misleads)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_whatever_its_text_is() {
        let line = LogLine::parse(b"2026-11-23T20:03:11.120Z 0123abcd | a  \xff | b").unwrap();
        assert_eq!(
            (line.at_ms, line.run.as_str(), line.kind),
            (1_795_464_191_120, "0123abcd", LineKind::Line)
        );
        assert_eq!(line.text, b"a  \xff | b");
        let empty = LogLine::parse(b"2026-11-23T20:03:11.120Z 0123abcd ! ").unwrap();
        assert_eq!((empty.kind, empty.text.len()), (LineKind::Remark, 0));
    }

    #[test]
    fn anything_else_is_none() {
        for raw in [
            b"".as_slice(),
            b"text",
            b"2026-11-23T20:03:11.120Z 0123abcd ? x",
            b"now 0123abcd | x",
            b"\xff \xff \xff \xff",
        ] {
            assert_eq!(LogLine::parse(raw), None);
        }
    }

    #[test]
    fn what_could_steer_a_terminal_is_escaped() {
        assert_eq!(shown("grün\t😀".as_bytes()), "grün\t😀");
        assert_eq!(
            shown(b"\x1b]0;title\x07\r\0"),
            "\\u{1b}]0;title\\u{7}\\u{d}\\u{0}"
        );
        assert_eq!(shown(b"a\xff\xfe\xc3"), "a\\xff\\xfe\\xc3");
        assert_eq!(shown("\u{202e}abc\u{9b}31m".as_bytes()), "\\u{202e}abc\\u{9b}31m");
    }
}
