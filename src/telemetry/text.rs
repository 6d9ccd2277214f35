//! Words from repositories, apps and servers, made harmless before they are kept, logged or shown.

/// The longest text in a record, in characters.
pub const TEXT_CHARS_MAX: usize = 500;

/// `text` without control characters and credentials, cut to [`TEXT_CHARS_MAX`].
#[must_use]
pub fn safe(text: &str) -> String {
    let mut safe = String::with_capacity(text.len().min(TEXT_CHARS_MAX));
    for (count, c) in without_credentials(text).chars().enumerate() {
        if count >= TEXT_CHARS_MAX {
            safe.push('…');
            break;
        }
        if c.is_control() || is_invisible(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Characters that change how the text around them is shown.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// `text` with the user part of every URL in it replaced: `https://***@host/path`. A lone user of ssh is no secret.
#[must_use]
pub fn without_credentials(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        shown.push_str(before);
        shown.push_str("://");
        let end = after
            .find(|c: char| c.is_whitespace() || "/?#\"'`<>".contains(c))
            .unwrap_or(after.len());
        let (authority, beyond) = after.split_at(end);
        match authority.rsplit_once('@') {
            Some((user, host)) if user.contains(':') || !before.ends_with("ssh") => {
                shown.push_str("***@");
                shown.push_str(host);
            }
            _ => shown.push_str(authority),
        }
        rest = beyond;
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_go_and_the_rest_stays() {
        for (text, shown) in [
            (
                "cannot fetch https://me:secret@host/x.git: 401",
                "cannot fetch https://***@host/x.git: 401",
            ),
            ("https://token@host", "https://***@host"),
            (
                "https://a:b@c@host/x and http://d:e@f?g",
                "https://***@host/x and http://***@f?g",
            ),
            ("ssh://git@host/x", "ssh://git@host/x"),
            ("ssh://git:secret@host/x", "ssh://***@host/x"),
            ("git@host:path dana@example.org", "git@host:path dana@example.org"),
            ("https://host/a@b", "https://host/a@b"),
            ("", ""),
            ("://", "://"),
        ] {
            assert_eq!(without_credentials(text), shown);
        }
    }

    #[test]
    fn control_characters_are_escaped_and_long_texts_cut() {
        assert_eq!(safe("a\u{1b}[31m\nb\u{202e}c"), "a\\u{1b}[31m\\nb\\u{202e}c");
        let long = safe(&"ä".repeat(5_000));
        assert_eq!(long.chars().count(), TEXT_CHARS_MAX + 1);
        assert!(long.ends_with('…'));
    }
}
