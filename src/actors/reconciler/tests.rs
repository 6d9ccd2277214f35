//! The reconciler over real app actors and a runtime that runs nothing, under a paused clock: what is told to whom when
//! actors and news come and go in between.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

mod healing;

use super::*;
use crate::actors::app::{AppServices, SteadyClock, Turns};
use crate::actors::apps::Apps;
use crate::actors::board::Board;
use crate::actors::directory::Directory;
use crate::actors::no_artefacts::NoArtefacts;
use crate::actors::node_board::NodeBoard;
use crate::lifecycle::{AppRecord, Operation, Target, Want};
use crate::names::AppName;
use crate::runtime::DynRuntime;
use crate::source::store::ArtefactStore;
use crate::specs::{AppSpec, DesiredApp};
use crate::status::RunState;
use crate::supervisor::{DynamicFlags, DynamicSupervisor};
use crate::telemetry::Event;
use crate::testing::{EventLog, FakeRuntime, MemoryRecords};

/// Commits and what they ask for; one that is not here cannot be read.
#[derive(Default)]
struct Commits {
    asked: Mutex<BTreeMap<CommitId, Arc<Desired>>>,
    /// What ran when a commit was noted as accepted.
    noted: Mutex<Vec<(CommitId, usize)>>,
    runtime: FakeRuntime,
}

/// The reader of [`Commits`].
struct Reader(Arc<Commits>);

impl SpecReader for Reader {
    fn read(
        &self,
        commit: CommitId,
        cache: SpecCache,
    ) -> BoxFuture<'static, (Result<Arc<Desired>, ReadError>, SpecCache)> {
        let found = self.0.asked.lock().unwrap().get(&commit).cloned();
        let read = found.ok_or_else(|| ReadError::Git("malformed tree".to_owned()));
        Box::pin(std::future::ready((read, cache)))
    }

    fn accept(&self, commit: CommitId) -> BoxFuture<'static, bool> {
        let running = self.0.runtime.running_count();
        self.0.noted.lock().unwrap().push((commit, running));
        Box::pin(std::future::ready(true))
    }
}

struct NoWords;

impl Memory for NoWords {
    fn words(&self) -> OperatorWords {
        OperatorWords::default()
    }

    fn save_words(&self, _: &OperatorWords) {}
}

struct Stage {
    commits: Arc<Commits>,
    board: Arc<Board>,
    node_board: Arc<NodeBoard>,
    events: EventLog,
    apps: Apps,
    services: Arc<AppServices>,
    report_count: Arc<AtomicUsize>,
    reconciler: Mailbox<ReconcilerMsg>,
}

impl Stage {
    async fn new(known: BTreeMap<AppName, AppRecord>) -> Self {
        let commits = Arc::new(Commits::default());
        let (events, board, node_board) = (EventLog::default(), Arc::default(), Arc::<NodeBoard>::default());
        let directory = Arc::new(Directory::default());
        let (reported, touched) = (directory.clone(), node_board.clone());
        let report_count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&report_count);
        let process: Arc<dyn DynRuntime> = Arc::new(commits.runtime.clone());
        let services = Arc::new(AppServices {
            node: "n1".parse().unwrap(),
            data_dir: PathBuf::from("/data"),
            runtimes: [("process".to_owned(), process)].into(),
            events: Arc::new(events.clone()),
            records: Arc::new(MemoryRecords::default()),
            board: Arc::clone(&board),
            report: Arc::new(move |report| {
                counted.fetch_add(1, Ordering::SeqCst);
                touched.touch();
                reported.reconciler.cast(ReconcilerMsg::AppChanged(report));
            }),
            artefacts: Arc::new(NoArtefacts),
            health_checks: crate::probe::custom::HealthChecks::default(),
            clock: SteadyClock::new(),
            turns: Turns::default(),
        });
        let apps = Apps::new(services.clone(), known);
        apps.supervised_by(
            DynamicSupervisor::start(DynamicFlags::default(), None)
                .await
                .unwrap(),
        );
        let arguments = Arc::new(ReconcilerServices {
            apps: apps.clone(),
            specs: Arc::new(Reader(commits.clone())),
            board: node_board.clone(),
            events: Arc::new(events.clone()),
            memory: Arc::new(NoWords),
            prune_share_max: 0.5,
            artefact_store: ArtefactStore::at(PathBuf::from("/data/artefacts")),
            has_left: Arc::new(|| {}),
        });
        let depth = Depth::default();
        let (actor, _) = Actor::spawn(None, Reconciler(depth.clone()), arguments)
            .await
            .unwrap();
        let reconciler = Mailbox::new(actor, depth);
        directory.reconciler.set(reconciler.clone());
        Self {
            commits,
            board,
            node_board,
            events,
            apps,
            services,
            report_count,
            reconciler,
        }
    }

    /// A commit that asks for these apps comes.
    fn commit(&self, digit: char, apps: &[&str]) {
        self.commit_specs(digit, apps.iter().map(|name| plain(name)));
    }

    fn commit_specs(&self, digit: char, apps: impl IntoIterator<Item = Arc<DesiredApp>>) {
        let apps = apps.into_iter().map(|app| (app.spec.name.clone(), app));
        let desired = Desired {
            apps: apps.collect(),
            ..Desired::default()
        };
        self.commits
            .asked
            .lock()
            .unwrap()
            .insert(id(digit), Arc::new(desired));
        self.look(digit);
    }

    /// The watcher hands on a commit.
    fn look(&self, digit: char) {
        let facts = CommitFacts {
            id: id(digit),
            author: String::new(),
            email: String::new(),
            time: 0,
            subject: String::new(),
        };
        let commit = ReconcilerMsg::Commit {
            facts,
            is_manual: false,
        };
        self.reconciler.cast(commit).unwrap();
    }

    /// How often apps have said anything.
    fn reports(&self) -> usize {
        self.report_count.load(Ordering::SeqCst)
    }

    async fn settled(&self) {
        let patience = Patience::UntilAtRest(None);
        let settled = self
            .reconciler
            .ask(|reply| ReconcilerMsg::Settle { patience, reply });
        settled.await.unwrap();
    }

    async fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let mut changes = self.node_board.changes();
        let wait = async {
            while !is_so() {
                changes.changed().await.unwrap();
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(3_600), wait).await;
        assert!(waited.is_ok(), "never: {what}: {:?}", self.board.all());
    }

    async fn until_running(&self, app: &str) {
        let is_running = || {
            self.board
                .get(&name(app))
                .is_some_and(|state| state.status == RunState::Running)
        };
        self.until("it runs", is_running).await;
    }

    async fn until_off(&self, app: &str) {
        self.until("it is off the node", || self.board.get(&name(app)).is_none())
            .await;
        self.settled().await;
    }
}

fn id(digit: char) -> CommitId {
    digit.to_string().repeat(40).parse().unwrap()
}

fn name(text: &str) -> AppName {
    text.parse().unwrap()
}

fn plain(text: &str) -> Arc<DesiredApp> {
    let spec = AppSpec::new(name(text), "1".parse().unwrap());
    Arc::new(DesiredApp {
        digest: spec.digest(&[]),
        spec: Arc::new(spec),
        file: format!("apps/{text}/app.yaml"),
        line: 1,
        folder: format!("apps/{text}"),
        artefact: None,
    })
}

#[tokio::test(start_paused = true)]
async fn an_app_that_was_taken_off_runs_again_when_a_commit_brings_it_back() {
    let stage = Stage::new(BTreeMap::new()).await;
    stage.commit('1', &["web"]);
    stage.until_running("web").await;
    stage.commit('2', &[]);
    stage.until_off("web").await;
    assert_eq!(stage.apps.known().len(), 0, "nothing of it is remembered");
    stage.commit('3', &["web"]);
    stage.until_running("web").await;
    assert_eq!(stage.commits.runtime.running_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_app_that_comes_back_inherits_nothing_from_what_the_store_knew_at_the_start() {
    let stopped = AppRecord {
        applied: Some(plain("web")),
        stopped_by_hand: Some(plain("web").digest.clone()),
        ..AppRecord::default()
    };
    let stage = Stage::new([(name("web"), stopped)].into()).await;
    stage.commit('1', &[]);
    stage.until_off("web").await;
    stage.commit('2', &["web"]);
    stage.until_running("web").await;
}

#[tokio::test(start_paused = true)]
async fn the_late_news_that_an_app_is_gone_does_not_leave_it_without_an_actor() {
    let stage = Stage::new(BTreeMap::new()).await;
    stage.commit('1', &["web"]);
    stage.until_running("web").await;
    // Its actor ends as one does whose app is off the node, and says so, when the app is wanted already again.
    let actor = stage.services.turns.actor(&name("web")).unwrap();
    actor.actor().stop(None);
    actor.actor().wait(None).await.unwrap();
    let report = AppReport {
        kept: Vec::new(),
        app: name("web"),
        target: Some(Arc::new(Target::new(Want::Gone))),
        applied: None,
        state: stage.board.get(&name("web")).unwrap(),
        settled: true,
        satisfied: false,
        gone: true,
        failed: false,
    };
    stage.reconciler.cast(ReconcilerMsg::AppChanged(report)).unwrap();
    stage.settled().await;
    stage.until_running("web").await;
    stage
        .apps
        .operate(&name("web"), Operation::Restart)
        .await
        .unwrap();
    assert_eq!(stage.commits.runtime.doubled(), []);
}

#[tokio::test(start_paused = true)]
async fn an_actor_whose_app_nobody_wants_is_told_so() {
    let stage = Stage::new(BTreeMap::new()).await;
    stage.commit('1', &["web"]);
    stage.until_running("web").await;
    stage.apps.start(&name("stray")).await;
    let is_gone = || stage.services.turns.actor(&name("stray")).is_none();
    stage.until("the stray is gone", is_gone).await;
    assert!(stage.board.get(&name("stray")).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_commit_is_noted_as_accepted_before_any_app_hears_of_it_and_once() {
    let stage = Stage::new(BTreeMap::new()).await;
    for _ in 0..3 {
        stage.commit('1', &["web"]);
        stage.until_running("web").await;
    }
    stage.settled().await;
    assert_eq!(*stage.commits.noted.lock().unwrap(), [(id('1'), 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_cannot_be_read_is_told_once_however_often_it_is_looked_at() {
    let stage = Stage::new(BTreeMap::new()).await;
    stage.commit('1', &["web"]);
    stage.until_running("web").await;
    let told = || {
        let events = stage.events.all();
        let of = |is_meant: fn(&Event) -> bool| events.iter().filter(|event| is_meant(event)).count();
        (
            of(|event| matches!(event, Event::ReconcileError { .. })),
            of(|event| matches!(event, Event::ReconcileStart { .. })),
        )
    };
    let (_, starts) = told();
    for _ in 0..3 {
        stage.look('2');
        stage
            .until("it was looked at", || stage.node_board.specs().refused.is_some())
            .await;
        stage.settled().await;
    }
    assert_eq!(told(), (1, starts + 1));
    // It can be read after all.
    stage.commit('2', &["web", "db"]);
    stage.until_running("db").await;
    assert_eq!(stage.node_board.specs().refused, None);
}
