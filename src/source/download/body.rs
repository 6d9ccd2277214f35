//! What an answer brings, written and digested on a thread of its own while the next bytes come.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::request::Answer;
use super::{Download, DownloadError, Transfer, beside, hex};
use crate::web::innermost;

/// Pieces between network and disk, up to half a MiB each: what a slow disk holds in memory.
const PIECES_MAX: usize = 8;
/// How long nothing may come.
const SILENCE_MAX: Duration = Duration::from_secs(20);
/// Over this time the transfer is judged.
const WINDOW: Duration = Duration::from_secs(30);
/// What must come in it: a server that drips would hold an app for days.
const WINDOW_BYTES_MIN: u64 = 64 << 10;

pub(super) struct Body {
    answer: Answer,
    written: u64,
    bytes_max: u64,
    transfer: Arc<Transfer>,
}

impl Body {
    /// What `answer` brings after `written` bytes that are there.
    pub fn new(answer: Answer, written: u64, download: &Download) -> Self {
        Self {
            answer,
            written,
            bytes_max: download.bytes_max,
            transfer: Arc::clone(&download.transfer),
        }
    }

    /// Writes it behind what is there; the digest of all.
    pub async fn write_to(mut self, download: &Download, hasher: Sha256) -> Result<String, DownloadError> {
        let (pieces, incoming) = mpsc::channel(PIECES_MAX);
        let (file, held, from) = (download.file.clone(), Arc::clone(&download.held), self.written);
        let writing = beside(move || {
            let _held = held;
            write(&file, from, hasher, incoming)
        });
        let (came, wrote) = tokio::join!(self.receive(pieces), writing);
        // A disk that says no is the cause of a transfer that nobody took.
        let digest = wrote??;
        came.map(|()| digest)
    }

    async fn receive(&mut self, pieces: mpsc::Sender<Bytes>) -> Result<(), DownloadError> {
        let (mut began, mut came) = (Instant::now(), 0_u64);
        loop {
            let piece = tokio::time::timeout(SILENCE_MAX, self.answer.response.chunk()).await;
            let piece =
                piece.map_err(|_| self.too_slow(format!("nothing for {} s", SILENCE_MAX.as_secs())))?;
            let Some(piece) = piece.map_err(|error| self.interrupted(&innermost(&error)))? else {
                return Ok(());
            };
            let bytes = piece.len() as u64;
            (self.written, came) = (self.written.saturating_add(bytes), came.saturating_add(bytes));
            self.transfer.set_done(self.written);
            if self.written > self.bytes_max {
                return Err(DownloadError::TooLarge {
                    url: self.answer.url.clone(),
                    limit: self.bytes_max,
                });
            }
            if pieces.send(piece).await.is_err() {
                // The writer tells why.
                return Ok(());
            }
            if began.elapsed() >= WINDOW {
                if came < WINDOW_BYTES_MIN {
                    return Err(self.too_slow(format!("{came} bytes in {} s", WINDOW.as_secs())));
                }
                (began, came) = (Instant::now(), 0);
            }
        }
    }

    fn too_slow(&self, reason: String) -> DownloadError {
        DownloadError::TooSlow {
            url: self.answer.url.clone(),
            reason,
        }
    }

    fn interrupted(&self, reason: &str) -> DownloadError {
        DownloadError::Interrupted {
            url: self.answer.url.clone(),
            bytes: self.written,
            reason: reason.to_owned(),
        }
    }
}

/// Blocking, until no more pieces come.
fn write(
    path: &Path,
    from: u64,
    mut hasher: Sha256,
    mut pieces: mpsc::Receiver<Bytes>,
) -> Result<String, DownloadError> {
    let io = |error| DownloadError::Io {
        path: path.to_owned(),
        error,
    };
    let mut options = fs::OpenOptions::new();
    let opened = options.create(true).write(true).truncate(false).open(path);
    let mut file = opened.map_err(io)?;
    file.set_len(from).map_err(io)?;
    file.seek(SeekFrom::End(0)).map_err(io)?;
    while let Some(piece) = pieces.blocking_recv() {
        hasher.update(&piece);
        file.write_all(&piece).map_err(io)?;
    }
    Ok(hex(hasher))
}
