//! Apps as processes of their own, kept by the keeper: the [`Runtime`] of `isolation: process`.
//!
//! Turns a [`Launch`] into what the keeper takes verbatim: program, arguments, the whole environment, folders, user,
//! limits. It holds no state that matters: what runs is asked of the keeper.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::keeper::link::{KeeperError, KeeperLink};
use super::keeper::protocol::{
    self, Enforce, ExitHow, LimitFault, LogLimits, Running, Spawn, SpawnFault, SpawnStep, User,
};
use super::{
    Ability, CheckCommand, CheckEnd, Exit, ExitFuture, ExitKind, Instance, Launch, Notice, Runtime,
    RuntimeError, Usage,
};
use crate::names::{AppName, InstanceId, SpecDigest};
use crate::specs::AppSpec;
use crate::specs::app_spec::{HealthKind, StopPolicy};

mod abilities;
pub mod environment;
pub mod program;
pub mod users;

/// The file mode creation mask of apps, as login shells have it.
const UMASK: u32 = 0o022;
/// The name that errors use.
const NAME: &str = "process";

/// What holds for all apps of a node.
#[derive(Debug, Clone)]
pub struct ProcessOptions {
    /// The node's data directory, absolute.
    pub data_dir: PathBuf,
    /// `[node] app_user`: whom apps run as that name no user of their own; none: as the keeper.
    pub app_user: Option<String>,
    /// `[node] enforce`.
    pub enforce: Enforce,
    /// `[logs]`.
    pub logs: LogLimits,
}

/// Runs apps as OS processes.
#[derive(Debug)]
pub struct ProcessRuntime {
    link: KeeperLink,
    options: Arc<ProcessOptions>,
    /// Which run of an app was seen last: spares a list where only its usage is asked.
    seen: Mutex<HashMap<AppName, InstanceId>>,
}

impl ProcessRuntime {
    /// Over a link to the keeper of the same data directory.
    #[must_use]
    pub fn new(link: KeeperLink, options: ProcessOptions) -> Self {
        Self {
            link,
            options: Arc::new(options),
            seen: Mutex::default(),
        }
    }

    /// The link to the keeper.
    #[must_use]
    pub fn link(&self) -> &KeeperLink {
        &self.link
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, HashMap<AppName, InstanceId>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the keeper is to start. Where files have to be read for it (of the artefact, or the accounts), that is done
    /// beside: a mount that hangs holds up this app and nobody else.
    async fn prepare(&self, launch: Launch) -> Result<Spawn, RuntimeError> {
        let user = launch.spec.sandbox.user.as_ref();
        if launch.artefact.is_none() && user.or(self.options.app_user.as_ref()).is_none() {
            return spawn_of(&self.options, &launch);
        }
        let options = Arc::clone(&self.options);
        let prepared = tokio::task::spawn_blocking(move || spawn_of(&options, &launch));
        let crashed = |crash: tokio::task::JoinError| RuntimeError::Other(crash.to_string());
        prepared.await.map_err(crashed)?
    }

    async fn spawn(&self, spawn: Spawn, stop: StopPolicy) -> Result<protocol::Spawned, KeeperError> {
        match self.link.spawn(spawn.clone()).await {
            // Of a start whose answer never came. There is one run of an app, and this is to be it.
            Err(KeeperError::NotSpawned(SpawnFault::AlreadyRunning { instance, .. })) => {
                self.stop(&instance, stop).await?;
                self.link.spawn(spawn).await
            }
            done => done,
        }
    }

    async fn stop(&self, instance: &InstanceId, stop: StopPolicy) -> Result<(), KeeperError> {
        self.link.stop(instance, stop.signal.number(), stop.grace).await?;
        // Whoever waits for this exit has it by now.
        self.link.take_exit(instance);
        Ok(())
    }

    fn instance(&self, app: AppName, id: InstanceId, label: &str, pid: u32, started_at_ms: u64) -> Instance {
        self.seen().insert(app.clone(), id.clone());
        let exit = self.link.exit_of(&app, &id);
        let exited: ExitFuture = Box::pin(async move { exit_from(&exit.await) });
        Instance {
            // A label that is no digest is of a run that this release cannot know: it differs from any.
            digest: label.parse().unwrap_or_else(|_| SpecDigest::of(label.as_bytes())),
            app,
            id,
            os_pid: Some(pid),
            started_at_ms,
            not_enforced: Vec::new(),
            exited,
        }
    }

    /// What runs, and what ended unheard: an app that ended while no daemon looked is told as an instance whose
    /// `exited` is there already, so that its exit code still counts.
    fn instances(&self, list: protocol::List) -> BTreeMap<AppName, Instance> {
        let mut found: BTreeMap<AppName, Instance> = BTreeMap::new();
        for run in list.running {
            found.insert(run.app.clone(), self.running(run));
        }
        for exit in list.exits.into_iter().rev() {
            if found.contains_key(&exit.app) {
                // Of a run before the one that counts.
                self.link.take_exit(&exit.instance);
                continue;
            }
            let (app, pid, at) = (exit.app.clone(), exit.pid, exit.started_at_ms);
            found.insert(
                app.clone(),
                self.instance(app, exit.instance, &exit.label, pid, at),
            );
        }
        found
    }

    fn running(&self, run: Running) -> Instance {
        let not_enforced = texts(&run.not_in_force);
        let instance = self.instance(run.app, run.instance, &run.label, run.pid, run.started_at_ms);
        Instance {
            not_enforced,
            ..instance
        }
    }
}

fn spawn_of(options: &ProcessOptions, launch: &Launch) -> Result<Spawn, RuntimeError> {
    let spec = &launch.spec;
    let data = options
        .data_dir
        .join("apps")
        .join(spec.name.as_str())
        .join("data");
    let program = program::resolve(spec, launch.artefact.as_deref())?;
    let user = spec.sandbox.user.as_ref().or(options.app_user.as_ref());
    let stop = spec.stop.policy();
    let notify = spec
        .health
        .as_ref()
        .is_some_and(|health| health.policy().kind == HealthKind::Notify);
    if notify {
        environment::notify_socket_fits(&data)?;
    }
    Ok(Spawn {
        app: spec.name.clone(),
        instance: launch.instance.clone(),
        command: program.command,
        environment: environment::of(launch, &data),
        working_dir: program.working_dir,
        user: user.map(|name| user_of(name)).transpose()?.flatten(),
        umask: UMASK,
        no_new_privileges: spec.sandbox.gains_no_privileges(),
        confinement: confinement_of(launch),
        limits: limits_of(spec),
        enforce: options.enforce,
        stop_signal: stop.signal.number(),
        stop_grace_ms: millis(stop.grace),
        logs: options.logs,
        label: launch.digest.to_string(),
        notify,
    })
}

/// A command in the place of the app's own program: the same environment, user and limits.
fn check_of(options: &ProcessOptions, check: &CheckCommand) -> Result<protocol::Check, RuntimeError> {
    let mut spec = AppSpec::clone(&check.launch.spec);
    spec.command.clone_from(&check.command);
    let launch = Launch {
        spec: Arc::new(spec),
        ..check.launch.clone()
    };
    let spawn = spawn_of(options, &launch)?;
    Ok(protocol::Check {
        id: InstanceId::random(),
        app: spawn.app,
        instance: spawn.instance,
        command: spawn.command,
        environment: spawn.environment,
        working_dir: spawn.working_dir,
        user: spawn.user,
        umask: spawn.umask,
        no_new_privileges: spawn.no_new_privileges,
        confinement: spawn.confinement,
        enforce: spawn.enforce,
        open_files: spawn.limits.open_files,
        timeout_ms: millis(check.timeout),
    })
}

impl Runtime for ProcessRuntime {
    async fn deploy(&self, launch: Launch) -> Result<Instance, RuntimeError> {
        let stop = launch.spec.stop.policy();
        let spawn = self.prepare(launch).await?;
        let (app, label) = (spawn.app.clone(), spawn.label.clone());
        let spawned = self.spawn(spawn, stop).await;
        let spawned = spawned.map_err(|error| failed(&error))?;
        let instance = self.instance(app, spawned.instance, &label, spawned.pid, spawned.started_at_ms);
        Ok(Instance {
            not_enforced: texts(&spawned.not_in_force),
            ..instance
        })
    }

    async fn remove(&self, app: &AppName, stop: StopPolicy) -> Result<(), RuntimeError> {
        let list = self.link.find(app).await.map_err(|error| failed(&error))?;
        let running = list.running.iter().map(|run| &run.instance);
        for instance in running.chain(list.waiting.iter().map(|waiting| &waiting.instance)) {
            self.stop(instance, stop).await.map_err(|error| failed(&error))?;
        }
        Ok(())
    }

    async fn current_state(&self) -> Result<BTreeMap<AppName, Instance>, RuntimeError> {
        let list = self.link.list().await.map_err(|error| failed(&error))?;
        Ok(self.instances(list))
    }

    async fn adopt(&self, app: &AppName) -> Result<Option<Instance>, RuntimeError> {
        let list = self.link.find(app).await.map_err(|error| failed(&error))?;
        if list.running.is_empty() && !list.waiting.is_empty() {
            // Whether it will run is not known yet, so neither answer would be true.
            return Err(RuntimeError::Unavailable {
                runtime: NAME.to_owned(),
                reason: format!("a start of {app} still waits for its turn"),
            });
        }
        Ok(self.instances(list).remove(app))
    }

    async fn usage(&self, app: &AppName) -> Option<Usage> {
        if self.link.trouble().borrow().is_some() {
            // Whoever looks at the app is not to wait for a keeper that does not answer.
            return None;
        }
        let instance = self.seen().get(app).cloned()?;
        let usage = self.link.usage(vec![instance]).await.ok()?.pop()?;
        Some(Usage {
            cpu_ms: usage.cpu_ms,
            memory_bytes: usage.memory_bytes,
            open_files: usage.open_files_count.into(),
            processes: usage.processes_count.into(),
        })
    }

    /// Its groups and its output pipe go. Data and logs stay.
    async fn forget(&self, app: &AppName) -> Result<(), RuntimeError> {
        self.link.forget(app).await.map_err(|error| failed(&error))?;
        self.seen().remove(app);
        Ok(())
    }

    fn notices(&self, _: &AppName, instance: &InstanceId) -> Option<watch::Receiver<Notice>> {
        Some(self.link.notices(instance))
    }

    async fn check(&self, check: CheckCommand) -> Result<CheckEnd, RuntimeError> {
        let options = Arc::clone(&self.options);
        let prepared = tokio::task::spawn_blocking(move || check_of(&options, &check));
        let crashed = |crash: tokio::task::JoinError| RuntimeError::Other(crash.to_string());
        let check = prepared.await.map_err(crashed)??;
        let end = self.link.check(check).await.map_err(|error| failed(&error))?;
        Ok(CheckEnd {
            how: end.how.map(kind_from),
            output: end.output.into_bytes(),
        })
    }

    async fn abilities(&self) -> Vec<Ability> {
        match self.link.capabilities().await {
            Ok(capabilities) => abilities::of(&capabilities),
            Err(error) => vec![abilities::unknown(&error.to_string())],
        }
    }
}

/// An exit as the floors above know it.
fn exit_from(exit: &protocol::Exit) -> Exit {
    Exit {
        how: kind_from(exit.how),
        is_out_of_memory: exit.oom,
        was_killed_after_grace: exit.killed,
        at_ms: exit.at_ms,
    }
}

fn kind_from(how: ExitHow) -> ExitKind {
    match how {
        ExitHow::Code(code) => ExitKind::Code(code),
        ExitHow::Signal(signal) => ExitKind::Signal(signal),
        ExitHow::Unknown => ExitKind::Unknown,
    }
}

fn user_of(name: &str) -> Result<Option<User>, RuntimeError> {
    users::find(name).map_err(|error| RuntimeError::Prepare {
        what: format!("cannot become user {name}"),
        reason: error.to_string(),
    })
}

/// What it may write, and what it must see of what is not the keeper's.
fn confinement_of(launch: &Launch) -> Option<protocol::Confinement> {
    let sandbox = &launch.spec.sandbox;
    // A folder that is not there is missed when the program is run.
    let artefact = launch
        .artefact
        .as_ref()
        .and_then(|artefact| artefact.canonicalize().ok());
    let visible = artefact.and_then(|artefact| artefact.into_os_string().into_string().ok());
    sandbox.is_read_only().then(|| protocol::Confinement {
        writable: sandbox.writable_folders(),
        visible: visible.into_iter().collect(),
    })
}

fn limits_of(spec: &AppSpec) -> protocol::Limits {
    /// A core has a thousand of them.
    const MILLI: f64 = 1000.0;
    let limits = &spec.limits;
    protocol::Limits {
        memory_bytes: limits.memory.map(crate::specs::values::ByteSize::bytes),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float's cast saturates, and validation lets only positive numbers pass"
        )]
        cpu_milli: limits.cpus.map(|cpus| (cpus * MILLI).ceil() as u64),
        pids: limits.pids,
        open_files: limits.open_files,
    }
}

fn texts(faults: &[LimitFault]) -> Vec<String> {
    faults.iter().map(ToString::to_string).collect()
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn failed(error: &KeeperError) -> RuntimeError {
    match error {
        KeeperError::NotSpawned(fault) => not_spawned(fault),
        KeeperError::Unreachable { why } => RuntimeError::Unavailable {
            runtime: NAME.to_owned(),
            reason: why.clone(),
        },
        KeeperError::Refused(_) | KeeperError::Astray => RuntimeError::Other(error.to_string()),
    }
}

/// A step before exec failed: by the app's wishes, or because the machine has no room.
fn not_prepared(step: SpawnStep, path: &str, errno: i32) -> RuntimeError {
    let what = match step {
        SpawnStep::Record => format!("{step} keeper.records"),
        _ => format!("{step} {path}"),
    };
    let reason = step.reason(errno);
    if step.is_of_the_sandbox() && !matches!(errno, libc::ENOMEM | libc::EMFILE | libc::ENFILE) {
        return RuntimeError::NotEnforceable {
            what: "sandbox.read_only".to_owned(),
            reason: format!("{what}: {reason}"),
        };
    }
    let is_of_the_app = matches!(
        step,
        SpawnStep::User | SpawnStep::WorkingDir | SpawnStep::OpenFiles | SpawnStep::Writable
    );
    let is_about_room = matches!(
        errno,
        libc::ENOSPC
            | libc::EDQUOT
            | libc::EROFS
            | libc::EMFILE
            | libc::ENFILE
            | libc::ENOMEM
            | libc::EAGAIN
            | libc::EIO
    );
    if is_about_room && !is_of_the_app {
        RuntimeError::Exhausted { what, reason }
    } else {
        RuntimeError::Prepare { what, reason }
    }
}

fn not_spawned(fault: &SpawnFault) -> RuntimeError {
    match fault {
        SpawnFault::System {
            step: SpawnStep::Exec,
            path,
            errno,
        } => RuntimeError::Exec {
            path: path.clone(),
            reason: protocol::errno_text(*errno),
            errno: *errno,
        },
        SpawnFault::System { step, path, errno } => not_prepared(*step, path, *errno),
        SpawnFault::Limits { faults } => {
            let mut names: Vec<String> = faults.iter().map(LimitFault::key).collect();
            names.dedup();
            let reasons: Vec<&str> = faults.iter().map(|fault| fault.why.as_str()).collect();
            RuntimeError::NotEnforceable {
                what: names.join(", "),
                reason: reasons.join("; "),
            }
        }
        SpawnFault::Ending => RuntimeError::Unavailable {
            runtime: NAME.to_owned(),
            reason: fault.to_string(),
        },
        SpawnFault::AlreadyRunning { .. } | SpawnFault::Malformed { .. } => {
            RuntimeError::Other(fault.to_string())
        }
    }
}
