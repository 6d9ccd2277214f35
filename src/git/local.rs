//! A repository of this machine, read where it lies: `osier diff --repo P --rev R`, `osier validate P --rev R`.

use std::path::Path;

use super::commit::Commit;
use super::error::GitError;
use super::foreign_text::{chain_text, said};
use super::tree::CommitTree;

/// The commit that `revision` names in the repository around `path`, and its tree.
///
/// Blocking. Whatever `git rev-parse` takes is understood. Nothing of the repository's configuration is carried out.
///
/// # Errors
/// When there is no repository, no such commit, or it cannot be read.
pub fn open_revision(path: &Path, revision: &str) -> Result<(Commit, CommitTree), GitError> {
    let no_repository = |error: &gix::Error| GitError::Io {
        action: "find a git repository at",
        path: path.to_owned(),
        reason: chain_text(error),
    };
    let repository = gix::ThreadSafeRepository::discover_opts(
        path,
        gix::discover::upwards::Options::default(),
        gix::sec::trust::Mapping {
            full: gix::open::Options::isolated(),
            reduced: gix::open::Options::isolated(),
        },
    )
    .map_err(|error| no_repository(&error))?
    .to_thread_local();
    let no_commit = || GitError::NoSuchCommit {
        revision: said(revision),
    };
    let commit = repository
        .rev_parse_single(revision)
        .ok()
        .and_then(|id| id.object().ok())
        .and_then(|object| object.peel_to_kind(gix::objs::Kind::Commit).ok())
        .ok_or_else(no_commit)?
        .id;
    let facts = Commit::read(&repository, commit)?;
    let root = super::tree::root_of(&repository, commit)?;
    Ok((facts, CommitTree::new(repository, root)))
}
