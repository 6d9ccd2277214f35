//! OTP's cases of restart types (rows R01-R05 of `docs/explanation/otp-conformance.md`).

use osier::supervisor::{AdminError, Flags, Restart, Strategy, Supervisor, SupervisorRef};

use crate::otp_stage::{Order, Stage, counts, states, until_children};

const TYPES: [Restart; 3] = [Restart::Permanent, Restart::Transient, Restart::Temporary];

/// What becomes of a child of this type.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Restarted,
    Listed,
    Gone,
}

/// Lets a child end, and looks what becomes of it.
async fn fate(restart: Restart, end: impl Fn(&Stage)) -> (Fate, Stage, SupervisorRef) {
    let stage = Stage::new().await;
    let supervisor = Supervisor::start(Flags::default(), vec![stage.child("a").restart(restart)], None)
        .await
        .unwrap();
    let pid = stage.pid("a");
    end(&stage);
    let children = until_children(&supervisor, "the exit is handled", |children| {
        children
            .first()
            .is_none_or(|child| child.last_exit.is_some() && child.pid() != Some(pid))
    })
    .await;
    let fate = match children.first() {
        None => Fate::Gone,
        Some(child) if child.pid().is_some() => Fate::Restarted,
        Some(_) => Fate::Listed,
    };
    let expected = match fate {
        Fate::Restarted => [1, 1, 0, 1],
        Fate::Listed => [1, 0, 0, 1],
        Fate::Gone => [0, 0, 0, 0],
    };
    assert_eq!(counts(&supervisor).await, expected);
    (fate, stage, supervisor)
}

#[tokio::test(start_paused = true)]
async fn r01_permanent_normal_transient_normal_temporary_normal() {
    for reason in [None, Some("normal".to_owned())] {
        for (restart, expected) in TYPES.into_iter().zip([Fate::Restarted, Fate::Listed, Fate::Gone]) {
            let (fate, ..) = fate(restart, |stage| stage.cell("a").stop(reason.clone())).await;
            assert_eq!(fate, expected, "{restart:?} after {reason:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r02_permanent_shutdown_transient_shutdown_temporary_shutdown() {
    for reason in ["shutdown", "shutdown: info"] {
        for (restart, expected) in TYPES.into_iter().zip([Fate::Restarted, Fate::Listed, Fate::Gone]) {
            let (fate, stage, supervisor) =
                fate(restart, |stage| stage.cell("a").stop(Some(reason.to_owned()))).await;
            assert_eq!(fate, expected, "{restart:?} after {reason}");
            match restart {
                Restart::Permanent => {}
                Restart::Transient => assert!(supervisor.restart_child("a").await.unwrap().is_some()),
                Restart::Temporary => {
                    assert!(matches!(
                        supervisor.restart_child("a").await,
                        Err(AdminError::NotFound)
                    ));
                    let anew = stage.child("a").restart(restart);
                    assert!(supervisor.start_child(anew).await.unwrap().is_some());
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r03_permanent_abnormal_transient_abnormal_temporary_abnormal() {
    let ends: [fn(&Stage); 4] = [
        |stage| stage.crash("a"),
        |stage| stage.tell("a", Order::Fail),
        |stage| stage.cell("a").kill(),
        |stage| stage.cell("a").stop(Some("for a reason of its own".to_owned())),
    ];
    for end in ends {
        for (restart, expected) in TYPES
            .into_iter()
            .zip([Fate::Restarted, Fate::Restarted, Fate::Gone])
        {
            let (fate, ..) = fate(restart, end).await;
            assert_eq!(fate, expected, "{restart:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r05_temporary_bystander_is_stopped_with_its_group_and_not_restarted() {
    for (strategy, ids) in [
        (Strategy::OneForAll, ["by", "a"]),
        (Strategy::RestForOne, ["a", "by"]),
    ] {
        let stage = Stage::new().await;
        let spec = |id: &str| match id {
            "by" => stage.child(id).restart(Restart::Temporary),
            _ => stage.child(id),
        };
        let supervisor = Supervisor::start(Flags::new(strategy), ids.map(spec).to_vec(), None)
            .await
            .unwrap();
        stage.cell("a").stop(None);
        stage.until_up("a", 2).await;
        stage.until_down("by", "shutdown").await;
        let children = until_children(&supervisor, "a runs", |children| {
            children.iter().all(|c| c.pid().is_some())
        });
        assert_eq!(states(&children.await), ["a running"]);
        assert_eq!(stage.ups("by"), 1);
    }
}
