//! Unpacks an archive into a new folder. The archive is hostile: its digest says that it is the one that the spec means,
//! not that whoever made it means well.
//!
//! Whatever would reach beyond the folder, is no plain file, folder or link, or stands there twice is refused, not skipped
//! (`gitops-attacks` A06-A08): half of an archive is not what was asked for. Nothing is ever written through a link.

mod limits;
mod place;
mod tar;
mod zip;

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use self::limits::Room;
pub use self::limits::UnpackLimits;
use self::place::Place;
use crate::specs::app_spec::Packing;

/// Why an archive is not unpacked. What was unpacked of it is to be removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// An entry that no honest archive of a program needs.
    #[error("the entry `{entry}` {why}")]
    Entry {
        /// Its name, control characters escaped.
        entry: String,
        /// What is wrong with it.
        why: String,
    },
    /// It is larger than allowed.
    #[error("it holds more than {limit} {unit}")]
    TooLarge {
        /// What is allowed.
        limit: u64,
        /// Of what.
        unit: &'static str,
    },
    /// It unpacks to far more than it is.
    #[error("it unpacks to more than {limit} times its size")]
    Bomb {
        /// What is allowed.
        limit: u64,
    },
    /// It is damaged, or not what its name says.
    #[error("it cannot be read as {packing}: {error}")]
    Damaged {
        /// What its name says.
        packing: Packing,
        /// What the reader says.
        error: String,
    },
    /// It ends too early, or breaks off.
    #[error("it is damaged: {error}")]
    Cut {
        /// What the reader says.
        error: String,
    },
    /// There is nothing in it.
    #[error("there is no file in it")]
    Empty,
    /// The disk says no.
    #[error("cannot write {path}: {error}")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

/// Unpacks `archive` into `folder`, which must not be there yet. A bare executable gets `name`. Blocking.
///
/// # Errors
/// See [`UnpackError`]; `folder` may be there in part then.
pub fn unpack(
    archive: &Path,
    packing: Packing,
    name: &str,
    folder: &Path,
    limits: UnpackLimits,
) -> Result<(), UnpackError> {
    let io = |error| UnpackError::Io {
        path: archive.to_owned(),
        error,
    };
    let file = File::open(archive).map_err(io)?;
    let packed_bytes = file.metadata().map_err(io)?.len();
    let mut place = Place::new(folder, Room::new(limits, packed_bytes))?;
    let source = BufReader::with_capacity(64 << 10, file);
    match packing {
        Packing::Tar => tar::unpack(source, packing, &mut place)?,
        Packing::TarGz => tar::unpack(flate2::bufread::MultiGzDecoder::new(source), packing, &mut place)?,
        Packing::TarZst => {
            let decoder =
                ruzstd::decoding::StreamingDecoder::new(source).map_err(|error| damaged(packing, error))?;
            tar::unpack(decoder, packing, &mut place)?;
        }
        Packing::Zip => zip::unpack(source, &mut place)?,
        Packing::Executable => place.file(name.as_bytes(), true, source)?,
    }
    place.finish()
}

fn damaged(packing: Packing, error: impl std::fmt::Display) -> UnpackError {
    UnpackError::Damaged {
        packing,
        error: crate::names::shown(&error.to_string()),
    }
}

#[cfg(test)]
mod tests;
