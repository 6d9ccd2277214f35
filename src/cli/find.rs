//! Finding the daemon: which sockets are tried, in which order, and what is said when nobody answers.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::args::Globals;
use super::outcome::Trouble;
use crate::config::{Layers, Surroundings};
use crate::control::client::{Client, ClientError};
use crate::runtime::accounts;

/// The socket of the packaged configuration.
const SYSTEM_SOCKET: &str = "/run/osier/osier.sock";

/// The data directory of a node that root runs.
const SYSTEM_DATA_DIR: &str = "/var/lib/osier";

/// A socket to try and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) path: PathBuf,
    pub(crate) origin: String,
}

/// Connects to the daemon that the flags, the environment or the usual places name.
pub(crate) async fn connect(globals: &Globals) -> Result<Client, Trouble> {
    let mut tried = Vec::new();
    for candidate in candidates(globals, &Surroundings::of_this_process())? {
        match Client::connect(&candidate.path).await {
            Ok(client) => return Ok(client),
            Err(error) => tried.push((candidate, error)),
        }
    }
    Err(nobody(&tried))
}

/// The sockets to try. One that was named is the only one.
pub(crate) fn candidates(globals: &Globals, surroundings: &Surroundings) -> Result<Vec<Candidate>, Trouble> {
    let only = |path: &Path, origin: &str| Ok(vec![candidate(path, origin)]);
    let variable = |name: &str| surroundings.variables.get(name).filter(|value| !value.is_empty());
    if let Some(path) = &globals.socket {
        return only(path, "--socket");
    }
    if let Some(path) = variable("OSIER_SOCKET") {
        return only(Path::new(path), "$OSIER_SOCKET");
    }
    let layers = Layers::load(surroundings.clone(), globals.config.as_deref(), Vec::new());
    if globals.config.is_some() {
        return only(layers?.socket().as_path(), "--config");
    }
    let mut found: Vec<Candidate> = Vec::new();
    let mut add = |path: PathBuf, origin: &str| {
        if !found.iter().any(|known| known.path == path) {
            found.push(candidate(&path, origin));
        }
    };
    // A configuration that cannot be read is the daemon's concern; the other places are looked at all the same.
    if let Ok(layers) = &layers
        && let Some(file) = &layers.file
    {
        add(
            layers.socket().as_path().to_owned(),
            &file.path.display().to_string(),
        );
    }
    add(SYSTEM_SOCKET.into(), "packaged");
    if let Some(folder) = variable("XDG_RUNTIME_DIR") {
        add(Path::new(folder).join("osier/osier.sock"), "$XDG_RUNTIME_DIR");
    }
    add(
        surroundings.data_dir().join("osier.sock"),
        "default data directory",
    );
    add(
        Path::new(SYSTEM_DATA_DIR).join("osier.sock"),
        "root's data directory",
    );
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
    let place = lines.collect::<Vec<_>>().join("\n");
    if let Some(owners) = tried
        .iter()
        .find_map(|(candidate, error)| barred(candidate, error))
    {
        return Trouble::new("you may not ask the daemon")
            .place(place)
            .cause(format!("its socket is {owners}"))
            .help("ask as that user (`sudo osier …`), or let an administrator add you to that group, then log in anew");
    }
    Trouble::new("no daemon answers")
        .place(place)
        .help("start one: `osier daemon`; name its socket: `--socket PATH`; or try it out: `osier demo`")
}

/// Who may open a socket that this user may not; where that cannot be seen, who may enter the nearest folder that can.
fn barred(candidate: &Candidate, error: &ClientError) -> Option<String> {
    let ClientError::Connect { source, .. } = error else {
        return None;
    };
    if source.kind() != std::io::ErrorKind::PermissionDenied {
        return None;
    }
    let facts = candidate
        .path
        .ancestors()
        .find_map(|path| path.symlink_metadata().ok())?;
    let user = accounts::name_of(facts.uid()).unwrap_or_else(|| facts.uid().to_string());
    let group = accounts::group_name_of(facts.gid()).unwrap_or_else(|| facts.gid().to_string());
    Some(format!("for the user {user} and the group {group}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Surroundings {
        Surroundings::new(
            variables.iter().map(|(n, v)| ((*n).into(), (*v).into())),
            "lab-a",
            false,
        )
    }

    fn paths(globals: &Globals, surroundings: &Surroundings) -> Vec<String> {
        let candidates = candidates(globals, surroundings).unwrap();
        candidates
            .iter()
            .map(|candidate| candidate.path.display().to_string())
            .collect()
    }

    #[test]
    fn what_was_named_is_the_only_one_tried() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("osier.toml");
        std::fs::write(&file, "[node]\nsocket = \"/x/y.sock\"\n").unwrap();
        let mut globals = Globals {
            config: Some(file),
            ..Globals::default()
        };
        assert_eq!(paths(&globals, &with(&[])), ["/x/y.sock"]);
        assert_eq!(
            paths(&globals, &with(&[("OSIER_SOCKET", "/env.sock")])),
            ["/env.sock"]
        );
        globals.socket = Some("/flag.sock".into());
        assert_eq!(
            paths(&globals, &with(&[("OSIER_SOCKET", "/env.sock")])),
            ["/flag.sock"]
        );
    }

    #[test]
    fn else_the_usual_places_are_tried_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().display().to_string();
        let surroundings = with(&[("HOME", &home), ("XDG_RUNTIME_DIR", "/run/user/1000")]);
        let usual = [
            "/run/osier/osier.sock".to_owned(),
            "/run/user/1000/osier/osier.sock".to_owned(),
            format!("{home}/.local/state/osier/osier.sock"),
            "/var/lib/osier/osier.sock".to_owned(),
        ];
        assert_eq!(paths(&Globals::default(), &surroundings), usual);
        std::fs::create_dir_all(folder.path().join(".config/osier")).unwrap();
        std::fs::write(
            folder.path().join(".config/osier/osier.toml"),
            "[node]\ndata_dir = \"/data\"\n",
        )
        .unwrap();
        assert_eq!(paths(&Globals::default(), &surroundings)[0], "/data/osier.sock");
    }

    #[test]
    fn a_socket_that_one_may_not_open_is_no_daemon_that_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let tried = |kind: std::io::ErrorKind| {
            let path = folder.path().join("osier.sock");
            let error = ClientError::Connect {
                path: path.clone(),
                source: kind.into(),
            };
            nobody(&[(candidate(&path, "--socket"), error)])
        };
        let barred = tried(std::io::ErrorKind::PermissionDenied);
        assert_eq!(barred.what, "you may not ask the daemon");
        let me = rustix::process::geteuid().as_raw();
        let me = accounts::name_of(me).unwrap_or_else(|| me.to_string());
        let cause = barred.cause.unwrap();
        assert!(
            cause.contains(&format!("the user {me} and the group ")),
            "{cause}"
        );
        assert!(!barred.help.unwrap().contains("start one"));
        assert_eq!(barred.exit, super::super::outcome::Exit::Unable);
        assert_eq!(tried(std::io::ErrorKind::NotFound).what, "no daemon answers");
    }

    #[test]
    fn a_named_configuration_that_is_not_there_is_an_error() {
        let globals = Globals {
            config: Some("/nonexistent/osier.toml".into()),
            ..Globals::default()
        };
        assert!(candidates(&globals, &with(&[])).is_err());
    }
}
