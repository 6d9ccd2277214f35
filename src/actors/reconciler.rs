//! Makes the apps what the accepted commit asks for: reads its specs, plans, and hands every app actor its target.
//!
//! Level-triggered: what an app is told follows from what is known now ([`ledger`]), decided anew after each change of it
//! ([`book`]). An app that has not answered what it was told is told again at the next look, so a missing or late message
//! heals there. It never awaits an app; apps report by message.

mod book;
mod ledger;
mod orders;
mod passes;
#[cfg(test)]
mod tests;
mod waiting;

use std::sync::Arc;

use futures::future::BoxFuture;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};

pub(crate) use ledger::OperatorWords;
pub(crate) use orders::{ManualOrder, Order, OrderError, OrderReply, Report};
use passes::Passes;
pub(crate) use passes::{Memory, ReconcilerServices};
pub(crate) use waiting::Patience;

use crate::actors::app::AppReport;
use crate::actors::mailbox::{Depth, Mailbox};
use crate::names::CommitId;
use crate::plan::Diff;
use crate::specs::desired::CommitFacts;
use crate::specs::{Desired, SpecCache};

/// What others may ask of the reconciler.
#[derive(Debug)]
pub(crate) enum ReconcilerMsg {
    /// This is the accepted commit; it may be the same as before. `is_manual`: an operator asked for this pass.
    Commit { facts: CommitFacts, is_manual: bool },
    /// The repository was looked at in vain: what was accepted before is reconciled to.
    LookedInVain,
    /// An app actor reports a transition, or that it has (re)started and needs its target.
    AppChanged(AppReport),
    /// Answer with what was done, when so much of it is done.
    Settle {
        patience: Patience,
        reply: RpcReplyPort<Report>,
    },
    /// Say what a reconcile to this commit would do.
    Diff {
        commit: CommitId,
        reply: RpcReplyPort<Result<Diff, ReadError>>,
    },
    /// A commit for a diff was read.
    Compare {
        commit: CommitId,
        desired: Arc<Desired>,
        reply: RpcReplyPort<Result<Diff, ReadError>>,
    },
    /// An operator's word about apps.
    Order {
        order: Order,
        reply: RpcReplyPort<Result<OrderReply, OrderError>>,
    },
    /// The specs of a commit were read, or could not be.
    Read {
        facts: CommitFacts,
        is_manual: bool,
        outcome: Box<ReadOutcome>,
    },
    /// Decide anew: something changed since the last pass.
    Pass,
    /// An operator's word has run out.
    WordsRunOut,
}

/// What came of reading a commit's specs; the cache comes back with it.
#[derive(Debug)]
pub(crate) struct ReadOutcome {
    pub result: Result<Arc<Desired>, ReadError>,
    pub cache: SpecCache,
    pub duration_ms: u64,
    /// It is noted as the accepted commit: a reconciler that begins anew begins with this one.
    pub is_noted: bool,
}

/// Why nothing of a commit is used.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum ReadError {
    /// Its specs cannot be read as a whole.
    #[error(transparent)]
    Repository(#[from] crate::specs::RepositoryError),
    /// The commit itself cannot be read.
    #[error("{0}")]
    Git(String),
}

/// Opens a commit and reads its specs, on a thread of its own.
pub(crate) trait SpecReader: Send + Sync + 'static {
    /// What the commit asks of this node. The cache comes back in any case.
    fn read(
        &self,
        commit: CommitId,
        cache: SpecCache,
    ) -> BoxFuture<'static, (Result<Arc<Desired>, ReadError>, SpecCache)>;

    /// Notes that this commit is accepted, where the actors and the daemon find it when they begin anew; `false`: it could
    /// not be.
    fn accept(&self, commit: CommitId) -> BoxFuture<'static, bool>;
}

/// The actor.
pub(crate) struct Reconciler(pub Depth);

impl Actor for Reconciler {
    type Msg = ReconcilerMsg;
    type State = Passes;
    type Arguments = Arc<ReconcilerServices>;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        services: Self::Arguments,
    ) -> Result<Passes, ActorProcessingErr> {
        Ok(Passes::new(services, Mailbox::new(myself, self.0.clone())))
    }

    async fn post_start(
        &self,
        _: ActorRef<Self::Msg>,
        passes: &mut Passes,
    ) -> Result<(), ActorProcessingErr> {
        passes.wake_known_apps().await;
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<Self::Msg>,
        message: ReconcilerMsg,
        passes: &mut Passes,
    ) -> Result<(), ActorProcessingErr> {
        self.0.taken();
        match message {
            ReconcilerMsg::Commit { facts, is_manual } => passes.commit(facts, is_manual),
            ReconcilerMsg::LookedInVain => passes.reconcile_accepted().await,
            ReconcilerMsg::Read {
                facts,
                is_manual,
                outcome,
            } => passes.read(facts, is_manual, *outcome).await,
            ReconcilerMsg::AppChanged(report) => passes.app_changed(report).await,
            ReconcilerMsg::Settle { patience, reply } => passes.settle(patience, reply),
            ReconcilerMsg::Diff { commit, reply } => passes.diff(commit, reply),
            ReconcilerMsg::Compare {
                commit,
                desired,
                reply,
            } => passes.compare(&commit, &desired, reply),
            ReconcilerMsg::Order { order, reply } => {
                let _ = reply.send(passes.order(order).await);
            }
            ReconcilerMsg::Pass => passes.pass().await,
            ReconcilerMsg::WordsRunOut => passes.words_run_out().await,
        }
        Ok(())
    }
}
