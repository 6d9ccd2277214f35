//! What operators ask of the reconciler and tell it: diffs, words about apps, and when those words run out.

use ractor::RpcReplyPort;

use super::Passes;
use crate::actors::reconciler::orders::{self, Order, OrderError, OrderReply};
use crate::actors::reconciler::{ReadError, ReconcilerMsg};
use crate::clock::now_ms;
use crate::names::CommitId;
use crate::plan::Diff;
use crate::specs::{Desired, SpecCache};

impl Passes {
    /// Says what a reconcile to `commit` would do, in a task: the commit has to be read.
    pub fn diff(&self, commit: CommitId, reply: RpcReplyPort<Result<Diff, ReadError>>) {
        if let Some(accepted) = self
            .ledger
            .desired
            .as_ref()
            .filter(|accepted| accepted.facts.id == commit)
        {
            let diff = self.ledger.diff(&accepted.desired, &commit);
            let _ = reply.send(Ok(diff));
            return;
        }
        let (specs, myself) = (self.services.specs.clone(), self.myself.clone());
        let names = self
            .cache
            .as_ref()
            .map(|cache| cache.names().clone())
            .unwrap_or_default();
        tokio::spawn(async move {
            match specs.read(commit.clone(), SpecCache::with_names(names)).await.0 {
                Ok(desired) => drop(myself.cast(ReconcilerMsg::Compare {
                    commit,
                    desired,
                    reply,
                })),
                Err(error) => drop(reply.send(Err(error))),
            }
        });
    }

    /// The commit for a diff was read.
    pub fn compare(
        &self,
        commit: &CommitId,
        desired: &Desired,
        reply: RpcReplyPort<Result<Diff, ReadError>>,
    ) {
        let _ = reply.send(Ok(self.ledger.diff(desired, commit)));
    }

    /// An operator's word about apps.
    pub async fn order(&mut self, order: Order) -> Result<OrderReply, OrderError> {
        let is_about_the_commit = matches!(order, Order::AcceptPrune { .. });
        let reply = orders::apply(order, self.ledger.change())?;
        self.services.memory.save_words(&self.ledger.words);
        self.set_alarm();
        let (verdict, _) = self.tell().await;
        if is_about_the_commit {
            // Whoever asks how the commit went hears of these removals too.
            self.newest = verdict.plan;
        }
        Ok(reply)
    }

    /// An operator's word has run out.
    pub async fn words_run_out(&mut self) {
        if self.ledger.expire_words(now_ms(), false) {
            self.services.memory.save_words(&self.ledger.words);
            self.tell().await;
        }
        self.set_alarm();
    }

    /// Publishes what operators decided, and wakes the reconciler when that runs out.
    pub(super) fn set_alarm(&mut self) {
        self.services.board.set_held(self.ledger.words.held());
        if let Some(alarm) = self.alarm.take() {
            alarm.abort();
        }
        let Some(end_ms) = self.ledger.words.next_end_ms() else {
            return;
        };
        let wait = std::time::Duration::from_millis(end_ms.saturating_sub(now_ms()));
        self.alarm = Some(self.myself.send_after(wait, || ReconcilerMsg::WordsRunOut));
    }
}
