//! What people want to know about a commit: who, when, why.

use gix::bstr::ByteSlice as _;
use serde::{Deserialize, Serialize};

use super::error::GitError;
use super::foreign_text::chain_text;
use crate::names::{CommitId, shown};

/// The facts of one commit. Texts are lossy where they are no UTF-8, and cut; control characters are still in them and
/// are escaped by whoever shows them (see [`Commit::summary`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Its id.
    pub id: CommitId,
    /// The author's name.
    pub author: String,
    /// The author's email address.
    pub email: String,
    /// When it was written, in seconds since the epoch. As the author's clock said: a claim, no proof.
    pub at: i64,
    /// The first line of its message.
    pub subject: String,
    /// Its parents, first parent first.
    pub parents: Vec<CommitId>,
}

/// The longest name, address or subject that is kept, in characters.
const TEXT_CHARS_MAX: usize = 256;

/// The most parents that are kept: an octopus has a handful.
const PARENTS_MAX: usize = 64;

impl Commit {
    /// One line for people, safe on a terminal: `1a2b3c4 subject (author)`.
    #[must_use]
    pub fn summary(&self) -> String {
        format!(
            "{} {} ({})",
            self.id.short(),
            shown(&self.subject),
            shown(&self.author)
        )
    }

    pub(super) fn read(repository: &gix::Repository, id: gix::ObjectId) -> Result<Self, GitError> {
        let unreadable = |reason: String| GitError::Damaged {
            path: repository.path().to_owned(),
            reason: format!("commit {id}: {reason}"),
        };
        let object = match repository.try_find_object(id) {
            Ok(Some(object)) => object,
            Ok(None) => {
                return Err(GitError::NoSuchCommit {
                    revision: id.to_string(),
                });
            }
            Err(error) => return Err(unreadable(chain_text(&error))),
        };
        let Ok(commit) = object.try_into_commit() else {
            return Err(GitError::NoSuchCommit {
                revision: id.to_string(),
            });
        };
        let decoded = commit.decode().map_err(|error| unreadable(error.to_string()))?;
        let author = decoded.author().ok();
        Ok(Self {
            id: super::clone::commit_id(id).ok_or_else(|| unreadable("its id is malformed".to_owned()))?,
            author: author.map(|author| text(author.name)).unwrap_or_default(),
            email: author.map(|author| text(author.email)).unwrap_or_default(),
            at: author
                .and_then(|author| author.time().ok())
                .map_or(0, |time| time.seconds),
            subject: text(decoded.message.lines().next().unwrap_or_default().as_bstr()),
            parents: decoded
                .parents()
                .take(PARENTS_MAX)
                .filter_map(super::clone::commit_id)
                .collect(),
        })
    }
}

fn text(bytes: &gix::bstr::BStr) -> String {
    bytes.to_str_lossy().trim().chars().take(TEXT_CHARS_MAX).collect()
}
