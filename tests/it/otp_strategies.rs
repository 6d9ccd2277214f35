//! OTP's cases of restart strategies and intensity (rows X01-X18).

use std::time::Duration;

use osier::supervisor::{ExitReason, Flags, Strategy, Supervisor, SupervisorRef};

use crate::otp_stage::{Stage, counts};

const HOUR: Duration = Duration::from_secs(3600);

async fn start(stage: &Stage, strategy: Strategy, intensity: u32, ids: &[&str]) -> SupervisorRef {
    let flags = Flags::new(strategy).intensity(intensity, HOUR);
    let children = ids.iter().map(|id| stage.child(id)).collect();
    Supervisor::start(flags, children, None).await.unwrap()
}

fn gave_up(reason: &ExitReason, child: &str) -> bool {
    matches!(reason, ExitReason::Shutdown(Some(detail)) if detail.starts_with(&format!("gave up on {child}")))
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
    assert!(gave_up(&supervisor.ended().await, "a"));
    stage.until_down("b", "shutdown").await;
    assert_eq!(stage.alive(), Vec::<String>::new());
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
    assert!(gave_up(&supervisor.ended().await, "a"));
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
    assert!(gave_up(&supervisor.ended().await, "c"));
    assert_eq!(stage.alive(), Vec::<String>::new());
}
