//! `${…}`: the only expansion there is. `$${` writes `${`, any other `$` stays as it is.

use std::ops::Range;

/// The longest text that an expansion may produce, in bytes: the kernel takes 128 KiB for one argument or variable.
pub const EXPANDED_BYTES_MAX: usize = 64 * 1024;

/// Why a text cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpandError {
    /// Where in the text, in bytes.
    pub at: Range<usize>,
    /// What is wrong.
    pub reason: ExpandReason,
}

/// What is wrong with a `${…}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpandReason {
    /// No `}` follows.
    NotClosed,
    /// Nothing goes by that name.
    Unknown(String),
    /// The variable is defined by itself.
    Circle(String),
    /// The result is longer than [`EXPANDED_BYTES_MAX`].
    TooLong,
}

/// Expands `text`; `lookup` answers what a name between `${` and `}` stands for.
///
/// # Errors
/// The first `${…}` that cannot be expanded.
pub fn expand(
    text: &str,
    lookup: &mut dyn FnMut(&str) -> Result<String, ExpandReason>,
) -> Result<String, ExpandError> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        let offset = text.len().saturating_sub(rest.len()).saturating_add(dollar);
        let (before, from) = rest.split_at_checked(dollar).unwrap_or((rest, ""));
        result.push_str(before);
        if let Some(after) = from.strip_prefix("$${") {
            result.push_str("${");
            rest = after;
        } else if let Some(inner) = from.strip_prefix("${") {
            let error = |length: usize, reason| ExpandError {
                at: offset..offset.saturating_add(length),
                reason,
            };
            let (name, after) = inner
                .split_once('}')
                .ok_or_else(|| error(2, ExpandReason::NotClosed))?;
            let length = name.len().saturating_add(3);
            let value = lookup(name.trim()).map_err(|reason| error(length, reason))?;
            result.push_str(&value);
            if result.len() > EXPANDED_BYTES_MAX {
                return Err(error(length, ExpandReason::TooLong));
            }
            rest = after;
        } else {
            result.push('$');
            rest = from.strip_prefix('$').unwrap_or_default();
        }
    }
    result.push_str(rest);
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<String, ExpandError> {
        expand(text, &mut |name| match name {
            "a" => Ok("1".to_owned()),
            "big" => Ok("x".repeat(EXPANDED_BYTES_MAX + 1)),
            other => Err(ExpandReason::Unknown(other.to_owned())),
        })
    }

    #[test]
    fn only_dollar_brace_expands() {
        for (text, result) in [
            ("", ""),
            ("plain", "plain"),
            ("${a}", "1"),
            ("x${a}y${ a }z", "x1y1z"),
            ("$${a}", "${a}"),
            ("$$${a}", "$${a}"),
            ("$", "$"),
            ("$$", "$$"),
            ("$HOME $(id) `id` $a", "$HOME $(id) `id` $a"),
            ("ä$ä${a}ä", "ä$ä1ä"),
        ] {
            assert_eq!(expanded(text).unwrap(), result, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_expanded_is_named_with_its_place() {
        assert_eq!(
            expanded("ab${nope}").unwrap_err(),
            ExpandError {
                at: 2..9,
                reason: ExpandReason::Unknown("nope".to_owned())
            }
        );
        assert_eq!(
            expanded("${a}${a").unwrap_err(),
            ExpandError {
                at: 4..6,
                reason: ExpandReason::NotClosed
            }
        );
        assert_eq!(expanded("${big}").unwrap_err().reason, ExpandReason::TooLong);
    }
}
