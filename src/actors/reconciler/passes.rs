//! The reconciler's state and its passes: decide by the ledger, then tell every app that has to hear something new.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use ractor::RpcReplyPort;
use tracing::debug;

use super::book::{Book, Verdict};
use super::ledger::{Accepted, Ledger, OperatorWords, Standing};
use super::orders::Report;
use super::waiting::{Patience, Waiting, report};
use super::{ReadOutcome, ReconcilerMsg, SpecReader};
use crate::actors::app::AppReport;
use crate::actors::apps::Apps;
use crate::actors::mailbox::Mailbox;
use crate::actors::node_board::{NodeBoard, Refused, SpecsFacts};
use crate::clock::{now_ms, rfc3339};
use crate::lifecycle::Target;
use crate::names::{AppName, ArtefactId, CommitId};
use crate::plan::Plan;
use crate::source::store::ArtefactStore;
use crate::specs::SpecCache;
use crate::specs::desired::CommitFacts;
use crate::status::{AppState, RunState};
use crate::telemetry::{Event, EventSink};

mod operators;
mod refusals;

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
    /// Where the artefacts of the apps lie.
    pub artefact_store: ArtefactStore,
    /// Told when an app has left, and when another commit says who belongs here.
    pub has_left: Arc<dyn Fn() + Send + Sync>,
}

/// What of the reconciler's knowledge survives the daemon.
pub(crate) trait Memory: Send + Sync + 'static {
    /// The operators' words as they were saved last.
    fn words(&self) -> OperatorWords;
    /// Saves them; they are in force meanwhile, and on the disk soon. The audit of an operator's call waits for the disk
    /// before the call is answered.
    fn save_words(&self, words: &OperatorWords);
}

/// The reconciler's state.
pub(crate) struct Passes {
    services: Arc<ReconcilerServices>,
    myself: Mailbox<ReconcilerMsg>,
    ledger: Book,
    cache: Option<SpecCache>,
    /// The newest commit that came while another one was being read.
    next: Option<(CommitFacts, bool)>,
    /// The commit that could not be read, and why, as it was told: it comes again with each look.
    refused: Option<Refused>,
    /// The commit that was noted as accepted.
    noted: Option<CommitId>,
    told: BTreeMap<AppName, Target>,
    /// The plan of the newest commit, for those who ask how it went.
    newest: Plan,
    waiting: Waiting,
    is_pass_due: bool,
    alarm: Option<tokio::task::AbortHandle>,
}

impl Passes {
    pub fn new(services: Arc<ReconcilerServices>, myself: Mailbox<ReconcilerMsg>) -> Self {
        let ledger = Ledger {
            words: services.memory.words(),
            prune_share_max: services.prune_share_max,
            ..Ledger::default()
        };
        Self {
            services,
            myself,
            ledger: Book::new(ledger),
            cache: Some(SpecCache::default()),
            next: None,
            refused: None,
            noted: None,
            told: BTreeMap::new(),
            newest: Plan::default(),
            waiting: Waiting::default(),
            is_pass_due: false,
            alarm: None,
        }
    }

    /// Starts an actor for every app that the store knows: it finds out by itself what runs.
    pub async fn wake_known_apps(&mut self) {
        let mut folders = BTreeMap::new();
        for (name, record) in self.services.apps.known() {
            if let Some(applied) = record
                .applied
                .as_ref()
                .filter(|applied| !applied.folder.is_empty())
            {
                folders.insert(applied.folder.clone(), name.clone());
            }
            let standing = Standing {
                applied: record.applied.clone(),
                kept: record.artefacts_kept(),
                ..Standing::default()
            };
            let ledger = self.ledger.change();
            if let Some(commit) = &record.commit {
                ledger.touched.insert(name.clone(), commit.clone());
            }
            ledger.standings.insert(name.clone(), standing);
            self.services.apps.start(&name).await;
        }
        // For whom a folder stands whose spec cannot be read now.
        self.cache = Some(SpecCache::with_names(folders));
        self.set_alarm();
    }

    /// A commit is accepted. Reads it, unless another one is being read: then it waits, and only the newest does.
    pub fn commit(&mut self, facts: CommitFacts, is_manual: bool) {
        let Some(cache) = self.cache.take() else {
            let is_manual = is_manual || self.next.as_ref().is_some_and(|(_, was_manual)| *was_manual);
            self.next = Some((facts, is_manual));
            return;
        };
        let is_refused = self
            .refused
            .as_ref()
            .is_some_and(|refused| refused.facts.id == facts.id);
        if is_manual || self.is_news(&facts.id) && !is_refused {
            self.services.events.emit(Event::ReconcileStart {
                commit: Some(facts.id.clone()),
            });
        }
        let is_known = self.noted.as_ref() == Some(&facts.id);
        let specs = self.services.specs.clone();
        let myself = self.myself.clone();
        tokio::spawn(async move {
            let begin = Instant::now();
            let (result, cache) = specs.read(facts.id.clone(), cache).await;
            // Noted before any app hears of it: whoever begins anew after that goes on from here, and not from what was
            // before, which would take apps back and forth again.
            let is_noted = result.is_ok() && (is_known || specs.accept(facts.id.clone()).await);
            let duration_ms = millis(begin);
            let outcome = Box::new(ReadOutcome {
                result,
                cache,
                duration_ms,
                is_noted,
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
        let silent = self.waiting.unheard().clone();
        match outcome.result {
            Ok(desired) => {
                self.refused = None;
                if self.ledger.expire_words(now_ms(), true) {
                    self.services.memory.save_words(&self.ledger.words);
                    self.set_alarm();
                }
                let accepted = Accepted {
                    facts,
                    desired,
                    read_at: rfc3339(now_ms()),
                };
                self.noted = outcome.is_noted.then(|| accepted.facts.id.clone());
                self.accept(accepted, is_news);
                let (verdict, told_count) = self.tell().await;
                if is_news {
                    (self.services.has_left)();
                }
                let is_worth_telling = is_news || is_manual || told_count > 0;
                self.conclude(
                    verdict,
                    outcome.duration_ms + millis(begin),
                    is_worth_telling,
                    is_news,
                );
            }
            Err(error) => {
                self.refuse(facts, &error, is_manual, outcome.duration_ms);
                // Whoever runs goes on, from what was applied last.
                self.reapply().await;
            }
        }
        self.remind(&silent).await;
        if let Some((facts, is_manual)) = self.next.take() {
            self.commit(facts, is_manual);
        }
        self.answer_waiting();
    }

    /// Takes over what a commit asks for: notes whom it touches and publishes its facts.
    fn accept(&mut self, accepted: Accepted, is_news: bool) {
        let is_the_same = |before: &Accepted| Arc::ptr_eq(&before.desired, &accepted.desired);
        if !is_news && self.ledger.desired.as_ref().is_some_and(is_the_same) {
            self.services.board.set_specs(|specs| specs.refused = None);
            return;
        }
        if is_news {
            let mistakes = accepted.desired.mistakes.iter().map(AsRef::as_ref);
            self.tell_mistakes(mistakes, &accepted.facts.id);
        }
        self.services.board.set_specs(|specs| {
            *specs = SpecsFacts {
                accepted: Some(accepted.facts.clone()),
                desired: Some(accepted.desired.clone()),
                refused: None,
                blocked: None,
            };
        });
        let is_first = self.ledger.desired.is_none();
        let words = self.ledger.words.clone();
        self.ledger.change().accept(accepted);
        if self.ledger.words != words {
            self.services.memory.save_words(&self.ledger.words);
            self.set_alarm();
        }
        if is_first {
            // What a daemon before this one left.
            self.sweep_artefacts();
        }
    }

    /// Publishes how the reconcile went.
    fn conclude(&mut self, verdict: Verdict, duration_ms: u64, is_worth_telling: bool, is_news: bool) {
        let Some(accepted) = &self.ledger.desired else {
            return;
        };
        let commit = accepted.facts.id.clone();
        self.services.board.set_reconcile(duration_ms, None);
        if let (Some(blocked), true) = (&verdict.blocked, is_news) {
            self.services.events.emit(Event::PruneRefused {
                commit: commit.clone(),
                apps: blocked.apps.clone(),
            });
        }
        if is_worth_telling {
            let (actions, invalid) = (verdict.plan.actions.len(), accepted.desired.invalid.len());
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
            self.newest = verdict.plan;
        }
    }

    /// Decides anew and tells the apps that have to hear something new; says how many those were.
    async fn tell(&mut self) -> (Verdict, usize) {
        self.is_pass_due = false;
        let mut told_count = 0;
        let (verdict, targets) = self.ledger.decide();
        let Some(targets) = targets else {
            return (verdict, told_count);
        };
        self.services
            .board
            .set_specs(|specs| specs.blocked.clone_from(&verdict.blocked));
        if self.ledger.note_refused(verdict.blocked.as_ref()) {
            // Before any app hears of it: whoever begins anew must hold back the same.
            self.services.memory.save_words(&self.ledger.words);
            self.set_alarm();
        }
        self.leave_alone(&targets);
        for (name, target) in targets {
            if self.told.get(&name).is_some_and(|told| told.is_same(&target)) {
                continue;
            }
            self.ledger.unsettle(&name);
            // If nobody hears it, it is told again at the next look.
            self.services.apps.tell(&name, &target).await;
            self.waiting.told(name.clone());
            self.told.insert(name, target);
            told_count += 1;
        }
        (verdict, told_count)
    }

    /// Forgets what those were told of whom nobody asks anything now: what they were told once holds no more.
    fn leave_alone(&mut self, targets: &BTreeMap<AppName, Target>) {
        let waiting = &mut self.waiting;
        self.told.retain(|name, _| {
            let is_asked = targets.contains_key(name);
            if !is_asked {
                waiting.heard(name);
            }
            is_asked
        });
    }

    /// Tells those again that were silent since the last look: what they were told may not have reached them.
    async fn remind(&self, silent: &BTreeSet<AppName>) {
        for name in silent.intersection(self.waiting.unheard()) {
            if let Some(target) = self.told.get(name) {
                self.services.apps.remind(name, target).await;
            }
        }
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
        let Some(target) = &report.target else {
            return self.asked(&name).await;
        };
        match self.told.get(&name) {
            Some(told) if told.is_same(target) => self.waiting.heard(&name),
            Some(_) => self.waiting.told(name.clone()),
            None => {}
        }
        if report.gone {
            // Its actor ends, whatever it was told meanwhile: if the app is wanted again, the next pass starts another.
            self.forget(&name).await;
            return self.make_pass_due();
        }
        let standing = Standing {
            applied: report.applied,
            kept: report.kept,
            settled: report.settled,
            satisfied: report.satisfied,
            runs: report.state.status == RunState::Running,
            failed: report.failed,
            backs_off: backs_off(&report.state),
        };
        let before = self.ledger.standings.get(&name);
        let is_left = |artefact: ArtefactId| standing.artefacts().all(|kept| kept != artefact);
        let has_left = before.is_some_and(|before| before.artefacts().any(is_left));
        if self.ledger.note(name, standing) || self.waiting.is_anybody_there() {
            self.make_pass_due();
        }
        if has_left {
            self.sweep_artefacts();
        }
    }

    /// An actor has just started and asks for its target: another incarnation may have heard it, this one has not.
    async fn asked(&mut self, name: &AppName) {
        if let Some(target) = self.told.get(name) {
            self.services.apps.tell(name, target).await;
            self.waiting.told(name.clone());
        } else if self.ledger.desired.is_some() && !self.ledger.standings.contains_key(name) {
            // Restarted while its app went off the node: nobody wants it, and it has to be told that.
            let standings = &mut self.ledger.change().standings;
            standings.insert(name.clone(), Standing::default());
            self.make_pass_due();
        }
    }

    /// An app is off the node: so is its actor, and its artefact if nobody else has the same.
    async fn forget(&mut self, name: &AppName) {
        let ledger = self.ledger.change();
        let standing = ledger.standings.remove(name);
        if !ledger.wants(name) {
            ledger.touched.remove(name);
        }
        self.told.remove(name);
        self.waiting.heard(name);
        self.services.apps.end(name).await;
        self.services.board.forget_app(name);
        (self.services.has_left)();
        if standing.is_some_and(|standing| standing.artefacts().next().is_some()) {
            self.sweep_artefacts();
        }
    }

    /// Artefacts that nothing wants or runs any more go.
    fn sweep_artefacts(&self) {
        let store = self.services.artefact_store.clone();
        store.keep(self.ledger.artefacts());
        tokio::task::spawn_blocking(move || store.sweep());
    }

    /// One pass for any number of reports: it is the last message in the mailbox.
    fn make_pass_due(&mut self) {
        if !std::mem::replace(&mut self.is_pass_due, true) {
            let _ = self.myself.cast(ReconcilerMsg::Pass);
        }
    }

    /// Answers when its patience has found its end.
    pub fn settle(&mut self, patience: Patience, reply: RpcReplyPort<Report>) {
        self.waiting.push(patience, reply);
        self.answer_waiting();
    }

    fn answer_waiting(&mut self) {
        // While a commit is being read, or a pass is due, more is to come.
        if self.cache.is_some() && !self.is_pass_due {
            let (ledger, newest) = (&self.ledger, &self.newest);
            self.waiting.answer(ledger, &self.told, || report(ledger, newest));
        }
    }
}

/// Has it failed, or what was to take its place, so that the next try waits?
fn backs_off(state: &AppState) -> bool {
    let is_delayed = state.status == RunState::Running && state.next_try_at.is_some();
    is_delayed || state.status == RunState::Backoff
}

fn millis(begin: Instant) -> u64 {
    u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX)
}
