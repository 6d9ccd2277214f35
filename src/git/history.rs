//! How commits are related.

use gix::revision::walk::Sorting;
use gix::traverse::commit::simple::CommitTimeOrder;

use super::error::GitError;
use super::foreign_text::chain_text;

/// The most commits that are walked to find an ancestor: Linux has 1.4 million.
const WALK_MAX: usize = 2_000_000;

/// What a commit is to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    /// The same, or below it in history.
    Descends,
    /// All of history is here, and it does not descend.
    Rewritten,
    /// The walk came to the end of what a shallow clone holds.
    BeyondTheClone,
}

/// Does `new` descend from `old`?
pub(super) fn relation(
    repository: &gix::Repository,
    old: gix::ObjectId,
    new: gix::ObjectId,
) -> Result<Relation, GitError> {
    if old == new {
        return Ok(Relation::Descends);
    }
    let damaged = |error: gix::Error| GitError::Damaged {
        path: repository.path().to_owned(),
        reason: chain_text(&error),
    };
    let walk = repository
        .rev_walk([new])
        .sorting(Sorting::ByCommitTime(CommitTimeOrder::NewestFirst))
        .all()
        .map_err(damaged)?;
    for commit in walk.take(WALK_MAX) {
        if commit.map_err(damaged)?.id == old {
            return Ok(Relation::Descends);
        }
    }
    if repository.is_shallow().map_err(damaged)? {
        Ok(Relation::BeyondTheClone)
    } else {
        Ok(Relation::Rewritten)
    }
}
