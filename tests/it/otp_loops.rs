//! OTP's cases of restarts that hang, and of whole trees (rows X14-X18 of `docs/explanation/otp-conformance.md`).

use std::time::Duration;

use osier::supervisor::{
    AdminError, Blueprint, ChildSpec, ChildState, DynamicFlags, DynamicSupervisor, Flags, Restart, Started,
    Strategy, Supervisor, SupervisorRef,
};
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef};

use crate::otp_stage::{Cue, Stage, counts, is_running, states, until_children};
use crate::poll::found;

/// A start that fails this slowly never exceeds 8 restarts in 10 s.
const SLOW: Duration = Duration::from_secs(2);

fn slow_flags(strategy: Strategy) -> Flags {
    Flags::new(strategy).intensity(8, Duration::from_secs(10))
}

/// Waits until the restart loop of this child has gone round a few times.
async fn until_it_loops(stage: &Stage, id: &str) {
    let starts = stage.starts(id);
    stage
        .until("it loops", |stage| stage.starts(id) >= starts + 3)
        .await;
}

async fn assert_calls_see_a_restarting_child(stage: &Stage, supervisor: &SupervisorRef, id: &str) {
    let begin = tokio::time::Instant::now();
    assert!(matches!(
        supervisor.start_child(stage.child(id)).await,
        Err(AdminError::AlreadyPresent)
    ));
    assert!(matches!(
        supervisor.restart_child(id).await,
        Err(AdminError::Restarting)
    ));
    assert!(matches!(
        supervisor.delete_child(id).await,
        Err(AdminError::Restarting)
    ));
    let child = supervisor.child(id).await.unwrap();
    assert_eq!((child.state, child.pid()), (ChildState::Restarting, None));
    assert_eq!(
        begin.elapsed(),
        Duration::ZERO,
        "no call waits for the start that hangs"
    );
}

#[tokio::test(start_paused = true)]
async fn x14_hanging_restart_loop_lets_calls_in_between() {
    let stage = Stage::new().await;
    let start = || Supervisor::start(slow_flags(Strategy::OneForOne), vec![stage.child("a")], None);
    let supervisor = start().await.unwrap();
    stage.always("a", Cue::FailAfter(SLOW));
    stage.crash("a");
    until_it_loops(&stage, "a").await;
    assert_calls_see_a_restarting_child(&stage, &supervisor, "a").await;
    assert_eq!(counts(&supervisor).await, [1, 0, 0, 1]);

    supervisor.terminate_child("a").await.unwrap();
    let starts = stage.starts("a");
    tokio::time::sleep(10 * SLOW).await;
    assert_eq!(stage.starts("a"), starts, "terminate_child ends the loop");
    assert_eq!(states(&supervisor.which_children().await.unwrap()), ["a stopped"]);
    supervisor.delete_child("a").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn x14_hanging_restart_loop_does_not_hold_up_a_shutdown() {
    for strategy in [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne] {
        let stage = Stage::new().await;
        let children = vec![stage.child("a"), stage.child("b")];
        let supervisor = Supervisor::start(slow_flags(strategy), children, None)
            .await
            .unwrap();
        stage.always("a", Cue::FailAfter(SLOW));
        stage.crash("a");
        until_it_loops(&stage, "a").await;
        let begin = tokio::time::Instant::now();
        supervisor.shutdown().await;
        assert_eq!(begin.elapsed(), Duration::ZERO);
        assert_eq!((stage.alive(), stage.held("a")), (Vec::new(), 0));
    }
}

#[tokio::test(start_paused = true)]
async fn x15_hanging_restart_loop_rest_for_one_shows_each_as_it_is() {
    let stage = Stage::new().await;
    let children = ["a", "b", "c"].map(|id| stage.child(id)).to_vec();
    let supervisor = Supervisor::start(slow_flags(Strategy::RestForOne), children, None)
        .await
        .unwrap();
    stage.always("b", Cue::FailAfter(SLOW));
    stage.crash("b");
    until_it_loops(&stage, "b").await;
    let children = supervisor.which_children().await.unwrap();
    assert_eq!(states(&children), ["a running", "b restarting", "c stopped"]);
    assert_eq!(children[2].pid(), None);
    assert_eq!(counts(&supervisor).await, [3, 1, 0, 3]);
    assert_calls_see_a_restarting_child(&stage, &supervisor, "b").await;

    supervisor.terminate_child("b").await.unwrap();
    let starts = stage.starts("b");
    tokio::time::sleep(10 * SLOW).await;
    assert_eq!(stage.starts("b"), starts);
    assert_eq!(stage.ups("a"), 1);
    supervisor.shutdown().await;
    assert_eq!(stage.alive(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn x16_hanging_restart_loop_simple_lets_calls_in_between() {
    let stage = Stage::new().await;
    let flags = DynamicFlags {
        intensity: 8,
        period: Duration::from_secs(10),
        ..DynamicFlags::default()
    };
    let supervisor = DynamicSupervisor::start(flags, None).await.unwrap();
    for id in ["a", "b", "other"] {
        supervisor.start_child(stage.child(id)).await.unwrap().unwrap();
    }
    stage.always("a", Cue::FailAfter(SLOW));
    stage.crash("a");
    until_it_loops(&stage, "a").await;
    let begin = tokio::time::Instant::now();
    assert!(matches!(
        supervisor.start_child(stage.child("a")).await,
        Err(AdminError::AlreadyPresent)
    ));
    assert_eq!(supervisor.child("a").await.unwrap().state, ChildState::Restarting);
    assert_eq!(supervisor.count_children().await.unwrap().active, 2);
    stage.crash("other");
    stage.until_up("other", 2).await;
    assert_eq!(
        begin.elapsed(),
        Duration::ZERO,
        "nobody waits for the start that hangs"
    );

    supervisor.terminate_child("a").await.unwrap();
    assert!(matches!(supervisor.child("a").await, Err(AdminError::NotFound)));
    stage.always("b", Cue::FailAfter(SLOW));
    stage.crash("b");
    until_it_loops(&stage, "b").await;
    let begin = tokio::time::Instant::now();
    supervisor.shutdown().await;
    assert_eq!((begin.elapsed(), stage.alive()), (Duration::ZERO, Vec::new()));
}

/// Three supervisors below one: static workers, dynamic ones, and one that is stopped by hand.
async fn tree(stage: &Stage) -> SupervisorRef {
    let inner = stage.clone();
    let sub1 = ChildSpec::supervisor("sub1", move || {
        Ok(Some(
            Blueprint::default()
                .child(inner.child("static1"))
                .child(inner.child("static2")),
        ))
    });
    let flags = DynamicFlags {
        intensity: 4,
        period: Duration::from_secs(3600),
        ..DynamicFlags::default()
    };
    let sub2 = ChildSpec::dynamic("sub2", flags);
    let sub3 = ChildSpec::supervisor("sub3", || Ok(Some(Blueprint::default()))).restart(Restart::Transient);
    let flags = Flags::new(Strategy::OneForAll).intensity(4, Duration::from_secs(3600));
    Supervisor::start(flags, vec![sub1, sub2, sub3], None)
        .await
        .unwrap()
}

async fn dynamic(top: &SupervisorRef, id: &str) -> DynamicSupervisor {
    top.child(id)
        .await
        .unwrap()
        .child
        .unwrap()
        .info::<DynamicSupervisor>()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn x17_tree_restarts_all_below_but_not_what_was_added() {
    let stage = Stage::new().await;
    let top = tree(&stage).await;
    let sub2 = dynamic(&top, "sub2").await;
    for id in ["dynamic1", "dynamic2"] {
        sub2.start_child(stage.child(id)).await.unwrap().unwrap();
    }
    top.terminate_child("sub3").await.unwrap();
    assert!(!is_running(&top, "sub3").await);

    stage.crash("dynamic1");
    stage.until_up("dynamic1", 2).await;
    assert_eq!((stage.ups("dynamic2"), stage.ups("static1")), (1, 1));

    stage.always("dynamic1", Cue::Fail);
    stage.crash("dynamic1");
    stage.until_up("static2", 2).await;
    let children = until_children(&top, "all run", |children| {
        children.iter().all(|c| c.pid().is_some())
    })
    .await;
    assert_eq!(
        states(&children),
        ["sub1 running", "sub2 running", "sub3 running"]
    );
    assert_eq!(children[1].restarts, 1);
    assert_eq!(
        stage.alive(),
        ["static1", "static2"],
        "what was added is not back by itself"
    );
    assert_eq!(
        dynamic(&top, "sub2").await.count_children().await.unwrap().specs,
        0
    );
    assert!(matches!(sub2.count_children().await, Err(AdminError::NoProcess)));

    let tree = top.tree(Duration::from_secs(1)).await.unwrap();
    let below: Vec<_> = tree
        .children
        .iter()
        .map(|(child, below)| (child.id.as_str(), below.is_some()))
        .collect();
    assert_eq!(below, [("sub1", true), ("sub2", true), ("sub3", true)]);
    let sub1 = tree.children[0].1.as_ref().unwrap();
    assert_eq!(sub1.children.len(), 2);
}

struct Named;

impl Actor for Named {
    type Msg = ();
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<()>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

/// A worker under a name of ractor's registry, which only one actor can have at a time.
fn named(name: &'static str) -> ChildSpec {
    ChildSpec::new("worker", move |parent: ActorCell| async move {
        let (actor, join) = parent.spawn_linked(Some(name.to_owned()), Named, ()).await?;
        Ok(Started::actor(&actor, join))
    })
}

async fn until_another(name: &str, than: &ActorCell) -> ActorCell {
    let other = || ractor::registry::where_is(name).filter(|cell| cell.get_id() != than.get_id());
    found("another has the name", other).await
}

#[tokio::test(start_paused = true)]
async fn x18_simple_global_supervisor_gets_its_names_back() {
    const NAME: &str = "x18 worker";
    let flags = Flags::default().intensity(10, SLOW);
    let middle = ChildSpec::supervisor("middle", move || {
        Ok(Some(Blueprint::new(flags).child(named(NAME))))
    });
    let top = Supervisor::start(flags, vec![middle], None).await.unwrap();
    let find = || ractor::registry::where_is(NAME).unwrap();
    let middle = async || top.child("middle").await.unwrap().child.unwrap();

    let first = find();
    middle().await.cell().kill();
    let second = until_another(NAME, &first).await;
    second.kill();
    let third = until_another(NAME, &second).await;
    third.stop(None);
    let fourth = until_another(NAME, &third).await;
    until_children(&top, "middle runs", |children| children[0].pid().is_some()).await;
    let supervisor = middle().await.info::<SupervisorRef>().unwrap();
    until_children(&supervisor, "the worker runs", |children| {
        children[0].pid().is_some()
    })
    .await;
    supervisor.terminate_child("worker").await.unwrap();
    assert!(ractor::registry::where_is(NAME).is_none());
    supervisor.restart_child("worker").await.unwrap().unwrap();
    assert_ne!(find().get_id(), fourth.get_id());
    assert_eq!(
        top.child("middle").await.unwrap().restarts,
        1,
        "no restart failed because a name was taken"
    );
}
