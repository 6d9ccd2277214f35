//! OTP's cases of live change and reporting (rows U01-U03 of `docs/explanation/otp-conformance.md`).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use osier::supervisor::{
    AdminError, Blueprint, Consequence, DynamicFlags, DynamicSupervisor, ExitReason, Flags, Notice, Observer,
    REASON_BYTES_MAX, Restart, SpecError, Strategy, Supervisor,
};

use crate::otp_stage::{Cue, Order, Seen, Stage, states, until_children};
use crate::poll::answered;

#[tokio::test(start_paused = true)]
async fn u01_code_change_is_checked_wholly_and_starts_nothing() {
    let stage = Stage::new().await;
    let children = ["a", "b", "c"].map(|id| stage.child(id));
    let supervisor = Supervisor::start(Flags::default(), children.to_vec(), None)
        .await
        .unwrap();

    // Wrong in one place: nothing of it holds.
    let wrong = Blueprint::new(Flags::new(Strategy::OneForAll))
        .child(stage.child("new"))
        .child(stage.child(""));
    assert!(matches!(
        supervisor.reconfigure(wrong).await,
        Err(AdminError::Spec(SpecError::IdLength(0)))
    ));
    let wrong = Blueprint::new(Flags::default().intensity(1, Duration::ZERO)).child(stage.child("new"));
    assert!(matches!(
        supervisor.reconfigure(wrong).await,
        Err(AdminError::Spec(SpecError::Period(_)))
    ));
    let list = supervisor.which_children().await.unwrap();
    assert_eq!(states(&list), ["a running", "b running", "c running"]);

    // Another order, a new child, a changed one; `b` is not named any more.
    let change = Blueprint::new(Flags::new(Strategy::OneForAll).intensity(3, Duration::from_secs(60)))
        .child(stage.child("c"))
        .child(stage.child("new"))
        .child(stage.child("a").restart(Restart::Transient));
    supervisor.reconfigure(change).await.unwrap();
    let list = supervisor.which_children().await.unwrap();
    assert_eq!(
        states(&list),
        ["c running", "new stopped", "a running", "b running"]
    );
    assert_eq!((stage.starts("new"), stage.ups("a"), stage.ups("b")), (0, 1, 1));
    assert_eq!(
        supervisor.child_spec("a").await.unwrap().restart_type(),
        Restart::Transient
    );

    // The new strategy and the new order hold from the next exit on.
    stage.forget();
    stage.crash("c");
    stage.until_up("b", 2).await;
    let ups = |seen: Vec<Seen>| {
        seen.into_iter()
            .filter(|seen| matches!(seen, Seen::Up(_)))
            .collect::<Vec<_>>()
    };
    let expected = ["c", "new", "a", "b"].map(|id| Seen::Up(id.to_owned()));
    assert_eq!(ups(stage.seen()), expected);
    assert_eq!(stage.downs(), ["c panics as told", "b shutdown", "a shutdown"]);
}

#[tokio::test(start_paused = true)]
async fn u01_code_change_in_the_middle_of_a_restart_loses_no_call() {
    let stage = Stage::new().await;
    let flags = Flags::new(Strategy::RestForOne).intensity(5, Duration::from_secs(60));
    let children = ["a", "b"].map(|id| stage.child(id)).to_vec();
    let supervisor = Supervisor::start(flags, children.clone(), None).await.unwrap();
    stage.cue("a", [Cue::RunAfter(Duration::from_secs(5))]);
    stage.crash("a");
    stage
        .until("a is being restarted", |stage| stage.starts("a") == 2)
        .await;
    let waiting = tokio::spawn({
        let supervisor = supervisor.clone();
        async move { supervisor.terminate_child("b").await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let change = Blueprint::new(Flags::new(Strategy::OneForOne)).children(children);
    supervisor.reconfigure(change).await.unwrap();
    waiting.await.unwrap().unwrap();
    let list = until_children(&supervisor, "a runs", |children| children[0].pid().is_some()).await;
    assert_eq!(states(&list), ["a running", "b stopped"]);
}

#[tokio::test(start_paused = true)]
async fn u02_code_change_simple_changes_flags_and_known_children_only() {
    let stage = Stage::new().await;
    let supervisor = DynamicSupervisor::start(DynamicFlags::default(), None)
        .await
        .unwrap();
    supervisor.start_child(stage.child("a")).await.unwrap();
    let flags = DynamicFlags {
        intensity: 3,
        period: Duration::from_secs(60),
        ..DynamicFlags::default()
    };
    let unknown = vec![stage.child("a").restart(Restart::Temporary), stage.child("b")];
    let refused = supervisor.reconfigure(flags.clone(), unknown).await;
    assert!(matches!(refused, Err(AdminError::Spec(SpecError::Unknown(id))) if id.as_str() == "b"));
    assert_eq!(
        supervisor.child_spec("a").await.unwrap().restart_type(),
        Restart::Permanent
    );

    supervisor.reconfigure(flags, Vec::new()).await.unwrap();
    for round in 2..=4 {
        stage.crash("a");
        stage.until_up("a", round).await;
    }
    let changed = vec![stage.child("a").restart(Restart::Temporary)];
    supervisor
        .reconfigure(DynamicFlags::default(), changed)
        .await
        .unwrap();
    assert_eq!(stage.ups("a"), 4);
    stage.crash("a");
    answered("a is off the list", async || supervisor.child("a").await.err()).await;
    assert_eq!(stage.ups("a"), 4);
}

/// An observer that keeps what it is told, in short.
fn listener() -> (Observer, Arc<Mutex<Vec<String>>>) {
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let sink = Arc::clone(&told);
    let observer: Observer = Arc::new(move |notice: &Notice| {
        let line = match notice {
            Notice::Started { child } => format!("started {child}"),
            Notice::StartFailed { child, error } => format!("start of {child} failed: {error}"),
            Notice::Exited {
                child,
                reason,
                consequence,
                ..
            } => {
                let then = match consequence {
                    Consequence::Restart => "restart",
                    Consequence::StaysDown => "stays down",
                    Consequence::Asked => "asked",
                };
                format!("{child} exited: {reason} ({then})")
            }
            Notice::Restarted { child, restarts } => format!("restarted {child} ({restarts})"),
            Notice::GaveUp { child, intensity, .. } => format!("gave up on {child} after {intensity}"),
            Notice::Ended { reason } => format!("ended: {}", reason.is_normal()),
            _ => "?".to_owned(),
        };
        sink.lock().unwrap().push(line);
    });
    (observer, told)
}

#[tokio::test(start_paused = true)]
async fn u03_format_log_reports_name_the_child_the_reason_and_what_follows() {
    let stage = Stage::new().await;
    let (observer, told) = listener();
    let blueprint = Blueprint::default()
        .child(stage.child("a"))
        .child(stage.child("b").restart(Restart::Temporary))
        .child(stage.child("c"))
        .observer(observer);
    let supervisor = blueprint.start(None).await.unwrap();
    supervisor.terminate_child("c").await.unwrap();
    stage.cell("b").stop(None);
    until_children(&supervisor, "b is gone", |children| children.len() == 2).await;
    stage.cue("a", [Cue::Fail]);
    stage.crash("a");
    supervisor.ended().await;
    let expected = [
        "started a",
        "started b",
        "started c",
        "c exited: shutdown (asked)",
        "b exited: normal (stays down)",
        "a exited: failed: panics as told (restart)",
        "start of a failed: cannot start",
        "gave up on a after 1",
        "ended: true",
    ];
    assert_eq!(*told.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn u03_format_log_reports_are_bounded() {
    let stage = Stage::new().await;
    let children = vec![stage.child("a").restart(Restart::Transient), stage.child("b")];
    let supervisor = Supervisor::start(Flags::default(), children, None).await.unwrap();
    stage.cell("a").stop(Some("ü".repeat(1 << 20)));
    stage.until_up("a", 2).await;
    let children = until_children(&supervisor, "a runs", |children| children[0].pid().is_some()).await;
    let Some(ExitReason::Stopped(reason)) = children[0].last_exit.as_ref().map(|exit| exit.reason.clone())
    else {
        panic!("it stopped for a reason of its own")
    };
    assert!(reason.len() <= REASON_BYTES_MAX && reason.ends_with('…'));
    stage.tell("b", Order::Sleep(Duration::ZERO));
}
