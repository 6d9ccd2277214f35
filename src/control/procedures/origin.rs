//! Who changed an app last: looked up in the clone's history when somebody asks, and kept until another commit is accepted.
//!
//! No actor waits for it, and nothing is written down for it: history itself outlives a restart.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tracing::debug;

use super::NodeContext;
use crate::actors::board::Posted;
use crate::actors::repo_watcher::facts_of;
use crate::git::{Certainty, Change, GitError};
use crate::names::{AppName, CommitId};
use crate::specs::DesiredApp;
use crate::specs::mistake::codes;
use crate::status::SyncState;
use crate::status::origin::Origin;

/// The longest that somebody who asks about an app waits for its history: several may ask, and each walk has its turn.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// What was found, by app: the newest question with its answer.
#[derive(Debug, Default)]
pub(crate) struct Origins(Mutex<BTreeMap<AppName, (Question, Option<Origin>)>>);

/// Who made it what it is in this commit?
#[derive(Debug, Clone, PartialEq, Eq)]
struct Question {
    commit: CommitId,
    path: String,
    /// The line that is asked for; none: the whole.
    line: Option<u32>,
}

/// Who changed `app` last: what git asks for, the line of its mistake, or its removal.
pub(crate) async fn of(
    node: &NodeContext,
    app: &AppName,
    posted: &Posted,
    desired: Option<&DesiredApp>,
) -> Option<Origin> {
    let commit = node.node_board.specs().accepted?.id;
    let question = question(commit, posted, desired)?;
    if let Some(known) = node.origins.known(app, &question) {
        return known;
    }
    match tokio::time::timeout(WAIT_MAX, ask(node, &question)).await {
        Ok(Ok(change)) => {
            let origin = change.map(origin_of);
            node.origins.keep(node, app, question, origin.clone());
            origin
        }
        Ok(Err(error)) => {
            debug!(%app, %error, "its history cannot be read");
            None
        }
        Err(_) => None,
    }
}

fn question(commit: CommitId, posted: &Posted, desired: Option<&DesiredApp>) -> Option<Question> {
    if posted.state.manual {
        return None;
    }
    let (path, line) = match (&posted.state.last_error, desired) {
        (Some(error), None) if posted.state.sync == SyncState::Error => {
            // What is missing stands in no line.
            let is_missing = error.code == codes::MISSING_KEY;
            (
                error.file.clone()?,
                error.line.filter(|line| *line > 0 && !is_missing),
            )
        }
        // What is asked for, else what was asked for before it was removed.
        (_, desired) => (path_of(desired.or(posted.record.applied.as_deref())?)?, None),
    };
    Some(Question { commit, path, line })
}

/// The spec, or its folder where more of that makes the app.
fn path_of(app: &DesiredApp) -> Option<String> {
    let path = if app.artefact.is_some() {
        &app.folder
    } else {
        &app.file
    };
    (!app.folder.is_empty()).then(|| path.clone())
}

async fn ask(node: &NodeContext, question: &Question) -> Result<Option<Change>, GitError> {
    let clone = node.clone.get().await?;
    let (commit, path) = (question.commit.clone(), question.path.clone());
    match question.line.and_then(|line| usize::try_from(line).ok()) {
        Some(line) => clone.change_of_line(commit, path, line).await,
        None => Ok(clone.changes(commit, path, 1).await?.into_iter().next()),
    }
}

fn origin_of(change: Change) -> Origin {
    let unknown = match change.certainty {
        Certainty::Exact => None,
        Certainty::OlderThanFetched => Some("older than what was fetched"),
        Certainty::OlderThanWalked => Some("further back than is looked"),
    };
    Origin {
        commit: unknown.is_none().then(|| facts_of(change.commit)),
        unknown: unknown.map(str::to_owned),
        file: change.file,
        line: change.line,
    }
}

impl Origins {
    fn known(&self, app: &AppName, question: &Question) -> Option<Option<Origin>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(app)
            .filter(|(asked, _)| asked == question)
            .map(|(_, origin)| origin.clone())
    }

    /// One answer an app; those about apps that are gone go too.
    fn keep(&self, node: &NodeContext, app: &AppName, question: Question, origin: Option<Origin>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|app, _| node.board.get(app).is_some());
        kept.insert(app.clone(), (question, origin));
    }
}
