//! Tar, packed or not.

use std::io::Read;

use ::tar::{Archive, EntryType};

use super::limits::{Allowance, Metered};
use super::place::{Place, refused};
use super::{Packing, UnpackError, damaged};

/// Bits that would give whoever runs a file the rights of somebody else.
const SET_ID: u32 = 0o6000;

pub(super) fn unpack(source: impl Read, packing: Packing, place: &mut Place) -> Result<(), UnpackError> {
    let allowance = Allowance::for_lists();
    let mut archive = Archive::new(Metered::new(source, allowance.clone()));
    let entries = archive.entries().map_err(|error| damaged(packing, error))?;
    for entry in entries {
        let mut entry = entry.map_err(|error| damaged(packing, error))?;
        let name = entry.path_bytes().into_owned();
        let header = entry.header();
        let mode = header.mode().map_err(|error| damaged(packing, error))?;
        let kind = header.entry_type();
        let target = entry.link_name_bytes().map(std::borrow::Cow::into_owned);
        let target = || target.clone().unwrap_or_default();
        match kind {
            EntryType::Regular | EntryType::Continuous if mode & SET_ID != 0 => {
                return Err(refused(&name, "is set-user-id or set-group-id"));
            }
            EntryType::Regular | EntryType::Continuous => {
                allowance.content();
                place.file(&name, mode & 0o111 != 0, &mut entry)?;
            }
            EntryType::Directory => place.folder(&name)?,
            EntryType::Symlink => place.link(&name, &target())?,
            EntryType::Link => place.hard_link(&name, &target())?,
            // About the archive, not in it.
            EntryType::XGlobalHeader => {}
            other => return Err(refused(&name, format!("is {}", word_for(other)))),
        }
        allowance.lists();
    }
    Ok(())
}

fn word_for(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Char | EntryType::Block => "a device",
        EntryType::Fifo => "a named pipe",
        EntryType::GNUSparse => "a sparse file, which is not unpacked",
        _ => "of an unknown kind",
    }
}
