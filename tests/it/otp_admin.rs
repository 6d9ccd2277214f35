//! OTP's cases of the admin calls (rows C01-C18 of `docs/explanation/otp-conformance.md`).

use std::time::Duration;

use osier::supervisor::{
    AdminError, AutoShutdown, ChildSpec, ChildState, DynamicFlags, DynamicSupervisor, Flags, INTENSITY_MAX,
    Kind, PERIOD_MAX, Restart, Shutdown, SpecError, StartError, Started, Strategy, Supervisor, SupervisorRef,
};
use proptest::prelude::{Just, ProptestConfig, prop_assert, prop_assert_eq, prop_oneof, proptest};
use ractor::{Actor, ActorCell, ActorStatus};

use crate::otp_stage::{Cue, Order, Stage, counts, states, until_children};
use crate::poll::answered;

async fn start(children: Vec<ChildSpec>) -> SupervisorRef {
    Supervisor::start(Flags::default(), children, None).await.unwrap()
}

async fn start_dynamic() -> DynamicSupervisor {
    DynamicSupervisor::start(DynamicFlags::default(), None)
        .await
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn c01_child_adm_start_of_a_running_id_names_the_pid() {
    let stage = Stage::new().await;
    let supervisor = start(vec![stage.child("a")]).await;
    let Err(AdminError::AlreadyStarted(child)) = supervisor.start_child(stage.child("a")).await else {
        panic!("it is started already")
    };
    assert_eq!((child.cell().get_id(), stage.ups("a")), (stage.pid("a"), 1));
}

#[tokio::test(start_paused = true)]
async fn c02_child_adm_terminate_is_idempotent() {
    let stage = Stage::new().await;
    let supervisor = start(vec![stage.child("a")]).await;
    assert!(matches!(
        supervisor.terminate_child("b").await,
        Err(AdminError::NotFound)
    ));
    supervisor.terminate_child("a").await.unwrap();
    stage.until_down("a", "shutdown").await;
    supervisor.terminate_child("a").await.unwrap();
    assert_eq!(counts(&supervisor).await, [1, 0, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn c03_child_adm_start_of_a_stopped_id_is_already_present() {
    let stage = Stage::new().await;
    let supervisor = start(vec![stage.child("a")]).await;
    supervisor.terminate_child("a").await.unwrap();
    assert!(matches!(
        supervisor.start_child(stage.child("a")).await,
        Err(AdminError::AlreadyPresent)
    ));
    assert_eq!(stage.ups("a"), 1);
}

#[tokio::test(start_paused = true)]
async fn c04_child_adm_restart_stopped_running_unknown() {
    let stage = Stage::new().await;
    let supervisor = start(vec![stage.child("a")]).await;
    let before = stage.pid("a");
    assert!(matches!(
        supervisor.restart_child("a").await,
        Err(AdminError::Running)
    ));
    assert!(matches!(
        supervisor.restart_child("b").await,
        Err(AdminError::NotFound)
    ));
    supervisor.terminate_child("a").await.unwrap();
    let child = supervisor.restart_child("a").await.unwrap().unwrap();
    assert_eq!(child.cell().get_id(), stage.pid("a"));
    assert_ne!(stage.pid("a"), before);
}

#[tokio::test(start_paused = true)]
async fn c05_child_adm_delete_running_stopped_unknown() {
    let stage = Stage::new().await;
    let supervisor = start(vec![stage.child("a")]).await;
    assert!(matches!(
        supervisor.delete_child("a").await,
        Err(AdminError::Running)
    ));
    supervisor.terminate_child("a").await.unwrap();
    supervisor.delete_child("a").await.unwrap();
    assert!(matches!(
        supervisor.delete_child("a").await,
        Err(AdminError::NotFound)
    ));
    assert!(matches!(
        supervisor.restart_child("a").await,
        Err(AdminError::NotFound)
    ));
    assert_eq!(counts(&supervisor).await, [0, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn c06_child_adm_a_supervisor_that_is_not_there_is_noproc_at_once() {
    let stage = Stage::new().await;
    let supervisor = start(vec![stage.child("a")]).await;
    supervisor.shutdown().await;
    let begin = tokio::time::Instant::now();
    assert!(matches!(
        supervisor.start_child(stage.child("b")).await,
        Err(AdminError::NoProcess)
    ));
    assert!(matches!(
        supervisor.terminate_child("a").await,
        Err(AdminError::NoProcess)
    ));
    assert!(matches!(
        supervisor.restart_child("a").await,
        Err(AdminError::NoProcess)
    ));
    assert!(matches!(
        supervisor.delete_child("a").await,
        Err(AdminError::NoProcess)
    ));
    assert!(matches!(
        supervisor.which_children().await,
        Err(AdminError::NoProcess)
    ));
    assert!(matches!(
        supervisor.count_children().await,
        Err(AdminError::NoProcess)
    ));
    assert!(matches!(
        supervisor.child_spec("a").await,
        Err(AdminError::NoProcess)
    ));
    assert_eq!(begin.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn c06_child_adm_a_call_that_waits_hears_that_the_supervisor_ended() {
    for kills in [false, true] {
        let stage = Stage::new().await;
        let parent = start(Vec::new()).await;
        let supervisor = start_under(&parent).await;
        stage.always("a", Cue::Hang);
        let waiting = tokio::spawn({
            let (supervisor, spec) = (supervisor.clone(), stage.child("a"));
            async move { supervisor.start_child(spec).await }
        });
        stage.until("the start hangs", |stage| stage.held("a") == 1).await;
        if kills {
            supervisor.cell().kill();
        } else {
            parent.terminate_child("sub").await.unwrap();
        }
        let answer = tokio::time::timeout(Duration::from_secs(1), waiting)
            .await
            .unwrap()
            .unwrap();
        assert!(
            matches!(answer, Err(AdminError::NoProcess | AdminError::Cancelled)),
            "{answer:?}"
        );
        stage
            .until("the start is dropped", |stage| stage.held("a") == 0)
            .await;
    }
}

async fn start_under(parent: &SupervisorRef) -> SupervisorRef {
    let spec = ChildSpec::supervisor("sub", || Ok(Some(osier::supervisor::Blueprint::default())));
    parent
        .start_child(spec)
        .await
        .unwrap()
        .unwrap()
        .info::<SupervisorRef>()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn c07_child_adm_a_static_supervisor_stops_by_id_only() {
    // By pid is for `DynamicSupervisor` alone (`terminate_actor`): here a pid is at most an id that nobody has.
    let stage = Stage::new().await;
    let supervisor = start(vec![stage.child("a")]).await;
    let by_pid = supervisor.terminate_child(stage.pid("a").to_string()).await;
    assert!(matches!(by_pid, Err(AdminError::NotFound)));
    assert_eq!(stage.alive(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn c09_child_adm_simple_terminates_by_actor_and_leaves_strangers_alone() {
    let stage = Stage::new().await;
    let supervisor = start_dynamic().await;
    for id in ["a", "b"] {
        supervisor.start_child(stage.child(id)).await.unwrap();
    }
    let actor = stage.cell("a");
    supervisor.terminate_actor(&actor).await.unwrap();
    supervisor.terminate_actor(&actor).await.unwrap();
    stage.until_down("a", "shutdown").await;
    let (stranger, _) = stage.stranger("stranger").await;
    let refused = supervisor.terminate_actor(&stranger.get_cell()).await;
    assert!(matches!(refused, Err(AdminError::NotFound)));
    assert_eq!(stage.alive(), ["b", "stranger"]);
    assert_eq!(supervisor.count_children().await.unwrap().specs, 1);
}

#[tokio::test(start_paused = true)]
async fn c10_child_adm_simple_has_no_restart_and_no_delete() {
    // By type: `DynamicSupervisor` has neither `restart_child` nor `delete_child`. What they would be for, a start is.
    let stage = Stage::new().await;
    let supervisor = start_dynamic().await;
    supervisor.start_child(stage.child("a")).await.unwrap();
    supervisor.terminate_child("a").await.unwrap();
    assert!(matches!(
        supervisor.terminate_child("a").await,
        Err(AdminError::NotFound)
    ));
    assert!(supervisor.start_child(stage.child("a")).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn c11_extra_return_is_passed_through_by_start_and_restart() {
    let stage = Stage::new().await;
    let inner = stage.clone();
    let spec = ChildSpec::new("a", move |parent: ActorCell| {
        let stage = inner.clone();
        async move {
            let (actor, join) = stage.spawn_linked("a", Cue::Run, parent).await?;
            Ok(Started::actor(&actor, join).with_info(stage.ups("a")))
        }
    });
    let supervisor = start(Vec::new()).await;
    let child = supervisor.start_child(spec).await.unwrap().unwrap();
    assert_eq!(child.info::<usize>(), Some(1));
    supervisor.terminate_child("a").await.unwrap();
    let child = supervisor.restart_child("a").await.unwrap().unwrap();
    assert_eq!(child.info::<usize>(), Some(2));
    stage.crash("a");
    stage.until_up("a", 3).await;
}

#[tokio::test(start_paused = true)]
async fn c12_already_started_outside_supervisor_is_not_adopted() {
    const NAME: &str = "c12 stranger";
    struct Quiet;
    impl Actor for Quiet {
        type Msg = ();
        type State = ();
        type Arguments = ();
        async fn pre_start(&self, _: ractor::ActorRef<()>, (): ()) -> Result<(), ractor::ActorProcessingErr> {
            Ok(())
        }
    }
    let (stranger, _) = Actor::spawn(Some(NAME.to_owned()), Quiet, ()).await.unwrap();
    let supervisor = start(Vec::new()).await;
    let spec = ChildSpec::new("a", |parent: ActorCell| async move {
        let (actor, join) = parent.spawn_linked(Some(NAME.to_owned()), Quiet, ()).await?;
        Ok(Started::actor(&actor, join))
    });
    let Err(AdminError::AlreadyStarted(found)) = supervisor.start_child(spec).await else {
        panic!("the name is taken")
    };
    assert_eq!(found.cell().get_id(), stranger.get_id());
    assert_eq!(counts(&supervisor).await, [0, 0, 0, 0]);
    supervisor.shutdown().await;
    assert_eq!(stranger.get_status(), ActorStatus::Running);
    assert!(stranger.try_get_supervisor().is_none());
    stranger.stop_and_wait(None, None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn c13_child_specs_all_legal_combinations_pass_and_duplicates_do_not() {
    let stage = Stage::new().await;
    let shutdowns = [
        Shutdown::Brutal,
        Shutdown::Infinity,
        Shutdown::Timeout(Duration::ZERO),
        Shutdown::Timeout(Duration::MAX),
    ];
    let mut specs = Vec::new();
    for restart in [Restart::Permanent, Restart::Transient, Restart::Temporary] {
        for shutdown in shutdowns {
            for kind in [Kind::Worker, Kind::Supervisor] {
                let id = format!("{restart:?} {shutdown:?} {kind:?}");
                specs.push(stage.child(&id).restart(restart).shutdown(shutdown).kind(kind));
            }
        }
    }
    let supervisor = start(specs.clone()).await;
    assert_eq!(counts(&supervisor).await, [24, 24, 12, 12]);
    supervisor.shutdown().await;
    assert_eq!(stage.alive(), Vec::<String>::new());

    specs.push(stage.child("twice"));
    specs.push(stage.child("twice"));
    let refused = Supervisor::start(Flags::default(), specs, None)
        .await
        .unwrap_err();
    assert!(matches!(refused, StartError::Spec(SpecError::Duplicate(id)) if id.as_str() == "twice"));
    let supervisor = start(Vec::new()).await;
    for id in [String::new(), "x".repeat(1025)] {
        let refused = supervisor.start_child(stage.child(&id)).await.unwrap_err();
        assert!(matches!(refused, AdminError::Spec(SpecError::IdLength(length)) if length == id.len()));
    }
}

fn any_restart() -> impl proptest::strategy::Strategy<Value = Restart> {
    prop_oneof![
        Just(Restart::Permanent),
        Just(Restart::Transient),
        Just(Restart::Temporary)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn c14_child_specs_map_significant_goes_only_with_an_auto_shutdown_and_not_with_permanent(
        restart in any_restart(),
        significant: bool,
        auto_shutdown in prop_oneof![
            Just(AutoShutdown::Never), Just(AutoShutdown::AnySignificant), Just(AutoShutdown::AllSignificant),
        ],
        strategy in prop_oneof![Just(Strategy::OneForOne), Just(Strategy::OneForAll), Just(Strategy::RestForOne)],
        brutal: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let (started, expected) = runtime.block_on(async {
            let stage = Stage::new().await;
            let spec = stage.child("a").restart(restart).significant(significant);
            let spec = if brutal { spec.shutdown(Shutdown::Brutal) } else { spec };
            let flags = Flags::new(strategy).auto_shutdown(auto_shutdown);
            let started = Supervisor::start(flags, vec![spec], None).await.map(drop);
            let expected = match (significant, restart, auto_shutdown) {
                (false, ..) => None,
                (true, Restart::Permanent, _) => Some(SpecError::SignificantPermanent("a".into())),
                (true, _, AutoShutdown::Never) => Some(SpecError::SignificantNever("a".into())),
                (true, ..) => None,
            };
            (started, expected)
        });
        match (started, expected) {
            (Ok(()), None) => {}
            (Err(StartError::Spec(found)), Some(expected)) => prop_assert_eq!(found, expected),
            (started, expected) => prop_assert!(false, "{:?}, expected {:?}", started, expected),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn c15_sup_flags_each_wrong_one_is_named() {
    let second = Duration::from_secs(1);
    for (flags, error) in [
        (
            Flags::default().intensity(1, Duration::ZERO),
            SpecError::Period(Duration::ZERO),
        ),
        (
            Flags::default().intensity(1, Duration::MAX),
            SpecError::Period(Duration::MAX),
        ),
        (
            Flags::default().intensity(u32::MAX, second),
            SpecError::Intensity(u32::MAX),
        ),
    ] {
        let refused = Supervisor::start(flags, Vec::new(), None).await.unwrap_err();
        assert!(
            matches!(&refused, StartError::Spec(found) if *found == error),
            "{refused:?}"
        );
        assert!(!refused.to_string().is_empty());
    }
    let flags = DynamicFlags {
        period: Duration::ZERO,
        ..DynamicFlags::default()
    };
    assert!(DynamicSupervisor::start(flags, None).await.is_err());
    for flags in [
        Flags::default().intensity(0, second),
        Flags::default().intensity(INTENSITY_MAX, PERIOD_MAX),
    ] {
        Supervisor::start(flags, Vec::new(), None).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn c16_count_children_agrees_with_the_list_for_thousands() {
    thousands(Kind::Worker).await;
}

#[tokio::test(start_paused = true)]
async fn c17_count_children_supervisor_counts_them_as_supervisors() {
    thousands(Kind::Supervisor).await;
}

async fn thousands(kind: Kind) {
    let stage = Stage::new().await;
    let supervisor = start_dynamic().await;
    for total in [1000, 2000] {
        for number in total - 1000..total {
            let spec = stage
                .child(&number.to_string())
                .restart(Restart::Temporary)
                .kind(kind);
            supervisor.start_child(spec).await.unwrap().unwrap();
        }
        let list = supervisor.which_children().await.unwrap();
        let counts = supervisor.count_children().await.unwrap();
        // Each child has a spec of its own, so `specs` counts them (OTP: one, the template).
        assert_eq!((list.len(), counts.specs, counts.active), (total, total, total));
        let (workers, supervisors) = if kind == Kind::Worker {
            (total, 0)
        } else {
            (0, total)
        };
        assert_eq!((counts.workers, counts.supervisors), (workers, supervisors));
        let again = supervisor.which_children().await.unwrap();
        assert!(
            list.iter()
                .zip(&again)
                .all(|(first, then)| first.pid() == then.pid() && first.id == then.id)
        );
    }
    for child in supervisor.which_children().await.unwrap() {
        child.child.unwrap().cell().kill();
    }
    answered("all are gone", async || {
        let count = supervisor.count_children().await.unwrap().specs;
        (count == 0).then_some(())
    })
    .await;
    assert_eq!(supervisor.which_children().await.unwrap().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn c18_count_restarting_children_are_neither_active_nor_gone() {
    let stage = Stage::new().await;
    let flags = Flags::default().intensity(20, Duration::from_secs(10));
    let children = ["a", "b", "c"].map(|id| stage.child(id)).to_vec();
    let supervisor = Supervisor::start(flags, children, None).await.unwrap();
    for id in ["a", "b"] {
        stage.cue(id, (0..4).map(|_| Cue::FailAfter(Duration::from_secs(1))));
        stage.crash(id);
    }
    stage
        .until("both fail", |stage| {
            stage.starts("a") >= 3 && stage.starts("b") >= 3
        })
        .await;
    assert_eq!(counts(&supervisor).await, [3, 1, 0, 3]);
    let children = supervisor.which_children().await.unwrap();
    assert_eq!(states(&children), ["a restarting", "b restarting", "c running"]);
    stage.until_up("a", 2).await;
    stage.until_up("b", 2).await;
    let all_run =
        |children: &[osier::supervisor::ChildInfo]| children.iter().all(|c| c.state == ChildState::Running);
    until_children(&supervisor, "all run", all_run).await;
    assert_eq!(counts(&supervisor).await, [3, 3, 0, 3]);
    for (id, left) in [("a", 2), ("b", 1), ("c", 0)] {
        supervisor.terminate_child(id).await.unwrap();
        assert_eq!(counts(&supervisor).await, [3, left, 0, 3]);
    }
}

#[tokio::test(start_paused = true)]
async fn calls_about_a_child_that_is_being_stopped_wait_for_that() {
    let stage = Stage::new().await;
    stage.cue("a", [Cue::SlowStop(Duration::from_secs(3))]);
    let supervisor = start_dynamic().await;
    supervisor.start_child(stage.child("a")).await.unwrap();
    let stopping = tokio::spawn({
        let supervisor = supervisor.clone();
        async move { supervisor.terminate_child("a").await }
    });
    let actor = stage.cell("a");
    stage.until_up("a", 1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(supervisor.child("a").await.unwrap().state, ChildState::Stopping);
    // Remove and add again, in a hurry: the new one starts when the old one is gone.
    let child = supervisor.start_child(stage.child("a")).await.unwrap().unwrap();
    stopping.await.unwrap().unwrap();
    assert_ne!(child.cell().get_id(), actor.get_id());
    assert_eq!((actor.get_status(), stage.held("a")), (ActorStatus::Stopped, 1));
}

#[tokio::test(start_paused = true)]
async fn terminating_a_child_whose_first_start_hangs_drops_the_start() {
    let stage = Stage::new().await;
    stage.always("a", Cue::Hang);
    let supervisor = start(vec![stage.child("b")]).await;
    let starting = tokio::spawn({
        let (supervisor, spec) = (supervisor.clone(), stage.child("a"));
        async move { supervisor.start_child(spec).await }
    });
    stage.until("the start hangs", |stage| stage.held("a") == 1).await;
    assert_eq!(supervisor.child("a").await.unwrap().state, ChildState::Starting);
    supervisor.terminate_child("a").await.unwrap();
    assert!(matches!(starting.await.unwrap(), Err(AdminError::Cancelled)));
    assert_eq!(stage.held("a"), 0);
    assert_eq!(states(&supervisor.which_children().await.unwrap()), ["b running"]);
    stage.tell("b", Order::Sleep(Duration::ZERO));
}
