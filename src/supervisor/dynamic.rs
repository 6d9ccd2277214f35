//! A supervisor of children that come and go.

use std::time::Duration;

use ractor::ActorCell;

use super::admin::AdminError;
use super::blueprint::{Blueprint, Fresh, start};
use super::decide::Mode;
use super::exit::ExitReason;
use super::flags::{Flags, INTENSITY_DEFAULT, PERIOD_DEFAULT, Strategy};
use super::handle::SupervisorRef;
use super::message::Message;
use super::observe::{ChildInfo, Counts, Observer, Tree};
use super::spec::{ChildId, ChildSpec, Kind};
use super::start::{ChildRef, StartError, Started};

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

impl ChildSpec {
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
