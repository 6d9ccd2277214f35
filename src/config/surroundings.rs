//! What a configuration depends on beside its own text: who runs the node, where, and under which environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::names::NodeName;

/// The configuration of the machine.
pub const SYSTEM_CONFIG: &str = "/etc/osier/osier.toml";

/// The data directory of a node that root runs.
const SYSTEM_DATA_DIR: &str = "/var/lib/osier";

/// The longest node name.
const NODE_NAME_CHARS_MAX: usize = 63;

/// The process's environment and the machine's name, as values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The environment; variables that are no UTF-8 are left out.
    pub variables: BTreeMap<String, String>,
    /// The machine's name.
    pub hostname: String,
    /// Does root run it?
    pub is_root: bool,
}

/// A place where a configuration may lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The file.
    pub path: PathBuf,
    /// Somebody named it: it is an error when it is not there, and no other place is looked at.
    pub is_named: bool,
}

impl Surroundings {
    /// Those given as the operating system gives them.
    pub fn new(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        hostname: impl Into<String>,
        is_root: bool,
    ) -> Self {
        let text =
            |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        Self {
            variables: variables.into_iter().filter_map(text).collect(),
            hostname: hostname.into(),
            is_root,
        }
    }

    /// Where the configuration is looked for, in order; the first that exists is read. `flag` is `--config`.
    ///
    /// Never a file of the current folder: root may stand in somebody else's.
    #[must_use]
    pub fn config_candidates(&self, flag: Option<&Path>) -> Vec<Candidate> {
        let named = flag
            .map(Path::to_owned)
            .or_else(|| self.variable("OSIER_CONFIG").map(PathBuf::from));
        if let Some(path) = named {
            return vec![Candidate { path, is_named: true }];
        }
        let user = self
            .folder("XDG_CONFIG_HOME", ".config")
            .map(|folder| folder.join("osier/osier.toml"));
        let usual = user.into_iter().chain([PathBuf::from(SYSTEM_CONFIG)]);
        usual
            .map(|path| Candidate {
                path,
                is_named: false,
            })
            .collect()
    }

    /// `/var/lib/osier` for root, `$XDG_STATE_HOME/osier` (else `~/.local/state/osier`) for everybody else.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        let system = || PathBuf::from(SYSTEM_DATA_DIR);
        if self.is_root {
            return system();
        }
        self.folder("XDG_STATE_HOME", ".local/state")
            .map_or_else(system, |folder| folder.join("osier"))
    }

    /// The machine's name as a node's name: what cannot stand in one becomes a dash.
    #[must_use]
    pub fn node_name(&self) -> NodeName {
        let fitting = |c: char| {
            if c.is_ascii_alphanumeric() || ".-_".contains(c) {
                c
            } else {
                '-'
            }
        };
        let name: String = self.hostname.chars().map(fitting).collect();
        let name: String = name
            .trim_matches(['-', '.', '_'])
            .chars()
            .take(NODE_NAME_CHARS_MAX)
            .collect();
        name.parse().unwrap_or_else(|_| {
            #[expect(clippy::expect_used, reason = "a literal that follows the rule")]
            "node".parse().expect("a valid name")
        })
    }

    /// A variable that is set and not empty.
    fn variable(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// A folder of the XDG base directory specification, which says that relative ones are to be ignored.
    fn folder(&self, variable: &str, below_home: &str) -> Option<PathBuf> {
        let absolute = |path: &Path| path.is_absolute();
        let named = self
            .variable(variable)
            .map(PathBuf::from)
            .filter(|path| absolute(path));
        let home = || {
            self.variable("HOME")
                .map(PathBuf::from)
                .filter(|path| absolute(path))
        };
        named.or_else(|| home().map(|home| home.join(below_home)))
    }
}
