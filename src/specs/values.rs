//! Values with a unit: a duration, a size in bytes, a signal. Each parses what SPEC_FORMAT allows and prints one form.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text that is no duration, size or signal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{shown}` is not a {what}: {expected}")]
pub struct ValueError {
    /// What was to be parsed, in words.
    pub what: &'static str,
    /// The text, escaped and cut.
    pub shown: String,
    /// What would have been right.
    pub expected: &'static str,
}

/// A length of time: `250ms`, `30s`, `5m`, `2h`, `7d`; a number alone is milliseconds, as in bc_gitops.
///
/// It prints the largest unit that divides it, so equal durations digest alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(Duration);

/// The longest duration that a spec or a configuration may ask for: ten years.
pub const SPAN_MAX: Duration = Duration::from_secs(10 * 365 * 86_400);

impl Span {
    /// A span of whole milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// A span of whole seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The span as the standard library's type.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        span.0
    }
}

impl FromStr for Span {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let error = || ValueError {
            what: "duration",
            shown: crate::names::shown(text),
            expected: "a number with `ms`, `s`, `m`, `h` or `d`, as in `30s`; at most ten years",
        };
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at_checked(digits).ok_or_else(error)?;
        let number: u64 = number.parse().map_err(|_| error())?;
        let unit_ms = match unit.trim_start() {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "" => 1,
            _ => return Err(error()),
        };
        let span = Duration::from_millis(number.checked_mul(unit_ms).ok_or_else(error)?);
        if span > SPAN_MAX {
            Err(error())
        } else {
            Ok(Self(span))
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let (count, unit) = match millis {
            0 => (0, "s"),
            ms if ms % 86_400_000 == 0 => (ms / 86_400_000, "d"),
            ms if ms % 3_600_000 == 0 => (ms / 3_600_000, "h"),
            ms if ms % 60_000 == 0 => (ms / 60_000, "m"),
            ms if ms % 1_000 == 0 => (ms / 1_000, "s"),
            ms => (ms, "ms"),
        };
        write!(f, "{count}{unit}")
    }
}

/// A number of bytes: `512MiB`, `1GB`, `64k`, or a number alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize(u64);

impl ByteSize {
    /// A size of so many bytes.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let error = || ValueError {
            what: "size",
            shown: crate::names::shown(text),
            expected: "a whole number with `KiB`, `MiB`, `GiB`, `TiB`, `KB`, `MB`, `GB` or `TB`, as in `512MiB`",
        };
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at_checked(digits).ok_or_else(error)?;
        let number: u64 = number.parse().map_err(|_| error())?;
        let factor: u64 = match unit.trim_start().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "ki" | "kib" => 1 << 10,
            "m" | "mi" | "mib" => 1 << 20,
            "g" | "gi" | "gib" => 1 << 30,
            "t" | "ti" | "tib" => 1 << 40,
            "kb" => 1_000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            "tb" => 1_000_000_000_000,
            _ => return Err(error()),
        };
        number.checked_mul(factor).map(Self).ok_or_else(error)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, unit) = match self.0 {
            0 => (0, "B"),
            n if n % (1 << 40) == 0 => (n >> 40, "TiB"),
            n if n % (1 << 30) == 0 => (n >> 30, "GiB"),
            n if n % (1 << 20) == 0 => (n >> 20, "MiB"),
            n if n % (1 << 10) == 0 => (n >> 10, "KiB"),
            n => (n, "B"),
        };
        write!(f, "{count}{unit}")
    }
}

/// A signal that a spec may ask for, by its name without `SIG`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are POSIX's")]
pub enum Signal {
    Hup,
    Int,
    Quit,
    Kill,
    Usr1,
    Usr2,
    Term,
    Winch,
}

impl Signal {
    const ALL: [(Self, &'static str, i32); 8] = [
        (Self::Hup, "HUP", 1),
        (Self::Int, "INT", 2),
        (Self::Quit, "QUIT", 3),
        (Self::Kill, "KILL", 9),
        (Self::Usr1, "USR1", 10),
        (Self::Usr2, "USR2", 12),
        (Self::Term, "TERM", 15),
        (Self::Winch, "WINCH", 28),
    ];

    /// The name without `SIG`.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(signal, ..)| *signal == self)
            .map_or("TERM", |(_, name, _)| name)
    }

    /// Linux's number of it (alike on x86_64 and aarch64).
    #[must_use]
    pub fn number(self) -> i32 {
        Self::ALL
            .iter()
            .find(|(signal, ..)| *signal == self)
            .map_or(15, |(.., number)| *number)
    }
}

impl FromStr for Signal {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        Self::ALL
            .iter()
            .find(|(_, known, _)| *known == name)
            .map(|(signal, ..)| *signal)
            .ok_or_else(|| ValueError {
                what: "signal",
                shown: crate::names::shown(text),
                expected: "one of HUP, INT, QUIT, KILL, USR1, USR2, TERM, WINCH",
            })
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How serde sees a value with a unit: as text; a number alone is taken in the smallest unit.
macro_rules! text_value {
    ($name:ident, $schema:expr) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[derive(Deserialize)]
                #[serde(untagged)]
                enum Raw {
                    Number(u64),
                    Text(String),
                }
                let text = match Raw::deserialize(deserializer)? {
                    Raw::Number(number) => number.to_string(),
                    Raw::Text(text) => text,
                };
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $schema
            }
        }
    };
}

text_value!(
    Span,
    schemars::json_schema!({
        "description": "a duration such as `30s`; a number alone is milliseconds",
        "oneOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^[0-9]+ *(ms|s|m|min|h|d)?$"}]
    })
);
text_value!(
    ByteSize,
    schemars::json_schema!({
        "description": "a size such as `512MiB`; a number alone is bytes",
        "oneOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^[0-9]+ *([kKmMgGtT]?[iI]?[bB]?)$"}]
    })
);
text_value!(
    Signal,
    schemars::json_schema!({"enum": ["HUP", "INT", "QUIT", "KILL", "USR1", "USR2", "TERM", "WINCH"]})
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_prints_one_form_for_each_length() {
        for (text, printed) in [
            ("30s", "30s"),
            ("30000", "30s"),
            ("90s", "90s"),
            ("60s", "1m"),
            ("120m", "2h"),
            ("24h", "1d"),
            ("1500ms", "1500ms"),
            ("0", "0s"),
        ] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), printed);
        }
        for bad in [
            "",
            "s",
            "-1s",
            "1.5s",
            "30 parsecs",
            "99999999999999999999s",
            "400000d",
        ] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_size_counts_in_powers_of_two_unless_it_says_otherwise() {
        for (text, bytes) in [
            ("512MiB", 512 << 20),
            ("1k", 1024),
            ("1KB", 1000),
            ("7", 7),
            ("2 GiB", 2 << 30),
        ] {
            assert_eq!(text.parse::<ByteSize>().unwrap().bytes(), bytes);
        }
        assert!("99999999999TiB".parse::<ByteSize>().is_err());
    }
}
