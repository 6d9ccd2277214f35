//! Futures and actors of a host, as they end and as they are ended.

use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::timeout;

use super::*;
use crate::names::{InstanceId, SpecDigest};
use crate::runtime::{Exit, ExitKind};
use crate::specs::AppSpec;
use crate::specs::values::Signal;

const SOON: Duration = Duration::from_secs(5);

fn name(text: &str) -> AppName {
    text.parse().unwrap()
}

fn launch(app: &str) -> Launch {
    let spec = AppSpec::new(name(app), "1".parse().unwrap());
    Launch {
        digest: SpecDigest::of(app.as_bytes()),
        spec: Arc::new(spec),
        instance: InstanceId::random(),
        artefact: None,
        node: "n1".parse().unwrap(),
    }
}

fn stop_within(grace: Duration) -> StopPolicy {
    StopPolicy {
        signal: Signal::Term,
        grace,
    }
}

fn host() -> EmbeddedRuntime {
    let factories = Factories::new()
        .future(name("done"), |_| async { Ok::<_, EmbeddedError>(()) })
        .future(name("wrong"), |_| async { Err::<(), _>("no port left") })
        .future(name("buggy"), |context| async move {
            assert!(context.spec.name.as_str().is_empty(), "off by one");
            Ok::<_, EmbeddedError>(())
        })
        .future(name("polite"), |mut context| async move {
            context.stop.wait().await;
            Ok::<_, EmbeddedError>(())
        })
        .future(name("deaf"), |_| {
            std::future::pending::<Result<(), EmbeddedError>>()
        })
        .actor(name("actor"), |_| async {
            let spawned = Actor::spawn(None, Counter, ()).await;
            spawned.map(|(actor, _)| actor.get_cell())
        })
        .actor(name("refused"), |_| async {
            Err::<ractor::ActorCell, _>("the host says no")
        });
    EmbeddedRuntime::new(factories)
}

/// Fails at any message.
struct Counter;

impl Actor for Counter {
    type Msg = String;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<String>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(&self, _: ActorRef<String>, why: String, (): &mut ()) -> Result<(), ActorProcessingErr> {
        assert_ne!(why, "panic", "overflow");
        Err(why.into())
    }
}

async fn end_of(instance: Instance) -> Exit {
    timeout(SOON, instance.exited).await.expect("it ends soon")
}

#[tokio::test]
async fn a_future_ends_as_done_as_wrong_or_with_its_panic() {
    let host = host();
    for (app, how) in [
        ("done", ExitKind::Finished),
        ("wrong", ExitKind::Crashed("no port left".to_owned())),
        ("buggy", ExitKind::Crashed("off by one".to_owned())),
    ] {
        let instance = host.deploy(launch(app)).await.unwrap();
        assert_eq!(instance.digest, SpecDigest::of(app.as_bytes()));
        assert_eq!(end_of(instance).await.how, how, "{app}");
        assert!(host.adopt(&name(app)).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn whoever_lost_an_instance_gets_it_again_and_dropping_one_ends_nothing() {
    let host = host();
    let first = host.deploy(launch("polite")).await.unwrap();
    let id = first.id.clone();
    drop(first);
    let again = host.adopt(&name("polite")).await.unwrap().unwrap();
    assert_eq!(again.id, id);
    assert_eq!(host.current_state().await.unwrap().len(), 1);
    assert!(host.deploy(launch("polite")).await.is_err(), "never twice");
    host.remove(&name("polite"), stop_within(SOON)).await.unwrap();
    let exit = end_of(again).await;
    assert_eq!(
        (exit.how, exit.was_killed_after_grace),
        (ExitKind::Finished, false)
    );
    assert!(host.current_state().await.unwrap().is_empty());
    host.remove(&name("polite"), stop_within(SOON)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_heed_its_stop_is_aborted_after_its_grace() {
    let host = host();
    let instance = host.deploy(launch("deaf")).await.unwrap();
    let began = tokio::time::Instant::now();
    host.remove(&name("deaf"), stop_within(Duration::from_secs(2)))
        .await
        .unwrap();
    assert_eq!(began.elapsed().as_secs(), 2);
    assert!(end_of(instance).await.was_killed_after_grace);
}

#[tokio::test]
async fn an_actor_is_told_as_it_ended() {
    let host = host();
    let instance = host.deploy(launch("actor")).await.unwrap();
    host.remove(&name("actor"), stop_within(SOON)).await.unwrap();
    assert_eq!(end_of(instance).await.how, ExitKind::Finished);
    for (message, word) in [("panic", "overflow"), ("disk full", "disk full")] {
        let instance = host.deploy(launch("actor")).await.unwrap();
        let running = host.find(&name("actor")).unwrap();
        running.actor().send_message(message.to_owned()).unwrap();
        let ExitKind::Crashed(reason) = end_of(instance).await.how else {
            panic!("no crash")
        };
        assert!(reason.contains(word), "{reason}");
    }
}

#[tokio::test]
async fn a_factory_that_refuses_and_an_app_without_one_are_failed_starts() {
    let host = host();
    let refused = host.deploy(launch("refused")).await.unwrap_err().to_string();
    assert_eq!(refused, "the factory of refused failed: the host says no");
    let unknown = host.deploy(launch("stranger")).await.unwrap_err();
    assert_eq!(unknown.code(), "osier::runtime::prepare_failed");
    assert!(host.current_state().await.unwrap().is_empty());
}
