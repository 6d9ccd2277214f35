//! How the web is asked, alike for git and for downloads: certificates and proxy of `[sources]`, nothing from the environment.

use std::io::Read;
use std::path::Path;

use reqwest::{Client, ClientBuilder};

use crate::repo_url::ProxyUrl;

/// The largest file of certificates or token file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {reason}")]
pub struct BadSetting {
    /// Its name.
    pub setting: &'static str,
    /// Why not.
    pub reason: String,
}

/// A client to be, that follows no redirect by itself: whoever asks knows where one may lead and credentials may go.
/// Blocking: the file of certificates is read.
pub(crate) fn client_builder(
    ca_file: Option<&Path>,
    proxy: Option<&ProxyUrl>,
) -> Result<ClientBuilder, BadSetting> {
    let mut builder = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .referer(false);
    if let Some(proxy) = proxy {
        // reqwest's own error would name the proxy with its password.
        let usable = reqwest::Proxy::all(proxy.reveal()).map_err(|_| BadSetting {
            setting: "sources.proxy",
            reason: format!("{proxy} is no usable address of a proxy"),
        })?;
        builder = builder.proxy(usable);
    }
    if let Some(path) = ca_file {
        let in_file = |reason: &str| bad_ca_file(format!("{}: {reason}", path.display()));
        let bytes = read_bounded(path).map_err(|error| in_file(&error.to_string()))?;
        let certificates =
            reqwest::Certificate::from_pem_bundle(&bytes).map_err(|_| in_file("it holds no valid PEM"))?;
        if certificates.is_empty() {
            return Err(in_file("it holds no certificate"));
        }
        builder = builder.tls_certs_merge(certificates);
    }
    Ok(builder)
}

/// The client itself.
pub(crate) fn build(builder: ClientBuilder) -> Result<Client, BadSetting> {
    let built = builder.build();
    built.map_err(|error| bad_ca_file(format!("no TLS client can be made: {}", innermost(&error))))
}

fn bad_ca_file(reason: String) -> BadSetting {
    BadSetting {
        setting: "sources.ca_file",
        reason,
    }
}

/// What a small file of the operator's holds.
pub(crate) fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(std::io::Error::other("it is larger than 1 MiB"));
    }
    Ok(bytes)
}

/// The error and its causes, also through `io::Error`, which hides what it wraps.
pub(crate) fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    const CAUSES_MAX: usize = 16;
    std::iter::successors(Some(error), |&cause| {
        match cause
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
        {
            Some(wrapped) => Some(wrapped as &(dyn std::error::Error + 'static)),
            None => cause.source(),
        }
    })
    .take(CAUSES_MAX)
}

/// The last cause's message: the outer ones repeat the address, with all that is in it.
pub(crate) fn innermost(error: &reqwest::Error) -> String {
    causes(error).last().map_or_else(String::new, ToString::to_string)
}
