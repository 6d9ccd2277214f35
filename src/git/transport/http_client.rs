//! The HTTP client: certificates, proxy, credentials. Kept from one operation to the next, with its open connections.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::header::HeaderValue;

use crate::git::error::GitError;
use crate::git::settings::GitSettings;
use crate::repo_url::{RepoScheme, RepoUrl};
use crate::web;

/// How long an unused connection is kept: longer than the usual interval of polls.
const IDLE_CONNECTION_KEPT: Duration = Duration::from_secs(100);

/// The user name that goes with a token that stands alone. GitHub, GitLab, Gitea and Forgejo take any name with a token
/// as the password, and GitHub documents this one; where a name matters (deploy tokens of GitLab, `x-token-auth` of
/// Bitbucket) the file holds `name:token`.
const TOKEN_USER: &str = "x-access-token";

/// Builds the client at its first use; certificates are read then.
#[derive(Default)]
pub(in crate::git) struct HttpClient(Mutex<Option<reqwest::Client>>);

impl HttpClient {
    pub(super) fn client(&self, settings: &GitSettings) -> Result<reqwest::Client, GitError> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*kept {
            return Ok(client.clone());
        }
        let client = build(settings)?;
        *kept = Some(client.clone());
        Ok(client)
    }

    /// The next operation builds a new client, and reads the certificates anew.
    pub(in crate::git) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

fn build(settings: &GitSettings) -> Result<reqwest::Client, GitError> {
    let builder = web::client_builder(settings.ca_file.as_deref(), settings.proxy.as_ref())?
        .connect_timeout(settings.deadlines.connect)
        .pool_idle_timeout(IDLE_CONNECTION_KEPT)
        .pool_max_idle_per_host(1)
        .tcp_nodelay(true);
    Ok(web::build(builder)?)
}

/// The `Authorization` header: of the token file, else of the address itself.
pub(super) fn authorization(settings: &GitSettings) -> Result<Option<HeaderValue>, GitError> {
    let bad = |reason: String| GitError::BadSetting {
        setting: "repo.auth.token_file",
        reason,
    };
    let userinfo = match (&settings.auth.token_file, settings.url.user()) {
        (Some(path), _) => {
            let in_file = |reason: &str| bad(format!("{}: {reason}", path.display()));
            let bytes = web::read_bounded(path).map_err(|error| in_file(&error.to_string()))?;
            let text = std::str::from_utf8(&bytes).map_err(|_| in_file("it is not valid UTF-8"))?;
            let line = text.lines().next().unwrap_or_default().trim();
            if line.is_empty() {
                return Err(in_file("its first line is empty"));
            }
            if line.contains(':') {
                line.to_owned()
            } else {
                format!("{TOKEN_USER}:{line}")
            }
        }
        (None, Some(user)) => format!("{user}:{}", settings.url.password().unwrap_or_default()),
        (None, None) => return Ok(None),
    };
    if settings.url.scheme() == RepoScheme::Http && !is_loopback(&settings.url) {
        return Err(bad(
            "over plain http everybody on the way could read the credentials; use https".to_owned(),
        ));
    }
    let mut value = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(userinfo.as_bytes())))
        .map_err(|_| bad("it cannot stand in a header".to_owned()))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn is_loopback(url: &RepoUrl) -> bool {
    let host = url.host().unwrap_or_default();
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(url: &str, token: Option<&str>) -> Result<Option<String>, GitError> {
        let room = tempfile::tempdir().unwrap();
        let mut settings = GitSettings::new(url.parse().unwrap(), "main".parse().unwrap());
        if let Some(token) = token {
            let path = room.path().join("token");
            std::fs::write(&path, token).unwrap();
            settings.auth.token_file = Some(path);
        }
        Ok(authorization(&settings)?.map(|value| value.to_str().unwrap().to_owned()))
    }

    #[test]
    fn a_token_is_sent_as_the_forges_take_it() {
        let basic = |text: &str| Some(format!("Basic {}", BASE64_STANDARD.encode(text.as_bytes())));
        assert_eq!(
            header("https://h/x", Some("tok\n")).unwrap(),
            basic("x-access-token:tok")
        );
        assert_eq!(header("https://h/x", Some("me:tok")).unwrap(), basic("me:tok"));
        assert_eq!(header("https://a:b@h/x", None).unwrap(), basic("a:b"));
        assert_eq!(
            header("https://a:b@h/x", Some("tok")).unwrap(),
            basic("x-access-token:tok")
        );
        assert_eq!(header("https://h/x", None).unwrap(), None);
        assert!(header("https://h/x", Some("\n")).is_err());
    }

    #[test]
    fn credentials_go_over_plain_http_only_to_this_machine() {
        assert!(header("http://127.0.0.1:8/x", Some("tok")).unwrap().is_some());
        assert!(header("http://[::1]/x", Some("tok")).unwrap().is_some());
        assert!(header("http://localhost/x", Some("tok")).unwrap().is_some());
        for url in ["http://example.com/x", "http://a:b@10.0.0.1/x"] {
            let error = header(url, Some("hunter2")).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
