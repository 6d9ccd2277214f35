//! Which commit made a thing what it is: a walk back along first parents over what stands at one path.
//!
//! Bounded in commits and in time, so that it ends with "not known" and never with a wait. A commit whose tree is the
//! same along the path costs one comparison: only what differs is read.

use std::time::{Duration, Instant};

use super::commit::Commit;
use super::error::GitError;
use super::foreign_text::chain_text;
use super::line_map;
use super::tree::{DEPTH_MAX, root_of};

/// The most commits that are walked back for the origin of a change.
pub const CHANGES_WALK_MAX: usize = 1_000;

/// The longest that such a walk may take: somebody waits for the sentence that it is for.
const WALK_TIME_MAX: Duration = Duration::from_secs(2);

/// The largest file whose lines are traced: the largest spec.
const TRACED_BYTES_MAX: u64 = 1 << 20;

/// Where something comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The commit that made it what it is; the last one that was looked at, where that is not known.
    pub commit: Commit,
    /// Is it that commit?
    pub certainty: Certainty,
    /// The file that it changed first: what stands at the path, or something below.
    pub file: String,
    /// The first line that it changed there, from 1; `None` for a new or removed file, or one without lines.
    pub line: Option<u32>,
}

/// Is a commit the one that was looked for?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certainty {
    /// It is.
    Exact,
    /// It is this one or an older one, which was not fetched.
    OlderThanFetched,
    /// It is this one or an older one: the walk went as far as it may.
    OlderThanWalked,
}

/// A walk back from `start`.
pub(super) struct Walk<'a> {
    repository: &'a gix::Repository,
    path: &'a str,
    until: Instant,
}

/// One commit of the walk, with the ids of what stands on the way to the path: the root tree first.
struct Stop {
    commit: gix::ObjectId,
    parent: Option<gix::ObjectId>,
    levels: Vec<Option<gix::ObjectId>>,
}

impl Stop {
    /// The id of what stands at the path.
    fn content(&self) -> Option<gix::ObjectId> {
        self.levels.last().copied().flatten()
    }
}

enum Parent {
    Known(Stop),
    /// The first commit of history.
    None,
    /// There is one, but not in this shallow clone.
    Cut,
}

impl Parent {
    fn certainty(&self) -> Certainty {
        match self {
            Self::Known(_) | Self::None => Certainty::Exact,
            Self::Cut => Certainty::OlderThanFetched,
        }
    }
}

impl<'a> Walk<'a> {
    /// A walk whose time begins now.
    pub(super) fn over(repository: &'a gix::Repository, path: &'a str) -> Self {
        Self {
            repository,
            path,
            until: Instant::now() + WALK_TIME_MAX,
        }
    }

    /// The commits that changed what stands at the path (or its removal), newest first, at most `count_max`.
    pub(super) fn changes(&self, start: gix::ObjectId, count_max: usize) -> Result<Vec<Change>, GitError> {
        let mut changes = Vec::new();
        let mut here = self.stop(start, None)?;
        for _ in self.steps() {
            if changes.len() >= count_max {
                return Ok(changes);
            }
            match self.parent_of(&here)? {
                Parent::Known(parent) => {
                    if parent.content() != here.content() {
                        let (file, line) = self.place(parent.content(), here.content())?;
                        changes.push(self.change(here.commit, Certainty::Exact, file, line)?);
                    }
                    here = parent;
                }
                end @ (Parent::None | Parent::Cut) => {
                    changes.extend(self.last_resort(&here, end.certainty())?);
                    return Ok(changes);
                }
            }
        }
        if changes.is_empty() {
            changes.extend(self.last_resort(&here, Certainty::OlderThanWalked)?);
        }
        Ok(changes)
    }

    /// The walk ended here: what stands at the path, if anything, is as old as this commit, or older.
    fn last_resort(&self, here: &Stop, certainty: Certainty) -> Result<Option<Change>, GitError> {
        if here.content().is_none() {
            return Ok(None);
        }
        let (file, line) = match certainty {
            Certainty::Exact => self.place(None, here.content())?,
            Certainty::OlderThanFetched | Certainty::OlderThanWalked => (self.path.to_owned(), None),
        };
        self.change(here.commit, certainty, file, line).map(Some)
    }

    /// The commit that gave a line (counted from 1) of the file at the path its present form.
    pub(super) fn change_of_line(
        &self,
        start: gix::ObjectId,
        line: usize,
    ) -> Result<Option<Change>, GitError> {
        let mut here = self.stop(start, None)?;
        let Some(mut line) = line.checked_sub(1) else {
            return Ok(None);
        };
        let Some(mut text) = self.text(here.content())? else {
            return Ok(None);
        };
        if line >= text.split(|&byte| byte == b'\n').count() {
            return Ok(None);
        }
        let found = |here: &Stop, certainty, line: usize| {
            let line = u32::try_from(line + 1).ok();
            self.change(here.commit, certainty, self.path.to_owned(), line)
                .map(Some)
        };
        for _ in self.steps() {
            let parent = match self.parent_of(&here)? {
                Parent::Known(parent) => parent,
                end @ (Parent::None | Parent::Cut) => return found(&here, end.certainty(), line),
            };
            if parent.content() != here.content() {
                let Some(old_text) = self.text(parent.content())? else {
                    return found(&here, Certainty::Exact, line);
                };
                let Some(old_line) = line_map::old_line(&old_text, &text, line) else {
                    return found(&here, Certainty::Exact, line);
                };
                (line, text) = (old_line, old_text);
            }
            here = parent;
        }
        found(&here, Certainty::OlderThanWalked, line)
    }

    /// One turn for each commit that may be looked at.
    fn steps(&self) -> impl Iterator<Item = usize> + use<> {
        let until = self.until;
        (0..CHANGES_WALK_MAX).take_while(move |_| Instant::now() < until)
    }

    fn change(
        &self,
        commit: gix::ObjectId,
        certainty: Certainty,
        file: String,
        line: Option<u32>,
    ) -> Result<Change, GitError> {
        Ok(Change {
            commit: Commit::read(self.repository, commit)?,
            certainty,
            file,
            line,
        })
    }

    fn parent_of(&self, stop: &Stop) -> Result<Parent, GitError> {
        match stop.parent {
            None => Ok(Parent::None),
            Some(parent) if self.repository.has_object(parent) => {
                self.stop(parent, Some(stop)).map(Parent::Known)
            }
            Some(_) => Ok(Parent::Cut),
        }
    }

    /// Reads a commit. Below a tree that is the one of `child`, everything is what it is there.
    fn stop(&self, commit: gix::ObjectId, child: Option<&Stop>) -> Result<Stop, GitError> {
        let root = root_of(self.repository, commit)?;
        let found = self
            .repository
            .find_commit(commit)
            .map_err(|error| self.damaged(&error))?;
        let parent = found.parent_ids().next().map(gix::Id::detach);
        let mut levels = vec![Some(root)];
        for part in self.parts() {
            let above = levels.last().copied().flatten();
            let at = levels.len();
            let known = child.filter(|child| child.levels.get(at - 1) == Some(&above));
            levels.push(match known.and_then(|child| child.levels.get(at)) {
                Some(same) => *same,
                None => above.and_then(|folder| self.entry(folder, part)),
            });
        }
        Ok(Stop {
            commit,
            parent,
            levels,
        })
    }

    fn parts(&self) -> impl Iterator<Item = &str> {
        self.path
            .split('/')
            .filter(|part| !part.is_empty())
            .take(DEPTH_MAX)
    }

    /// What stands in a folder under a name. What is no folder, or cannot be read as one, holds nothing.
    fn entry(&self, folder: gix::ObjectId, name: &str) -> Option<gix::ObjectId> {
        let tree = self.repository.find_tree(folder).ok()?;
        tree.iter()
            .filter_map(Result::ok)
            .find(|entry| entry.filename() == name.as_bytes())
            .map(|entry| entry.object_id())
    }

    /// The first file in which `new` differs from `old`, and the first line of it that does.
    fn place(
        &self,
        old: Option<gix::ObjectId>,
        new: Option<gix::ObjectId>,
    ) -> Result<(String, Option<u32>), GitError> {
        let (mut old, mut new) = (old, new);
        let mut path = self.path.trim_end_matches('/').to_owned();
        for _ in 0..DEPTH_MAX {
            let (before, after) = (self.entries(old)?, self.entries(new)?);
            let Some(after) = after else { break };
            let before = before.unwrap_or_default();
            let changed = after.iter().find(|entry| !before.contains(entry));
            let removed = before
                .iter()
                .find(|(name, _)| after.iter().all(|(other, _)| other != name));
            let Some((name, _)) = changed.or(removed) else {
                break;
            };
            let id_in = |entries: &[(String, gix::ObjectId)]| {
                entries.iter().find(|(other, _)| other == name).map(|(_, id)| *id)
            };
            (old, new) = (id_in(&before), id_in(&after));
            path = format!("{path}/{name}");
        }
        let line = match (self.text(old)?, self.text(new)?) {
            (Some(old), Some(new)) => first_change(&old, &new),
            _ => None,
        };
        Ok((path, line))
    }

    /// The entries of a folder; `None` for what is none.
    fn entries(&self, id: Option<gix::ObjectId>) -> Result<Option<Vec<(String, gix::ObjectId)>>, GitError> {
        let Some(id) = id else { return Ok(None) };
        let is_folder = self
            .repository
            .find_header(id)
            .is_ok_and(|header| header.kind() == gix::objs::Kind::Tree);
        if !is_folder {
            return Ok(None);
        }
        let tree = self
            .repository
            .find_tree(id)
            .map_err(|error| self.damaged(&error))?;
        let entry =
            |entry: gix::object::tree::EntryRef<'_, '_>| (entry.filename().to_string(), entry.object_id());
        Ok(Some(tree.iter().filter_map(Result::ok).map(entry).collect()))
    }

    /// A file's bytes; `None` for what is none or is too large.
    fn text(&self, id: Option<gix::ObjectId>) -> Result<Option<Vec<u8>>, GitError> {
        let Some(id) = id else { return Ok(None) };
        // A submodule's commit is in another repository.
        let Ok(header) = self.repository.find_header(id) else {
            return Ok(None);
        };
        if header.kind() != gix::objs::Kind::Blob || header.size() > TRACED_BYTES_MAX {
            return Ok(None);
        }
        let object = self
            .repository
            .find_object(id)
            .map_err(|error| self.damaged(&error))?;
        Ok(Some(object.detach().data))
    }

    fn damaged(&self, error: &gix::Error) -> GitError {
        GitError::Damaged {
            path: self.repository.path().to_owned(),
            reason: chain_text(error),
        }
    }
}

/// The first line of `new`, from 1, that is another one in `old`; where lines were only cut off, its last.
fn first_change(old: &[u8], new: &[u8]) -> Option<u32> {
    if new.contains(&0) {
        return None;
    }
    let lines = |text: &'_ [u8]| {
        text.strip_suffix(b"\n")
            .unwrap_or(text)
            .split(|&byte| byte == b'\n')
            .count()
    };
    let same = old
        .split(|&byte| byte == b'\n')
        .zip(new.split(|&byte| byte == b'\n'))
        .take_while(|(old, new)| old == new)
        .count();
    u32::try_from((same + 1).min(lines(new))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_differs_is_found() {
        for (old, new, line) in [
            ("a\nb\nc\n", "a\nB\nc\n", Some(2)),
            ("a\n", "a\nb\n", Some(2)),
            ("a\nb\nc\n", "a\n", Some(1)),
            ("a\nb\nc\n", "a\nb", Some(2)),
            ("", "a\n", Some(1)),
            ("a", "", Some(1)),
            ("a", "a\0", None),
        ] {
            assert_eq!(
                first_change(old.as_bytes(), new.as_bytes()),
                line,
                "{old:?} {new:?}"
            );
        }
    }
}
