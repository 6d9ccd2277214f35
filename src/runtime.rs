//! How an app is run: the [`Runtime`] trait, and the backends.
//!
//! A runtime starts, stops and finds instances. It decides nothing: whether and when is the app actor's business.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

pub mod accounts;
pub mod embedded;
#[cfg(all(target_os = "linux", feature = "process"))]
pub mod keeper;
pub mod leavings;
pub mod logs;
pub mod notice;
#[cfg(all(target_os = "linux", feature = "process"))]
pub mod process;

pub use self::notice::Notice;
use crate::clock::now_ms;
pub use crate::lifecycle::exit::{Exit, ExitKind};
use crate::names::{AppName, InstanceId, NodeName, SpecDigest};
use crate::specs::AppSpec;
use crate::specs::app_spec::StopPolicy;
pub use crate::status::Usage;

/// Everything a runtime needs to start one instance.
#[derive(Debug, Clone)]
pub struct Launch {
    /// What to run.
    pub spec: Arc<AppSpec>,
    /// Which run of it this is.
    pub instance: InstanceId,
    /// The digest that it is started from; kept with the instance, so that whoever finds it knows what runs.
    pub digest: SpecDigest,
    /// The artefact's folder; none for source `none`.
    pub artefact: Option<PathBuf>,
    /// The node that runs it.
    pub node: NodeName,
}

/// A running instance.
pub struct Instance {
    /// The app.
    pub app: AppName,
    /// Which run of it.
    pub id: InstanceId,
    /// The digest that it was started from.
    pub digest: SpecDigest,
    /// Its main process, where it has one.
    pub os_pid: Option<u32>,
    /// Milliseconds since the epoch.
    pub started_at_ms: u64,
    /// Limits or sandbox rules that were asked for and are not in force.
    pub not_enforced: Vec<String>,
    /// Resolves once when it has ended, with its whole tree.
    pub exited: ExitFuture,
}

impl Instance {
    /// What runs of `launch` from now on, for runtimes of a host; `exited` resolves when it has ended.
    pub fn of(launch: &Launch, exited: impl Future<Output = Exit> + Send + 'static) -> Self {
        Self {
            app: launch.spec.name.clone(),
            id: launch.instance.clone(),
            digest: launch.digest.clone(),
            os_pid: None,
            started_at_ms: now_ms(),
            not_enforced: Vec::new(),
            exited: Box::pin(exited),
        }
    }
}

impl Exit {
    /// An end that is now, for runtimes of a host.
    #[must_use]
    pub fn now(how: ExitKind) -> Self {
        Self {
            how,
            is_out_of_memory: false,
            was_killed_after_grace: false,
            at_ms: now_ms(),
        }
    }
}

/// Resolves when an instance has ended.
pub type ExitFuture = Pin<Box<dyn Future<Output = Exit> + Send>>;

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instance({} {} pid {:?})", self.app, self.id, self.os_pid)
    }
}

/// A command that is to tell how a running instance fares.
#[derive(Debug, Clone)]
pub struct CheckCommand {
    /// What the instance was started with: the command has its environment, user and limits.
    pub launch: Launch,
    /// Program and arguments.
    pub command: Vec<String>,
    /// How long it has; then it is killed with all that it started.
    pub timeout: Duration,
}

/// How such a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckEnd {
    /// Code or signal; none: its time was over.
    pub how: Option<ExitKind>,
    /// What it said, the beginning of it.
    pub output: Vec<u8>,
}

/// Why a runtime could not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// The program could not be executed; trying again is pointless until something changes, but is done within the budget.
    #[error("cannot execute {path}: {reason}")]
    Exec {
        /// The program.
        path: String,
        /// The errno in words.
        reason: String,
        /// The errno.
        errno: i32,
    },
    /// A folder, user or descriptor that the spec asks for cannot be had.
    #[error("{what}: {reason}")]
    Prepare {
        /// What could not be done.
        what: String,
        /// Why it failed.
        reason: String,
    },
    /// The machine has no room left: disk, processes, memory, descriptors. Not the app's fault, so nothing of its budget is
    /// spent; tried again until there is room.
    #[error("{what}: {reason}")]
    Exhausted {
        /// What could not be done.
        what: String,
        /// The errno in words.
        reason: String,
    },
    /// A limit or sandbox rule cannot be enforced and `enforce = "strict"`.
    #[error("cannot enforce {what}: {reason}")]
    NotEnforceable {
        /// `limits.memory`, …
        what: String,
        /// Why it cannot.
        reason: String,
    },
    /// The runtime itself does not answer (the keeper is gone, the engine is down). Try again.
    #[error("the {runtime} runtime does not answer: {reason}")]
    Unavailable {
        /// Which runtime.
        runtime: String,
        /// Why.
        reason: String,
    },
    /// Anything else that a runtime wants to say.
    #[error("{0}")]
    Other(String),
}

impl RuntimeError {
    /// A stable code for `last_error`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Exec { .. } => "osier::runtime::exec_failed",
            Self::Prepare { .. } => "osier::runtime::prepare_failed",
            Self::Exhausted { .. } => "osier::runtime::exhausted",
            Self::NotEnforceable { .. } => "osier::runtime::not_enforceable",
            Self::Unavailable { .. } => "osier::runtime::unavailable",
            Self::Other(_) => "osier::runtime::failed",
        }
    }
}

/// A way to run apps (bc_gitops' `bc_gitops_runtime` behaviour: deploy, upgrade, reconfigure, remove, get_current_state).
///
/// Methods are async and must be cancel-safe: the caller gives up on a deadline. At most one of `deploy`, `upgrade`,
/// `reconfigure` and `remove` runs for an app at a time.
pub trait Runtime: Send + Sync + 'static {
    /// Starts an instance and returns when it runs.
    ///
    /// # Errors
    /// When it cannot be started; nothing of it is left behind then.
    fn deploy(&self, launch: Launch) -> impl Future<Output = Result<Instance, RuntimeError>> + Send;

    /// Stops what runs of an app and returns when all of it is gone. Nothing running is a success.
    ///
    /// # Errors
    /// When it cannot be stopped or the runtime does not answer.
    fn remove(
        &self,
        app: &AppName,
        stop: StopPolicy,
    ) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// What runs, found by looking, not by remembering.
    ///
    /// # Errors
    /// When the runtime does not answer.
    fn current_state(&self)
    -> impl Future<Output = Result<BTreeMap<AppName, Instance>, RuntimeError>> + Send;

    /// What runs of one app; whoever lost an [`Instance`] gets it again here. Default: it is looked for in
    /// [`Runtime::current_state`], each app for itself: write it where a node may have thousands.
    ///
    /// # Errors
    /// When the runtime does not answer.
    fn adopt(&self, app: &AppName) -> impl Future<Output = Result<Option<Instance>, RuntimeError>> + Send {
        async move { Ok(self.current_state().await?.remove(app)) }
    }

    /// Replaces what runs with another version. Default: remove, then deploy.
    ///
    /// # Errors
    /// As [`Runtime::deploy`]; the old instance may be gone then.
    fn upgrade(
        &self,
        launch: Launch,
        stop: StopPolicy,
    ) -> impl Future<Output = Result<Instance, RuntimeError>> + Send {
        async move {
            self.remove(&launch.spec.name, stop).await?;
            self.deploy(launch).await
        }
    }

    /// Gives what runs other surroundings. Default: remove, then deploy.
    ///
    /// # Errors
    /// As [`Runtime::upgrade`].
    fn reconfigure(
        &self,
        launch: Launch,
        stop: StopPolicy,
    ) -> impl Future<Output = Result<Instance, RuntimeError>> + Send {
        self.upgrade(launch, stop)
    }

    /// What an app uses, where the runtime can tell.
    fn usage(&self, app: &AppName) -> impl Future<Output = Option<Usage>> + Send {
        let _ = app;
        async { None }
    }

    /// The app has left this node: whatever is held for it between its runs goes. Its folders stay. Asked again for an
    /// app that is not known any more, it does nothing.
    ///
    /// # Errors
    /// When something of it still runs, or the runtime does not answer.
    fn forget(&self, app: &AppName) -> impl Future<Output = Result<(), RuntimeError>> + Send {
        let _ = app;
        async { Ok(()) }
    }

    /// What a running instance says about itself (`sd_notify`), from now on and so far; none: nobody here hears that.
    fn notices(&self, app: &AppName, instance: &InstanceId) -> Option<watch::Receiver<Notice>> {
        let _ = (app, instance);
        None
    }

    /// Runs a command beside a running instance. Dropped, it may run on until its time is over.
    ///
    /// # Errors
    /// When it cannot be started, or nothing runs that it could look after. Default: always.
    fn check(&self, check: CheckCommand) -> impl Future<Output = Result<CheckEnd, RuntimeError>> + Send {
        let _ = check;
        async { Err(RuntimeError::Other("this runtime runs no commands".to_owned())) }
    }

    /// How surely this runtime does what is asked of it on this machine, for `doctor`.
    fn abilities(&self) -> impl Future<Output = Vec<Ability>> + Send {
        async { Vec::new() }
    }
}

/// Something that a runtime can do here, and how surely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ability {
    /// What it is about, in a word or two.
    pub name: String,
    /// How it is done here.
    pub how: String,
    /// What it does not cover, or why it cannot be done; none: nothing is amiss.
    pub gap: Option<String>,
    /// What would close the gap.
    pub fix: Option<String>,
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// [`Runtime`] with boxed futures, so that runtimes are kept by name. Implemented for every [`Runtime`].
#[expect(missing_docs, reason = "each method is its namesake in `Runtime`")]
pub trait DynRuntime: Send + Sync + 'static {
    fn deploy(&self, launch: Launch) -> BoxFuture<'_, Result<Instance, RuntimeError>>;
    fn remove<'a>(&'a self, app: &'a AppName, stop: StopPolicy) -> BoxFuture<'a, Result<(), RuntimeError>>;
    fn current_state(&self) -> BoxFuture<'_, Result<BTreeMap<AppName, Instance>, RuntimeError>>;
    fn adopt<'a>(&'a self, app: &'a AppName) -> BoxFuture<'a, Result<Option<Instance>, RuntimeError>>;
    fn upgrade(&self, launch: Launch, stop: StopPolicy) -> BoxFuture<'_, Result<Instance, RuntimeError>>;
    fn reconfigure(&self, launch: Launch, stop: StopPolicy) -> BoxFuture<'_, Result<Instance, RuntimeError>>;
    fn usage<'a>(&'a self, app: &'a AppName) -> BoxFuture<'a, Option<Usage>>;
    fn forget<'a>(&'a self, app: &'a AppName) -> BoxFuture<'a, Result<(), RuntimeError>>;
    fn notices(&self, app: &AppName, instance: &InstanceId) -> Option<watch::Receiver<Notice>>;
    fn check(&self, check: CheckCommand) -> BoxFuture<'_, Result<CheckEnd, RuntimeError>>;
    fn abilities(&self) -> BoxFuture<'_, Vec<Ability>>;
}

impl<R: Runtime> DynRuntime for R {
    fn deploy(&self, launch: Launch) -> BoxFuture<'_, Result<Instance, RuntimeError>> {
        Box::pin(Runtime::deploy(self, launch))
    }

    fn remove<'a>(&'a self, app: &'a AppName, stop: StopPolicy) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(Runtime::remove(self, app, stop))
    }

    fn current_state(&self) -> BoxFuture<'_, Result<BTreeMap<AppName, Instance>, RuntimeError>> {
        Box::pin(Runtime::current_state(self))
    }

    fn adopt<'a>(&'a self, app: &'a AppName) -> BoxFuture<'a, Result<Option<Instance>, RuntimeError>> {
        Box::pin(Runtime::adopt(self, app))
    }

    fn upgrade(&self, launch: Launch, stop: StopPolicy) -> BoxFuture<'_, Result<Instance, RuntimeError>> {
        Box::pin(Runtime::upgrade(self, launch, stop))
    }

    fn reconfigure(&self, launch: Launch, stop: StopPolicy) -> BoxFuture<'_, Result<Instance, RuntimeError>> {
        Box::pin(Runtime::reconfigure(self, launch, stop))
    }

    fn usage<'a>(&'a self, app: &'a AppName) -> BoxFuture<'a, Option<Usage>> {
        Box::pin(Runtime::usage(self, app))
    }

    fn forget<'a>(&'a self, app: &'a AppName) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(Runtime::forget(self, app))
    }

    fn notices(&self, app: &AppName, instance: &InstanceId) -> Option<watch::Receiver<Notice>> {
        Runtime::notices(self, app, instance)
    }

    fn check(&self, check: CheckCommand) -> BoxFuture<'_, Result<CheckEnd, RuntimeError>> {
        Box::pin(Runtime::check(self, check))
    }

    fn abilities(&self) -> BoxFuture<'_, Vec<Ability>> {
        Box::pin(Runtime::abilities(self))
    }
}

/// The runtimes of a node by the word in `isolation`.
pub type Runtimes = BTreeMap<String, Arc<dyn DynRuntime>>;
