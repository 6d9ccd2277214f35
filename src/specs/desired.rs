//! The desired state of one node at one commit: what specs turn into, and what the plan is made from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::AppSpec;
use super::app_spec::{Sha256, Source, release};
use crate::names::{AppName, ArtefactId, CommitId, ObjectId, SpecDigest};

/// Everything that one commit asks of this node.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Desired {
    /// The apps that this node is to run.
    pub apps: BTreeMap<AppName, Arc<DesiredApp>>,
    /// The apps that have a mistake: what runs of them goes on, and nothing else is done.
    pub invalid: BTreeMap<AppName, Arc<SpecError>>,
    /// Apps of the repository that placement puts elsewhere. A dependency on one counts as met. An app with a mistake
    /// whose placement could still be read is here and in `invalid`: what runs of it is left alone all the same.
    pub elsewhere: BTreeSet<AppName>,
    /// Every mistake found, in the order of files; those of `invalid` included, and those that no app can be blamed for.
    pub mistakes: Vec<Arc<SpecError>>,
    /// What is odd but no mistake.
    pub warnings: Vec<Arc<SpecError>>,
    /// How many spec files there are, readable or not.
    pub file_count: usize,
}

/// One app as a commit asks for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DesiredApp {
    /// What to run.
    pub spec: Arc<AppSpec>,
    /// In sync means: the running instance was started from, or has since applied, this digest.
    pub digest: SpecDigest,
    /// The spec file, relative to the repository's root.
    pub file: String,
    /// The line of its name or version, for `why`.
    pub line: u32,
    /// The app's folder in the repository ("apps/web"); empty for an app that did not come from git.
    pub folder: String,
    /// For source `path` beside the spec: the id of that folder's tree, from which the artefact is written out.
    pub artefact: Option<ObjectId>,
}

impl DesiredApp {
    /// Under what its artefact is kept on the node; none: it has none, or one that lies elsewhere.
    #[must_use]
    pub fn artefact_id(&self) -> Option<ArtefactId> {
        match self.spec.source.as_ref()? {
            Source::Path { .. } => self.artefact.as_ref().map(ArtefactId::from),
            Source::Release {
                url,
                sha256: Sha256::One(sha256),
            } => release::artefact_id(url, sha256),
            _ => None,
        }
    }
}

/// The commit that a desired state was read from, with what people want to know of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitFacts {
    /// Its id.
    pub id: CommitId,
    /// The author's name, invalid bytes replaced.
    pub author: String,
    /// The author's address.
    pub email: String,
    /// Seconds since the epoch.
    pub time: i64,
    /// The first line of the message.
    pub subject: String,
}

/// One mistake in a repository: where it is, what it is, and one fix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}: {message}", self.place())]
pub struct SpecError {
    /// The app it belongs to, where one can be named.
    pub app: Option<AppName>,
    /// Relative to the repository's root.
    pub file: String,
    /// From 1; 0 where the whole file is meant.
    pub line: u32,
    /// From 1, in characters; 0 where the whole line is meant.
    pub column: u32,
    /// How many characters the place is long; at least 1.
    pub width: u32,
    /// The source line, cut to 200 characters, control characters escaped; empty where there is none or it must not be shown.
    pub source_line: String,
    /// A stable code such as `osier::spec::unknown_key`.
    pub code: String,
    /// What is wrong and why.
    pub message: String,
    /// The one next step.
    pub help: String,
}

impl SpecError {
    /// `file:line:column`, as far as they are known.
    #[must_use]
    pub fn place(&self) -> String {
        let Self {
            file, line, column, ..
        } = self;
        match (line, column) {
            (0, _) => file.clone(),
            (line, 0) => format!("{file}:{line}"),
            (line, column) => format!("{file}:{line}:{column}"),
        }
    }
}
