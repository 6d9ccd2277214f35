//! How others speak to a supervisor.
//!
//! Calls have no time limit of their own, as in OTP: an answer comes as soon as the child's start or stop is over, and at
//! once ([`AdminError::NoProcess`]) when the supervisor is not there. Put a limit around a call where one is needed; what
//! was asked is carried out all the same.

use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use ractor::{ActorCell, ActorRef, RpcReplyPort};
use tokio::sync::oneshot;

use super::actor::EndSlot;
use super::admin::AdminError;
use super::blueprint::Blueprint;
use super::brood::Brood;
use super::decide::Request;
use super::exit::{ExitReason, SHUTDOWN};
use super::message::Message;
use super::observe::{ChildInfo, Counts, Tree};
use super::snapshot::Snapshot;
use super::spec::{ChildId, ChildSpec};
use super::start::{ChildRef, StartError};

/// A supervisor of a list of children. Cheap to clone; holds nothing alive.
#[derive(Debug, Clone)]
pub struct SupervisorRef {
    actor: ActorRef<Message>,
    end: EndSlot,
    brood: Brood,
}

impl SupervisorRef {
    pub(super) fn new(actor: ActorRef<Message>, end: EndSlot, brood: Brood) -> Self {
        Self { actor, end, brood }
    }

    /// The supervisor's own actor. Stopping it is an ordered stop of its children; killing it kills them.
    #[must_use]
    pub fn cell(&self) -> ActorCell {
        self.actor.get_cell()
    }

    /// Adds a child behind the others and starts it; `None` when it does not want to run now (it stays listed then, unless
    /// it is temporary).
    ///
    /// # Errors
    /// [`AdminError::AlreadyStarted`], [`AdminError::AlreadyPresent`], [`AdminError::Spec`], [`AdminError::StartFailed`]
    /// (nothing is kept), [`AdminError::Cancelled`], [`AdminError::NoProcess`].
    pub async fn start_child(&self, spec: ChildSpec) -> Result<Option<ChildRef>, AdminError> {
        self.call(Request::Start(spec)).await
    }

    /// Stops a child as its spec says, or ends its restarting; its spec stays unless it is temporary. Stopping a child that
    /// is down is no error.
    ///
    /// # Errors
    /// [`AdminError::NotFound`], [`AdminError::NoProcess`].
    pub async fn terminate_child(&self, id: impl Into<ChildId>) -> Result<(), AdminError> {
        self.call(Request::Terminate(id.into())).await.map(drop)
    }

    /// Starts a child that is down. It does not count towards the intensity.
    ///
    /// # Errors
    /// [`AdminError::NotFound`], [`AdminError::Running`], [`AdminError::Restarting`], [`AdminError::StartFailed`] (it stays
    /// listed), [`AdminError::Cancelled`], [`AdminError::NoProcess`].
    pub async fn restart_child(&self, id: impl Into<ChildId>) -> Result<Option<ChildRef>, AdminError> {
        self.call(Request::Restart(id.into())).await
    }

    /// Forgets a child that is down.
    ///
    /// # Errors
    /// [`AdminError::NotFound`], [`AdminError::Running`], [`AdminError::Restarting`], [`AdminError::NoProcess`].
    pub async fn delete_child(&self, id: impl Into<ChildId>) -> Result<(), AdminError> {
        self.call(Request::Delete(id.into())).await.map(drop)
    }

    /// Lets other flags and specs hold, all or nothing: flags from the next exit on, a spec from its child's next start. New
    /// children are listed but not started, those that are not named any more stay, the order of starts is the new one. The
    /// blueprint's observer is not taken over.
    ///
    /// # Errors
    /// [`AdminError::Spec`] (nothing was changed), [`AdminError::NoProcess`].
    pub async fn reconfigure(&self, blueprint: Blueprint) -> Result<(), AdminError> {
        let Blueprint { flags, children, .. } = blueprint;
        Ok(self
            .ask(|reply| Message::Reconfigure {
                flags,
                children,
                reply,
            })
            .await??)
    }

    /// All children in start order.
    ///
    /// # Errors
    /// [`AdminError::NoProcess`].
    pub async fn which_children(&self) -> Result<Vec<ChildInfo>, AdminError> {
        Ok(self.inspect().await?.children)
    }

    /// How many children there are.
    ///
    /// # Errors
    /// [`AdminError::NoProcess`].
    pub async fn count_children(&self) -> Result<Counts, AdminError> {
        Ok(Counts::of(&self.inspect().await?.children))
    }

    /// A child's spec.
    ///
    /// # Errors
    /// [`AdminError::NotFound`], [`AdminError::NoProcess`].
    pub async fn child_spec(&self, id: impl Into<ChildId>) -> Result<ChildSpec, AdminError> {
        Ok(self.look_up(id.into()).await?.0)
    }

    /// How a child is.
    ///
    /// # Errors
    /// [`AdminError::NotFound`], [`AdminError::NoProcess`].
    pub async fn child(&self, id: impl Into<ChildId>) -> Result<ChildInfo, AdminError> {
        Ok(self.look_up(id.into()).await?.1)
    }

    /// The supervisor and all below it. A supervisor below that does not answer within `patience` is shown without its children.
    ///
    /// # Errors
    /// [`AdminError::NoProcess`].
    pub async fn tree(&self, patience: Duration) -> Result<Tree, AdminError> {
        tree(self.actor.clone(), patience).await
    }

    /// Stops the children in reverse start order, then the supervisor. Returns when all are gone.
    pub async fn shutdown(&self) {
        let cell = self.cell();
        cell.stop(Some(SHUTDOWN.to_owned()));
        let _ = cell.wait(None).await;
    }

    /// Waits until the supervisor has ended, and says why, also to those who ask later: a [`ExitReason::Shutdown`], with a
    /// detail when it gave up or left after its significant children; [`ExitReason::Lost`] when it was killed or failed.
    pub async fn ended(&self) -> ExitReason {
        let _ = self.actor.wait(None).await;
        self.end.get().cloned().unwrap_or(ExitReason::Lost)
    }

    /// Waits until the supervisor has ended and nothing below it is left: where it was killed, its children are killed but
    /// waited for by nobody else.
    pub(crate) async fn gone(&self) {
        let _ = self.actor.wait(None).await;
        self.brood.kill().await;
    }

    async fn call(&self, request: Request) -> Result<Option<ChildRef>, AdminError> {
        let answer = self.ask(|reply| Message::Call { request, reply }).await?;
        answer.map_err(|error| match error {
            AdminError::StartFailed(StartError::AlreadyStarted(cell)) => {
                AdminError::AlreadyStarted(ChildRef { cell, info: None })
            }
            other => other,
        })
    }

    async fn look_up(&self, id: ChildId) -> Result<(ChildSpec, ChildInfo), AdminError> {
        self.ask(|reply| Message::Child(id, reply))
            .await?
            .ok_or(AdminError::NotFound)
    }

    async fn inspect(&self) -> Result<Snapshot, AdminError> {
        self.ask(Message::Inspect).await
    }

    pub(super) async fn ask<T>(
        &self,
        message: impl FnOnce(RpcReplyPort<T>) -> Message,
    ) -> Result<T, AdminError> {
        ask(&self.actor, message).await
    }
}

/// The answer, or that nobody is there: also when the supervisor ends before it answers.
async fn ask<T>(
    supervisor: &ActorRef<Message>,
    message: impl FnOnce(RpcReplyPort<T>) -> Message,
) -> Result<T, AdminError> {
    let (reply, answer) = oneshot::channel();
    supervisor
        .send_message(message(reply.into()))
        .map_err(|_| AdminError::NoProcess)?;
    tokio::select! {
        biased;
        answer = answer => answer.map_err(|_| AdminError::NoProcess),
        // What a killed supervisor leaves behind may lie in its parent's mailbox for a while, our reply port with it.
        _ = supervisor.wait(None) => Err(AdminError::NoProcess),
    }
}

fn tree(supervisor: ActorRef<Message>, patience: Duration) -> BoxFuture<'static, Result<Tree, AdminError>> {
    Box::pin(async move {
        let Snapshot {
            flags,
            is_dynamic,
            children,
        } = ask(&supervisor, Message::Inspect).await?;
        let children = join_all(children.into_iter().map(|child| async move {
            let below = match supervisor_of(&child) {
                Some(below) => tokio::time::timeout(patience, tree(below, patience))
                    .await
                    .ok()
                    .and_then(Result::ok),
                None => None,
            };
            (child, below)
        }))
        .await;
        Ok(Tree {
            flags,
            is_dynamic,
            children,
        })
    })
}

fn supervisor_of(child: &ChildInfo) -> Option<ActorRef<Message>> {
    let cell = &child.child.as_ref()?.cell;
    (cell.is_message_type_of::<Message>() == Some(true)).then(|| cell.clone().into())
}
