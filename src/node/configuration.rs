//! The configuration that a node was made from, beside what stands on the disk now.

use std::sync::Arc;

use crate::config::Config;
use crate::rpc::procedures::{Check, CheckState, ConfigReply, ConfigValue};

/// Reads the configuration anew, or says in a text what is wrong with it.
pub(crate) type ReadConfig = Arc<dyn Fn() -> Result<Config, String> + Send + Sync>;

/// What a node was configured with; of a host's own node nothing.
#[derive(Clone, Default)]
pub(crate) struct Configuration {
    values: Vec<ConfigValue>,
    again: Option<(Arc<Config>, ReadConfig)>,
}

impl Configuration {
    /// The one that `config` is; `read`: how it would be read now.
    pub fn new(config: &Config, read: Option<ReadConfig>) -> Self {
        Self {
            values: config.values(),
            again: read.map(|read| (Arc::new(config.clone()), read)),
        }
    }

    /// What is in force, and what has become of it. Reads files: never on a worker of the runtime.
    pub fn reply(&self) -> ConfigReply {
        ConfigReply {
            values: self.values.clone(),
            now: self.now(),
        }
    }

    /// What a SIGHUP, or a start, would find. Reads files.
    pub fn now(&self) -> Option<Check> {
        let (config, read) = self.again.as_ref()?;
        let check = |state, found: String, fix| Check::new("configuration", state, found, fix);
        Some(match read() {
            Err(mistakes) => {
                let mistakes = mistakes.replace('\n', "; ");
                let found =
                    format!("has mistakes since it was read, and stays in force as it was: {mistakes}");
                let fix = "mend it before the daemon is started anew: it would not start";
                check(CheckState::Bad, found, Some(fix))
            }
            Ok(now) if now.node.data_dir != config.node.data_dir => {
                let place = now.node.data_dir.as_path().display();
                let found = format!("`node.data_dir` is another one since it was read: {place}");
                let fix =
                    "stop the apps (`osier stop --all`) and the daemon, move the folder, start it again";
                check(CheckState::Bad, found, Some(fix))
            }
            Ok(now) => match config.changed_sections(&now).as_slice() {
                [] => check(CheckState::Good, format!("follows {}", config.repo.url), None),
                sections => {
                    let found = format!("was changed since it was read: {}", sections.join(", "));
                    check(
                        CheckState::Warning,
                        found,
                        Some("SIGHUP makes the daemon take it over"),
                    )
                }
            },
        })
    }
}
