//! What becomes of a commit of which nothing can be used, and of a look that brought none: what was accepted goes on.

use super::Passes;
use crate::actors::node_board::Refused;
use crate::actors::reconciler::ReadError;
use crate::clock::now_ms;
use crate::names::CommitId;
use crate::plan::Plan;
use crate::specs::desired::CommitFacts;
use crate::specs::{RepositoryError, SpecError};
use crate::status::unfollowed::Unfollowed;
use crate::telemetry::Event;

impl Passes {
    /// The repository was looked at in vain. What was accepted is reconciled all the same: a change by hand that holds until
    /// the next reconcile does not wait for a server.
    pub async fn reconcile_accepted(&mut self) {
        if self.ledger.desired.is_none() || self.cache.is_none() {
            return;
        }
        let silent = self.waiting.unheard().clone();
        self.reapply().await;
        self.remind(&silent).await;
        self.answer_waiting();
    }

    /// Ends what held until this reconcile, and tells the apps what follows from the accepted commit.
    pub(super) async fn reapply(&mut self) {
        if self.ledger.expire_words(now_ms(), true) {
            self.services.memory.save_words(&self.ledger.words);
            self.set_alarm();
        }
        let (verdict, told_count) = self.tell().await;
        self.newest = if told_count > 0 {
            verdict.plan
        } else {
            Plan::default()
        };
    }

    /// A commit cannot be read. Told once, however often it is looked at.
    pub(super) fn refuse(
        &mut self,
        facts: CommitFacts,
        cause: &ReadError,
        is_manual: bool,
        duration_ms: u64,
    ) {
        let why = cause.to_string();
        let refused = Refused { facts, why };
        let error = Unfollowed::unreadable(&refused.facts, &refused.why).cause();
        let is_news = self.refused.as_ref() != Some(&refused);
        if is_news && let ReadError::Repository(RepositoryError::Settings(mistakes)) = cause {
            self.tell_mistakes(mistakes, &refused.facts.id);
        }
        if is_manual || is_news {
            self.services.events.emit(Event::ReconcileError {
                code: "osier::specs::unreadable".to_owned(),
                error: error.clone(),
                duration_ms,
            });
            self.refused = Some(refused.clone());
        }
        self.services
            .board
            .set_specs(|specs| specs.refused = Some(refused));
        self.services.board.set_reconcile(duration_ms, Some(error));
    }

    pub(super) fn tell_mistakes<'e>(
        &self,
        mistakes: impl IntoIterator<Item = &'e SpecError>,
        commit: &CommitId,
    ) {
        for mistake in mistakes {
            self.services.events.emit(Event::SpecInvalid {
                app: mistake.app.clone(),
                file: mistake.file.clone(),
                line: mistake.line,
                column: mistake.column,
                code: mistake.code.clone(),
                error: mistake.message.clone(),
                commit: commit.clone(),
            });
        }
    }
}
