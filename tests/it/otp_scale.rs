//! OTP's cases of what supervisors keep, and of how they scale (rows C20-C24 of `docs/explanation/otp-conformance.md`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use osier::supervisor::{
    AdminError, ChildSpec, DynamicFlags, DynamicSupervisor, Flags, Restart, Strategy, Supervisor,
    SupervisorRef,
};

use crate::otp_stage::{Cue, Stage, states, until_children};
use crate::poll::answered;

const STRATEGIES: [Strategy; 3] = [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne];

/// A temporary child whose start holds something big.
fn with_big_argument(stage: &Stage, id: &str, argument: &Arc<Vec<u8>>) -> ChildSpec {
    let (stage, name, argument) = (stage.clone(), id.to_owned(), Arc::clone(argument));
    ChildSpec::new(id, move |parent| {
        let (stage, name, argument) = (stage.clone(), name.clone(), Arc::clone(&argument));
        async move {
            assert_eq!(argument.len(), 1 << 20);
            let (actor, join) = stage.spawn_linked(&name, Cue::Run, parent).await?;
            Ok(osier::supervisor::Started::actor(&actor, join))
        }
    })
    .restart(Restart::Temporary)
}

#[tokio::test(start_paused = true)]
async fn c20_do_not_save_start_parameters_for_temporary_children_longer_than_they_live() {
    for strategy in STRATEGIES {
        let stage = Stage::new().await;
        let argument = Arc::new(vec![0; 1 << 20]);
        let supervisor = Supervisor::start(Flags::new(strategy), Vec::new(), None)
            .await
            .unwrap();
        for number in 0..100 {
            supervisor
                .start_child(with_big_argument(&stage, &number.to_string(), &argument))
                .await
                .unwrap();
        }
        for number in 0..100 {
            stage.cell(&number.to_string()).kill();
        }
        until_children(&supervisor, "all are gone", <[_]>::is_empty).await;
        assert_eq!(Arc::strong_count(&argument), 1, "{strategy:?}");
    }
}

#[derive(Clone, Copy, Debug)]
enum End {
    Kill,
    Normal,
    Abnormal,
    BySupervisor,
}

/// What a second start of the same id says after the first incarnation has ended so.
async fn start_again(strategy: Strategy, restart: Restart, end: End) -> (Stage, Result<(), AdminError>) {
    let stage = Stage::new().await;
    let child = stage.child("a").restart(restart);
    let supervisor: SupervisorRef = Supervisor::start(Flags::new(strategy), vec![child.clone()], None)
        .await
        .unwrap();
    let pid = stage.pid("a");
    match end {
        End::Kill => stage.cell("a").kill(),
        End::Normal => stage.cell("a").stop(None),
        End::Abnormal => stage.crash("a"),
        End::BySupervisor => supervisor.terminate_child("a").await.unwrap(),
    }
    until_children(&supervisor, "the exit is handled", |children| {
        children
            .first()
            .is_none_or(|child| child.last_exit.is_some() && child.pid() != Some(pid))
    })
    .await;
    let again = supervisor.start_child(child).await.map(drop);
    (stage, again)
}

#[tokio::test(start_paused = true)]
async fn c21_do_not_save_child_specs_for_temporary_children() {
    for strategy in STRATEGIES {
        for end in [End::Kill, End::Normal, End::Abnormal, End::BySupervisor] {
            let (stage, again) = start_again(strategy, Restart::Permanent, end).await;
            match end {
                End::BySupervisor => assert!(matches!(again, Err(AdminError::AlreadyPresent))),
                End::Kill | End::Normal | End::Abnormal => {
                    assert!(matches!(again, Err(AdminError::AlreadyStarted(_))), "{end:?}");
                    assert_eq!(stage.ups("a"), 2);
                }
            }
            let (_, again) = start_again(strategy, Restart::Transient, end).await;
            match end {
                End::BySupervisor | End::Normal => assert!(matches!(again, Err(AdminError::AlreadyPresent))),
                End::Kill | End::Abnormal => assert!(matches!(again, Err(AdminError::AlreadyStarted(_)))),
            }
            let (stage, again) = start_again(strategy, Restart::Temporary, end).await;
            again.unwrap();
            assert_eq!(stage.alive(), ["a"], "{end:?}");
        }
    }
}

async fn start_dynamic() -> DynamicSupervisor {
    DynamicSupervisor::start(DynamicFlags::default(), None)
        .await
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn c22_simple_one_for_one_corruption_does_not_come_with_the_first_death() {
    let stage = Stage::new().await;
    let argument = Arc::new(vec![0; 1 << 20]);
    let supervisor = start_dynamic().await;
    supervisor
        .start_child(with_big_argument(&stage, "first", &argument))
        .await
        .unwrap();
    stage.cell("first").kill();
    answered("first is off the list", async || {
        supervisor.child("first").await.err()
    })
    .await;
    assert_eq!(Arc::strong_count(&argument), 1);
    supervisor
        .start_child(with_big_argument(&stage, "second", &argument))
        .await
        .unwrap();
    assert_eq!(
        states(&supervisor.which_children().await.unwrap()),
        ["second running"]
    );
    supervisor.terminate_child("second").await.unwrap();
    assert_eq!((Arc::strong_count(&argument), stage.alive()), (1, Vec::new()));
}

/// How long it takes to start and to stop so many, by the wall clock.
async fn start_and_stop(count: usize) -> (Duration, Duration) {
    let stage = Stage::new().await;
    let supervisor = start_dynamic().await;
    let begin = Instant::now();
    for number in 0..count {
        let spec = stage.child(&number.to_string()).restart(Restart::Temporary);
        supervisor.start_child(spec).await.unwrap();
    }
    let started = begin.elapsed();
    let begin = Instant::now();
    for number in 0..count {
        supervisor.terminate_child(number.to_string()).await.unwrap();
    }
    (started, begin.elapsed())
}

/// The quicker of two tries: what else the machine does must not decide.
async fn best_of_two(count: usize) -> (Duration, Duration) {
    let (first, second) = (start_and_stop(count).await, start_and_stop(count).await);
    (first.0.min(second.0), first.1.min(second.1))
}

#[tokio::test]
async fn c23_simple_one_for_one_scale_many_temporary_children_terminates_in_linear_time() {
    let (_, few) = best_of_two(1_000).await;
    let (_, many) = start_and_stop(10_000).await;
    let ratio = many.as_secs_f64() / few.as_secs_f64();
    assert!(ratio <= 50.0, "ten times as many took {ratio} times as long");
}

#[tokio::test]
async fn c24_scale_start_stop_many_children_takes_linear_time() {
    let (few_started, few_stopped) = best_of_two(1_000).await;
    let (many_started, many_stopped) = start_and_stop(10_000).await;
    let ratio = (many_started + many_stopped).as_secs_f64() / (few_started + few_stopped).as_secs_f64();
    assert!(ratio <= 100.0, "ten times as many took {ratio} times as long");
}
