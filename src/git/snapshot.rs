//! One commit with its tree, without its history, carried from one clone to another: how the accepted commit survives
//! an exchange of clones when the server no longer has it.

use std::io::Write as _;

use gix::objs::Write as _;

use super::error::GitError;
use super::foreign_text::chain_text;
use super::tree::{DEPTH_MAX, root_of};

/// The most objects of one tree: 10,000 apps with twenty files each.
const OBJECTS_MAX: usize = 200_000;

/// Copies `commit` and everything below its root tree, and marks it as the end of history.
pub(super) fn carry_over(
    from: &gix::Repository,
    to: &gix::Repository,
    commit: gix::ObjectId,
) -> Result<(), GitError> {
    let mut copy = Copy { from, to, count: 0 };
    let root = root_of(from, commit)?;
    copy.tree(root, 0)?;
    // The commit comes last: whoever finds it finds everything.
    copy.object(commit)?;
    let path = to.path().join("shallow");
    let mut shallow = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(|error| GitError::io("open", &path, &error))?;
    writeln!(shallow, "{commit}").map_err(|error| GitError::io("write", &path, &error))
}

struct Copy<'a> {
    from: &'a gix::Repository,
    to: &'a gix::Repository,
    count: usize,
}

impl Copy<'_> {
    fn tree(&mut self, id: gix::ObjectId, depth: usize) -> Result<(), GitError> {
        if self.to.has_object(id) {
            return Ok(());
        }
        let data = self.object(id)?;
        for entry in gix::objs::TreeRefIter::from_bytes(&data, id.kind()) {
            let entry = entry.map_err(|error| self.damaged(&error.to_string()))?;
            if entry.mode.is_tree() && depth < DEPTH_MAX {
                self.tree(entry.oid.to_owned(), depth + 1)?;
            } else if entry.mode.is_blob_or_symlink() && !self.to.has_object(entry.oid) {
                self.object(entry.oid.to_owned())?;
            }
        }
        Ok(())
    }

    fn object(&mut self, id: gix::ObjectId) -> Result<Vec<u8>, GitError> {
        self.count += 1;
        if self.count > OBJECTS_MAX {
            return Err(self.damaged("its tree has too many objects"));
        }
        let object = self
            .from
            .find_object(id)
            .map_err(|error| self.damaged(&chain_text(&error)))?
            .detach();
        let written = self.to.objects.write_buf(object.kind, &object.data);
        written.map_err(|error| GitError::Io {
            action: "write an object into",
            path: self.to.path().to_owned(),
            reason: chain_text(&error),
        })?;
        Ok(object.data)
    }

    fn damaged(&self, reason: &str) -> GitError {
        GitError::Damaged {
            path: self.from.path().to_owned(),
            reason: reason.to_owned(),
        }
    }
}
