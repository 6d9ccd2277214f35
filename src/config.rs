//! The configuration of a node: what `osier.toml`, the environment and the flags say, parsed once into types.
//!
//! Pure but for its edge ([`Layers::load`], [`Surroundings::of_this_process`]): [`Layers`] hold the file's text, and
//! [`Surroundings`] what of the machine is needed.
//! Layers, later wins: defaults, the file, `OSIER_SECTION__KEY`, flags ([`Layers::read`]). Every mistake of all layers is
//! reported at once, with its place. Each value remembers where it came from ([`Config::values`]).
//! [`sections`] holds every setting with its default; [`values`] their types; [`mod@reference`] what is generated from both.

mod edge;
mod layers;
mod reader;
pub mod reference;
pub mod sections;
mod surroundings;
pub mod values;

use std::collections::BTreeMap;
use std::fmt;

pub use layers::{ConfigFile, Flag, Layers, Origin};
pub use sections::{
    ConsoleConfig, LogsConfig, MeshConfig, NodeConfig, PruneConfig, RepoAuth, RepoConfig, RepoVerify,
    SourcesConfig, TelemetryConfig, WebhookConfig, not_supported_yet,
};
pub use surroundings::{Candidate, SYSTEM_CONFIG, Surroundings};

use crate::repo_url::RepoUrl;
use crate::rpc::procedures::ConfigValue;
use crate::specs::SpecError;

/// The stable codes of everything that can be wrong with a configuration.
pub mod codes {
    /// The file does not follow TOML's grammar.
    pub const SYNTAX: &str = "osier::config::syntax";
    /// A key that no configuration has.
    pub const UNKNOWN_KEY: &str = "osier::config::unknown_key";
    /// A value that its setting does not take.
    pub const BAD_VALUE: &str = "osier::config::bad_value";
    /// A setting that must be there.
    pub const MISSING_KEY: &str = "osier::config::missing_key";
    /// Settings that do not go together.
    pub const COMBINATION: &str = "osier::config::combination";
    /// The file cannot be read.
    pub const UNREADABLE: &str = "osier::config::unreadable";
    /// The file is larger than any configuration.
    pub const LIMIT: &str = "osier::config::limit";
}

/// The largest configuration file, in bytes.
pub const CONFIG_BYTES_MAX: usize = 1 << 20;

/// Everything that a node is told by its configuration. Fields may be changed by a host that builds one in code.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each section says what it is about")]
pub struct Config {
    pub node: NodeConfig,
    pub repo: RepoConfig,
    pub prune: PruneConfig,
    pub sources: SourcesConfig,
    pub logs: LogsConfig,
    pub mesh: MeshConfig,
    pub console: ConsoleConfig,
    pub telemetry: TelemetryConfig,
    pub webhook: WebhookConfig,
    origins: BTreeMap<String, Origin>,
}

impl Config {
    /// The defaults for a node that follows `url` on the machine that `surroundings` describe.
    #[must_use]
    pub fn of_repo(url: &RepoUrl, surroundings: &Surroundings) -> Self {
        sections::defaults(url, surroundings)
    }

    /// Every setting with its value as TOML (credentials redacted, `unset` where there is none) and its origin, in the
    /// order of the reference.
    #[must_use]
    pub fn values(&self) -> Vec<ConfigValue> {
        let origin = |key: &str| {
            self.origins
                .get(key)
                .map_or_else(|| "default".to_owned(), Origin::to_string)
        };
        let shown = sections::shown(self).into_iter();
        shown
            .map(|(key, value)| ConfigValue {
                origin: origin(&key),
                value: value.unwrap_or_else(|| "unset".to_owned()),
                key,
            })
            .collect()
    }

    /// The sections in which `other` differs, by name: what a reload has to look at.
    #[must_use]
    pub fn changed_sections(&self, other: &Self) -> Vec<&'static str> {
        let pairs = [
            ("node", self.node != other.node),
            ("repo", self.repo != other.repo),
            ("prune", self.prune != other.prune),
            ("sources", self.sources != other.sources),
            ("logs", self.logs != other.logs),
            ("mesh", self.mesh != other.mesh),
            ("console", self.console != other.console),
            ("telemetry", self.telemetry != other.telemetry),
            ("webhook", self.webhook != other.webhook),
        ];
        pairs
            .into_iter()
            .filter(|(_, is_changed)| *is_changed)
            .map(|(name, _)| name)
            .collect()
    }
}

/// A configuration that cannot be used: every mistake of every layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// At least one. `file` is the configuration file, `$OSIER_…` or `--flag`; `line` is 0 for the latter two.
    pub mistakes: Vec<SpecError>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.mistakes.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            match mistake.line {
                0 => write!(f, "{}: {}", mistake.file, mistake.message)?,
                _ => write!(f, "{mistake}")?,
            }
            if !mistake.help.is_empty() {
                write!(f, " ({})", mistake.help)?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
