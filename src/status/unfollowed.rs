//! What git asks for beyond the accepted commit, where a node does not follow it. Pure.

use serde::{Deserialize, Serialize};

use super::{Blocked, BlockedKind};
use crate::names::{CommitId, shown};
use crate::specs::desired::CommitFacts;

/// Git has gone on, or may have, and this node stays with the accepted commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfollowed {
    /// The newer commit; none: whether there is one is not known, as the repository cannot be used.
    pub commit: Option<CommitId>,
    /// `"subject" (author)` of that commit, where it could be read that far; safe on a terminal.
    pub title: Option<String>,
    /// Why it is not followed. After "which": `cannot be read: …`; of no commit the bare cause.
    pub why: String,
}

impl Unfollowed {
    /// A history that waits for an operator's word.
    #[must_use]
    pub fn blocked(blocked: &Blocked) -> Self {
        Self {
            commit: Some(blocked.commit.clone()),
            title: None,
            why: blocked.why(),
        }
    }

    /// A commit of which nothing can be used.
    #[must_use]
    pub fn unreadable(commit: &CommitFacts, cause: &str) -> Self {
        Self {
            commit: Some(commit.id.clone()),
            title: Some(format!(
                "\"{}\" ({})",
                shown(&commit.subject),
                shown(&commit.author)
            )),
            why: format!("cannot be used: {cause}"),
        }
    }

    /// A repository that cannot be looked at.
    #[must_use]
    pub fn unreachable(cause: &str) -> Self {
        Self {
            commit: None,
            title: None,
            why: cause.to_owned(),
        }
    }

    /// As the cause of a node's headline: `1a2b3c4 "Break it" (Ann) cannot be used: …`.
    #[must_use]
    pub fn cause(&self) -> String {
        match &self.commit {
            Some(commit) => [Some(commit.short()), self.title.as_deref(), Some(&self.why)]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(" "),
            None => format!("the repository cannot be used: {}", self.why),
        }
    }

    /// Beside what an app is by the accepted commit, as a sentence without its full stop.
    #[must_use]
    pub fn sentence(&self) -> String {
        let why = self.why.trim_end_matches('.');
        let Some(commit) = &self.commit else {
            return format!(
                "Whether git asks for something newer is not known: the repository cannot be used: {why}"
            );
        };
        let title = self
            .title
            .as_ref()
            .map_or_else(String::new, |title| format!(" {title}"));
        format!(
            "Git has gone on to {}{title}, which is not followed: it {why}",
            commit.short()
        )
    }
}

impl Blocked {
    /// Why, after the commit's id.
    #[must_use]
    pub fn why(&self) -> String {
        let accept = &self.accept;
        match self.kind {
            BlockedKind::Prune => {
                format!("would remove {} apps; to accept it: {accept}", self.apps.len())
            }
            BlockedKind::History => {
                format!("does not descend from the accepted commit; to accept it: {accept}")
            }
            BlockedKind::Signature => "has no good signature".to_owned(),
        }
    }
}
