//! What went wrong between the reconciler and an app heals at the next look; and whoever waits is answered meanwhile.

use super::super::ledger::tests::app;
use super::*;
use crate::actors::app::AppMsg;
use crate::runtime::RuntimeError;
use crate::status::SyncState;
use crate::status::hold::Until;
use crate::testing::Answer;

#[tokio::test(start_paused = true)]
async fn a_target_that_nobody_heard_is_told_again_at_the_next_look() {
    let stage = Stage::new(BTreeMap::new()).await;
    let supervisor = stage.apps.supervisor().unwrap();
    supervisor.shutdown().await;
    stage.commit('1', &["web"]);
    let was_read = || stage.node_board.specs().desired.is_some();
    stage.until("it was read", was_read).await;
    stage.apps.supervised_by(
        DynamicSupervisor::start(DynamicFlags::default(), None)
            .await
            .unwrap(),
    );
    stage.look('1');
    stage.until_running("web").await;
}

#[tokio::test(start_paused = true)]
async fn an_app_that_goes_by_another_target_hears_its_own_at_the_next_look() {
    let stage = Stage::new(BTreeMap::new()).await;
    stage.commit('1', &["web"]);
    stage.until_running("web").await;
    stage.settled().await;
    let is_suspended = || stage.board.get(&name("web")).unwrap().sync == SyncState::Suspended;
    // As a message that came late would leave it.
    let other = Target {
        suspended: true,
        ..Target::new(Want::Keep)
    };
    let actor = stage.services.turns.actor(&name("web")).unwrap();
    actor.cast(AppMsg::Target(other)).unwrap();
    stage.until("it heard the other one", is_suspended).await;
    stage.look('1');
    stage.until("it hears its own", || !is_suspended()).await;
    assert_eq!(stage.commits.runtime.deploy_count(&name("web")), 1);
}

#[tokio::test(start_paused = true)]
async fn a_look_without_news_tells_nobody_anything() {
    let stage = Stage::new(BTreeMap::new()).await;
    stage.commit('1', &["web"]);
    stage.until_running("web").await;
    stage.settled().await;
    let reports = stage.reports();
    for _ in 0..3 {
        stage.look('1');
        stage.settled().await;
    }
    assert_eq!(stage.reports(), reports);
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_although_a_suspended_app_and_another_wait_for_each_other() {
    let stage = Stage::new(BTreeMap::new()).await;
    let away = RuntimeError::Unavailable {
        runtime: "fake".to_owned(),
        reason: "the test says so".to_owned(),
    };
    let never = std::iter::repeat_n(Answer::Fail(away), 1_000);
    stage.commits.runtime.script(&name("db"), never);
    stage.commit_specs('1', [app("db", "1", &[]), app("web", "1", &["db"])]);
    let waits = || {
        stage
            .board
            .get(&name("web"))
            .is_some_and(|web| web.status == RunState::Waiting)
    };
    stage.until("web waits for db", waits).await;
    let suspend = Order::Suspend {
        app: Some(name("web")),
        until: Until::Revoked,
    };
    let suspended = stage.reconciler.ask(|reply| ReconcilerMsg::Order {
        order: suspend,
        reply,
    });
    suspended.await.unwrap().unwrap();
    stage.commit_specs('2', [app("db", "2", &["web"]), app("web", "2", &[])]);
    let is_read = || {
        stage
            .node_board
            .specs()
            .accepted
            .is_some_and(|facts| facts.id == id('2'))
    };
    stage.until("the second commit was read", is_read).await;
    let settled = tokio::time::timeout(Duration::from_secs(3_600), stage.settled());
    assert!(settled.await.is_ok());
}
