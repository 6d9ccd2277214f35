//! The daemon's end of the keeper's socket.
//!
//! A [`KeeperLink`] is a handle to one task that owns the connection. The task starts a keeper where none answers,
//! connects again by itself when the connection ends or the keeper falls silent, and then sends what was not answered
//! once more: every request may be repeated. Spawns that are issued in the same moment travel in one frame. An exit is
//! acknowledged to the keeper when somebody took it by [`KeeperLink::exit_of`], so none is lost between two daemons.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::frame::CALL_BYTES_MAX;
use super::protocol::{
    Capabilities, Check, CheckEnd, Exit, ExitHow, Hello, List, OutputCounters, Refusal, Reply, Request,
    Spawn, SpawnFault, Spawned, TreeUsage, VERSION_OF_HEALTH,
};
use super::{KeeperOptions, KeeperProgram};
use crate::names::{AppName, InstanceId};
use crate::runtime::notice::Notice;

mod exits;
mod known;
mod notices;
mod start;
mod task;
mod wire;

use exits::Exits;
use known::Known;
use notices::Notices;

/// How long a call waits for its answer, the start of a keeper included.
const CALL_DEADLINE: Duration = Duration::from_secs(15);
/// How long a stop waits beyond the app's grace: the keeper gives up after 10 s what KILL does not end.
const STOP_SLACK: Duration = Duration::from_secs(15);
/// Events that nobody took yet; more are dropped, they only inform.
const EVENTS_MAX: usize = 1024;

/// How a keeper is reached, and started if there is none.
#[derive(Debug, Clone)]
pub struct LinkOptions {
    /// What the keeper is started with; names the data directory.
    pub keeper: KeeperOptions,
    /// What is started as keeper where none answers.
    pub program: KeeperProgram,
}

/// Why the keeper did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeeperError {
    /// It said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The program was not started.
    #[error(transparent)]
    NotSpawned(#[from] SpawnFault),
    /// It did not answer in time.
    #[error("the keeper does not answer: {why}")]
    Unreachable {
        /// The last thing that went wrong with it.
        why: String,
    },
    /// It answered something else than was asked.
    #[error("the keeper answered beside the question")]
    Astray,
}

/// What happens on the link beside answers.
#[derive(Debug, Clone, PartialEq)]
pub enum LinkEvent {
    /// A keeper answers; comes again after each loss.
    Connected {
        /// Who it is.
        hello: Hello,
        /// What runs and what ended.
        list: List,
    },
    /// The connection ended; the link is on its way to the next.
    Disconnected {
        /// In words.
        why: String,
    },
    /// Output of an app was dropped.
    OutputDropped {
        /// Whose.
        app: AppName,
        /// All its counters so far.
        output: OutputCounters,
    },
}

/// A handle to the keeper; clones speak over the same connection. The link ends with the last of them.
#[derive(Debug, Clone)]
pub struct KeeperLink {
    commands: mpsc::UnboundedSender<Command>,
    exits: Arc<Exits>,
    known: Arc<Known>,
    notices: Arc<Notices>,
    state: watch::Receiver<LinkState>,
    trouble: watch::Receiver<Option<String>>,
}

/// The connection as others see it.
#[derive(Debug, Clone, Default)]
struct LinkState {
    /// Counts connections; zero: never connected.
    generation: u64,
    /// Whether there is one now.
    is_connected: bool,
    /// The version that is spoken on it.
    version: u32,
    /// What went wrong last.
    why: String,
}

/// What the task is told.
#[derive(Debug)]
enum Command {
    Call {
        request: Request,
        reply: oneshot::Sender<Result<Reply, Refusal>>,
    },
    Spawn {
        spawn: Box<Spawn>,
        fate: oneshot::Sender<Result<Spawned, SpawnFault>>,
    },
    Check {
        check: Box<Check>,
        end: oneshot::Sender<Result<CheckEnd, SpawnFault>>,
    },
    Acknowledge(InstanceId),
    /// End the keeper with its apps, then the link.
    Finish,
}

impl Command {
    /// Whether somebody still waits for what comes of it, or must not wait for it to be done.
    fn is_wanted(&self) -> bool {
        match self {
            Self::Call { reply, .. } => !reply.is_closed(),
            Self::Spawn { fate, .. } => !fate.is_closed(),
            Self::Check { end, .. } => !end.is_closed(),
            Self::Acknowledge(_) | Self::Finish => true,
        }
    }
}

impl KeeperLink {
    /// Opens the link and returns at once; the task connects, starting a keeper if need be. Needs a tokio runtime.
    #[must_use]
    pub fn open(options: LinkOptions) -> (Self, mpsc::Receiver<LinkEvent>) {
        let (commands, received) = mpsc::unbounded_channel();
        let (events, told) = mpsc::channel(EVENTS_MAX);
        let (shown, state) = watch::channel(LinkState::default());
        let (trouble_told, trouble) = watch::channel(None);
        let exits = Arc::new(Exits::default());
        let known = Arc::new(Known::default());
        let notices = Arc::new(Notices::default());
        let shared = (Arc::clone(&exits), Arc::clone(&known), Arc::clone(&notices));
        let shown = (shown, trouble_told);
        let task = task::Task::new(options, received, events, shown, shared);
        tokio::spawn(task.run());
        let link = Self {
            commands,
            exits,
            known,
            notices,
            state,
            trouble,
        };
        (link, told)
    }

    /// Why no keeper can be reached, as far as that is known; none: one answers, or the next one is on its way. Closed
    /// with the link.
    #[must_use]
    pub fn trouble(&self) -> watch::Receiver<Option<String>> {
        self.trouble.clone()
    }

    /// Waits until a keeper answers.
    ///
    /// # Errors
    /// When none does within `deadline`.
    pub async fn connected(&self, deadline: Duration) -> Result<(), KeeperError> {
        let mut state = self.state.clone();
        let connected = tokio::time::timeout(deadline, state.wait_for(|state| state.is_connected)).await;
        match connected {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(self.unreachable()),
        }
    }

    fn unreachable(&self) -> KeeperError {
        let why = self.state.borrow().why.clone();
        KeeperError::Unreachable {
            why: if why.is_empty() {
                "no answer in time".into()
            } else {
                why
            },
        }
    }

    /// Asks anything; the typed methods are easier to use.
    ///
    /// # Errors
    /// When the keeper refuses or does not answer within 15 s.
    pub async fn call(&self, request: Request) -> Result<Reply, KeeperError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.send(Command::Call { request, reply });
        if sent.is_err() {
            return Err(self.unreachable());
        }
        match tokio::time::timeout(CALL_DEADLINE, answer).await {
            Ok(Ok(result)) => Ok(result?),
            Ok(Err(_)) | Err(_) => Err(self.unreachable()),
        }
    }

    /// Starts an app; returns when its program runs. May be dropped; the start may then have happened.
    ///
    /// # Errors
    /// When it cannot be started, or the keeper does not answer within 15 s.
    pub async fn spawn(&self, spawn: Spawn) -> Result<Spawned, KeeperError> {
        if task::size_of_spawn(&spawn) > CALL_BYTES_MAX / 2 {
            let why = "its command and environment are longer than 2 MiB".into();
            return Err(SpawnFault::Malformed { why }.into());
        }
        let (fate, known) = oneshot::channel();
        self.known.started(&spawn.app);
        let spawn = Box::new(spawn);
        if self.commands.send(Command::Spawn { spawn, fate }).is_err() {
            return Err(self.unreachable());
        }
        match tokio::time::timeout(CALL_DEADLINE, known).await {
            Ok(Ok(result)) => Ok(result?),
            Ok(Err(_)) | Err(_) => Err(self.unreachable()),
        }
    }

    /// Stops a run and returns its exit when its whole tree is gone; none when it was not running and its exit is not
    /// remembered any more. The exit stays to be taken by [`Self::exit_of`].
    ///
    /// # Errors
    /// When the keeper does not answer, or the end does not come 15 s after the grace.
    pub async fn stop(
        &self,
        instance: &InstanceId,
        signal: i32,
        grace: Duration,
    ) -> Result<Option<Exit>, KeeperError> {
        let mut state = self.state.clone();
        let begun = tokio::time::Instant::now();
        let ended = self.exits.watch(instance);
        let stopping = async {
            loop {
                let generation = state.borrow_and_update().generation;
                let grace_ms = grace.saturating_sub(begun.elapsed()).as_millis();
                let request = Request::Stop {
                    instance: instance.clone(),
                    signal,
                    grace_ms: u64::try_from(grace_ms).unwrap_or(u64::MAX),
                };
                match self.call(request).await {
                    Ok(_) => {}
                    Err(KeeperError::Refused(Refusal::NotRunning { .. })) => {
                        return Ok(self.exits.get(instance));
                    }
                    Err(error) => return Err(error),
                }
                // Another keeper knows nothing of this stop: it is asked as well.
                let other = state.wait_for(|state| state.is_connected && state.generation != generation);
                if other.await.is_err() {
                    return Err(self.unreachable());
                }
            }
        };
        let ending = async {
            tokio::select! {
                // The exit first: it may stand there already.
                biased;
                exit = ended => exit.map(Some).map_err(|_| self.unreachable()),
                result = stopping => result,
            }
        };
        tokio::time::timeout(grace + STOP_SLACK, ending)
            .await
            .unwrap_or_else(|_| Err(self.unreachable()))
    }

    /// The exit of a run, when it comes; it is then taken: the keeper may forget it. A run that no keeper knows (any
    /// more) has ended in an unknown way. Counts from now on, even if it is awaited later.
    pub fn exit_of(&self, app: &AppName, instance: &InstanceId) -> impl Future<Output = Exit> + Send + use<> {
        let exit = self.exits.watch(instance);
        let (link, app, instance) = (self.clone(), app.clone(), instance.clone());
        async move {
            let exit = exit.await.unwrap_or_else(|_| unknown_exit(&app, &instance));
            link.take_exit(&instance);
            exit
        }
    }

    /// Marks the exit of a run as taken.
    pub fn take_exit(&self, instance: &InstanceId) {
        self.exits.forget(instance);
        self.notices.forget(instance);
        // Without a task there is no keeper to tell; the next daemon takes it.
        let _ = self.commands.send(Command::Acknowledge(instance.clone()));
    }

    /// What a run says about itself, from now on and so far.
    #[must_use]
    pub fn notices(&self, instance: &InstanceId) -> watch::Receiver<Notice> {
        self.notices.subscribe(instance)
    }

    /// Runs a command beside a run, and returns when it has ended. May be dropped; the command then runs on, until its time
    /// is over or another one takes its place.
    ///
    /// # Errors
    /// When it cannot be started, or its end is not heard of 10 s after its time.
    pub async fn check(&self, check: Check) -> Result<CheckEnd, KeeperError> {
        const NEWS_WITHIN: Duration = Duration::from_secs(10);
        if !self.state.borrow().is_connected {
            return Err(self.unreachable());
        }
        if self.state.borrow().version < VERSION_OF_HEALTH {
            let why = "it is of an earlier release and runs no checks; restart it".into();
            return Err(KeeperError::Unreachable { why });
        }
        let patience = Duration::from_millis(check.timeout_ms).saturating_add(NEWS_WITHIN);
        let (end, ended) = oneshot::channel();
        let check = Box::new(check);
        if self.commands.send(Command::Check { check, end }).is_err() {
            return Err(self.unreachable());
        }
        match tokio::time::timeout(patience, ended).await {
            Ok(Ok(result)) => Ok(result?),
            Ok(Err(_)) | Err(_) => Err(self.unreachable()),
        }
    }

    /// Sends a run's main process a signal.
    ///
    /// # Errors
    /// When it does not run, there is no such signal, or the keeper does not answer.
    pub async fn signal(&self, instance: &InstanceId, signal: i32) -> Result<(), KeeperError> {
        let instance = instance.clone();
        self.call(Request::Signal { instance, signal }).await.map(drop)
    }

    /// What runs, and the exits that nobody took.
    ///
    /// # Errors
    /// When the keeper does not answer.
    pub async fn list(&self) -> Result<List, KeeperError> {
        self.listed(Request::List).await
    }

    /// As [`KeeperLink::list`], of one app alone; the keeper is not asked about an app of which it cannot know.
    ///
    /// # Errors
    /// When the keeper does not answer.
    pub async fn find(&self, app: &AppName) -> Result<List, KeeperError> {
        if !self.known.may_know(app) {
            return Ok(List::default());
        }
        self.listed(Request::Find { app: app.clone() }).await
    }

    async fn listed(&self, request: Request) -> Result<List, KeeperError> {
        match self.call(request).await? {
            Reply::List(list) => Ok(list),
            _ => Err(KeeperError::Astray),
        }
    }

    /// What the trees of these runs use; of all if none is named.
    ///
    /// # Errors
    /// When the keeper does not answer.
    pub async fn usage(&self, instances: Vec<InstanceId>) -> Result<Vec<TreeUsage>, KeeperError> {
        match self.call(Request::Stats { instances }).await? {
            Reply::Stats(usage) => Ok(usage),
            _ => Err(KeeperError::Astray),
        }
    }

    /// How trees are killed and limits enforced here, for `doctor`.
    ///
    /// # Errors
    /// When the keeper does not answer.
    pub async fn capabilities(&self) -> Result<Capabilities, KeeperError> {
        match self.call(Request::Capabilities).await? {
            Reply::Capabilities(capabilities) => Ok(capabilities),
            _ => Err(KeeperError::Astray),
        }
    }

    /// An app is removed: its groups and its output pipe go.
    ///
    /// # Errors
    /// When it still runs or the keeper does not answer.
    pub async fn forget(&self, app: &AppName) -> Result<(), KeeperError> {
        self.call(Request::Forget { app: app.clone() }).await?;
        self.known.forgotten(app);
        Ok(())
    }

    /// Ends the keeper with its apps, each stopped in its own way, and this link with it. Returns when they are gone, or
    /// when no keeper could be reached within 15 s.
    pub async fn finish(&self) {
        if self.connected(CALL_DEADLINE).await.is_ok() && self.commands.send(Command::Finish).is_ok() {
            // The task ends with the keeper's connection, which the keeper closes last.
            self.commands.closed().await;
        }
    }
}

fn unknown_exit(app: &AppName, instance: &InstanceId) -> Exit {
    Exit {
        app: app.clone(),
        instance: instance.clone(),
        pid: 0,
        how: ExitHow::Unknown,
        oom: false,
        asked: false,
        killed: false,
        leftovers_count: 0,
        survivors_count: 0,
        started_at_ms: 0,
        at_ms: super::state::epoch_ms(),
        cpu_ms: None,
        label: String::new(),
    }
}
