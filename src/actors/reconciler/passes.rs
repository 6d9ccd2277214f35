//! The reconciler's state and its passes: decide by the ledger, then tell every app that has to hear something new.

use std::sync::Arc;
use std::time::Instant;

use ractor::{ActorRef, RpcReplyPort};
use tracing::debug;

use super::ledger::{Accepted, Decision, Ledger, OperatorWords, Standing};
use super::orders::{self, Order, OrderError, OrderReply, Report};
use super::told::Told;
use super::{ReadOutcome, ReconcilerMsg, SpecReader};
use crate::actors::app::{AppReport, FirstLook};
use crate::actors::apps::Apps;
use crate::actors::node_board::{NodeBoard, SpecsFacts};
use crate::clock::{now_ms, rfc3339};
use crate::lifecycle::Want;
use crate::names::{AppName, CommitId};
use crate::plan::{Action, Diff, Plan};
use crate::source::folder::Folders;
use crate::specs::desired::CommitFacts;
use crate::specs::{Desired, SpecCache};
use crate::telemetry::{Event, EventSink};

/// How long somebody waits for a reconcile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Until every app has heard its target, so that its published state speaks of it.
    UntilTold,
    /// Until every app has settled: it runs as asked, is stopped, or has failed.
    UntilSettled,
}

/// What the reconciler works with.
pub(crate) struct ReconcilerServices {
    /// The app actors: how to reach and how to start them.
    pub apps: Apps,
    /// Reads a commit's specs.
    pub specs: Arc<dyn SpecReader>,
    /// Where the node's facts are published.
    pub board: Arc<NodeBoard>,
    /// Takes events.
    pub events: Arc<dyn EventSink>,
    /// What survives the daemon.
    pub memory: Arc<dyn Memory>,
    /// `[prune] max` as a share.
    pub prune_share_max: f64,
    /// Told of each commit that was read and is applied.
    pub applied: Arc<dyn Fn(CommitId) + Send + Sync>,
    /// The artefacts that came out of the repository.
    pub folders: Folders,
}

/// What of the reconciler's knowledge survives the daemon.
pub(crate) trait Memory: Send + Sync + 'static {
    /// The operators' words as they were saved last.
    fn words(&self) -> OperatorWords;
    /// Saves them before they take effect.
    fn save_words(&self, words: &OperatorWords);
}

/// The reconciler's state.
pub(crate) struct Passes {
    services: Arc<ReconcilerServices>,
    myself: ActorRef<ReconcilerMsg>,
    ledger: Ledger,
    cache: Option<SpecCache>,
    /// The newest commit that came while another one was being read.
    next: Option<(CommitFacts, bool)>,
    told: Told,
    /// The plan of the newest commit, for those who ask how it went.
    newest: Plan,
    waiting: Vec<(Patience, RpcReplyPort<Report>)>,
    is_pass_due: bool,
    alarm: Option<tokio::task::AbortHandle>,
}

impl Passes {
    pub fn new(services: Arc<ReconcilerServices>, myself: ActorRef<ReconcilerMsg>) -> Self {
        let ledger = Ledger {
            words: services.memory.words(),
            prune_share_max: services.prune_share_max,
            ..Ledger::default()
        };
        Self {
            services,
            myself,
            ledger,
            cache: Some(SpecCache::default()),
            next: None,
            told: Told::default(),
            newest: Plan::default(),
            waiting: Vec::new(),
            is_pass_due: false,
            alarm: None,
        }
    }

    /// Starts an actor for every app that the store knows: it finds out by itself what runs.
    pub async fn wake_known_apps(&mut self) {
        for (name, record) in self.services.apps.known() {
            let standing = Standing {
                applied: record.applied.clone(),
                ..Standing::default()
            };
            if let Some(commit) = &record.commit {
                self.ledger.touched.insert(name.clone(), commit.clone());
            }
            self.ledger.standings.insert(name.clone(), standing);
            self.services.apps.start(&name, FirstLook::unknown()).await;
        }
        self.set_alarm();
    }

    /// A commit is accepted. Reads it, unless another one is being read: then it waits, and only the newest does.
    pub fn commit(&mut self, facts: CommitFacts, is_manual: bool) {
        let Some(cache) = self.cache.take() else {
            let is_manual = is_manual || self.next.as_ref().is_some_and(|(_, was_manual)| *was_manual);
            self.next = Some((facts, is_manual));
            return;
        };
        if is_manual || self.is_news(&facts.id) {
            self.services.events.emit(Event::ReconcileStart {
                commit: Some(facts.id.clone()),
            });
        }
        let specs = self.services.specs.clone();
        let myself = self.myself.clone();
        tokio::spawn(async move {
            let begin = Instant::now();
            let (result, cache) = specs.read(facts.id.clone(), cache).await;
            let duration_ms = millis(begin);
            let outcome = Box::new(ReadOutcome {
                result,
                cache,
                duration_ms,
            });
            // The reconciler is gone only when the node stops; then nobody waits for this.
            let _ = myself.cast(ReconcilerMsg::Read {
                facts,
                is_manual,
                outcome,
            });
        });
    }

    fn is_news(&self, commit: &CommitId) -> bool {
        self.ledger
            .desired
            .as_ref()
            .is_none_or(|accepted| accepted.facts.id != *commit)
    }

    /// The specs of a commit were read, or could not be.
    pub async fn read(&mut self, facts: CommitFacts, is_manual: bool, outcome: ReadOutcome) {
        let begin = Instant::now();
        self.cache = Some(outcome.cache);
        let is_news = self.is_news(&facts.id);
        match outcome.result {
            Ok(desired) => {
                let lifted = self.ledger.words.expire(now_ms(), true);
                if lifted {
                    self.services.memory.save_words(&self.ledger.words);
                }
                let accepted = Accepted {
                    facts,
                    desired,
                    read_at: rfc3339(now_ms()),
                };
                (self.services.applied)(accepted.facts.id.clone());
                self.accept(accepted, is_news);
                let decision = self.tell().await;
                let is_worth_telling = is_news || is_manual || !decision.plan.actions.is_empty();
                self.conclude(
                    decision,
                    outcome.duration_ms + millis(begin),
                    is_worth_telling,
                    is_news,
                );
            }
            Err(error) => {
                let error = error.to_string();
                if is_news || is_manual {
                    let duration_ms = outcome.duration_ms;
                    let code = "osier::specs::unreadable".to_owned();
                    self.services.events.emit(Event::ReconcileError {
                        code,
                        error: error.clone(),
                        duration_ms,
                    });
                }
                self.services
                    .board
                    .set_specs(|specs| specs.error = Some(error.clone()));
                self.services
                    .board
                    .set_reconcile(outcome.duration_ms, Some(error));
                // Whoever runs goes on, from what was applied last.
                self.tell().await;
            }
        }
        if let Some((facts, is_manual)) = self.next.take() {
            self.commit(facts, is_manual);
        }
        self.answer_waiting();
    }

    /// Takes over what a commit asks for: notes whom it touches and publishes its facts.
    fn accept(&mut self, accepted: Accepted, is_news: bool) {
        let before = self.ledger.desired.as_ref();
        for (name, app) in &accepted.desired.apps {
            let old = before.and_then(|old| old.desired.apps.get(name)).or_else(|| {
                self.ledger
                    .standings
                    .get(name)
                    .and_then(|standing| standing.applied.as_ref())
            });
            let is_touched = old.is_none_or(|old| old.digest != app.digest);
            if is_touched || !self.ledger.touched.contains_key(name) {
                self.ledger
                    .touched
                    .insert(name.clone(), accepted.facts.id.clone());
            }
        }
        if is_news {
            for mistake in &accepted.desired.mistakes {
                let m = mistake.as_ref();
                self.services.events.emit(Event::SpecInvalid {
                    app: m.app.clone(),
                    file: m.file.clone(),
                    line: m.line,
                    column: m.column,
                    code: m.code.clone(),
                    error: m.message.clone(),
                    commit: accepted.facts.id.clone(),
                });
            }
        }
        self.services.board.set_specs(|specs| {
            *specs = SpecsFacts {
                accepted: Some(accepted.facts.clone()),
                desired: Some(accepted.desired.clone()),
                error: None,
                blocked: None,
            };
        });
        self.ledger.desired = Some(accepted);
    }

    /// Publishes how the reconcile went.
    fn conclude(&mut self, decision: Decision, duration_ms: u64, is_worth_telling: bool, is_news: bool) {
        let Some(accepted) = &self.ledger.desired else {
            return;
        };
        let commit = accepted.facts.id.clone();
        self.services.board.set_reconcile(duration_ms, None);
        if let (Some(blocked), true) = (&decision.blocked, is_news) {
            self.services.events.emit(Event::PruneRefused {
                commit: commit.clone(),
                apps: blocked.apps.clone(),
            });
        }
        if is_worth_telling {
            let (actions, invalid) = (decision.plan.actions.len(), accepted.desired.invalid.len());
            self.services.events.emit(Event::ReconcileStop {
                commit,
                duration_ms,
                actions,
                invalid,
            });
        } else {
            debug!(commit = %commit.short(), duration_ms, "nothing to reconcile");
        }
        if is_worth_telling {
            self.newest = decision.plan;
        }
    }

    /// Decides anew and tells the apps that have to hear something new.
    async fn tell(&mut self) -> Decision {
        self.is_pass_due = false;
        let mut decision = self.ledger.decide();
        self.services
            .board
            .set_specs(|specs| specs.blocked.clone_from(&decision.blocked));
        for (name, target) in std::mem::take(&mut decision.targets) {
            if self.told.is(&name, &target) {
                continue;
            }
            self.ledger.standings.entry(name.clone()).or_default().settled = false;
            self.services.apps.tell(&name, target.clone()).await;
            self.told.tell(name, target);
        }
        decision
    }

    /// A pass that something since the last one made due.
    pub async fn pass(&mut self) {
        if self.is_pass_due {
            self.tell().await;
        }
        self.answer_waiting();
    }

    /// An app actor reports a transition.
    pub async fn app_changed(&mut self, report: AppReport) {
        let name = report.app.clone();
        if report.target.is_none() {
            // It has just started: another incarnation may have heard its target, this one has not.
            if let Some(target) = self.told.target(&name) {
                self.services.apps.tell(&name, target.clone()).await;
            }
            return;
        }
        if let Some(target) = &report.target {
            self.told.heard(&name, target);
        }
        let is_wanted_gone = self
            .told
            .target(&name)
            .is_some_and(|told| matches!(told.want, Want::Gone));
        if report.gone && is_wanted_gone {
            self.forget(&name).await;
        } else {
            let standing = self.ledger.standings.entry(name).or_default();
            standing.applied = report.applied;
            standing.settled = report.settled;
            standing.satisfied = report.satisfied;
            standing.failed = report.failed;
        }
        self.make_pass_due();
    }

    /// An app is off the node: so is its actor, and its artefact if nobody else has the same.
    async fn forget(&mut self, name: &AppName) {
        let standing = self.ledger.standings.remove(name);
        self.ledger.touched.remove(name);
        self.told.forget(name);
        self.services.apps.end(name).await;
        if standing
            .and_then(|standing| standing.applied)
            .is_some_and(|app| app.artefact.is_some())
        {
            let keep = self.ledger.artefacts();
            let folders = self.services.folders.clone();
            tokio::task::spawn_blocking(move || folders.sweep(&keep));
        }
    }

    /// One pass for any number of reports: it is the last message in the mailbox.
    fn make_pass_due(&mut self) {
        if !std::mem::replace(&mut self.is_pass_due, true) {
            let _ = self.myself.cast(ReconcilerMsg::Pass);
        }
    }

    /// Answers when every app has heard its target, or when every app has settled.
    pub fn settle(&mut self, patience: Patience, reply: RpcReplyPort<Report>) {
        self.waiting.push((patience, reply));
        self.answer_waiting();
    }

    fn answer_waiting(&mut self) {
        if self.waiting.is_empty() || self.cache.is_none() || self.is_pass_due {
            return;
        }
        let has_settled = self
            .ledger
            .standings
            .values()
            .all(|standing| standing.settled || standing.failed);
        let report = self.report();
        let have_heard = self.told.is_heard_by_all();
        let due =
            |(patience, _): &mut (Patience, _)| has_settled || have_heard && *patience == Patience::UntilTold;
        for (_, reply) in self.waiting.extract_if(.., due) {
            // Who asked may have gone; then nobody misses the answer.
            let _ = reply.send(report.clone());
        }
    }

    fn report(&self) -> Report {
        Report {
            commit: self
                .ledger
                .desired
                .as_ref()
                .map(|accepted| accepted.facts.id.clone()),
            actions: self
                .newest
                .actions
                .iter()
                .map(|action| (kind(action), action_app(action).clone()))
                .collect(),
        }
    }

    /// Says what a reconcile to `commit` would do, in a task: the commit has to be read.
    pub fn diff(&self, commit: CommitId, reply: RpcReplyPort<Result<Diff, String>>) {
        if let Some(accepted) = self
            .ledger
            .desired
            .as_ref()
            .filter(|accepted| accepted.facts.id == commit)
        {
            let diff = self.ledger.diff(&accepted.desired, &commit);
            let _ = reply.send(Ok(diff));
            return;
        }
        let (specs, myself) = (self.services.specs.clone(), self.myself.clone());
        let names = self
            .cache
            .as_ref()
            .map(|cache| cache.names().clone())
            .unwrap_or_default();
        tokio::spawn(async move {
            match specs.read(commit.clone(), SpecCache::with_names(names)).await.0 {
                Ok(desired) => drop(myself.cast(ReconcilerMsg::Compare {
                    commit,
                    desired,
                    reply,
                })),
                Err(error) => drop(reply.send(Err(error.to_string()))),
            }
        });
    }

    /// The commit for a diff was read.
    pub fn compare(&self, commit: &CommitId, desired: &Desired, reply: RpcReplyPort<Result<Diff, String>>) {
        let _ = reply.send(Ok(self.ledger.diff(desired, commit)));
    }

    /// An operator's word about apps.
    pub async fn order(&mut self, order: Order) -> Result<OrderReply, OrderError> {
        let reply = orders::apply(order, &mut self.ledger)?;
        self.services.memory.save_words(&self.ledger.words);
        self.set_alarm();
        self.tell().await;
        Ok(reply)
    }

    /// An operator's word has run out.
    pub async fn words_run_out(&mut self) {
        if self.ledger.words.expire(now_ms(), false) {
            self.services.memory.save_words(&self.ledger.words);
            self.tell().await;
        }
        self.set_alarm();
    }

    /// Publishes what operators decided, and wakes the reconciler when that runs out.
    fn set_alarm(&mut self) {
        self.services.board.set_held(self.ledger.words.held());
        if let Some(alarm) = self.alarm.take() {
            alarm.abort();
        }
        let Some(end_ms) = self.ledger.words.next_end_ms() else {
            return;
        };
        let wait = std::time::Duration::from_millis(end_ms.saturating_sub(now_ms()));
        let alarm = self.myself.send_after(wait, || ReconcilerMsg::WordsRunOut);
        self.alarm = Some(alarm.abort_handle());
    }
}

fn millis(begin: Instant) -> u64 {
    u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn kind(action: &Action) -> &'static str {
    match action {
        Action::Remove { .. } => "remove",
        Action::Deploy(_) => "deploy",
        Action::Upgrade { .. } => "upgrade",
        Action::Reconfigure { .. } => "reconfigure",
    }
}

fn action_app(action: &Action) -> &AppName {
    match action {
        Action::Remove { app, .. } => app,
        Action::Deploy(app) => &app.spec.name,
        Action::Upgrade { to, .. } | Action::Reconfigure { to, .. } => &to.spec.name,
    }
}
