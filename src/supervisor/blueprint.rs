//! What a supervisor is made of, and its start.

use ractor::{Actor, ActorCell};
use tokio::task::JoinHandle;

use super::actor::{Arguments, EndSlot, SupervisorActor};
use super::brood::Brood;
use super::decide::{Core, Mode};
use super::flags::Flags;
use super::handle::SupervisorRef;
use super::observe::Observer;
use super::spec::{ChildId, ChildSpec, Kind};
use super::start::{StartError, Started};

/// What a supervisor is made of: its flags, and its children in start order.
#[derive(Clone, Default)]
pub struct Blueprint {
    pub(super) flags: Flags,
    pub(super) children: Vec<ChildSpec>,
    pub(super) observer: Option<Observer>,
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
    /// of; `None` means that it does not want to run now. Its [`SupervisorRef`] is the child's [`super::ChildRef::info`].
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
}

/// A supervisor that was just started.
pub(super) struct Fresh {
    pub(super) supervisor: SupervisorRef,
    pub(super) join: JoinHandle<()>,
    pub(super) brood: Brood,
}

pub(super) async fn start(
    mode: Mode,
    blueprint: Blueprint,
    parent: Option<ActorCell>,
) -> Result<Fresh, StartError> {
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
    let supervisor = SupervisorRef::new(actor, end, brood.clone());
    Ok(Fresh {
        supervisor,
        join,
        brood,
    })
}
