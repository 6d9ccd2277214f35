//! What a runtime that does not let go of an app keeps from happening, and what not.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Mutex;

use super::*;
use crate::actors::app::{AppServices, SteadyClock, Turns};
use crate::actors::board::Board;
use crate::actors::no_artefacts::NoArtefacts;
use crate::runtime::{DynRuntime, Instance, Launch, Runtime, RuntimeError};
use crate::specs::Desired;
use crate::specs::app_spec::StopPolicy;
use crate::testing::{EventLog, MemoryRecords};

/// How a runtime lets go of nothing.
#[derive(Debug, Clone, Copy)]
enum How {
    Hangs,
    Panics,
}

struct Clinging {
    how: How,
    asked: tokio::sync::watch::Sender<u32>,
}

impl Runtime for Clinging {
    async fn deploy(&self, _: Launch) -> Result<Instance, RuntimeError> {
        pending().await
    }

    async fn remove(&self, _: &AppName, _: StopPolicy) -> Result<(), RuntimeError> {
        pending().await
    }

    async fn current_state(&self) -> Result<BTreeMap<AppName, Instance>, RuntimeError> {
        Ok(BTreeMap::new())
    }

    async fn forget(&self, _: &AppName) -> Result<(), RuntimeError> {
        self.asked.send_modify(|count| *count += 1);
        match self.how {
            How::Hangs => pending().await,
            How::Panics => std::panic::resume_unwind(Box::new("scripted")),
        }
    }
}

#[derive(Default)]
struct Remembered(Mutex<Leavings>);

impl LeavingsMemory for Remembered {
    fn leavings(&self) -> Leavings {
        self.0.lock().unwrap().clone()
    }

    fn save_leavings(&self, leavings: &Leavings) {
        *self.0.lock().unwrap() = leavings.clone();
    }
}

fn apps_of(runtime: Clinging) -> Apps {
    let process: Arc<dyn DynRuntime> = Arc::new(runtime);
    let services = AppServices {
        node: "n1".parse().unwrap(),
        data_dir: "/data".into(),
        runtimes: [("process".to_owned(), process)].into(),
        events: Arc::new(EventLog::default()),
        records: Arc::new(MemoryRecords::default()),
        board: Arc::new(Board::default()),
        report: Arc::new(|_| {}),
        artefacts: Arc::new(NoArtefacts),
        health_checks: crate::probe::custom::HealthChecks::default(),
        clock: SteadyClock::new(),
        turns: Turns::default(),
    };
    Apps::new(Arc::new(services), BTreeMap::new())
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_does_not_let_go_keeps_no_turn_and_ends_no_rounds() {
    for how in [How::Hangs, How::Panics] {
        let data_dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(data_dir.path().join("apps/web")).unwrap();
        let (asked, mut count) = tokio::sync::watch::channel(0);
        let apps = apps_of(Clinging { how, asked });
        let board = Arc::<NodeBoard>::default();
        board.set_specs(|specs| specs.desired = Some(Arc::new(Desired::default())));
        let memory = Arc::new(Remembered::default());
        let services = Arc::new(HousekeeperServices {
            apps: apps.clone(),
            board,
            folders: AppFolders::of(data_dir.path()),
            memory: memory.clone(),
            kept_for: Duration::from_secs(86_400),
        });
        let (actor, _) = Actor::spawn(None, Housekeeper(Depth::default()), services)
            .await
            .unwrap();
        let web: AppName = "web".parse().unwrap();
        for round in 1..=3 {
            let asked = tokio::time::timeout(2 * LOOK_EVERY, count.wait_for(|count| *count >= round));
            assert!(asked.await.is_ok(), "{how:?}: no round {round}");
            let patience = Deadline::after(Duration::from_secs(60));
            let turn = apps.without(&web, patience, async {});
            assert!(turn.await.is_some(), "{how:?}: nobody else gets the turn");
        }
        assert!(!memory.leavings().holds(&web), "it has not left yet");
        actor.stop(None);
    }
}
