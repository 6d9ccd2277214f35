//! Finding the daemon: which sockets are tried, in which order, and what is said when nobody answers.

use std::env;
use std::path::{Path, PathBuf};

use super::args::Globals;
use super::outcome::Trouble;
use crate::control::client::{Client, ClientError};

/// The socket of the packaged configuration.
const SYSTEM_SOCKET: &str = "/run/osier/osier.sock";

/// A socket to try and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) path: PathBuf,
    pub(crate) origin: String,
}

/// Connects to the daemon that the flags, the environment or the usual places name.
pub(crate) async fn connect(globals: &Globals) -> Result<Client, Trouble> {
    let candidates = candidates(globals, |name| {
        env::var(name).ok().filter(|value| !value.is_empty())
    })?;
    let mut tried = Vec::new();
    for candidate in candidates {
        match Client::connect(&candidate.path).await {
            Ok(client) => return Ok(client),
            Err(error) => tried.push((candidate, error)),
        }
    }
    Err(nobody(&tried))
}

/// The sockets to try. One that was named is the only one.
fn candidates(
    globals: &Globals,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Vec<Candidate>, Trouble> {
    if let Some(path) = &globals.socket {
        return Ok(vec![candidate(path, "--socket")]);
    }
    if let Some(path) = variable("OSIER_SOCKET") {
        return Ok(vec![candidate(Path::new(&path), "$OSIER_SOCKET")]);
    }
    let mut found: Vec<Candidate> = Vec::new();
    let mut add = |path: PathBuf, origin: &str| {
        if !found.iter().any(|known| known.path == path) {
            found.push(candidate(&path, origin));
        }
    };
    add(SYSTEM_SOCKET.into(), "packaged");
    if let Some(folder) = variable("XDG_RUNTIME_DIR") {
        add(Path::new(&folder).join("osier/osier.sock"), "$XDG_RUNTIME_DIR");
    }
    Ok(found)
}

fn candidate(path: &Path, origin: &str) -> Candidate {
    Candidate {
        path: path.to_owned(),
        origin: origin.to_owned(),
    }
}

fn nobody(tried: &[(Candidate, ClientError)]) -> Trouble {
    let lines = tried.iter().map(|(candidate, error)| {
        let why = match error {
            ClientError::Connect { source, .. } => match source.kind() {
                std::io::ErrorKind::NotFound => "no such socket".to_owned(),
                std::io::ErrorKind::ConnectionRefused => "nobody listens on it any more".to_owned(),
                std::io::ErrorKind::PermissionDenied => "you may not (its group may)".to_owned(),
                std::io::ErrorKind::TimedOut => "it does not accept".to_owned(),
                _ => source.to_string(),
            },
            other => other.to_string(),
        };
        format!("{} ({}): {why}", candidate.path.display(), candidate.origin)
    });
    Trouble::new("no daemon answers")
        .place(lines.collect::<Vec<_>>().join("\n"))
        .help("start one: `osier daemon`; name its socket: `--socket PATH`; or try it out: `osier demo`")
}
