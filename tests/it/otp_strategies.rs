//! OTP's cases of restart strategies and intensity (rows X01-X13 of `docs/explanation/otp-conformance.md`).

use std::time::Duration;

use osier::supervisor::{
    ChildSpec, DynamicFlags, DynamicSupervisor, ExitReason, Flags, Restart, Strategy, Supervisor,
    SupervisorRef,
};

use crate::otp_stage::{Cue, Seen, Stage, counts};
use crate::poll::answered;

const HOUR: Duration = Duration::from_secs(3600);

async fn start(stage: &Stage, strategy: Strategy, intensity: u32, ids: &[&str]) -> SupervisorRef {
    let flags = Flags::new(strategy).intensity(intensity, HOUR);
    let children = ids.iter().map(|id| stage.child(id)).collect();
    Supervisor::start(flags, children, None).await.unwrap()
}

async fn start_dynamic(intensity: u32, children: Vec<ChildSpec>) -> DynamicSupervisor {
    let flags = DynamicFlags {
        intensity,
        period: HOUR,
        ..DynamicFlags::default()
    };
    let supervisor = DynamicSupervisor::start(flags, None).await.unwrap();
    for child in children {
        supervisor.start_child(child).await.unwrap().unwrap();
    }
    supervisor
}

#[track_caller]
fn assert_gave_up(reason: &ExitReason, child: &str) {
    let said = matches!(reason, ExitReason::Shutdown(Some(detail)) if detail.starts_with(&format!("gave up on {child}:")));
    assert!(said, "{reason:?}");
}

#[tokio::test(start_paused = true)]
async fn x01_multiple_restarts_are_allowed_as_the_window_slides() {
    let stage = Stage::new().await;
    let flags = Flags::default().intensity(1, Duration::from_secs(1));
    let supervisor = Supervisor::start(flags, vec![stage.child("a")], None)
        .await
        .unwrap();
    for round in 2..=5 {
        stage.crash("a");
        stage.until_up("a", round).await;
        tokio::time::sleep(Duration::from_millis(2100)).await;
    }
    assert_eq!(counts(&supervisor).await, [1, 1, 0, 1]);
    // Twice within the second is one too many.
    stage.crash("a");
    stage.until_up("a", 6).await;
    tokio::time::sleep(Duration::from_millis(900)).await;
    stage.crash("a");
    assert_gave_up(&supervisor.ended().await, "a");
}

#[tokio::test(start_paused = true)]
async fn x02_one_for_one_restarts_only_the_dead_child_until_the_intensity_is_exceeded() {
    let stage = Stage::new().await;
    let supervisor = start(&stage, Strategy::OneForOne, 2, &["a", "b"]).await;
    stage.crash("a");
    stage.until_up("a", 2).await;
    assert_eq!((stage.ups("b"), counts(&supervisor).await), (1, [2, 2, 0, 2]));
    stage.crash("b");
    stage.until_up("b", 2).await;
    assert_eq!(stage.ups("a"), 2);
    stage.crash("a");
    assert_gave_up(&supervisor.ended().await, "a");
    stage.until_down("b", "shutdown").await;
    assert_eq!(stage.alive(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn x03_one_for_one_escalation_when_a_restart_never_succeeds() {
    let stage = Stage::new().await;
    let supervisor = start(&stage, Strategy::OneForOne, 4, &["a", "b"]).await;
    stage.always("a", Cue::Fail);
    stage.crash("a");
    assert_gave_up(&supervisor.ended().await, "a");
    stage.until_down("b", "shutdown").await;
    // The first start and four restarts; the fifth would be one too many.
    assert_eq!(stage.starts("a"), 5);
}

#[tokio::test(start_paused = true)]
async fn x04_one_for_all_restarts_all_and_counts_it_once() {
    let stage = Stage::new().await;
    let supervisor = start(&stage, Strategy::OneForAll, 2, &["a", "b"]).await;
    for round in 2..=3 {
        stage.crash("a");
        stage.until_up("b", round).await;
        assert_eq!(stage.ups("a"), round);
        assert_eq!(stage.alive(), ["a", "b"]);
    }
    assert_eq!(counts(&supervisor).await, [2, 2, 0, 2]);
    stage.crash("a");
    assert_gave_up(&supervisor.ended().await, "a");
}

#[tokio::test(start_paused = true)]
async fn x05_one_for_all_escalation_when_a_sibling_cannot_be_restarted() {
    escalates_when_b_cannot_be_restarted(Strategy::OneForAll).await;
}

#[tokio::test(start_paused = true)]
async fn x12_rest_for_one_escalation_when_a_sibling_cannot_be_restarted() {
    escalates_when_b_cannot_be_restarted(Strategy::RestForOne).await;
}

async fn escalates_when_b_cannot_be_restarted(strategy: Strategy) {
    let stage = Stage::new().await;
    let supervisor = start(&stage, strategy, 4, &["a", "b"]).await;
    stage.always("b", Cue::Fail);
    stage.crash("a");
    assert_gave_up(&supervisor.ended().await, "b");
    assert_eq!(stage.alive(), Vec::<String>::new());
    assert_eq!(stage.starts("b"), 5);
}

fn up(id: &str) -> Seen {
    Seen::Up(id.to_owned())
}

fn down(id: &str, reason: &str) -> Seen {
    Seen::Down(id.to_owned(), reason.to_owned())
}

#[tokio::test(start_paused = true)]
async fn x06_one_for_all_other_child_fails_restart_stops_the_restarted_one_again() {
    let stage = Stage::new().await;
    let supervisor = start(&stage, Strategy::OneForAll, 3, &["a", "b"]).await;
    stage.forget();
    stage.cue("b", [Cue::Fail]);
    stage.crash("a");
    stage.until_up("b", 2).await;
    let expected = [
        down("a", "panics as told"),
        down("b", "shutdown"),
        up("a"),
        down("a", "shutdown"),
        up("a"),
        up("b"),
    ];
    assert_eq!(stage.seen(), expected);
    assert_eq!(counts(&supervisor).await, [2, 2, 0, 2]);
}

#[tokio::test(start_paused = true)]
async fn x07_simple_one_for_one_restarts_only_the_dead_child_and_ends_with_shutdown() {
    let stage = Stage::new().await;
    let supervisor = start_dynamic(2, vec![stage.child("a"), stage.child("b")]).await;
    stage.crash("a");
    stage.until_up("a", 2).await;
    assert_eq!(stage.ups("b"), 1);
    stage.crash("b");
    stage.until_up("b", 2).await;
    stage.crash("a");
    let reason = supervisor.ended().await;
    assert_gave_up(&reason, "a");
    assert!(reason.is_normal());
    stage.until_down("b", "shutdown").await;
}

#[tokio::test(start_paused = true)]
async fn x08_simple_one_for_one_restart_ignore_takes_the_child_off_the_list() {
    for restart in [Restart::Transient, Restart::Permanent] {
        let stage = Stage::new().await;
        let supervisor = start_dynamic(2, vec![stage.child("a").restart(restart), stage.child("b")]).await;
        stage.crash("a");
        stage.until_up("a", 2).await;
        stage.cue("a", [Cue::Ignore]);
        stage.crash("a");
        stage.until("a says no", |stage| stage.starts("a") == 3).await;
        answered("a is off the list", async || supervisor.child("a").await.err()).await;
        assert_eq!(supervisor.count_children().await.unwrap().active, 1);
        assert_eq!(stage.alive(), ["b"]);
    }
}

#[tokio::test(start_paused = true)]
async fn x09_simple_one_for_one_extra_is_passed_through_to_whoever_starts() {
    let stage = Stage::new().await;
    let supervisor = start_dynamic(2, Vec::new()).await;
    let inner = stage.clone();
    let spec = ChildSpec::new("a", move |parent| {
        let stage = inner.clone();
        async move {
            let (actor, join) = stage.spawn_linked("a", Cue::Run, parent).await?;
            Ok(osier::supervisor::Started::actor(&actor, join).with_info("extra".to_owned()))
        }
    });
    let child = supervisor.start_child(spec).await.unwrap().unwrap();
    assert_eq!(child.info::<String>().as_deref(), Some("extra"));
    assert_eq!(child.info::<u32>(), None);
    stage.crash("a");
    stage.until_up("a", 2).await;
}

#[tokio::test(start_paused = true)]
async fn x10_simple_one_for_one_escalation_when_a_restart_never_succeeds() {
    let stage = Stage::new().await;
    let supervisor = start_dynamic(4, vec![stage.child("a"), stage.child("b")]).await;
    stage.always("a", Cue::Fail);
    stage.crash("a");
    assert_gave_up(&supervisor.ended().await, "a");
    stage.until_down("b", "shutdown").await;
    assert_eq!(stage.starts("a"), 5);
}

#[tokio::test(start_paused = true)]
async fn x11_rest_for_one_restarts_those_behind_the_dead_child() {
    let stage = Stage::new().await;
    let supervisor = start(&stage, Strategy::RestForOne, 2, &["a", "b", "c"]).await;
    for round in 2..=3 {
        stage.crash("b");
        stage.until_up("c", round).await;
        assert_eq!((stage.ups("a"), stage.ups("b")), (1, round));
    }
    stage.crash("c");
    assert_gave_up(&supervisor.ended().await, "c");
    assert_eq!(stage.alive(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn x13_rest_for_one_other_child_fails_restart_keeps_the_restarted_one() {
    let stage = Stage::new().await;
    let supervisor = start(&stage, Strategy::RestForOne, 3, &["a", "b"]).await;
    stage.forget();
    stage.cue("b", [Cue::Fail]);
    stage.crash("a");
    stage.until_up("b", 2).await;
    let expected = [
        down("a", "panics as told"),
        down("b", "shutdown"),
        up("a"),
        up("b"),
    ];
    assert_eq!(stage.seen(), expected);
    assert_eq!(counts(&supervisor).await, [2, 2, 0, 2]);
}
