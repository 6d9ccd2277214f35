//! Who changed an app last, and where: from the history of the accepted commit. Pure.

use serde::{Deserialize, Serialize};

use crate::names::shown;
use crate::specs::desired::CommitFacts;
use crate::status::time::span;

/// Where an app comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The commit that changed it last; none: see `unknown`.
    pub commit: Option<CommitFacts>,
    /// Why the commit is not known, such as "older than what was fetched".
    pub unknown: Option<String>,
    /// The file that the commit changed first: the spec, or one beside it that belongs to the app.
    pub file: String,
    /// The first line that it changed there, from 1; none for a new or removed file, or one without lines.
    pub line: Option<u32>,
}

impl Origin {
    /// `1a2b3c4 "subject" (author, 2 min ago, apps/web/app.yaml:3)`, safe on a terminal.
    #[must_use]
    pub fn words(&self, now_ms: u64, place: Option<&str>) -> Option<String> {
        let commit = self.commit.as_ref()?;
        let at_ms = u64::try_from(commit.time).unwrap_or(0).saturating_mul(1_000);
        let place = place.map_or_else(String::new, |place| format!(", {place}"));
        Some(format!(
            "{} \"{}\" ({}, {} ago{place})",
            commit.id.short(),
            shown(&commit.subject),
            shown(&commit.author),
            span(now_ms.saturating_sub(at_ms))
        ))
    }
}
