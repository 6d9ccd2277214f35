//! The thin edge of the configuration: the only part that looks at the machine.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use super::layers::SourceText;
use super::{CONFIG_BYTES_MAX, Candidate, ConfigError, ConfigFile, Flag, Layers, Surroundings, codes};
use crate::specs::SpecError;

impl Surroundings {
    /// Those of this process: its environment, the machine's name, its effective user.
    #[must_use]
    pub fn of_this_process() -> Self {
        #[cfg(unix)]
        let (hostname, is_root) = (
            rustix::system::uname().nodename().to_string_lossy().into_owned(),
            rustix::process::geteuid().is_root(),
        );
        #[cfg(not(unix))]
        let (hostname, is_root) = (std::env::var("COMPUTERNAME").unwrap_or_default(), false);
        Self::new(std::env::vars_os(), hostname, is_root)
    }
}

impl Layers {
    /// The layers of a process: the file that `config` (`--config`) or the usual search names, the environment, `flags`.
    ///
    /// # Errors
    /// When a file that was named is not there, or one that is there cannot be read.
    pub fn load(
        surroundings: Surroundings,
        config: Option<&Path>,
        flags: Vec<Flag>,
    ) -> Result<Self, ConfigError> {
        let file = surroundings
            .config_candidates(config)
            .iter()
            .find_map(|candidate| read(candidate).transpose());
        Ok(Self {
            file: file.transpose()?,
            surroundings,
            flags,
        })
    }
}

/// The file, if it is there or must be.
fn read(candidate: &Candidate) -> Result<Option<ConfigFile>, ConfigError> {
    match read_bounded(&candidate.path) {
        Ok(text) => Ok(Some(ConfigFile {
            path: candidate.path.clone(),
            text,
        })),
        Err(error) if error.kind() == ErrorKind::NotFound && !candidate.is_named => Ok(None),
        Err(error) => {
            let place = SourceText::named(&candidate.path.to_string_lossy()).mistake(None, codes::UNREADABLE);
            let message = format!("cannot be read: {error}");
            let help = "name another file with --config, or mend this one".to_owned();
            Err(ConfigError {
                mistakes: vec![SpecError {
                    message,
                    help,
                    ..place
                }],
            })
        }
    }
}

/// One byte more than is allowed is enough to know that it is too much.
fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let limit = u64::try_from(CONFIG_BYTES_MAX)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    File::open(path)?.take(limit).read_to_string(&mut text)?;
    Ok(text)
}
