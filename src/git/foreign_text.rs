//! What servers, tools and gix say, made fit for our messages: in one line, escaped, cut, without credentials.

/// An error with everything that caused it, outermost first.
pub(super) fn causes(error: &gix::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    error
        .iter_errors()
        .flat_map(|first| std::iter::successors(Some(first), |cause| cause.source()).take(CAUSES_MAX))
}

/// How far a chain of causes is followed.
const CAUSES_MAX: usize = 16;

/// The messages of an error and its causes in one line, each once.
pub(super) fn chain_text(error: &gix::Error) -> String {
    let mut texts: Vec<String> = Vec::new();
    for cause in causes(error).take(CAUSES_MAX) {
        let text = cause.to_string();
        let line = text.lines().next().unwrap_or_default().trim().to_owned();
        if !line.is_empty() && !texts.iter().any(|said| said.contains(&line)) {
            texts.push(line);
        }
    }
    said(&texts.join(": "))
}

/// The longest text of a server or tool that goes into a message.
const SAID_CHARS_MAX: usize = 300;

/// A foreign text in one line: control characters escaped, cut, and with whatever looks like `user:password@` in a URL
/// taken out.
pub(super) fn said(text: &str) -> String {
    let mut line: String = text
        .trim()
        .chars()
        .take(SAID_CHARS_MAX)
        .flat_map(|c| {
            if c.is_control() {
                c.escape_default().collect::<Vec<_>>()
            } else {
                vec![c]
            }
        })
        .collect();
    if text.trim().chars().nth(SAID_CHARS_MAX).is_some() {
        line.push('…');
    }
    without_userinfo(&line)
}

fn without_userinfo(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("://") {
        shown.push_str(before);
        shown.push_str("://");
        let end = after
            .find(|c: char| c.is_whitespace() || "/'\"`)>".contains(c))
            .unwrap_or(after.len());
        let (authority, tail) = after.split_at(end);
        match authority.rsplit_once('@') {
            Some((_, host)) => {
                shown.push_str("***@");
                shown.push_str(host);
            }
            None => shown.push_str(authority),
        }
        rest = tail;
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_texts_are_escaped_cut_and_lose_credentials() {
        assert_eq!(said("fatal: \u{1b}[31mno\n"), "fatal: \\u{1b}[31mno");
        assert_eq!(
            said("cannot open https://me:hunter2@host/x and http://tok@h"),
            "cannot open https://***@host/x and http://***@h"
        );
        assert!(said(&"x".repeat(1000)).chars().count() <= SAID_CHARS_MAX + 1);
    }
}
