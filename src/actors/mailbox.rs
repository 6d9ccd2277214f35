//! How many messages wait for an actor. Its senders and the actor itself keep count, because ractor does not tell.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ractor::rpc::CallResult;
use ractor::{Actor, ActorRef, ActorStatus, Message, MessagingErr, RpcReplyPort};
use tokio::task::AbortHandle;

use crate::supervisor::{ChildId, ChildRef, ChildSpec, Started};

/// The number of messages that wait for one incarnation of an actor.
#[derive(Debug, Clone, Default)]
pub struct Depth(Arc<AtomicU64>);

impl Depth {
    /// The actor has taken a message out of its mailbox: the first thing that its handler says.
    pub fn taken(&self) {
        // What was sent around the [`Mailbox`] was not counted; it must not wrap the number.
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| {
                waiting.checked_sub(1)
            });
    }

    /// How many wait now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn sent(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// An actor's address; what is sent through it is counted until the actor takes it.
pub struct Mailbox<M> {
    actor: ActorRef<M>,
    depth: Depth,
}

impl<M> Clone for Mailbox<M> {
    fn clone(&self) -> Self {
        Self {
            actor: self.actor.clone(),
            depth: self.depth.clone(),
        }
    }
}

impl<M> fmt::Debug for Mailbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Mailbox({}, {} waiting)",
            self.actor.get_id(),
            self.depth.get()
        )
    }
}

impl<M: Message> Mailbox<M> {
    /// The mailbox of `actor`, which counts down `depth`.
    pub fn new(actor: ActorRef<M>, depth: Depth) -> Self {
        Self { actor, depth }
    }

    /// The mailbox of a child that [`child`] made.
    pub fn of(child: &ChildRef) -> Self {
        Self::new(child.cell().clone().into(), child.info().unwrap_or_default())
    }

    /// The actor.
    pub fn actor(&self) -> &ActorRef<M> {
        &self.actor
    }

    /// Does the actor live and has messages before it?
    pub fn has_unread(&self) -> bool {
        self.depth.get() > 0 && self.actor.get_status() < ActorStatus::Stopping
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When the actor is gone: nobody will ever read it.
    pub fn cast(&self, message: M) -> Result<(), MessagingErr<M>> {
        self.depth.sent();
        self.actor.cast(message).inspect_err(|_| self.depth.taken())
    }

    /// Asks and waits for the answer; none when nobody will ever give it.
    pub async fn ask<T: Send + 'static>(&self, question: impl FnOnce(RpcReplyPort<T>) -> M) -> Option<T> {
        self.depth.sent();
        match self.actor.call(question, None).await {
            Ok(CallResult::Success(answer)) => Some(answer),
            Ok(CallResult::SenderError | CallResult::Timeout) => None,
            Err(_) => {
                self.depth.taken();
                None
            }
        }
    }

    /// Sends a message when `wait` is over, unless the handle is told not to.
    pub fn send_after(&self, wait: Duration, message: impl FnOnce() -> M + Send + 'static) -> AbortHandle {
        let mailbox = self.clone();
        let timer = tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            // Whoever is gone by then wanted to wake itself.
            let _ = mailbox.cast(message());
        });
        timer.abort_handle()
    }
}

/// A permanent worker whose waiting messages the supervision tree shows; `make` gets the count for the actor to keep.
pub fn child<A, F>(id: impl Into<ChildId>, make: F) -> ChildSpec
where
    A: Actor,
    F: Fn(Depth) -> (A, A::Arguments) + Send + Sync + 'static,
{
    ChildSpec::new(id, move |supervisor| {
        let depth = Depth::default();
        let (actor, arguments) = make(depth.clone());
        async move {
            let (actor, join) = supervisor.spawn_linked(None, actor, arguments).await?;
            Ok(Started::actor(&actor, join).with_info(depth))
        }
    })
}
