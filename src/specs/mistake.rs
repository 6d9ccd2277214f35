//! A mistake as it is found: a place, a stable code, what is wrong, and the one next step. See [`super::SpecError`] for
//! the form that leaves this module.

use super::node::Place;

/// The stable codes of everything that can be wrong with a spec.
pub mod codes {
    /// The file does not follow its format's grammar.
    pub const SYNTAX: &str = "osier::spec::syntax";
    /// The file is no UTF-8 text, or holds control characters.
    pub const ENCODING: &str = "osier::spec::encoding";
    /// A limit on size, depth, values or aliases is exceeded.
    pub const LIMIT: &str = "osier::spec::limit";
    /// A key that no spec has.
    pub const UNKNOWN_KEY: &str = "osier::spec::unknown_key";
    /// A key that stands twice.
    pub const DUPLICATE_KEY: &str = "osier::spec::duplicate_key";
    /// A value of the wrong type.
    pub const WRONG_TYPE: &str = "osier::spec::wrong_type";
    /// A value that its field does not take.
    pub const BAD_VALUE: &str = "osier::spec::bad_value";
    /// A key that must be there.
    pub const MISSING_KEY: &str = "osier::spec::missing_key";
    /// Keys that do not go together.
    pub const COMBINATION: &str = "osier::spec::combination";
    /// `${…}` names something that there is not.
    pub const UNKNOWN_VARIABLE: &str = "osier::spec::unknown_variable";
    /// A source that no release will carry out as it stands.
    pub const UNSUPPORTED_SOURCE: &str = "osier::spec::unsupported_source";
    /// A key of the original that has no equivalent.
    pub const UNSUPPORTED: &str = "osier::spec::unsupported";
    /// Valid, but this release does not carry it out yet.
    pub const NOT_SUPPORTED_YET: &str = "osier::spec::not_supported_yet";
    /// Two spec files in one folder.
    pub const TWO_FILES: &str = "osier::spec::two_files";
    /// A symlink, a submodule or a folder where a file or folder was expected; or nothing at all.
    pub const NOT_A_FILE: &str = "osier::spec::not_a_file";
    /// One name claimed by two specs.
    pub const DUPLICATE_NAME: &str = "osier::spec::duplicate_name";
    /// A dependency that no spec declares.
    pub const UNKNOWN_DEPENDENCY: &str = "osier::spec::unknown_dependency";
    /// Dependencies in a circle.
    pub const CYCLE: &str = "osier::spec::cycle";
    /// One socket claimed by two apps.
    pub const SOCKET_TAKEN: &str = "osier::spec::socket_taken";
    /// A warning: it has no effect, or is not what it seems.
    pub const SUSPICIOUS: &str = "osier::spec::suspicious";
}

/// A mistake with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where.
    pub at: Place,
    /// One of [`codes`].
    pub code: &'static str,
    /// What is wrong and why, one line.
    pub message: String,
    /// The one next step, one line.
    pub help: String,
}

impl Mistake {
    pub(super) fn new(
        at: Place,
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self {
            at,
            code,
            message: message.into(),
            help: help.into(),
        }
    }
}

/// The known word that `word` most likely was meant to be.
#[must_use]
pub(crate) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    const SIMILARITY_MIN: f64 = 0.8;
    let word = word.to_ascii_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&word, candidate), candidate))
        .filter(|(similarity, _)| *similarity >= SIMILARITY_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// "did you mean `x`?", else the known words.
#[must_use]
pub(crate) fn did_you_mean(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None => format!("known are: {}", known.join(", ")),
    }
}
