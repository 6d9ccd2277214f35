//! OTP's cases of how a supervisor stops (rows T01-T10 of `docs/explanation/otp-conformance.md`).

use std::time::Duration;

use osier::supervisor::{
    Blueprint, ChildSpec, DynamicFlags, DynamicSupervisor, ExitReason, Flags, Restart, Shutdown, Strategy,
    Supervisor, SupervisorRef,
};
use tokio::time::Instant;

use crate::otp_stage::{Cue, Order, Seen, Stage};

const SECOND: Duration = Duration::from_secs(1);

async fn start(children: Vec<ChildSpec>) -> SupervisorRef {
    Supervisor::start(Flags::default(), children, None).await.unwrap()
}

async fn start_dynamic(children: Vec<ChildSpec>) -> DynamicSupervisor {
    let supervisor = DynamicSupervisor::start(DynamicFlags::default(), None)
        .await
        .unwrap();
    for child in children {
        supervisor.start_child(child).await.unwrap().unwrap();
    }
    supervisor
}

/// How a supervisor ends, heard from itself.
fn listen(supervisor: &SupervisorRef) -> tokio::task::JoinHandle<ExitReason> {
    let supervisor = supervisor.clone();
    tokio::spawn(async move { supervisor.ended().await })
}

#[tokio::test(start_paused = true)]
async fn t01_sup_stop_infinity_waits_for_workers_and_supervisors_alike() {
    let stage = Stage::new().await;
    stage.cue("slow", [Cue::SlowStop(Duration::from_secs(3600))]);
    let inner = stage.clone();
    let nested = ChildSpec::supervisor("sub", move || {
        Ok(Some(Blueprint::default().child(inner.child("below"))))
    });
    let worker = stage.child("slow").shutdown(Shutdown::Infinity);
    let supervisor = start(vec![worker, nested]).await;
    let begin = Instant::now();
    supervisor.shutdown().await;
    assert_eq!(begin.elapsed(), Duration::from_secs(3600));
    stage.until_down("slow", "shutdown").await;
    assert_eq!(stage.downs(), ["below shutdown", "slow shutdown"]);
}

#[tokio::test(start_paused = true)]
async fn t02_sup_stop_timeout_kills_the_busy_one_after_its_time() {
    let stage = Stage::new().await;
    let limit = Shutdown::Timeout(SECOND);
    let supervisor = start(vec![
        stage.child("busy").shutdown(limit),
        stage.child("obedient").shutdown(limit),
    ])
    .await;
    stage.tell("busy", Order::Sleep(Duration::from_secs(200)));
    let begin = Instant::now();
    supervisor.shutdown().await;
    assert_eq!(begin.elapsed(), SECOND);
    stage.until_down("busy", "killed").await;
    assert_eq!(stage.downs(), ["obedient shutdown", "busy killed"]);
}

#[tokio::test(start_paused = true)]
async fn t03_sup_stop_timeout_dynamic_kills_the_busy_one_after_its_time() {
    let stage = Stage::new().await;
    let limit = Shutdown::Timeout(SECOND);
    let children = vec![
        stage.child("busy").shutdown(limit),
        stage.child("obedient").shutdown(limit),
    ];
    let supervisor = start_dynamic(children).await;
    stage.tell("busy", Order::Sleep(Duration::from_secs(200)));
    let begin = Instant::now();
    supervisor.shutdown().await;
    assert_eq!(begin.elapsed(), SECOND);
    stage.until_down("busy", "killed").await;
    assert_eq!(stage.downs(), ["obedient shutdown", "busy killed"]);
}

#[tokio::test(start_paused = true)]
async fn t04_sup_stop_brutal_kill_does_not_ask() {
    let stage = Stage::new().await;
    let brutal = stage.child("brutal").shutdown(Shutdown::Brutal);
    let supervisor = start(vec![brutal, stage.child("asked")]).await;
    stage.tell("brutal", Order::Sleep(Duration::from_secs(200)));
    let begin = Instant::now();
    supervisor.shutdown().await;
    assert_eq!(begin.elapsed(), Duration::ZERO);
    stage.until_down("brutal", "killed").await;
    stage.until_down("asked", "shutdown").await;
}

#[tokio::test(start_paused = true)]
async fn t05_sup_stop_brutal_kill_dynamic_kills_all() {
    let stage = Stage::new().await;
    let ids: Vec<String> = (0..10).map(|number| format!("child {number}")).collect();
    let children = ids
        .iter()
        .map(|id| stage.child(id).shutdown(Shutdown::Brutal))
        .collect();
    let supervisor = start_dynamic(children).await;
    let ended = tokio::spawn({
        let supervisor = supervisor.clone();
        async move { supervisor.ended().await }
    });
    tokio::task::yield_now().await;
    supervisor.shutdown().await;
    for id in &ids {
        stage.until_down(id, "killed").await;
    }
    assert_eq!(ended.await.unwrap(), ExitReason::Shutdown(None));
    assert_eq!(stage.alive(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn t06_sup_stop_race_nobody_is_restarted_during_the_shutdown_of_a_slow_sibling() {
    let stage = Stage::new().await;
    let mut children = Vec::new();
    let mut leaves = Vec::new();
    for (restart, kind) in [
        (Restart::Temporary, "temporary"),
        (Restart::Transient, "transient"),
        (Restart::Permanent, "permanent"),
    ] {
        for reason in ["normal", "shutdown", "shutdown: as it likes", "other"] {
            let id = format!("{kind} {reason}");
            children.push(stage.child(&id).restart(restart));
            leaves.push((id, reason));
        }
    }
    // The last one, which is stopped first.
    stage.cue("slow", [Cue::SlowStop(SECOND)]);
    children.push(stage.child("slow").shutdown(Shutdown::Infinity));
    let supervisor = start(children).await;
    let ended = listen(&supervisor);
    tokio::task::yield_now().await;
    let begin = Instant::now();
    let shutdown = tokio::spawn(async move { supervisor.shutdown().await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    for (id, reason) in &leaves {
        stage.cell(id).stop(Some((*reason).to_owned()));
    }
    shutdown.await.unwrap();
    assert_eq!(begin.elapsed(), SECOND);
    assert_eq!(ended.await.unwrap(), ExitReason::Shutdown(None));
    for (id, reason) in &leaves {
        stage.until_down(id, reason).await;
        assert_eq!(stage.ups(id), 1, "{id}");
    }
    assert_eq!(stage.alive(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn t07_sup_stop_non_shutdown_exit_dynamic_ends_with_shutdown_all_the_same() {
    let stage = Stage::new().await;
    stage.cue("error", [Cue::StopWithError]);
    stage.cue("panic", [Cue::PanicInPostStop]);
    let supervisor = start_dynamic(vec![stage.child("error"), stage.child("panic")]).await;
    let ended = tokio::spawn({
        let supervisor = supervisor.clone();
        async move { supervisor.ended().await }
    });
    tokio::task::yield_now().await;
    supervisor.shutdown().await;
    assert_eq!(ended.await.unwrap(), ExitReason::Shutdown(None));
    stage.until_down("error", "ends for a reason of its own").await;
    stage.until_down("panic", "panics at its end").await;
}

#[tokio::test(start_paused = true)]
async fn t08_simple_one_for_one_shutdown_stops_in_parallel() {
    let stage = Stage::new().await;
    let mut children = Vec::new();
    for (id, seconds) in [("a", 1), ("b", 1), ("c", 5)] {
        stage.cue(id, [Cue::SlowStop(Duration::from_secs(seconds))]);
        children.push(
            stage
                .child(id)
                .shutdown(Shutdown::Timeout(Duration::from_secs(2))),
        );
    }
    let supervisor = start_dynamic(children).await;
    let begin = Instant::now();
    supervisor.shutdown().await;
    // One after another it would be 1 + 1 + 2.
    assert_eq!(begin.elapsed(), Duration::from_secs(2));
    stage.until_down("c", "killed").await;
    assert_eq!(stage.downs().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn t09_order_of_children_is_start_order_and_its_reverse_whatever_the_ids() {
    let stage = Stage::new().await;
    let ids = ["delta", "alpha", "echo", "bravo", "charlie"];
    let flags = Flags::new(Strategy::RestForOne);
    let children = ids.iter().map(|id| stage.child(id)).collect();
    let supervisor = Supervisor::start(flags, children, None).await.unwrap();
    let up = |id: &str| Seen::Up(id.to_owned());
    let down = |id: &str, reason: &str| Seen::Down(id.to_owned(), reason.to_owned());
    assert_eq!(stage.seen(), ids.map(up));
    let pids = ids.map(|id| stage.pid(id));

    stage.forget();
    stage.cell("echo").kill();
    stage.until_up("charlie", 2).await;
    let expected = [
        down("echo", "killed"),
        down("charlie", "shutdown"),
        down("bravo", "shutdown"),
        up("echo"),
        up("bravo"),
        up("charlie"),
    ];
    assert_eq!(stage.seen(), expected);
    let kept = ids.map(|id| stage.pid(id));
    assert_eq!(kept[..2], pids[..2]);
    assert!(kept[2..].iter().all(|pid| !pids.contains(pid)));

    stage.forget();
    supervisor.shutdown().await;
    stage.until_down("delta", "shutdown").await;
    let expected = ["charlie", "bravo", "echo", "alpha", "delta"].map(|id| down(id, "shutdown"));
    assert_eq!(stage.seen(), expected);
}

#[tokio::test(start_paused = true)]
async fn t10_child_unlink_does_not_make_the_supervisor_hang() {
    let stage = Stage::new().await;
    let supervisor = start(vec![stage.child("naughty"), stage.child("b")]).await;
    stage.tell("naughty", Order::Unlink);
    let naughty = stage.cell("naughty");
    stage
        .until("it has unlinked itself", |_| {
            naughty.try_get_supervisor().is_none()
        })
        .await;
    tokio::time::timeout(Duration::from_secs(5), supervisor.terminate_child("naughty"))
        .await
        .unwrap()
        .unwrap();
    stage.until_down("naughty", "shutdown").await;
    assert!(supervisor.restart_child("naughty").await.unwrap().is_some());
    supervisor.shutdown().await;
    assert_eq!(stage.alive(), Vec::<String>::new());
}
