//! Gets a file by https or http onto the disk and makes sure that it is the one that was meant.
//!
//! What has come is kept beside the artefacts when a download breaks off, and the next try asks for the rest. Nothing of
//! it is used before its digest is right: a damaged, truncated or exchanged file never gets further than this.

mod body;
mod request;

use std::any::Any;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use sha2::{Digest, Sha256};

use self::body::Body;
pub use self::request::Web;
use super::policy::{Refusal, shown};
use super::transfer::Transfer;
use super::{Crashed, beside};
use crate::web::BadSetting;

/// How often a transfer that breaks off is taken up again before that counts as a setback of the app.
const TRIES: u32 = 4;
/// The wait before it; it doubles.
const RETRY_DELAY: Duration = Duration::from_millis(250);

/// Why a file cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DownloadError {
    /// This node does not ask that address.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The address is no URL.
    #[error("{url} is no usable address: {reason}")]
    BadUrl {
        /// As the spec has it.
        url: String,
        /// Why not.
        reason: String,
    },
    /// A setting cannot be used.
    #[error(transparent)]
    BadSetting(#[from] BadSetting),
    /// Nobody answers, or not in HTTP.
    #[error("cannot ask {url}: {reason}")]
    Unreachable {
        /// The address as it may be shown.
        url: String,
        /// What the network says.
        reason: String,
    },
    /// The server says no.
    #[error("{url} answers {status}")]
    Status {
        /// The address as it may be shown.
        url: String,
        /// Its answer.
        status: u16,
    },
    /// It leads in circles.
    #[error("{url} redirects more than {limit} times")]
    TooManyRedirects {
        /// The address as it may be shown.
        url: String,
        /// What is followed.
        limit: usize,
    },
    /// It is larger than allowed.
    #[error("{url} is larger than {limit} bytes (`[sources] max_size`)")]
    TooLarge {
        /// The address as it may be shown.
        url: String,
        /// What is allowed.
        limit: u64,
    },
    /// It does not come, or drips.
    #[error("{url} is too slow: {reason}")]
    TooSlow {
        /// The address as it may be shown.
        url: String,
        /// How slow.
        reason: String,
    },
    /// It breaks off.
    #[error("the transfer of {url} broke off after {bytes} bytes: {reason}")]
    Interrupted {
        /// The address as it may be shown.
        url: String,
        /// How much is there.
        bytes: u64,
        /// What the network says.
        reason: String,
    },
    /// It is another file than the spec means.
    #[error("{url} has the sha256 {found}, the spec asks for {wanted}")]
    Digest {
        /// The address as it may be shown.
        url: String,
        /// What came.
        found: String,
        /// What was meant.
        wanted: String,
        /// It came in one piece; else its first part may have been of another file.
        is_whole: bool,
    },
    /// The disk says no.
    #[error("cannot write {path}: {error}")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A bug.
    #[error(transparent)]
    Crashed(#[from] Crashed),
}

impl DownloadError {
    /// May the rest come if it is asked for again at once?
    fn is_passing(&self) -> bool {
        match self {
            Self::Interrupted { .. } => true,
            Self::Status { status, .. } => *status >= 500,
            _ => false,
        }
    }

    /// Is what has come the beginning of what was meant, as far as anybody can tell?
    fn leaves_a_part(&self) -> bool {
        matches!(
            self,
            Self::Interrupted { .. } | Self::Unreachable { .. } | Self::Status { .. } | Self::TooSlow { .. }
        )
    }
}

/// What to get, and where it is put.
#[derive(Debug, Clone)]
pub struct Download {
    /// The address.
    pub url: Url,
    /// What its sha256 must be, in lower-case hex.
    pub sha256: String,
    /// The file that it becomes.
    pub file: PathBuf,
    /// Its greatest size, in bytes.
    pub bytes_max: u64,
    /// Told how far it has come.
    pub transfer: Arc<Transfer>,
    /// Let go of when the last thread that touches the file has ended, which may be after whoever asked gave up: two
    /// must never write it at once.
    pub held: Arc<dyn Any + Send + Sync>,
}

impl Download {
    /// Gets it. What an earlier try left in the file is not asked for again. Cancel-safe: the file holds what came so far.
    ///
    /// # Errors
    /// See [`DownloadError`]. Unless the transfer merely broke off, nothing is left of the file.
    pub async fn run(&self, web: &Web) -> Result<(), DownloadError> {
        let mut delay = RETRY_DELAY;
        let mut tries = 1;
        let mut may_be_mixed = true;
        loop {
            match self.attempt(web).await {
                Ok(()) => return Ok(()),
                // The first part may be of another file, or of a disk that lost it. Then all of it is asked for, once.
                Err(DownloadError::Digest { is_whole: false, .. }) if may_be_mixed => may_be_mixed = false,
                Err(error) if error.is_passing() && tries < TRIES => {
                    tries += 1;
                    tokio::time::sleep(delay).await;
                    delay *= 2;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// One transfer. What is of no use to the next one is removed.
    async fn attempt(&self, web: &Web) -> Result<(), DownloadError> {
        let result = self.transfer(web).await;
        if result.as_ref().is_err_and(|error| !error.leaves_a_part()) {
            let this = self.clone();
            beside(move || this.discard()).await?;
        }
        result
    }

    /// Removes what came.
    pub(super) fn discard(&self) {
        if let Err(error) = fs::remove_file(&self.file)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::debug!(file = %self.file.display(), %error, "a download cannot be removed yet");
        }
    }

    /// Appends what is missing, and compares the whole.
    async fn transfer(&self, web: &Web) -> Result<(), DownloadError> {
        let file = self.file.clone();
        let (mut written, mut hasher) = beside(move || digest_of(&file)).await?.unwrap_or_default();
        if written > 0 && hex(hasher.clone()) == self.sha256 {
            // All of it came before, and its use was cut off.
            return Ok(());
        }
        let answer = web.get(&self.url, written).await?;
        let is_whole = !answer.is_rest;
        if is_whole {
            (written, hasher) = (0, Sha256::new());
        }
        let announced = answer.bytes.map(|bytes| written.saturating_add(bytes));
        self.transfer.set_done(written);
        self.transfer.set_total(announced);
        if announced.is_some_and(|bytes| bytes > self.bytes_max) {
            return Err(DownloadError::TooLarge {
                url: shown(&self.url),
                limit: self.bytes_max,
            });
        }
        let found = Body::new(answer, written, self).write_to(self, hasher).await?;
        if found == self.sha256 {
            return Ok(());
        }
        Err(DownloadError::Digest {
            url: shown(&self.url),
            found,
            wanted: self.sha256.clone(),
            is_whole,
        })
    }
}

/// Length and digest of what is there; none: nothing is.
fn digest_of(path: &Path) -> Option<(u64, Sha256)> {
    const BUFFER_BYTES: usize = 256 << 10;
    let mut file = fs::File::open(path).ok()?;
    let (mut bytes, mut hasher) = (0, Sha256::new());
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match file.read(&mut buffer).ok()? {
            0 => return Some((bytes, hasher)),
            read => {
                hasher.update(buffer.get(..read)?);
                bytes += read as u64;
            }
        }
    }
}

fn hex(hasher: Sha256) -> String {
    use std::fmt::Write as _;
    hasher.finalize().iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
