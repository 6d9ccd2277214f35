//! What OTP's suite does not test and actors on an async runtime must (rows E02-E11 of
//! `docs/explanation/otp-conformance.md`).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use osier::supervisor::{
    Blueprint, ChildSpec, ChildState, DynamicFlags, DynamicSupervisor, ExitReason, Flags, Notice, Restart,
    Shutdown, Started, Strategy, Supervisor, SupervisorRef,
};
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, ActorStatus};

use crate::otp_stage::{Cue, Order, Stage, until_children};

const HOUR: Duration = Duration::from_secs(3600);

async fn start(children: Vec<ChildSpec>) -> SupervisorRef {
    let flags = Flags::default().intensity(10, HOUR);
    Supervisor::start(flags, children, None).await.unwrap()
}

async fn last_exit(supervisor: &SupervisorRef, id: &str) -> ExitReason {
    supervisor.child(id).await.unwrap().last_exit.unwrap().reason
}

#[tokio::test(start_paused = true)]
async fn e02_a_panic_anywhere_in_a_child_is_one_exit_with_a_reason() {
    let stage = Stage::new().await;
    let supervisor = start(vec![stage.child("a")]).await;
    for (order, reason) in [(Order::Panic, "panics as told"), (Order::Fail, "fails as told")] {
        let ups = stage.ups("a");
        stage.tell("a", order);
        stage.until_up("a", ups + 1).await;
        assert_eq!(
            last_exit(&supervisor, "a").await,
            ExitReason::Failed(reason.into())
        );
    }

    stage.cue("a", [Cue::PanicInPostStart]);
    stage.crash("a");
    stage.until_up("a", 5).await;
    assert_eq!(
        last_exit(&supervisor, "a").await,
        ExitReason::Failed("panics after its start".into())
    );

    stage.cue("a", [Cue::Panic, Cue::PanicInPostStop]);
    stage.crash("a");
    stage.until_up("a", 6).await;
    until_children(&supervisor, "a runs", |children| children[0].pid().is_some()).await;
    stage.cell("a").stop(None);
    stage.until_up("a", 7).await;
    assert_eq!(
        last_exit(&supervisor, "a").await,
        ExitReason::Failed("panics at its end".into())
    );
    // Two panics and an error as told, one after the start, one at the start, one at the end: each counted once.
    let children = until_children(&supervisor, "a runs", |children| children[0].pid().is_some()).await;
    assert_eq!(children[0].restarts, 6);
}

#[tokio::test(start_paused = true)]
async fn e02_a_panic_in_the_supervisors_own_handler_is_one_exit_of_the_supervisor() {
    let stage = Stage::new().await;
    let inner = stage.clone();
    let panics = Arc::new(AtomicUsize::new(0));
    let below = ChildSpec::supervisor("below", move || {
        let panics = Arc::clone(&panics);
        let observer = Arc::new(move |notice: &Notice| {
            if matches!(notice, Notice::Exited { .. }) && panics.fetch_add(1, Ordering::Relaxed) == 0 {
                std::panic::resume_unwind(Box::new("the observer panics"));
            }
        });
        Ok(Some(
            Blueprint::default()
                .child(inner.child("a"))
                .child(inner.child("b"))
                .observer(observer),
        ))
    });
    let above = start(vec![below]).await;
    stage.crash("a");
    stage.until_up("b", 2).await;
    until_children(&above, "below runs", |children| children[0].pid().is_some()).await;
    assert_eq!(
        last_exit(&above, "below").await,
        ExitReason::Failed("the observer panics".into())
    );
    assert_eq!(above.child("below").await.unwrap().restarts, 1);
    assert_eq!(stage.alive(), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn e03_children_run_their_clean_up_when_their_supervisor_is_stopped() {
    // In ractor alone they would be killed. `SlowStop` shows that `post_stop` ran: it takes its time.
    let stage = Stage::new().await;
    for id in ["a", "b"] {
        stage.cue(id, [Cue::SlowStop(Duration::from_secs(2))]);
    }
    let supervisor = start(vec![stage.child("a"), stage.child("b")]).await;
    let begin = tokio::time::Instant::now();
    supervisor.cell().stop(None);
    supervisor.cell().wait(None).await.unwrap();
    assert_eq!(begin.elapsed(), Duration::from_secs(4));
    stage.until_down("a", "shutdown").await;
    assert_eq!(stage.downs(), ["b shutdown", "a shutdown"]);
}

#[tokio::test(start_paused = true)]
async fn e03_a_killed_supervisor_leaves_no_orphans_and_comes_back_when_they_are_gone() {
    let stage = Stage::new().await;
    let inner = stage.clone();
    let below = ChildSpec::supervisor("below", move || {
        let inner2 = inner.clone();
        let deeper = ChildSpec::supervisor("deeper", move || {
            Ok(Some(Blueprint::default().child(inner2.child("deep"))))
        });
        Ok(Some(Blueprint::default().child(inner.child("a")).child(deeper)))
    });
    let above = start(vec![below]).await;
    for round in 2..=5 {
        // Busy, so that it does not end at once by itself.
        stage.tell("a", Order::Sleep(HOUR));
        above.child("below").await.unwrap().child.unwrap().cell().kill();
        stage.until_up("deep", round).await;
        assert_eq!(stage.alive(), ["a", "deep"]);
        assert_eq!(
            (stage.held("a"), stage.held("deep")),
            (1, 1),
            "the last ones were gone before"
        );
    }
    above.cell().kill();
    stage
        .until("nobody is left", |stage| stage.alive().is_empty())
        .await;
    stage
        .until("nothing is held", |stage| {
            stage.held("a") + stage.held("deep") == 0
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn e04_the_order_is_kept_for_hundreds_of_children() {
    let stage = Stage::new().await;
    let ids: Vec<String> = (0..300)
        .map(|number| format!("{}", (number * 7919) % 300))
        .collect();
    let supervisor = start(ids.iter().map(|id| stage.child(id)).collect()).await;
    supervisor.shutdown().await;
    stage
        .until("all are down", |stage| stage.downs().len() == 300)
        .await;
    let expected: Vec<String> = ids.iter().rev().map(|id| format!("{id} shutdown")).collect();
    assert_eq!(stage.downs(), expected);
}

/// An actor that blocks its thread, on a runtime of its own, until it is let go.
async fn blocked_child() -> (ChildSpec, std::sync::mpsc::Sender<()>, ActorProbe) {
    struct Blocked;
    impl Actor for Blocked {
        type Msg = ();
        type State = std::sync::mpsc::Receiver<()>;
        type Arguments = Self::State;
        async fn pre_start(
            &self,
            _: ActorRef<()>,
            let_go: Self::State,
        ) -> Result<Self::State, ActorProcessingErr> {
            Ok(let_go)
        }
        async fn handle(
            &self,
            _: ActorRef<()>,
            (): (),
            let_go: &mut Self::State,
        ) -> Result<(), ActorProcessingErr> {
            let _ = let_go.recv();
            Ok(())
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (release, let_go) = std::sync::mpsc::channel();
    let let_go = Arc::new(std::sync::Mutex::new(Some(let_go)));
    let handle = runtime.handle().clone();
    let spec = ChildSpec::new("blocked", move |parent: ActorCell| {
        let (let_go, handle) = (let_go.lock().unwrap().take(), handle.clone());
        async move {
            let Some(let_go) = let_go else {
                return Ok(Started::ignored());
            };
            let spawn = async move { parent.spawn_linked(None, Blocked, let_go).await };
            let (actor, join) = handle
                .spawn(spawn)
                .await
                .map_err(osier::supervisor::StartError::failed)??;
            actor
                .send_message(())
                .map_err(osier::supervisor::StartError::failed)?;
            Ok(Started::actor(&actor, join))
        }
    });
    (spec, release, ActorProbe(Some(runtime)))
}

/// Lets go of the runtime without waiting for its threads.
struct ActorProbe(Option<tokio::runtime::Runtime>);

impl Drop for ActorProbe {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn e05_a_child_that_blocks_its_thread_does_not_make_the_supervisor_hang() {
    let (spec, release, _runtime) = blocked_child().await;
    let supervisor = start(vec![spec.shutdown(Shutdown::Timeout(Duration::from_secs(1)))]).await;
    let actor = supervisor
        .child("blocked")
        .await
        .unwrap()
        .child
        .unwrap()
        .cell()
        .clone();
    let begin = tokio::time::Instant::now();
    supervisor.terminate_child("blocked").await.unwrap();
    assert!(
        begin.elapsed() >= Duration::from_secs(6),
        "a second to stop, five to be killed"
    );
    assert_eq!(last_exit(&supervisor, "blocked").await, ExitReason::Unresponsive);
    assert_ne!(actor.get_status(), ActorStatus::Stopped);
    release.send(()).unwrap();
    // By the real clock: its thread is not ours.
    while actor.get_status() != ActorStatus::Stopped {
        std::thread::yield_now();
    }
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn e06_calls_and_notices_do_not_pile_up_behind_a_child_that_is_stuck() {
    let stage = Stage::new().await;
    let flags = DynamicFlags {
        intensity: 100,
        period: HOUR,
        ..DynamicFlags::default()
    };
    let supervisor = DynamicSupervisor::start(flags, None).await.unwrap();
    supervisor
        .start_child(stage.child("stuck").shutdown(Shutdown::Infinity))
        .await
        .unwrap();
    stage.tell("stuck", Order::Sleep(HOUR));
    let stopping = tokio::spawn({
        let supervisor = supervisor.clone();
        async move { supervisor.terminate_child("stuck").await }
    });
    supervisor.start_child(stage.child("a")).await.unwrap();
    let begin = tokio::time::Instant::now();
    for round in 2..=50 {
        stage.crash("a");
        stage.until_up("a", round).await;
        assert!(supervisor.count_children().await.is_ok());
    }
    assert_eq!(begin.elapsed(), Duration::ZERO);
    assert_eq!(
        supervisor.child("stuck").await.unwrap().state,
        ChildState::Stopping
    );
    stopping.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn e07_a_shutdown_during_a_slow_start_drops_the_start_and_what_it_holds() {
    for strategy in [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne] {
        let stage = Stage::new().await;
        let flags = Flags::new(strategy);
        let children = vec![stage.child("a"), stage.child("b")];
        let supervisor = Supervisor::start(flags, children, None).await.unwrap();
        stage.cue("a", [Cue::Hang]);
        stage.crash("a");
        stage
            .until("the restart hangs", |stage| {
                stage.starts("a") == 2 && stage.held("a") == 1
            })
            .await;
        let begin = tokio::time::Instant::now();
        supervisor.shutdown().await;
        assert_eq!(begin.elapsed(), Duration::ZERO);
        assert_eq!((stage.alive(), stage.held("a")), (Vec::new(), 0));
    }
}

#[tokio::test(start_paused = true)]
async fn e07_a_start_that_is_dropped_takes_the_started_siblings_along() {
    let stage = Stage::new().await;
    stage.always("b", Cue::Hang);
    let children = vec![stage.child("a"), stage.child("b")];
    let starting = Supervisor::start(Flags::default(), children, None);
    assert!(
        tokio::time::timeout(Duration::from_secs(1), starting)
            .await
            .is_err()
    );
    stage
        .until("nobody is left", |stage| {
            stage.alive().is_empty() && stage.held("b") == 0
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn e07_a_supervisor_that_is_killed_during_a_slow_start_drops_it() {
    let stage = Stage::new().await;
    let supervisor = start(vec![stage.child("a")]).await;
    stage.cue("a", [Cue::Hang]);
    stage.crash("a");
    stage
        .until("the restart hangs", |stage| {
            stage.starts("a") == 2 && stage.held("a") == 1
        })
        .await;
    supervisor.cell().kill();
    stage
        .until("the start is dropped", |stage| stage.held("a") == 0)
        .await;
}

#[tokio::test(start_paused = true)]
async fn e08_an_exit_before_the_link_is_not_lost() {
    let stage = Stage::new().await;
    let inner = stage.clone();
    let unlinked = ChildSpec::new("a", move |_| {
        let stage = inner.clone();
        async move {
            let (actor, join) = stage.stranger("a").await;
            if stage.ups("a") == 1 {
                actor.kill();
                let _ = actor.get_cell().wait(None).await;
            }
            Ok(Started::actor(&actor, join))
        }
    });
    let supervisor = start(vec![unlinked.restart(Restart::Transient)]).await;
    stage.until_up("a", 2).await;
    until_children(&supervisor, "a runs", |children| children[0].pid().is_some()).await;
    assert_eq!(last_exit(&supervisor, "a").await, ExitReason::Lost);
    // The second incarnation lived until it was linked, although its start did not do that.
    stage.crash("a");
    stage.until_up("a", 3).await;
    supervisor.cell().kill();
    stage
        .until("it did not outlive its supervisor", |stage| {
            stage.alive().is_empty()
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn e08_an_exit_before_the_start_is_reported_keeps_its_reason() {
    let stage = Stage::new().await;
    let inner = stage.clone();
    let short = ChildSpec::new("a", move |parent: ActorCell| {
        let stage = inner.clone();
        async move {
            let (actor, join) = stage.spawn_linked("a", Cue::Run, parent).await?;
            actor.stop(Some("normal".to_owned()));
            let _ = actor.get_cell().wait(None).await;
            Ok(Started::actor(&actor, join))
        }
    });
    let supervisor = start(vec![stage.child("b")]).await;
    supervisor
        .start_child(short.restart(Restart::Transient))
        .await
        .unwrap()
        .unwrap();
    let children = until_children(&supervisor, "a is down", |children| children[1].pid().is_none()).await;
    assert_eq!(children[1].last_exit.as_ref().unwrap().reason, ExitReason::Normal);
    assert_eq!(
        stage.ups("a"),
        1,
        "a transient child that ended normally stays down"
    );
}

#[tokio::test(start_paused = true)]
async fn e09_the_exit_of_an_old_incarnation_does_not_touch_the_new_one() {
    let stage = Stage::new().await;
    let supervisor = Supervisor::start(
        Flags::default().intensity(100, HOUR),
        vec![stage.child("a")],
        None,
    )
    .await
    .unwrap();
    for round in 2..=20 {
        // The crash and the stop race; whichever is told last is about an incarnation that is gone.
        stage.crash("a");
        supervisor.terminate_child("a").await.unwrap();
        let down = supervisor.restart_child("a").await;
        assert!(down.unwrap().is_some());
        assert_eq!(stage.alive(), ["a"], "round {round}");
        assert_eq!(supervisor.child("a").await.unwrap().pid(), Some(stage.pid("a")));
    }
    assert!(supervisor.child("a").await.unwrap().restarts <= 19);
}

#[tokio::test(start_paused = true)]
async fn e11_a_root_that_gives_up_says_so_when_all_is_stopped() {
    let stage = Stage::new().await;
    let inner = stage.clone();
    let below = ChildSpec::supervisor("below", move || {
        Ok(Some(
            Blueprint::new(Flags::default().intensity(0, HOUR)).child(inner.child("a")),
        ))
    });
    let root = Supervisor::start(
        Flags::default().intensity(1, HOUR),
        vec![stage.child("b"), below],
        None,
    )
    .await
    .unwrap();
    let ended = tokio::spawn({
        let root = root.clone();
        async move { root.ended().await }
    });
    tokio::task::yield_now().await;
    stage.crash("a");
    stage.until_up("a", 2).await;
    stage.crash("a");
    let ExitReason::Shutdown(Some(detail)) = ended.await.unwrap() else {
        panic!("it says why")
    };
    assert!(
        detail.starts_with(
            "gave up on below: more than 1 restarts in 3600s; last exit: shutdown: gave up on a:"
        ),
        "{detail}"
    );
    root.cell().wait(None).await.unwrap();
    assert_eq!(stage.alive(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_transient_supervisor_that_gave_up_is_not_restarted_a_permanent_one_is() {
    for (restart, comes_back) in [(Restart::Transient, false), (Restart::Permanent, true)] {
        let stage = Stage::new().await;
        let inner = stage.clone();
        let below = ChildSpec::supervisor("below", move || {
            Ok(Some(
                Blueprint::new(Flags::default().intensity(0, HOUR)).child(inner.child("a")),
            ))
        });
        let above = start(vec![below.restart(restart)]).await;
        let pid = above.child("below").await.unwrap().pid();
        stage.crash("a");
        let children =
            until_children(&above, "it has ended", |children| children[0].last_exit.is_some()).await;
        assert_ne!(children[0].pid(), pid);
        if comes_back {
            stage.until_up("a", 2).await;
        }
        assert_eq!(stage.alive().len(), usize::from(comes_back));
    }
}
