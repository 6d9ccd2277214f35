//! Whoever waits is answered, however apps wait for each other.

use super::super::ledger::tests::app;
use super::*;
use crate::runtime::RuntimeError;
use crate::testing::Answer;

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
