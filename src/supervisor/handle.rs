//! How others speak to a supervisor: [`SupervisorRef`] and [`DynamicSupervisor`].
//!
//! Calls have no time limit of their own, as in OTP: an answer comes as soon as the child's start or stop is over, and at
//! once ([`AdminError::NoProcess`]) when the supervisor is not there. Put a limit around a call where one is needed; what
//! was asked is carried out all the same.

use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use ractor::{Actor, ActorCell, ActorRef, RpcReplyPort};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::actor::{Arguments, EndSlot, Message, SupervisorActor};
use super::admin::AdminError;
use super::brood::Brood;
use super::decide::{Core, Mode, Request};
use super::exit::{ExitReason, SHUTDOWN};
use super::flags::{Flags, INTENSITY_DEFAULT, PERIOD_DEFAULT, Strategy};
use super::observe::{ChildInfo, Counts, Observer, Tree};
use super::snapshot::Snapshot;
use super::spec::{ChildId, ChildRef, ChildSpec, Kind, StartError, Started};

/// What a supervisor is made of: its flags, and its children in start order.
#[derive(Clone, Default)]
pub struct Blueprint {
    flags: Flags,
    children: Vec<ChildSpec>,
    observer: Option<Observer>,
}

impl Blueprint {
    /// A supervisor without children.
    #[must_use]
    pub fn new(flags: Flags) -> Self {
        Self {
            flags,
            ..Self::default()
        }
    }

    /// Adds a child; children start in the order in which they are added.
    #[must_use]
    pub fn child(mut self, spec: ChildSpec) -> Self {
        self.children.push(spec);
        self
    }

    /// Adds children.
    #[must_use]
    pub fn children(mut self, specs: impl IntoIterator<Item = ChildSpec>) -> Self {
        self.children.extend(specs);
        self
    }

    /// Tells `observer` what happens to the children.
    #[must_use]
    pub fn observer(self, observer: Observer) -> Self {
        Self {
            observer: Some(observer),
            ..self
        }
    }

    /// Starts the supervisor and its children, linked to `parent` where there is one. When one of them cannot be started,
    /// those before it are stopped again.
    ///
    /// # Errors
    /// A wrong flag or spec, or [`StartError::Child`] with the cause.
    pub async fn start(self, parent: Option<ActorCell>) -> Result<SupervisorRef, StartError> {
        Ok(start(Mode::Static, self, parent).await?.supervisor)
    }
}

/// A supervisor of a list of children. Cheap to clone; holds nothing alive.
#[derive(Debug, Clone)]
pub struct SupervisorRef {
    actor: ActorRef<Message>,
    end: EndSlot,
}

/// Starts supervisors; see [`Blueprint`] for one with an observer.
#[derive(Debug)]
pub struct Supervisor;

impl Supervisor {
    /// Starts a supervisor and its children, in order; see [`Blueprint::start`].
    ///
    /// # Errors
    /// A wrong flag or spec, or [`StartError::Child`] with the cause.
    pub async fn start(
        flags: Flags,
        children: Vec<ChildSpec>,
        parent: Option<ActorCell>,
    ) -> Result<SupervisorRef, StartError> {
        Blueprint::new(flags).children(children).start(parent).await
    }
}

impl ChildSpec {
    /// A permanent child that is a supervisor, stopped without a time limit. `init` is asked at each start what it is made
    /// of; `None` means that it does not want to run now. Its [`SupervisorRef`] is the child's [`ChildRef::info`].
    pub fn supervisor<F>(id: impl Into<ChildId>, init: F) -> Self
    where
        F: Fn() -> Result<Option<Blueprint>, StartError> + Send + Sync + 'static,
    {
        Self::new(id, move |parent| {
            let blueprint = init();
            async move {
                let Some(blueprint) = blueprint? else {
                    return Ok(Started::ignored());
                };
                let Fresh {
                    supervisor,
                    join,
                    brood,
                } = start(Mode::Static, blueprint, Some(parent)).await?;
                Ok(Started::supervisor(supervisor.cell(), join, brood).with_info(supervisor))
            }
        })
        .kind(Kind::Supervisor)
    }

    /// A permanent child that is a dynamic supervisor, without children at each start, stopped without a time limit. Its
    /// [`DynamicSupervisor`] is the child's [`ChildRef::info`].
    pub fn dynamic(id: impl Into<ChildId>, flags: DynamicFlags) -> Self {
        Self::new(id, move |parent| {
            let flags = flags.clone();
            async move {
                let Fresh {
                    supervisor,
                    join,
                    brood,
                } = start(Mode::Dynamic, flags.into(), Some(parent)).await?;
                let started = Started::supervisor(supervisor.cell(), join, brood);
                Ok(started.with_info(DynamicSupervisor { inner: supervisor }))
            }
        })
        .kind(Kind::Supervisor)
    }
}

impl SupervisorRef {
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

    async fn ask<T>(&self, message: impl FnOnce(RpcReplyPort<T>) -> Message) -> Result<T, AdminError> {
        ask(&self.actor, message).await
    }
}

/// What holds for a dynamic supervisor as a whole: each child stands for itself.
#[derive(Clone)]
pub struct DynamicFlags {
    /// How many restarts within `period` are allowed, of all children together. Default 1.
    pub intensity: u32,
    /// The sliding window of `intensity`. Default 5 s.
    pub period: Duration,
    /// Is told what happens to the children.
    pub observer: Option<Observer>,
}

impl Default for DynamicFlags {
    fn default() -> Self {
        Self {
            intensity: INTENSITY_DEFAULT,
            period: PERIOD_DEFAULT,
            observer: None,
        }
    }
}

impl From<DynamicFlags> for Blueprint {
    fn from(flags: DynamicFlags) -> Self {
        Self {
            flags: Flags::new(Strategy::OneForOne).intensity(flags.intensity, flags.period),
            children: Vec::new(),
            observer: flags.observer,
        }
    }
}

/// A supervisor of any number of children that come and go, each for itself (OTP's simple_one_for_one, with a spec for each
/// child as in Elixir's `DynamicSupervisor`): a child that is down for good is forgotten, and at its end all are stopped at
/// once. Cheap to clone; holds nothing alive.
#[derive(Debug, Clone)]
pub struct DynamicSupervisor {
    inner: SupervisorRef,
}

impl DynamicSupervisor {
    /// Starts it without children, linked to `parent` where there is one.
    ///
    /// # Errors
    /// A wrong flag.
    pub async fn start(flags: DynamicFlags, parent: Option<ActorCell>) -> Result<Self, StartError> {
        let inner = start(Mode::Dynamic, flags.into(), parent).await?.supervisor;
        Ok(Self { inner })
    }

    /// The supervisor's own actor. Stopping it is a stop of its children; killing it kills them.
    #[must_use]
    pub fn cell(&self) -> ActorCell {
        self.inner.cell()
    }

    /// Starts a child, beside whatever else is being started; `None` when it does not want to run (it is not kept then).
    ///
    /// # Errors
    /// [`AdminError::AlreadyStarted`], [`AdminError::AlreadyPresent`] (it is being restarted), [`AdminError::Spec`],
    /// [`AdminError::StartFailed`], [`AdminError::Cancelled`], [`AdminError::NoProcess`].
    pub async fn start_child(&self, spec: ChildSpec) -> Result<Option<ChildRef>, AdminError> {
        self.inner.start_child(spec).await
    }

    /// Stops a child as its spec says, and forgets it; drops its start if that is under way.
    ///
    /// # Errors
    /// [`AdminError::NotFound`], [`AdminError::NoProcess`].
    pub async fn terminate_child(&self, id: impl Into<ChildId>) -> Result<(), AdminError> {
        self.inner.terminate_child(id).await
    }

    /// Stops the child that runs as this actor; one that has ended already is no error.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] when it lives and is not a child (it is left alone), [`AdminError::NoProcess`].
    pub async fn terminate_actor(&self, actor: &ActorCell) -> Result<(), AdminError> {
        let actor = actor.clone();
        self.inner
            .ask(|reply| Message::TerminateActor { actor, reply })
            .await?
            .map(drop)
    }

    /// Lets other flags hold from the next exit on, and these specs from their children's next start on; all or nothing. The
    /// flags' observer is not taken over.
    ///
    /// # Errors
    /// [`AdminError::Spec`] (nothing was changed; also when there is no child of such an id), [`AdminError::NoProcess`].
    pub async fn reconfigure(&self, flags: DynamicFlags, children: Vec<ChildSpec>) -> Result<(), AdminError> {
        self.inner
            .reconfigure(Blueprint::from(flags).children(children))
            .await
    }

    /// All children in start order.
    ///
    /// # Errors
    /// [`AdminError::NoProcess`].
    pub async fn which_children(&self) -> Result<Vec<ChildInfo>, AdminError> {
        self.inner.which_children().await
    }

    /// How many children there are. (`specs` counts them too: each has its own.)
    ///
    /// # Errors
    /// [`AdminError::NoProcess`].
    pub async fn count_children(&self) -> Result<Counts, AdminError> {
        self.inner.count_children().await
    }

    /// A child's spec.
    ///
    /// # Errors
    /// [`AdminError::NotFound`], [`AdminError::NoProcess`].
    pub async fn child_spec(&self, id: impl Into<ChildId>) -> Result<ChildSpec, AdminError> {
        self.inner.child_spec(id).await
    }

    /// How a child is.
    ///
    /// # Errors
    /// [`AdminError::NotFound`], [`AdminError::NoProcess`].
    pub async fn child(&self, id: impl Into<ChildId>) -> Result<ChildInfo, AdminError> {
        self.inner.child(id).await
    }

    /// The supervisor and all below it; see [`SupervisorRef::tree`].
    ///
    /// # Errors
    /// [`AdminError::NoProcess`].
    pub async fn tree(&self, patience: Duration) -> Result<Tree, AdminError> {
        self.inner.tree(patience).await
    }

    /// Stops all children at once, then the supervisor. Returns when all are gone.
    pub async fn shutdown(&self) {
        self.inner.shutdown().await;
    }

    /// Waits until the supervisor ends, and says why; see [`SupervisorRef::ended`].
    pub async fn ended(&self) -> ExitReason {
        self.inner.ended().await
    }
}

/// A supervisor that was just started.
struct Fresh {
    supervisor: SupervisorRef,
    join: JoinHandle<()>,
    brood: Brood,
}

async fn start(mode: Mode, blueprint: Blueprint, parent: Option<ActorCell>) -> Result<Fresh, StartError> {
    let (brood, end) = (Brood::default(), EndSlot::default());
    let arguments = Arguments {
        core: Core::new(mode, blueprint.flags, blueprint.children)?,
        brood: brood.clone(),
        observer: blueprint.observer,
        end: EndSlot::clone(&end),
    };
    let (actor, join) = match parent {
        Some(parent) => SupervisorActor::spawn_linked(None, SupervisorActor, arguments, parent).await?,
        None => SupervisorActor::spawn(None, SupervisorActor, arguments).await?,
    };
    let supervisor = SupervisorRef { actor, end };
    Ok(Fresh {
        supervisor,
        join,
        brood,
    })
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
