//! The protocol of `git daemon`: a bare TCP connection.

use std::net::TcpStream;
use std::sync::Arc;

use gix::protocol::transport::client::git::ConnectMode;
use gix::protocol::transport::client::git::blocking_io::Connection;

use super::polled::Polled;
use super::{AnyTransport, PROTOCOL};
use crate::git::error::GitError;
use crate::git::settings::GitSettings;
use crate::git::watch::Watch;

pub(super) fn connect(settings: &GitSettings, watch: &Arc<Watch>) -> Result<AnyTransport, GitError> {
    let url = &settings.url;
    let host = url.host().unwrap_or_default().to_owned();
    let broken = |error: std::io::Error| GitError::Unreachable {
        url: url.clone(),
        reason: error.to_string(),
    };
    let stream = tcp(&host, url.port().unwrap_or_default(), watch)?;
    let writer = stream.try_clone().map_err(broken)?;
    Ok(Box::new(
        Connection::new(
            Polled::new(stream, watch.clone()).map_err(broken)?,
            Polled::new(writer, watch.clone()).map_err(broken)?,
            PROTOCOL,
            url.path(),
            Some((host, url.explicit_port())),
            ConnectMode::Daemon,
            false,
        )
        .custom_url(Some(url.without_credentials().into())),
    ))
}

/// Resolves and connects within the deadline; every address is tried.
fn tcp(host: &str, port: u16, watch: &Watch) -> Result<TcpStream, GitError> {
    let wait = watch.connect_wait();
    let connected = watch.block_on(wait, "connecting", tokio::net::TcpStream::connect((host, port)));
    connected.and_then(|stream| stream?.into_std()).map_err(|error| {
        watch.failure().unwrap_or_else(|| GitError::Unreachable {
            url: watch.url.clone(),
            reason: error.to_string(),
        })
    })
}
