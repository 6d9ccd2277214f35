//! A runtime that runs nothing: it answers by script, remembers what it was asked, and ends instances when a test says so.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use crate::clock::now_ms;
use crate::names::{AppName, InstanceId, SpecDigest};
use crate::runtime::{
    CheckCommand, CheckEnd, Exit, ExitKind, Instance, Launch, Notice, Runtime, RuntimeError, Usage,
};
use crate::specs::app_spec::StopPolicy;

/// How a [`FakeRuntime`] answers one `deploy`.
#[derive(Debug, Clone)]
pub enum Answer {
    /// It runs, after this long.
    RunAfter(Duration),
    /// It cannot be started.
    Fail(RuntimeError),
    /// It runs, but nobody is ever told.
    RunAndHang,
    /// No answer, and nothing runs.
    Hang,
    /// The runtime has a bug.
    Panic,
}

/// What a [`FakeRuntime`] was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// To start an instance from this digest.
    Deploy(AppName, SpecDigest),
    /// To stop whatever runs.
    Remove(AppName),
    /// What runs of it.
    Adopt(AppName),
    /// What runs.
    CurrentState,
}

/// A runtime that runs nothing. Clones share everything, so that a test keeps one and the node gets one.
#[derive(Debug, Clone, Default)]
pub struct FakeRuntime(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    instances: BTreeMap<AppName, FakeInstance>,
    answers: BTreeMap<AppName, VecDeque<Answer>>,
    calls: Vec<Call>,
    stop_takes: Duration,
    ignores_stop: bool,
    is_away: bool,
    doubled: Vec<AppName>,
    pid_count: u32,
    checks: BTreeMap<AppName, Checks>,
}

/// How an app's check commands are answered.
#[derive(Debug, Default)]
struct Checks {
    /// None: it never ends by itself.
    answer: Option<CheckEnd>,
    count: u32,
    under_way: u32,
    at_once_max: u32,
}

#[derive(Debug)]
struct FakeInstance {
    id: InstanceId,
    digest: SpecDigest,
    os_pid: u32,
    started_at_ms: u64,
    watchers: Vec<oneshot::Sender<Exit>>,
    notice: watch::Sender<Notice>,
}

impl FakeInstance {
    fn handle(&mut self, app: &AppName) -> Instance {
        let (told, exited) = oneshot::channel();
        self.watchers.push(told);
        Instance {
            app: app.clone(),
            id: self.id.clone(),
            digest: self.digest.clone(),
            os_pid: Some(self.os_pid),
            started_at_ms: self.started_at_ms,
            not_enforced: Vec::new(),
            exited: Box::pin(async move {
                match exited.await {
                    Ok(exit) => exit,
                    // The fake is gone with everything in it: nobody is left to be told.
                    Err(_) => std::future::pending().await,
                }
            }),
        }
    }
}

impl FakeRuntime {
    /// One where every start works at once and every stop is heeded at once.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers the next unscripted `deploy` of `app` so. Later ones follow in order; beyond the script, starts work.
    pub fn script(&self, app: &AppName, answers: impl IntoIterator<Item = Answer>) {
        self.state()
            .answers
            .entry(app.clone())
            .or_default()
            .extend(answers);
    }

    /// From now on a stop takes so long.
    pub fn stop_takes(&self, duration: Duration) {
        self.state().stop_takes = duration;
    }

    /// From now on nothing heeds its stop signal: it is killed after its grace.
    pub fn ignore_stops(&self) {
        self.state().ignores_stop = true;
    }

    /// From now on (or no longer) the runtime does not answer.
    pub fn set_away(&self, is_away: bool) {
        self.state().is_away = is_away;
    }

    /// Ends what runs of `app`. Does nothing if nothing runs.
    pub fn end(&self, app: &AppName, how: ExitKind) {
        let ended = self.state().instances.remove(app);
        if let Some(instance) = ended {
            tell(instance, how, false);
        }
    }

    /// Ends what runs of `app` as if nobody had looked: no one is told.
    pub fn end_unseen(&self, app: &AppName) {
        self.state().instances.remove(app);
    }

    /// What runs of `app` sends `datagram` by `sd_notify`.
    pub fn say(&self, app: &AppName, datagram: &[u8]) {
        if let Some(instance) = self.state().instances.get(app) {
            instance.notice.send_if_modified(|notice| notice.hear(datagram));
        }
    }

    /// What `app` has said so far is forgotten, as by another keeper.
    pub fn forget_words(&self, app: &AppName) {
        if let Some(instance) = self.state().instances.get(app) {
            instance.notice.send_replace(Notice::default());
        }
    }

    /// From now on (or no longer) nobody hears what apps say.
    pub fn set_deaf(&self, is_deaf: bool) {
        for instance in self.state().instances.values() {
            instance.notice.send_modify(|notice| notice.is_deaf = is_deaf);
        }
    }

    /// From now on each check command of `app` ends so; none: it does not before its time is over.
    pub fn answer_checks(&self, app: &AppName, answer: Option<CheckEnd>) {
        self.state().checks.entry(app.clone()).or_default().answer = answer;
    }

    /// How many check commands of `app` were run, and how many at once at most.
    #[must_use]
    pub fn check_counts(&self, app: &AppName) -> (u32, u32) {
        let state = self.state();
        let checks = state.checks.get(app);
        checks.map_or((0, 0), |checks| (checks.count, checks.at_once_max))
    }

    /// Starts an instance that nobody asked for.
    pub fn begin(&self, app: &AppName, digest: &SpecDigest) -> InstanceId {
        let id = InstanceId::random();
        self.state().add(app.clone(), id.clone(), digest.clone());
        id
    }

    /// What runs of `app`.
    #[must_use]
    pub fn running(&self, app: &AppName) -> Option<(InstanceId, SpecDigest)> {
        let state = self.state();
        let instance = state.instances.get(app)?;
        Some((instance.id.clone(), instance.digest.clone()))
    }

    /// How many instances run.
    #[must_use]
    pub fn running_count(&self) -> usize {
        self.state().instances.len()
    }

    /// Everything that was asked, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// How often a start of `app` was asked for.
    #[must_use]
    pub fn deploy_count(&self, app: &AppName) -> usize {
        let is_start = |call: &&Call| matches!(call, Call::Deploy(name, _) if name == app);
        self.state().calls.iter().filter(is_start).count()
    }

    /// Apps that were started while an instance of them ran: always a bug of the caller.
    #[must_use]
    pub fn doubled(&self) -> Vec<AppName> {
        self.state().doubled.clone()
    }

    fn check_away(&self) -> Result<(), RuntimeError> {
        if self.state().is_away {
            return Err(RuntimeError::Unavailable {
                runtime: "fake".to_owned(),
                reason: "the test says so".to_owned(),
            });
        }
        Ok(())
    }

    fn run(&self, launch: Launch) -> Instance {
        let app = launch.spec.name.clone();
        let mut state = self.state();
        state
            .add(app.clone(), launch.instance, launch.digest)
            .handle(&app)
    }
}

impl State {
    fn add(&mut self, app: AppName, id: InstanceId, digest: SpecDigest) -> &mut FakeInstance {
        if self.instances.contains_key(&app) {
            self.doubled.push(app.clone());
        }
        self.pid_count += 1;
        let instance = FakeInstance {
            id,
            digest,
            os_pid: self.pid_count,
            started_at_ms: now_ms(),
            watchers: Vec::new(),
            notice: watch::Sender::default(),
        };
        self.instances.remove(&app);
        self.instances.entry(app).or_insert(instance)
    }
}

fn tell(instance: FakeInstance, how: ExitKind, was_killed_after_grace: bool) {
    let exit = Exit {
        how,
        is_out_of_memory: false,
        was_killed_after_grace,
        at_ms: now_ms(),
    };
    for watcher in instance.watchers {
        // A watcher that has gone away needs no news.
        let _ = watcher.send(exit.clone());
    }
}

impl Runtime for FakeRuntime {
    #[expect(clippy::panic, reason = "the script asks for a runtime with a bug")]
    async fn deploy(&self, launch: Launch) -> Result<Instance, RuntimeError> {
        let app = launch.spec.name.clone();
        let answer = {
            let mut state = self.state();
            state.calls.push(Call::Deploy(app.clone(), launch.digest.clone()));
            state.answers.get_mut(&app).and_then(VecDeque::pop_front)
        };
        self.check_away()?;
        match answer {
            None => Ok(self.run(launch)),
            Some(Answer::RunAfter(delay)) => {
                tokio::time::sleep(delay).await;
                Ok(self.run(launch))
            }
            Some(Answer::Fail(error)) => Err(error),
            Some(Answer::RunAndHang) => {
                self.run(launch);
                std::future::pending().await
            }
            Some(Answer::Hang) => std::future::pending().await,
            Some(Answer::Panic) => panic!("scripted"),
        }
    }

    async fn remove(&self, app: &AppName, stop: StopPolicy) -> Result<(), RuntimeError> {
        self.state().calls.push(Call::Remove(app.clone()));
        self.check_away()?;
        let (takes, is_ignored) = {
            let state = self.state();
            (
                state.stop_takes,
                state.ignores_stop && state.instances.contains_key(app),
            )
        };
        tokio::time::sleep(if is_ignored { stop.grace } else { takes }).await;
        let ended = self.state().instances.remove(app);
        if let Some(instance) = ended {
            let signal = if is_ignored { 9 } else { stop.signal.number() };
            tell(instance, ExitKind::Signal(signal), is_ignored);
        }
        Ok(())
    }

    async fn current_state(&self) -> Result<BTreeMap<AppName, Instance>, RuntimeError> {
        self.state().calls.push(Call::CurrentState);
        self.check_away()?;
        let mut state = self.state();
        let instances = state.instances.iter_mut();
        Ok(instances
            .map(|(app, instance)| (app.clone(), instance.handle(app)))
            .collect())
    }

    async fn adopt(&self, app: &AppName) -> Result<Option<Instance>, RuntimeError> {
        self.state().calls.push(Call::Adopt(app.clone()));
        self.check_away()?;
        Ok(self
            .state()
            .instances
            .get_mut(app)
            .map(|instance| instance.handle(app)))
    }

    fn notices(&self, app: &AppName, instance: &InstanceId) -> Option<watch::Receiver<Notice>> {
        let state = self.state();
        let running = state
            .instances
            .get(app)
            .filter(|running| running.id == *instance)?;
        Some(running.notice.subscribe())
    }

    async fn check(&self, check: CheckCommand) -> Result<CheckEnd, RuntimeError> {
        self.check_away()?;
        let app = check.launch.spec.name.clone();
        let answer = {
            let mut state = self.state();
            let checks = state.checks.entry(app.clone()).or_default();
            checks.count += 1;
            checks.under_way += 1;
            checks.at_once_max = checks.at_once_max.max(checks.under_way);
            checks.answer.clone()
        };
        if answer.is_none() {
            tokio::time::sleep(check.timeout).await;
        }
        if let Some(checks) = self.state().checks.get_mut(&app) {
            checks.under_way -= 1;
        }
        Ok(answer.unwrap_or(CheckEnd {
            how: None,
            output: Vec::new(),
        }))
    }

    async fn usage(&self, app: &AppName) -> Option<Usage> {
        self.running(app).map(|_| Usage::default())
    }
}
