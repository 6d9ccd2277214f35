//! `ssh`, called so that nothing of the address can become an option, no question is asked and no unknown host trusted.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use super::AnyTransport;
use super::process::{ProcessTransport, Speaker, isolate};
use crate::git::error::GitError;
use crate::git::settings::GitSettings;
use crate::git::watch::Watch;

pub(super) fn connect(settings: &GitSettings, watch: &Arc<Watch>) -> Result<AnyTransport, GitError> {
    let mut command = command(settings)?;
    isolate(&mut command);
    command.env("GIT_PROTOCOL", "version=2");
    if settings.auth.ssh_key.is_none()
        && let Some(agent) = std::env::var_os("SSH_AUTH_SOCK")
    {
        command.env("SSH_AUTH_SOCK", agent);
    }
    ProcessTransport::spawn(command, Speaker::Ssh, &settings.url, watch)
}

/// The command line. Secrets are never in it: only the names of files.
fn command(settings: &GitSettings) -> Result<Command, GitError> {
    let url = &settings.url;
    let mut command = Command::new("ssh");
    for option in [
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        "UpdateHostKeys=no",
        "ForwardAgent=no",
        "ForwardX11=no",
        "ClearAllForwardings=yes",
        "PermitLocalCommand=no",
        "RequestTTY=no",
        "SendEnv=GIT_PROTOCOL",
    ] {
        command.args(["-o", option]);
    }
    let seconds = settings.deadlines.connect.as_secs().max(1);
    command.arg("-o").arg(format!("ConnectTimeout={seconds}"));
    if let Some(key) = &settings.auth.ssh_key {
        let key = expanded_as_it_is("repo.auth.ssh_key", key)?;
        command
            .args(["-o", "IdentitiesOnly=yes", "-o"])
            .arg(format!("IdentityFile=\"{key}\""));
    }
    if let Some(known_hosts) = &settings.auth.known_hosts {
        let known_hosts = expanded_as_it_is("repo.auth.known_hosts", known_hosts)?;
        command.args(["-o", "GlobalKnownHostsFile=/dev/null", "-o"]);
        command.arg(format!("UserKnownHostsFile=\"{known_hosts}\""));
    }
    if let Some(port) = url.explicit_port() {
        command.arg("-p").arg(port.to_string());
    }
    if let Some(user) = url.user() {
        command.arg("-l").arg(user);
    }
    command.arg("--").arg(url.host().unwrap_or_default());
    command.arg(format!(
        "git-upload-pack {}",
        shell_quoted(remote_path(url.path()))
    ));
    Ok(command)
}

/// As git does: `/~user/x` means that user's home, which the server's git looks up.
fn remote_path(path: &str) -> &str {
    match path.strip_prefix('/') {
        Some(home) if home.starts_with('~') => home,
        _ => path,
    }
}

/// A word for the shell on the other side.
fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''").replace('!', r"'\!'"))
}

/// A file name in a form that ssh's own expansion (`%h`, `${HOME}`, `~`, quotes) leaves alone.
fn expanded_as_it_is(setting: &'static str, path: &Path) -> Result<String, GitError> {
    let bad = |reason: &str| GitError::BadSetting {
        setting,
        reason: reason.to_owned(),
    };
    if !path.is_absolute() {
        return Err(bad("it is not an absolute path"));
    }
    let text = path.to_str().ok_or_else(|| bad("its path is not valid UTF-8"))?;
    if text.contains(['"', '\\', '$']) || text.chars().any(char::is_control) {
        return Err(bad(
            "ssh cannot be given a path with a quote, a backslash, a `$` or a control character",
        ));
    }
    std::fs::File::open(path).map_err(|error| bad(&format!("{}: {error}", path.display())))?;
    Ok(text.replace('%', "%%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(settings: &GitSettings) -> Vec<String> {
        let command = command(settings).unwrap();
        command
            .get_args()
            .map(|word| word.to_str().unwrap().to_owned())
            .collect()
    }

    fn settings(url: &str) -> GitSettings {
        GitSettings::new(url.parse().unwrap(), "main".parse().unwrap())
    }

    #[test]
    fn the_host_comes_after_the_options_and_the_path_is_one_word() {
        let words = words(&settings("ssh://git@example.com:2222/a%20b/it's"));
        let end = &words[words.len() - 7..];
        assert_eq!(
            end,
            [
                "-p",
                "2222",
                "-l",
                "git",
                "--",
                "example.com",
                r"git-upload-pack '/a b/it'\''s'"
            ]
        );
        assert!(words.contains(&"StrictHostKeyChecking=yes".to_owned()));
    }

    #[test]
    fn home_folders_and_relative_paths_reach_the_other_side_as_git_sends_them() {
        for (url, last) in [
            ("ssh://host/~me/x", "git-upload-pack '~me/x'"),
            ("host:x", "git-upload-pack 'x'"),
            ("host:/x", "git-upload-pack '/x'"),
        ] {
            assert_eq!(words(&settings(url)).last().unwrap(), last);
        }
    }

    #[test]
    fn files_that_ssh_would_expand_are_escaped_or_refused() {
        let room = tempfile::tempdir().unwrap();
        let key = room.path().join("100%h key");
        std::fs::write(&key, "").unwrap();
        let mut settings = settings("host:x");
        settings.auth.ssh_key = Some(key);
        let words = words(&settings);
        assert!(
            words
                .iter()
                .any(|word| word.starts_with("IdentityFile=\"/") && word.ends_with("100%%h key\""))
        );
        for bad in ["key", "/a\"b", "/a$b", "/a\nb", "/absent/key"] {
            settings.auth.ssh_key = Some(bad.into());
            assert!(
                matches!(command(&settings), Err(GitError::BadSetting { .. })),
                "{bad}"
            );
        }
    }
}
