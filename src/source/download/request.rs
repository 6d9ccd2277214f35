//! Asks for a file, through redirects, and asks nobody who must not be asked.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{CONTENT_RANGE, LOCATION, RANGE};
use reqwest::{Client, Response, StatusCode, Url};

use super::{DownloadError, beside};
use crate::repo_url::ProxyUrl;
use crate::source::policy::{SourcePolicy, check_redirect, shown};
use crate::web::{self, BadSetting, innermost};

/// Redirects that are followed.
const REDIRECTS_MAX: usize = 5;
/// How long a connection may take, TLS included.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long an answer's head may take.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// How the web is asked: what is allowed, through which proxy, trusting whom.
#[derive(Debug, Clone, Default)]
pub struct Web {
    /// What may be asked.
    pub policy: SourcePolicy,
    /// Certificates (PEM) that are trusted besides those of the system.
    pub ca_file: Option<PathBuf>,
    /// An HTTP proxy. It resolves names itself, so that `deny` is applied to addresses that stand in a URL only.
    pub proxy: Option<ProxyUrl>,
}

/// The answer to a question for a file, or for the rest of one.
pub(super) struct Answer {
    pub response: Response,
    /// Where it came from in the end, as it may be shown.
    pub url: String,
    /// Is it what follows the bytes that are there? Else it is the whole file.
    pub is_rest: bool,
    /// How much follows, if the server says so.
    pub bytes: Option<u64>,
}

impl Web {
    /// Asks for what follows the first `there` bytes of the file.
    pub(super) async fn get(&self, url: &Url, there: u64) -> Result<Answer, DownloadError> {
        let mut url = url.clone();
        let mut addresses = self.addresses_of(&url).await?;
        for _ in 0..=REDIRECTS_MAX {
            let response = self.ask(&url, &addresses, there).await?;
            let Some(next) = redirect_of(&url, &response)? else {
                return answer(&url, response, there);
            };
            let next_addresses = self.addresses_of(&next).await?;
            check_redirect((&url, &ips(&addresses)), (&next, &ips(&next_addresses)))?;
            (url, addresses) = (next, next_addresses);
        }
        Err(DownloadError::TooManyRedirects {
            url: shown(&url),
            limit: REDIRECTS_MAX,
        })
    }

    /// Where `url` leads, if one may go there. What is checked is what is connected to: the name is not looked up again.
    async fn addresses_of(&self, url: &Url) -> Result<Vec<SocketAddr>, DownloadError> {
        self.policy.check_url(url)?;
        let unusable = |reason: &str| DownloadError::BadUrl {
            url: shown(url),
            reason: reason.to_owned(),
        };
        let host = url.host_str().ok_or_else(|| unusable("it names no host"))?;
        let port = url
            .port_or_known_default()
            .ok_or_else(|| unusable("it names no port"))?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let addresses: Vec<SocketAddr> = match bare.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) if self.proxy.is_some() => Vec::new(),
            Err(_) => {
                let found = tokio::time::timeout(CONNECT_MAX, tokio::net::lookup_host((bare, port)));
                let found = found
                    .await
                    .map_err(|_| unreachable(url, "no answer of the name server"))?;
                found
                    .map_err(|error| unreachable(url, &error.to_string()))?
                    .collect()
            }
        };
        self.policy.check_addresses(host, &ips(&addresses))?;
        Ok(addresses)
    }

    async fn ask(&self, url: &Url, addresses: &[SocketAddr], there: u64) -> Result<Response, DownloadError> {
        let (this, server, addresses) = (self.clone(), url.clone(), addresses.to_vec());
        let client = beside(move || this.client(&server, &addresses)).await??;
        let mut request = client.get(url.clone());
        if there > 0 {
            request = request.header(RANGE, format!("bytes={there}-"));
        }
        let response = tokio::time::timeout(ANSWER_MAX, request.send()).await;
        let response = response.map_err(|_| DownloadError::TooSlow {
            url: shown(url),
            reason: format!("no answer within {} s", ANSWER_MAX.as_secs()),
        })?;
        response.map_err(|error| unreachable(url, &innermost(&error)))
    }

    /// One client for each server: the addresses that were checked are part of it.
    fn client(&self, url: &Url, addresses: &[SocketAddr]) -> Result<Client, BadSetting> {
        let mut builder = web::client_builder(self.ca_file.as_deref(), self.proxy.as_ref())?
            .connect_timeout(CONNECT_MAX)
            .user_agent(concat!("osier/", env!("CARGO_PKG_VERSION")));
        if let Some(host) = url.host_str().filter(|_| !addresses.is_empty()) {
            builder = builder.resolve_to_addrs(host, addresses);
        }
        web::build(builder)
    }
}

/// Where the answer sends us. Credentials go to the same server only.
fn redirect_of(url: &Url, response: &Response) -> Result<Option<Url>, DownloadError> {
    if !response.status().is_redirection() || response.status() == StatusCode::NOT_MODIFIED {
        return Ok(None);
    }
    let location = response
        .headers()
        .get(LOCATION)
        .and_then(|value| value.to_str().ok());
    let location =
        location.ok_or_else(|| unreachable(url, "it redirects, and does not say where in plain text"))?;
    let next = url.join(location);
    let mut next = next.map_err(|error| unreachable(url, &format!("it redirects to no address: {error}")))?;
    let is_same_server = next.origin() == url.origin();
    let (user, password) = if is_same_server {
        (url.username(), url.password())
    } else {
        ("", None)
    };
    // Both fail only for addresses without a host, which are refused next.
    let _ = next.set_username(user);
    let _ = next.set_password(password);
    Ok(Some(next))
}

fn answer(url: &Url, response: Response, there: u64) -> Result<Answer, DownloadError> {
    let status = response.status();
    let begins = response
        .headers()
        .get(CONTENT_RANGE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("bytes "))
        .and_then(|value| value.split_once('-'))
        .and_then(|(first, _)| first.parse::<u64>().ok());
    let is_rest = there > 0 && status == StatusCode::PARTIAL_CONTENT && begins == Some(there);
    if !is_rest && status != StatusCode::OK {
        return Err(DownloadError::Status {
            url: shown(url),
            status: status.as_u16(),
        });
    }
    Ok(Answer {
        url: shown(url),
        is_rest,
        bytes: response.content_length(),
        response,
    })
}

fn ips(addresses: &[SocketAddr]) -> Vec<IpAddr> {
    addresses.iter().map(SocketAddr::ip).collect()
}

fn unreachable(url: &Url, reason: &str) -> DownloadError {
    DownloadError::Unreachable {
        url: shown(url),
        reason: reason.to_owned(),
    }
}
