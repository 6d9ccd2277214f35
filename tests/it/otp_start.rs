//! OTP's cases of how a supervisor starts (rows S01-S16 of `docs/explanation/otp-conformance.md`).

use std::time::Duration;

use osier::supervisor::{
    AdminError, Blueprint, ChildId, ChildSpec, ChildState, DynamicFlags, DynamicSupervisor, ExitReason,
    Flags, Kind, Restart, Shutdown, SpecError, StartError, Strategy, Supervisor, SupervisorRef,
};

use crate::otp_stage::{Cue, Stage, counts, states};

async fn start(children: Vec<ChildSpec>) -> SupervisorRef {
    Supervisor::start(Flags::default(), children, None).await.unwrap()
}

async fn start_dynamic() -> DynamicSupervisor {
    DynamicSupervisor::start(DynamicFlags::default(), None)
        .await
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn s01_sup_start_normal_starts_empty_and_ends_with_shutdown() {
    let supervisor = start(Vec::new()).await;
    let ended = tokio::spawn({
        let supervisor = supervisor.clone();
        async move { supervisor.ended().await }
    });
    tokio::task::yield_now().await;
    supervisor.shutdown().await;
    assert_eq!(ended.await.unwrap(), ExitReason::Shutdown(None));
}

#[tokio::test(start_paused = true)]
async fn s02_sup_start_ignore_init_leaves_no_actor_and_no_exit() {
    let parent = start(Vec::new()).await;
    let started = parent
        .start_child(ChildSpec::supervisor("sub", || Ok(None)))
        .await
        .unwrap();
    assert_eq!(started, None);
    assert_eq!(states(&parent.which_children().await.unwrap()), ["sub stopped"]);
    assert_eq!(parent.child("sub").await.unwrap().last_exit, None);
    assert!(parent.cell().get_children().is_empty());
}

#[tokio::test(start_paused = true)]
async fn s03_sup_start_ignore_child_lists_it_without_pid() {
    let stage = Stage::new().await;
    stage.cue("a", [Cue::Ignore]);
    let supervisor = start(vec![stage.child("a"), stage.child("b")]).await;
    let children = supervisor.which_children().await.unwrap();
    assert_eq!(states(&children), ["a stopped", "b running"]);
    assert_eq!(
        (children[0].pid(), children[1].pid()),
        (None, Some(stage.pid("b")))
    );
    assert_eq!(counts(&supervisor).await, [2, 1, 0, 2]);
}

#[tokio::test(start_paused = true)]
async fn s04_sup_start_ignore_temporary_child_is_not_kept() {
    let stage = Stage::new().await;
    stage.cue("a", [Cue::Ignore]);
    let temporary = stage.child("a").restart(Restart::Temporary);
    let supervisor = start(vec![temporary, stage.child("b")]).await;
    assert_eq!(counts(&supervisor).await, [1, 1, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn s05_sup_start_ignore_temporary_child_start_child_is_not_kept() {
    let stage = Stage::new().await;
    stage.cue("a", [Cue::Ignore]);
    let supervisor = start(vec![stage.child("b")]).await;
    let temporary = stage.child("a").restart(Restart::Temporary);
    assert_eq!(supervisor.start_child(temporary).await.unwrap(), None);
    assert_eq!(counts(&supervisor).await, [1, 1, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn s06_sup_start_ignore_temporary_child_start_child_simple_is_not_kept() {
    ignored_by_a_dynamic_supervisor(Restart::Temporary).await;
}

#[tokio::test(start_paused = true)]
async fn s07_sup_start_ignore_permanent_child_start_child_simple_is_not_kept_and_ends_cleanly() {
    ignored_by_a_dynamic_supervisor(Restart::Permanent).await;
}

async fn ignored_by_a_dynamic_supervisor(restart: Restart) {
    let stage = Stage::new().await;
    stage.cue("a", [Cue::Ignore]);
    let supervisor = start_dynamic().await;
    assert_eq!(
        supervisor
            .start_child(stage.child("a").restart(restart))
            .await
            .unwrap(),
        None
    );
    supervisor
        .start_child(stage.child("b").restart(restart))
        .await
        .unwrap()
        .unwrap();
    let counts = supervisor.count_children().await.unwrap();
    assert_eq!((counts.specs, counts.active, counts.workers), (1, 1, 1));
    supervisor.shutdown().await;
    assert_eq!(stage.alive(), Vec::<String>::new());
    stage.until_down("b", "shutdown").await;
}

#[tokio::test(start_paused = true)]
async fn s08_sup_start_error_return_of_init_is_an_error_and_no_crash() {
    let parent = start(Vec::new()).await;
    let wrong = ChildSpec::supervisor("sub", || {
        Err(StartError::failed("line 3: unknown key `strategi`"))
    });
    let Err(AdminError::StartFailed(error)) = parent.start_child(wrong).await else {
        panic!("a wrong init starts nothing")
    };
    assert_eq!(error.to_string(), "line 3: unknown key `strategi`");
    assert_eq!(counts(&parent).await, [0, 0, 0, 0]);

    let flags = Flags::default().intensity(1, Duration::ZERO);
    let refused = Supervisor::start(flags, Vec::new(), None).await;
    assert!(
        matches!(refused, Err(StartError::Spec(SpecError::Period(_)))),
        "{refused:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn s09_sup_start_fail_returns_the_panic_to_a_caller_that_lives_on() {
    let stage = Stage::new().await;
    stage.always("a", Cue::Panic);
    let failed = Supervisor::start(Flags::default(), vec![stage.child("a")], None).await;
    assert!(failed.unwrap_err().to_string().contains("panics at its start"));

    let parent = start(Vec::new()).await;
    let init =
        || -> Result<Option<Blueprint>, StartError> { std::panic::resume_unwind(Box::new("init panics")) };
    let Err(AdminError::StartFailed(error)) = parent.start_child(ChildSpec::supervisor("sub", init)).await
    else {
        panic!("an init that panics starts nothing")
    };
    assert!(
        matches!(&error, StartError::Panicked(text) if text == "init panics"),
        "{error:?}"
    );
    assert_eq!(counts(&parent).await, [0, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn s10_sup_start_child_returns_error_keeps_nothing() {
    let stage = Stage::new().await;
    stage.cue("a", [Cue::Fail, Cue::Panic]);
    let supervisor = start(Vec::new()).await;
    for reason in ["cannot start", "panics at its start"] {
        let Err(AdminError::StartFailed(error)) = supervisor.start_child(stage.child("a")).await else {
            panic!("a start that fails is an error")
        };
        assert_eq!(error.to_string(), reason);
        assert_eq!(counts(&supervisor).await, [0, 0, 0, 0]);
    }
    assert_eq!(stage.held("a"), 0);
}

#[tokio::test(start_paused = true)]
async fn s11_sup_start_restart_child_returns_error_keeps_the_spec_and_uses_no_intensity() {
    let stage = Stage::new().await;
    let supervisor = start(vec![stage.child("a")]).await;
    supervisor.terminate_child("a").await.unwrap();
    stage.cue("a", [Cue::Fail, Cue::Fail, Cue::Fail]);
    for _ in 0..3 {
        let failed = supervisor.restart_child("a").await;
        assert!(matches!(failed, Err(AdminError::StartFailed(_))), "{failed:?}");
        assert_eq!(states(&supervisor.which_children().await.unwrap()), ["a stopped"]);
    }
    assert!(supervisor.restart_child("a").await.unwrap().is_some());
    stage.crash("a");
    stage.until_up("a", 3).await;
}

#[tokio::test(start_paused = true)]
async fn s12_sup_start_child_returns_error_simple_keeps_nothing() {
    let stage = Stage::new().await;
    stage.cue("a", [Cue::Fail, Cue::Panic]);
    let supervisor = start_dynamic().await;
    for _ in 0..2 {
        let failed = supervisor.start_child(stage.child("a")).await;
        assert!(matches!(failed, Err(AdminError::StartFailed(_))), "{failed:?}");
        assert_eq!(supervisor.count_children().await.unwrap().specs, 0);
    }
    assert!(supervisor.start_child(stage.child("a")).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn s13_sup_start_map_shows_the_defaults() {
    let stage = Stage::new().await;
    let nested = ChildSpec::supervisor("sub", || Ok(Some(Blueprint::default())));
    let supervisor = start(vec![stage.child("a"), nested]).await;
    let spec = supervisor.child_spec("a").await.unwrap();
    assert_eq!(spec.id(), &ChildId::from("a"));
    assert_eq!(spec.restart_type(), Restart::Permanent);
    assert_eq!(spec.shutdown_type(), Shutdown::Timeout(Duration::from_secs(5)));
    assert_eq!((spec.kind_type(), spec.is_significant()), (Kind::Worker, false));
    let spec = supervisor.child_spec("sub").await.unwrap();
    assert_eq!(
        (spec.kind_type(), spec.shutdown_type()),
        (Kind::Supervisor, Shutdown::Infinity)
    );
    assert!(matches!(
        supervisor.child_spec("b").await,
        Err(AdminError::NotFound)
    ));

    let flags = Flags::default();
    assert_eq!(
        (flags.strategy, flags.intensity, flags.period),
        (Strategy::OneForOne, 1, Duration::from_secs(5))
    );
    assert_eq!(flags.auto_shutdown, osier::supervisor::AutoShutdown::Never);
}

#[tokio::test(start_paused = true)]
async fn s14_sup_start_map_simple_shows_the_spec_of_a_dynamic_child() {
    let stage = Stage::new().await;
    let supervisor = start_dynamic().await;
    supervisor.start_child(stage.child("a")).await.unwrap();
    let spec = supervisor.child_spec("a").await.unwrap();
    assert_eq!(
        (spec.restart_type(), spec.kind_type()),
        (Restart::Permanent, Kind::Worker)
    );
    assert_eq!(spec.shutdown_type(), Shutdown::Timeout(Duration::from_secs(5)));
    assert!(matches!(
        supervisor.child_spec("stranger").await,
        Err(AdminError::NotFound)
    ));
}

#[tokio::test(start_paused = true)]
async fn s15_sup_start_map_faulty_specs_are_refused_by_name() {
    let stage = Stage::new().await;
    let long = "x".repeat(osier::supervisor::CHILD_ID_BYTES_MAX + 1);
    for (specs, error) in [
        (vec![stage.child("")], SpecError::IdLength(0)),
        (vec![stage.child(&long)], SpecError::IdLength(long.len())),
        (
            vec![stage.child("a"), stage.child("b"), stage.child("a")],
            SpecError::Duplicate("a".into()),
        ),
        (
            vec![stage.child("a").restart(Restart::Transient).significant(true)],
            SpecError::SignificantNever("a".into()),
        ),
    ] {
        let refused = Supervisor::start(Flags::default(), specs, None)
            .await
            .unwrap_err();
        assert!(
            matches!(&refused, StartError::Spec(found) if *found == error),
            "{refused:?}"
        );
    }
    assert_eq!(stage.seen(), []);
}

#[tokio::test(start_paused = true)]
async fn s16_faulty_application_shutdown_shows_the_child_and_the_cause_and_unwinds() {
    let stage = Stage::new().await;
    stage.always("worker", Cue::Fail);
    let inner = stage.clone();
    let top = ChildSpec::supervisor("top", move || {
        Ok(Some(
            Blueprint::default()
                .child(inner.child("before"))
                .child(inner.child("worker")),
        ))
    });
    let children = vec![stage.child("a"), stage.child("b"), top, stage.child("never")];
    let error = Supervisor::start(Flags::default(), children, None)
        .await
        .unwrap_err();
    let text = "child \"top\" failed to start: child \"worker\" failed to start: cannot start";
    assert_eq!(error.to_string(), text);
    let StartError::Child { child, error } = error else {
        panic!("it names the child")
    };
    assert_eq!(child.as_str(), "top");
    assert!(matches!(*error, StartError::Child { child, .. } if child.as_str() == "worker"));
    stage.until_down("a", "shutdown").await;
    assert_eq!(stage.downs(), ["before shutdown", "b shutdown", "a shutdown"]);
    assert_eq!((stage.alive(), stage.starts("never")), (Vec::new(), 0));
}

#[tokio::test(start_paused = true)]
async fn a_child_starts_only_when_the_one_before_it_has_started() {
    let stage = Stage::new().await;
    stage.cue("a", [Cue::RunAfter(Duration::from_secs(10))]);
    let begin = tokio::time::Instant::now();
    let starting = tokio::spawn({
        let children = vec![stage.child("a"), stage.child("b")];
        async move { Supervisor::start(Flags::default(), children, None).await.unwrap() }
    });
    stage.until("b is started", |stage| stage.starts("b") == 1).await;
    assert_eq!((stage.ups("a"), begin.elapsed()), (1, Duration::from_secs(10)));
    let supervisor = starting.await.unwrap();
    let states: Vec<_> = supervisor
        .which_children()
        .await
        .unwrap()
        .iter()
        .map(|child| child.state)
        .collect();
    assert_eq!(states, [ChildState::Running, ChildState::Running]);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_panics_after_its_actor_came_up_leaves_nothing_behind() {
    let stage = Stage::new().await;
    let supervisor = start(Vec::new()).await;
    let spec = stage
        .child("a")
        .on_start(|_| std::panic::resume_unwind(Box::new("the hook panics")));
    let failed = supervisor.start_child(spec).await;
    assert!(
        matches!(failed, Err(AdminError::StartFailed(StartError::Panicked(_)))),
        "{failed:?}"
    );
    stage.until_down("a", "killed").await;
    assert_eq!(counts(&supervisor).await, [0, 0, 0, 0]);
    assert!(supervisor.start_child(stage.child("a")).await.unwrap().is_some());
}
