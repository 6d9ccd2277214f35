//! Zip.

use std::io::{Read, Seek};

use ::zip::ZipArchive;
use ::zip::result::ZipError;

use super::limits::{Allowance, Metered};
use super::place::{Place, refused};
use super::{Packing, UnpackError, damaged};

/// The kind of a file in a Unix mode, and what it may be.
const KIND: u32 = 0o170_000;
const KIND_LINK: u32 = 0o120_000;
const KIND_FILE: u32 = 0o100_000;
const KIND_FOLDER: u32 = 0o040_000;
/// Bits that would give whoever runs a file the rights of somebody else.
const SET_ID: u32 = 0o6000;
/// The longest target of a link.
const TARGET_BYTES_MAX: u64 = 1024;

pub(super) fn unpack(source: impl Read + Seek, place: &mut Place) -> Result<(), UnpackError> {
    let bad = |error: ZipError| damaged(Packing::Zip, error);
    let allowance = Allowance::for_lists();
    let mut archive = ZipArchive::new(Metered::new(source, allowance.clone())).map_err(bad)?;
    allowance.content();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(bad)?;
        let name = entry.name_raw().to_vec();
        let mode = entry.unix_mode().unwrap_or(0);
        match mode & KIND {
            _ if entry.is_dir() => place.folder(&name)?,
            KIND_FOLDER => place.folder(&name)?,
            KIND_LINK => {
                let mut target = Vec::new();
                let read = entry.by_ref().take(TARGET_BYTES_MAX + 1).read_to_end(&mut target);
                read.map_err(|error| damaged(Packing::Zip, error))?;
                place.link(&name, &target)?;
            }
            KIND_FILE | 0 if mode & SET_ID != 0 => {
                return Err(refused(&name, "is set-user-id or set-group-id"));
            }
            KIND_FILE | 0 => place.file(&name, mode & 0o111 != 0, &mut entry)?,
            _ => return Err(refused(&name, "is neither file, folder nor link")),
        }
    }
    Ok(())
}
