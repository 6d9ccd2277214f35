//! How bytes get to a git server and back, one module a way.
//!
//! gix's own transports have no deadlines, print ssh's errors to our stderr, take credentials from helpers and follow
//! redirects to other hosts; so these are ours, and gix speaks the protocol over them. Each watches over its waits
//! with a [`Watch`].

use std::sync::Arc;

use gix::protocol::transport::Protocol;
use gix::protocol::transport::client::blocking_io::Transport;

use super::error::GitError;
use super::settings::GitSettings;
use super::watch::Watch;
use crate::repo_url::RepoScheme;

#[cfg(unix)]
mod daemon;
mod http;
mod http_client;
#[cfg(unix)]
mod polled;
#[cfg(unix)]
mod process;
#[cfg(unix)]
mod ssh;

pub(super) use http_client::HttpClient;

/// Whichever way leads to the repository.
pub(super) type AnyTransport = Box<dyn Transport + Send>;

/// The protocol that we ask for. Servers that know only older ones answer in those.
const PROTOCOL: Protocol = Protocol::V2;

/// Connects to the repository of `settings`. The HTTP client is kept from one operation to the next, with its open
/// connections.
pub(super) fn connect(
    settings: &GitSettings,
    http: &HttpClient,
    watch: &Arc<Watch>,
) -> Result<AnyTransport, GitError> {
    match settings.url.scheme() {
        RepoScheme::Http | RepoScheme::Https => http::connect(settings, http, watch),
        #[cfg(unix)]
        RepoScheme::File => process::upload_pack(settings, watch),
        #[cfg(unix)]
        RepoScheme::Ssh => ssh::connect(settings, watch),
        #[cfg(unix)]
        RepoScheme::Git => daemon::connect(settings, watch),
        #[cfg(not(unix))]
        RepoScheme::File | RepoScheme::Ssh | RepoScheme::Git => Err(GitError::Unsupported {
            url: settings.url.clone(),
        }),
    }
}
