//! From bytes to the value tree, one reader a format. Each holds the same limits and reports the first mistake of grammar.

mod erlang;
mod json;
mod toml;
mod yaml;

use super::mistake::{Mistake, codes};
use super::node::{Node, Place, Value};

/// The largest spec file.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;

/// The formats that a spec may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// YAML 1.2, core schema.
    #[default]
    Yaml,
    /// TOML 1.
    Toml,
    /// JSON, strictly.
    Json,
    /// Erlang terms, as `file:consult` reads them.
    Erlang,
}

impl Format {
    /// The format of a file by its name's ending: `.config` and a bare `config` are Erlang terms, as in bc_gitops.
    #[must_use]
    pub fn of_file(name: &str) -> Option<Self> {
        match name.rsplit_once('.').map_or(name, |(_, ending)| ending) {
            "yaml" | "yml" => Some(Self::Yaml),
            "toml" => Some(Self::Toml),
            "json" => Some(Self::Json),
            "config" => Some(Self::Erlang),
            _ => None,
        }
    }

    /// Its name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Yaml => "YAML",
            Self::Toml => "TOML",
            Self::Json => "JSON",
            Self::Erlang => "Erlang terms",
        }
    }
}

/// The text of `bytes`: UTF-8, a leading byte order mark dropped, no control characters but tab and line breaks.
///
/// # Errors
/// When it is too long or is no such text; the mistake names the byte.
pub fn text_of(bytes: &[u8], source: u16) -> Result<&str, Mistake> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(too_large(source, bytes.len() as u64));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let start = error.valid_up_to();
        Mistake::new(
            Place::new(source, start, start.saturating_add(1)),
            codes::ENCODING,
            format!("not UTF-8: byte {start} does not belong"),
            "save the file as UTF-8",
        )
    })?;
    let control = text
        .char_indices()
        .find(|(_, c)| c.is_control() && !matches!(c, '\n' | '\r' | '\t'));
    match control {
        None => Ok(text),
        Some((at, c)) => Err(Mistake::new(
            Place::new(source, at, at.saturating_add(c.len_utf8())),
            codes::ENCODING,
            format!("control character U+{:04X} in the text", c as u32),
            "remove it; in a quoted string an escape can stand for it",
        )),
    }
}

/// The text of `bytes` in which the places of [`text_of`]'s mistakes can be shown.
pub(super) fn shown_text(bytes: &[u8]) -> String {
    // Offsets count from behind a byte order mark, and up to the first wrong byte they are the same.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    String::from_utf8_lossy(bytes).into_owned()
}

pub(super) fn too_large(source: u16, bytes: u64) -> Mistake {
    Mistake::new(
        Place::whole(source),
        codes::LIMIT,
        format!("the file has {bytes} bytes, more than the {FILE_BYTES_MAX} that are allowed"),
        "keep data out of specs: a config file or a path source can hold it",
    )
}

/// Reads `text` into a value tree whose top is a map.
///
/// # Errors
/// The first mistake of grammar, or the limit that was exceeded.
pub fn read(format: Format, text: &str, source: u16) -> Result<Node, Mistake> {
    let node = read_any(format, text, source)?;
    match &node.value {
        Value::Map(_) => Ok(node),
        Value::Null => Err(Mistake::new(
            Place::whole(source),
            codes::SYNTAX,
            "the file is empty",
            "write at least `version` and `command`; a folder without a spec file is skipped",
        )),
        _ => Err(Mistake::new(
            node.at.first(),
            codes::WRONG_TYPE,
            format!("a spec is a map of keys, found {}", node.kind()),
            "begin with keys such as `version` and `command`",
        )),
    }
}

/// Reads `text` into a value tree with any top; null for an empty file.
///
/// # Errors
/// As [`read`].
pub fn read_any(format: Format, text: &str, source: u16) -> Result<Node, Mistake> {
    match format {
        Format::Yaml => yaml::read(text, source),
        Format::Toml => toml::read(text, source),
        Format::Json => json::read(text, source),
        Format::Erlang => erlang::read(text, source),
    }
}

/// The mistakes that all readers share.
mod fault {
    use super::super::mistake::{Mistake, codes};
    use super::super::node::{ALIASES_MAX, DEPTH_MAX, NODES_MAX, Place};

    pub(super) fn depth(at: Place) -> Mistake {
        Mistake::new(
            at.first(),
            codes::LIMIT,
            format!("nested deeper than {DEPTH_MAX} levels"),
            "flatten it",
        )
    }

    pub(super) fn nodes(at: Place) -> Mistake {
        Mistake::new(
            at.first(),
            codes::LIMIT,
            format!("more than {NODES_MAX} values, aliases counted each time"),
            "keep data out of specs: a config file can hold it",
        )
    }

    pub(super) fn aliases(at: Place) -> Mistake {
        Mistake::new(
            at.first(),
            codes::LIMIT,
            format!("more than {ALIASES_MAX} aliases"),
            "write the values out, or use `defaults` in osier.yaml",
        )
    }

    pub(super) fn duplicate(at: Place, key: &str) -> Mistake {
        Mistake::new(
            at,
            codes::DUPLICATE_KEY,
            format!("the key `{}` stands twice in one map", crate::names::shown(key)),
            "remove one of them",
        )
    }

    pub(super) fn syntax(at: Place, message: impl Into<String>, help: impl Into<String>) -> Mistake {
        Mistake::new(at, codes::SYNTAX, message, help)
    }
}
