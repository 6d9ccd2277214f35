//! How commits are related, and which one made a thing what it is.

use gix::revision::walk::Sorting;
use gix::traverse::commit::simple::CommitTimeOrder;

use super::commit::Commit;
use super::error::{GitError, chain_text};
use super::line_map;

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

/// The most commits that are walked back for the origin of a change.
pub const CHANGES_WALK_MAX: usize = 1_000;

/// The largest file whose lines are traced: the largest spec.
const TRACED_BYTES_MAX: u64 = 1 << 20;

/// Where something comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The commit that made it what it is.
    pub commit: Commit,
    /// False where the walk ended (at the end of a shallow clone, or after [`CHANGES_WALK_MAX`] commits) before the
    /// change was found: it is as old as this commit, or older.
    pub is_exact: bool,
}

/// A walk back from `start` along first parents, over what stands at one path.
pub(super) struct Walk<'a> {
    pub(super) repository: &'a gix::Repository,
    pub(super) start: gix::ObjectId,
    pub(super) path: &'a str,
}

/// One commit of the walk, with the id of what stands at the path.
struct Stop {
    commit: gix::ObjectId,
    parent: Option<gix::ObjectId>,
    content: Option<gix::ObjectId>,
}

impl Walk<'_> {
    /// The commits that changed what stands at the path (or its removal), newest first, at most `count_max`.
    pub(super) fn changes(&self, count_max: usize) -> Result<Vec<Change>, GitError> {
        let mut changes = Vec::new();
        let mut here = self.stop(self.start)?;
        for _ in 0..CHANGES_WALK_MAX {
            if changes.len() >= count_max {
                return Ok(changes);
            }
            let parent = self.parent_of(&here)?;
            match parent {
                Parent::Known(parent) => {
                    if parent.content != here.content {
                        changes.push(self.change(here.commit, true)?);
                    }
                    here = parent;
                }
                Parent::None | Parent::Cut => {
                    if here.content.is_some() {
                        changes.push(self.change(here.commit, matches!(parent, Parent::None))?);
                    }
                    return Ok(changes);
                }
            }
        }
        if changes.is_empty() && here.content.is_some() {
            changes.push(self.change(here.commit, false)?);
        }
        Ok(changes)
    }

    /// The commit that gave a line (counted from 1) of the file at the path its present form.
    pub(super) fn change_of_line(&self, line: usize) -> Result<Option<Change>, GitError> {
        let mut here = self.stop(self.start)?;
        let Some(mut line) = line.checked_sub(1) else {
            return Ok(None);
        };
        let Some(mut text) = self.text(&here)? else {
            return Ok(None);
        };
        if line >= text.split(|&byte| byte == b'\n').count() {
            return Ok(None);
        }
        for _ in 0..CHANGES_WALK_MAX {
            let parent = match self.parent_of(&here)? {
                Parent::Known(parent) => parent,
                Parent::None => return self.change(here.commit, true).map(Some),
                Parent::Cut => return self.change(here.commit, false).map(Some),
            };
            if parent.content != here.content {
                let Some(old_text) = self.text(&parent)? else {
                    return self.change(here.commit, true).map(Some);
                };
                let Some(old_line) = line_map::old_line(&old_text, &text, line) else {
                    return self.change(here.commit, true).map(Some);
                };
                (line, text) = (old_line, old_text);
            }
            here = parent;
        }
        self.change(here.commit, false).map(Some)
    }

    fn change(&self, commit: gix::ObjectId, is_exact: bool) -> Result<Change, GitError> {
        let commit = Commit::read(self.repository, commit)?;
        Ok(Change { commit, is_exact })
    }

    fn parent_of(&self, stop: &Stop) -> Result<Parent, GitError> {
        match stop.parent {
            None => Ok(Parent::None),
            Some(parent) if self.repository.has_object(parent) => self.stop(parent).map(Parent::Known),
            Some(_) => Ok(Parent::Cut),
        }
    }

    fn stop(&self, commit: gix::ObjectId) -> Result<Stop, GitError> {
        let damaged = |reason: String| GitError::Damaged {
            path: self.repository.path().to_owned(),
            reason,
        };
        let root = super::tree::root_of(self.repository, commit)?;
        let found = self
            .repository
            .find_commit(commit)
            .map_err(|error| damaged(chain_text(&error)))?;
        let parent = found.parent_ids().next().map(gix::Id::detach);
        let mut content = Some(root);
        for part in self.path.split('/').filter(|part| !part.is_empty()) {
            let Some(folder) = content.take() else { break };
            let Ok(tree) = self.repository.find_tree(folder) else {
                break;
            };
            content = tree
                .iter()
                .filter_map(Result::ok)
                .find(|entry| entry.filename() == part.as_bytes())
                .map(|entry| entry.object_id());
        }
        Ok(Stop {
            commit,
            parent,
            content,
        })
    }

    fn text(&self, stop: &Stop) -> Result<Option<Vec<u8>>, GitError> {
        let Some(id) = stop.content else {
            return Ok(None);
        };
        let damaged = |error: gix::Error| GitError::Damaged {
            path: self.repository.path().to_owned(),
            reason: chain_text(&error),
        };
        let header = self.repository.find_header(id).map_err(damaged)?;
        if header.kind() != gix::objs::Kind::Blob || header.size() > TRACED_BYTES_MAX {
            return Ok(None);
        }
        Ok(Some(
            self.repository.find_object(id).map_err(damaged)?.detach().data,
        ))
    }
}

enum Parent {
    Known(Stop),
    /// The first commit of history.
    None,
    /// There is one, but not in this shallow clone.
    Cut,
}
