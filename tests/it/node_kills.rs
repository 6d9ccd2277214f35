//! Any actor of a running node may be killed at any moment, and the node converges by itself.
//!
//! Each round does something to a real node (commits, bursts, orders by hand, nothing), ends one actor of its tree at a
//! random moment of it, and then asks the kernel: one process tree for each app that git asks for, none for any other, of
//! the generation that was committed, and the same process as before unless somebody touched that app.
//!
//! An ordinary run has [`KILLS_DEFAULT`] rounds. `OSIER_KILLS=1000` has as many as said, each role at least 50 times;
//! `OSIER_SEED` makes the same sequence again (`tests/kills.sh` runs and records them). Role, way and work of each round
//! follow from the seed; the moments do as far as a scheduler lets them.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use osier::rpc::procedures::ReconcileRequest;

use crate::kill_model::{Model, Work};
use crate::kill_stage::Stage;
use crate::panicking_log::PanickingLog;
use crate::poll::{PATIENCE, found};

/// Seven of each role; a run of the test suite.
const KILLS_DEFAULT: usize = 70;
/// The longest wait between the beginning of some work and the kill.
const DELAY_MS_MAX: u64 = 60;

/// Which actor is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Store,
    TelemetryRouter,
    Core,
    Apps,
    App,
    Reconciler,
    RepoWatcher,
    Control,
    Housekeeper,
    Root,
}

const ROLES: [Role; 10] = [
    Role::Store,
    Role::TelemetryRouter,
    Role::Core,
    Role::Apps,
    Role::App,
    Role::Reconciler,
    Role::RepoWatcher,
    Role::Control,
    Role::Housekeeper,
    Role::Root,
];

impl Role {
    /// Where it is in the tree; an app's actor is below its name.
    fn path(self, app: &str) -> String {
        match self {
            Self::Store => "store".to_owned(),
            Self::TelemetryRouter => "telemetry_router".to_owned(),
            Self::Core => "core".to_owned(),
            Self::Apps => "core/apps".to_owned(),
            Self::App => format!("core/apps/{app}"),
            Self::Reconciler => "core/reconciler".to_owned(),
            Self::RepoWatcher => "core/repo_watcher".to_owned(),
            Self::Control => "control".to_owned(),
            Self::Housekeeper => "housekeeper".to_owned(),
            Self::Root => String::new(),
        }
    }

    /// The module whose next line of the log panics, for those that log in a handler of theirs.
    fn log_target(self) -> Option<&'static str> {
        match self {
            Self::TelemetryRouter => Some("osier::event"),
            Self::Reconciler => Some("osier::actors::reconciler"),
            Self::Apps => Some("osier::supervisor"),
            _ => None,
        }
    }
}

/// How it is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// At its next await; nothing of its own runs any more.
    Kill,
    /// Asked to leave, for no good reason: it tidies up.
    Stop,
    /// By a panic in a handler: the host's log subscriber panics under it.
    Panic,
}

#[test]
fn a_node_converges_whichever_of_its_actors_is_killed() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let kills = number("OSIER_KILLS").unwrap_or(KILLS_DEFAULT as u64) as usize;
    let seed = number("OSIER_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000));
    println!("OSIER_SEED={seed} OSIER_KILLS={kills}");
    let log = Arc::new(PanickingLog::default());
    let runtime = log.runtime();
    runtime.block_on(async { Run::begin(seed, log).await.through(kills).await });
}

struct Run {
    random: Rng,
    log: Arc<PanickingLog>,
    stage: Stage,
    model: Model,
    /// How often each role was ended in each way.
    done: Vec<(Role, Way)>,
}

impl Run {
    async fn begin(seed: u64, log: Arc<PanickingLog>) -> Self {
        let mut stage = Stage::new();
        let mut model = Model::new(&stage);
        model.commit(&stage, "begin");
        stage.start().await;
        model.converge(&stage).await;
        Self {
            random: Rng::with_seed(seed),
            log,
            stage,
            model,
            done: Vec::new(),
        }
    }

    async fn through(mut self, kills: usize) {
        // Every role comes in turn, in a new order each time: none is left out of a short run.
        let mut deck = Vec::new();
        for round in 1..=kills {
            if deck.is_empty() {
                deck = ROLES.to_vec();
                self.random.shuffle(&mut deck);
            }
            let role = deck.pop().unwrap();
            self.round(round, role).await;
        }
        self.finish().await;
    }

    async fn round(&mut self, round: usize, role: Role) {
        let work = self.model.choose_work(&mut self.random);
        let way = self.choose_way(role);
        let victim = self.model.choose_app(&mut self.random);
        let path = role.path(&victim);
        let delay = Duration::from_micros(self.random.u64(0..DELAY_MS_MAX * 1_000));
        println!("{round}: {work:?}, after {delay:?} {way:?} {path:?}");
        // Found before the work begins, so that nothing stands between the moment and the kill.
        let cell = self.stage.actor(&path).await;
        let asked = self.begin_work(&work, round).await;
        tokio::time::sleep(delay).await; // the moment is what is random here; nothing waits for it
        match way {
            Way::Kill => cell.kill(),
            Way::Stop => cell.stop(Some("stopped by a test".to_owned())),
            Way::Panic => self.panic(role, &victim).await,
        }
        if role == Role::Root {
            self.stage.start_again().await;
        }
        let outcome = tokio::time::timeout(PATIENCE, asked).await;
        outcome
            .expect("whoever asked for a reconcile gets an answer, or hears that there is none")
            .unwrap();
        self.model.converge(&self.stage).await;
        self.done.push((role, way));
    }

    fn choose_way(&mut self, role: Role) -> Way {
        match (self.random.u8(0..4), role.log_target()) {
            (0, Some(_)) => Way::Panic,
            (1, _) => Way::Stop,
            _ => Way::Kill,
        }
    }

    /// Begins the work; the answer to a reconcile that was asked for at the same time comes through the handle.
    async fn begin_work(&mut self, work: &Work, round: usize) -> tokio::task::JoinHandle<()> {
        self.model.work(&self.stage, work, round).await;
        let node = self.stage.node().clone();
        let (asks, wait) = (self.random.bool(), self.random.bool());
        tokio::spawn(async move {
            if asks {
                let request = ReconcileRequest {
                    wait,
                    ..ReconcileRequest::default()
                };
                // Done, or told that the actor was not there: both are answers.
                let _ = node.reconcile(request).await;
            }
        })
    }

    /// Lets the next line panic that is logged for this role; sees to it that there is one.
    async fn panic(&self, role: Role, app: &str) {
        self.log.arm(role.log_target().expect("a role that logs"));
        if role != Role::Reconciler {
            // Supervisors log a child's end, the router tells it. (The reconciler logs each look that found nothing new.)
            self.stage.actor(&Role::App.path(app)).await.kill();
        }
        let log = Arc::clone(&self.log);
        found("a line of the log that panics", || {
            (!log.is_armed()).then_some(())
        })
        .await;
    }

    /// Everybody who listens has heard the same, in order, none twice; and what was to be kept is kept.
    async fn finish(mut self) {
        self.model.settle(&self.stage).await;
        let [handled, followed, streamed] = self.stage.heard_by_all().await;
        assert!(handled.windows(2).all(|pair| pair[0] < pair[1]), "ids only grow");
        assert_eq!(
            handled, followed,
            "who follows hears what a handler is called with"
        );
        assert_eq!(followed, streamed, "and so does who follows through the socket");
        assert!(!self.stage.has_heard("store."), "the store was never in trouble");
        let kept = self.stage.kept().await;
        let lost: Vec<_> = handled.iter().filter(|id| !kept.contains(id)).collect();
        assert!(lost.is_empty(), "told, and not kept: {lost:?}");
        for role in ROLES {
            let of = |way| self.done.iter().filter(|done| **done == (role, way)).count();
            println!(
                "{role:?}: {} killed, {} stopped, {} panicked",
                of(Way::Kill),
                of(Way::Stop),
                of(Way::Panic)
            );
        }
    }
}
