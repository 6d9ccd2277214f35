//! The address of a git repository: parsed, checked and shown without its secrets.
//!
//! Whatever could reach a command line, another program or a terminal is checked here, once, when the configuration
//! is read: schemes are a closed list (`ext::` and friends run commands), no part begins with a dash, no control
//! character survives. `Display`, `Debug` and serde never show credentials; [`RepoUrl::reveal`] does.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

mod parse;

/// The longest repository URL, in bytes.
pub const REPO_URL_BYTES_MAX: usize = 2048;

/// How a repository is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RepoScheme {
    /// A folder of this machine, read through `git upload-pack` or directly.
    File,
    /// HTTP over TLS.
    Https,
    /// Plain HTTP.
    Http,
    /// Through the `ssh` program.
    Ssh,
    /// The git daemon's own protocol: neither encrypted nor authenticated.
    Git,
}

impl RepoScheme {
    /// The scheme as it is written in a URL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Https => "https",
            Self::Http => "http",
            Self::Ssh => "ssh",
            Self::Git => "git",
        }
    }

    /// The port where a URL names none; `None` for files.
    #[must_use]
    pub const fn default_port(self) -> Option<u16> {
        match self {
            Self::File => None,
            Self::Https => Some(443),
            Self::Http => Some(80),
            Self::Ssh => Some(22),
            Self::Git => Some(9418),
        }
    }
}

/// The address of a git repository. Equal addresses compare equal with their credentials.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RepoUrl(Arc<Parts>);

#[derive(Clone, PartialEq, Eq, Hash)]
struct Parts {
    scheme: RepoScheme,
    user: Option<String>,
    password: Option<String>,
    host: Option<String>,
    port: Option<u16>,
    /// Decoded for `file` and `ssh`, as written for `http`, `https` and `git`.
    path: String,
    form: Form,
}

/// How the address was written, so that it is shown as its author knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Form {
    Url,
    ScpLike,
    LocalPath,
}

impl RepoUrl {
    /// How the repository is reached.
    #[must_use]
    pub fn scheme(&self) -> RepoScheme {
        self.0.scheme
    }

    /// The server's name or address, without the brackets of IPv6. `None` for files.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.0.host.as_deref()
    }

    /// The port that the URL names, else the scheme's own.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.0.port.or(self.0.scheme.default_port())
    }

    /// The port only if the URL names one: ssh's configuration may know better than 22.
    #[must_use]
    pub fn explicit_port(&self) -> Option<u16> {
        self.0.port
    }

    /// The path on the server or on this machine; relative to the login folder in the form `host:path`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// The folder on this machine, for `file` URLs and absolute paths.
    #[must_use]
    pub fn local_path(&self) -> Option<&Path> {
        (self.0.scheme == RepoScheme::File).then(|| Path::new(&self.0.path))
    }

    /// The user to log in as. In an `http` or `https` URL it may itself be a token: never show it.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.0.user.as_deref()
    }

    /// The password that the URL carries. Never show it.
    #[must_use]
    pub fn password(&self) -> Option<&str> {
        self.0.password.as_deref()
    }

    /// The address with everything that it was given, for the transport alone: it may hold credentials.
    #[must_use]
    pub fn reveal(&self) -> String {
        let userinfo = match (&self.0.user, &self.0.password) {
            (Some(user), Some(password)) => {
                format!(
                    "{}:{}@",
                    parse::percent_encode(user),
                    parse::percent_encode(password)
                )
            }
            // A login name of ssh is taken and given as it is written.
            (Some(user), None) if self.0.scheme == RepoScheme::Ssh => format!("{user}@"),
            (Some(user), None) => format!("{}@", parse::percent_encode(user)),
            (None, _) => String::new(),
        };
        self.write_with(&userinfo)
    }

    /// The address without user and password.
    #[must_use]
    pub fn without_credentials(&self) -> String {
        self.write_with("")
    }

    /// `http`, `https`: the same address with another path, for redirects within one server.
    #[must_use]
    pub fn origin(&self) -> String {
        let port = self.0.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{}{port}", self.0.scheme.as_str(), self.bracketed_host())
    }

    fn bracketed_host(&self) -> String {
        match self.0.host.as_deref() {
            Some(host) if host.contains(':') => format!("[{host}]"),
            Some(host) => host.to_owned(),
            None => String::new(),
        }
    }

    fn write_with(&self, userinfo: &str) -> String {
        let parts = &*self.0;
        match parts.form {
            Form::LocalPath => parts.path.clone(),
            Form::ScpLike => format!("{userinfo}{}:{}", self.bracketed_host(), parts.path),
            Form::Url => {
                let port = parts.port.map(|port| format!(":{port}")).unwrap_or_default();
                let path = match parts.scheme {
                    RepoScheme::File | RepoScheme::Ssh => parse::percent_encode_path(&parts.path),
                    RepoScheme::Http | RepoScheme::Https | RepoScheme::Git => parts.path.clone(),
                };
                let scheme = parts.scheme.as_str();
                format!("{scheme}://{userinfo}{}{port}{path}", self.bracketed_host())
            }
        }
    }
}

/// Redacted: `https://***@host/path`. The login name of an ssh URL is no secret and stays.
impl fmt::Display for RepoUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let userinfo = match (self.0.scheme, &self.0.user) {
            (_, None) => String::new(),
            (RepoScheme::Ssh, Some(user)) => format!("{user}@"),
            (_, Some(_)) => "***@".to_owned(),
        };
        f.pad(&self.write_with(&userinfo))
    }
}

impl fmt::Debug for RepoUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

/// The address of an HTTP proxy: `http://[user:password@]host[:port]`, or `https`. Shown without its credentials.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ProxyUrl(RepoUrl);

impl ProxyUrl {
    /// The address with its credentials, for the HTTP client alone.
    #[must_use]
    pub fn reveal(&self) -> String {
        self.0.reveal()
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0.to_string().trim_end_matches('/'))
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

impl FromStr for ProxyUrl {
    type Err = RepoUrlError;

    fn from_str(text: &str) -> Result<Self, RepoUrlError> {
        parse::parse_proxy(text)
            .and_then(|parts| parse::within_bounds(RepoUrl(Arc::new(parts))))
            .map(Self)
            .map_err(|why| RepoUrlError {
                shown: parse::redact(text),
                why,
            })
    }
}

impl FromStr for RepoUrl {
    type Err = RepoUrlError;

    fn from_str(text: &str) -> Result<Self, RepoUrlError> {
        parse::parse(text)
            .and_then(|parts| parse::within_bounds(Self(Arc::new(parts))))
            .map_err(|why| RepoUrlError {
                shown: parse::redact(text),
                why,
            })
    }
}

macro_rules! as_text {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                String::json_schema(generator)
            }
        }
    };
}

as_text!(RepoUrl);
as_text!(ProxyUrl);

/// A text that is no usable repository address. It shows the text without what could be credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("refused address `{shown}`: {why}")]
pub struct RepoUrlError {
    /// The text, redacted, escaped and cut.
    pub shown: String,
    /// The rule that it breaks, and what to write instead.
    pub why: &'static str,
}

#[cfg(test)]
mod tests;
