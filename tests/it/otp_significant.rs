//! OTP's cases of significant children (rows G01-G11 of `docs/explanation/otp-conformance.md`).

use std::time::Duration;

use osier::supervisor::{
    AdminError, AutoShutdown, Blueprint, ChildSpec, DynamicFlags, DynamicSupervisor, ExitReason, Flags,
    Restart, SpecError, StartError, Strategy, Supervisor, SupervisorRef,
};
use ractor::ActorStatus;

use crate::otp_stage::{Stage, until_children};
use crate::poll::answered;

use AutoShutdown::{AllSignificant, AnySignificant, Never};

#[derive(Clone, Copy, Debug)]
enum End {
    ByApi,
    Kill,
    Abnormal,
    Normal,
}

const ENDS: [End; 4] = [End::ByApi, End::Kill, End::Abnormal, End::Normal];

async fn end(stage: &Stage, supervisor: &SupervisorRef, id: &str, how: End) {
    match how {
        End::ByApi => supervisor.terminate_child(id).await.unwrap(),
        End::Kill => stage.cell(id).kill(),
        End::Abnormal => stage.crash(id),
        End::Normal => stage.cell(id).stop(None),
    }
}

/// Waits until the supervisor has handled the end of this incarnation, or has ended itself; whether it is there.
async fn stays(stage: &Stage, supervisor: &SupervisorRef, id: &str) -> bool {
    let pid = stage.pid(id);
    let is_there = answered("its end is handled", async || match supervisor.child(id).await {
        Err(AdminError::NoProcess) => Some(false),
        Err(_) => Some(true),
        Ok(child) => (child.last_exit.is_some() && child.pid() != Some(pid)).then_some(true),
    });
    let answered = is_there.await;
    // It may have decided to leave and not have left yet: by the paused clock, time goes on when nobody has anything to do.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let stays = supervisor.cell().get_status() == ActorStatus::Running;
    assert!(!stays || answered);
    assert_eq!(
        stays,
        !stage.alive().is_empty() || supervisor.which_children().await.is_ok()
    );
    stays
}

fn flags(auto_shutdown: AutoShutdown) -> Flags {
    Flags::default()
        .intensity(10, Duration::from_secs(5))
        .auto_shutdown(auto_shutdown)
}

async fn start(flags: Flags, children: Vec<ChildSpec>) -> SupervisorRef {
    Supervisor::start(flags, children, None).await.unwrap()
}

/// Two significant children of this type, and one that is not.
async fn two_significant(stage: &Stage, restart: Restart, auto_shutdown: AutoShutdown) -> SupervisorRef {
    let significant = |id| stage.child(id).restart(restart).significant(true);
    start(
        flags(auto_shutdown),
        vec![significant("a"), significant("b"), stage.child("other")],
    )
    .await
}

#[tokio::test(start_paused = true)]
async fn g01_nonsignificant_temporary_never_ends_its_supervisor() {
    for auto_shutdown in [Never, AnySignificant, AllSignificant] {
        for how in ENDS {
            let stage = Stage::new().await;
            let child = stage.child("a").restart(Restart::Temporary);
            let supervisor = start(flags(auto_shutdown), vec![child]).await;
            end(&stage, &supervisor, "a", how).await;
            let gone = until_children(&supervisor, "a is gone", <[_]>::is_empty);
            gone.await;
            assert_eq!(
                supervisor.cell().get_status(),
                ActorStatus::Running,
                "{auto_shutdown:?} {how:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn g02_nonsignificant_transient_never_ends_its_supervisor() {
    for auto_shutdown in [Never, AnySignificant, AllSignificant] {
        for how in ENDS {
            let stage = Stage::new().await;
            let child = stage.child("a").restart(Restart::Transient);
            let supervisor = start(flags(auto_shutdown), vec![child]).await;
            end(&stage, &supervisor, "a", how).await;
            if matches!(how, End::Kill | End::Abnormal) {
                stage.until_up("a", 2).await;
            } else {
                until_children(&supervisor, "a is down", |children| children[0].pid().is_none()).await;
            }
            assert_eq!(
                supervisor.cell().get_status(),
                ActorStatus::Running,
                "{auto_shutdown:?} {how:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn g03_significant_temporary_any_ends_it_unless_asked_for() {
    for how in ENDS {
        let stage = Stage::new().await;
        let supervisor = two_significant(&stage, Restart::Temporary, AnySignificant).await;
        end(&stage, &supervisor, "a", how).await;
        let stays = stays(&stage, &supervisor, "a").await;
        assert_eq!(stays, matches!(how, End::ByApi), "{how:?}");
        if !stays {
            assert_eq!(stage.alive(), Vec::<String>::new());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn g04_significant_temporary_all_ends_it_with_the_last() {
    for how in [End::Kill, End::Abnormal, End::Normal] {
        let stage = Stage::new().await;
        let supervisor = two_significant(&stage, Restart::Temporary, AllSignificant).await;
        end(&stage, &supervisor, "a", how).await;
        assert!(stays(&stage, &supervisor, "a").await, "{how:?}");
        end(&stage, &supervisor, "b", how).await;
        assert!(!stays(&stage, &supervisor, "b").await, "{how:?}");
        assert_eq!(stage.alive(), Vec::<String>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn g05_significant_transient_any_ends_it_after_a_normal_end() {
    for how in ENDS {
        let stage = Stage::new().await;
        let supervisor = two_significant(&stage, Restart::Transient, AnySignificant).await;
        end(&stage, &supervisor, "a", how).await;
        match how {
            End::Kill | End::Abnormal => stage.until_up("a", 2).await,
            End::ByApi => assert!(stays(&stage, &supervisor, "a").await),
            End::Normal => {
                assert!(!stays(&stage, &supervisor, "a").await);
                assert_eq!(stage.alive(), Vec::<String>::new());
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn g06_significant_transient_all_ends_it_with_the_last() {
    let stage = Stage::new().await;
    let supervisor = two_significant(&stage, Restart::Transient, AllSignificant).await;
    end(&stage, &supervisor, "a", End::Normal).await;
    assert!(stays(&stage, &supervisor, "a").await);
    end(&stage, &supervisor, "b", End::Normal).await;
    let reason = ExitReason::Shutdown(Some("its significant child b ended".into()));
    assert_eq!(supervisor.ended().await, reason);
    assert_eq!(stage.alive(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn g07_significant_simple_is_refused() {
    let stage = Stage::new().await;
    let supervisor = DynamicSupervisor::start(DynamicFlags::default(), None)
        .await
        .unwrap();
    let significant = stage.child("a").restart(Restart::Temporary).significant(true);
    let refused = supervisor.start_child(significant).await.unwrap_err();
    assert!(matches!(refused, AdminError::Spec(SpecError::SignificantDynamic(id)) if id.as_str() == "a"));
    assert!(supervisor.start_child(stage.child("a")).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn g08_significant_bystander_stopped_for_its_group_does_not_end_it() {
    for strategy in [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne] {
        for auto_shutdown in [AnySignificant, AllSignificant] {
            for restart in [Restart::Temporary, Restart::Transient] {
                let stage = Stage::new().await;
                let significant = stage.child("significant").restart(restart).significant(true);
                let flags = Flags::new(strategy).auto_shutdown(auto_shutdown);
                let supervisor = start(flags, vec![stage.child("a"), significant]).await;
                stage.crash("a");
                stage.until_up("a", 2).await;
                until_children(&supervisor, "the group is back", |children| {
                    children.iter().all(|child| child.pid().is_some())
                })
                .await;
                let survives = strategy == Strategy::OneForOne || restart == Restart::Transient;
                let expected: &[&str] = if survives { &["a", "significant"] } else { &["a"] };
                assert_eq!(
                    stage.alive(),
                    expected,
                    "{strategy:?} {auto_shutdown:?} {restart:?}"
                );
                assert_eq!(supervisor.cell().get_status(), ActorStatus::Running);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn g09_significant_escalation_goes_up_where_the_supervisor_is_significant_itself() {
    for is_significant in [true, false] {
        let stage = Stage::new().await;
        let inner = stage.clone();
        let below = ChildSpec::supervisor("below", move || {
            let worker = inner
                .child("worker")
                .restart(Restart::Transient)
                .significant(true);
            Ok(Some(Blueprint::new(flags(AnySignificant)).child(worker)))
        });
        let below = below.restart(Restart::Transient).significant(is_significant);
        let above = start(flags(AnySignificant), vec![below, stage.child("other")]).await;
        stage.cell("worker").stop(None);
        if is_significant {
            let reason = above.ended().await;
            assert_eq!(
                reason,
                ExitReason::Shutdown(Some("its significant child below ended".into()))
            );
            above.cell().wait(None).await.unwrap();
            assert_eq!(stage.alive(), Vec::<String>::new());
        } else {
            let children =
                until_children(&above, "below has ended", |children| children[0].pid().is_none()).await;
            let reason = &children[0].last_exit.as_ref().unwrap().reason;
            let detail = "its significant child worker ended";
            assert_eq!(*reason, ExitReason::Shutdown(Some(detail.into())));
            assert_eq!(
                (above.cell().get_status(), stage.alive()),
                (ActorStatus::Running, vec!["other".to_owned()])
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn g10_significant_upgrade_never_any_all_changes_the_rule_from_the_next_exit_on() {
    for from in [Never, AnySignificant, AllSignificant] {
        for to in [Never, AnySignificant, AllSignificant] {
            let stage = Stage::new().await;
            let plain = [stage.child("a"), stage.child("b")].map(|child| child.restart(Restart::Temporary));
            let significant = plain.clone().map(|child| child.significant(true));
            let children = |rule| {
                if rule == Never {
                    plain.to_vec()
                } else {
                    significant.to_vec()
                }
            };
            let supervisor = start(flags(from), children(from)).await;
            let pids = ["a", "b"].map(|id| stage.pid(id));
            let change = Blueprint::new(flags(to)).children(children(to));
            supervisor.reconfigure(change).await.unwrap();
            assert_eq!(["a", "b"].map(|id| stage.pid(id)), pids, "{from:?} to {to:?}");
            if to == Never {
                let refused = supervisor
                    .reconfigure(Blueprint::new(flags(to)).children(significant.to_vec()))
                    .await;
                assert!(matches!(
                    refused,
                    Err(AdminError::Spec(SpecError::SignificantNever(_)))
                ));
            }
            stage.cell("a").stop(None);
            assert_eq!(
                stays(&stage, &supervisor, "a").await,
                to != AnySignificant,
                "{from:?} to {to:?}"
            );
            if to != AnySignificant {
                stage.cell("b").stop(None);
                assert_eq!(
                    stays(&stage, &supervisor, "b").await,
                    to == Never,
                    "{from:?} to {to:?}"
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn g11_significant_upgrade_child_takes_effect_without_a_restart() {
    let stage = Stage::new().await;
    let plain = stage.child("a").restart(Restart::Temporary);
    let significant = plain.clone().significant(true);
    let supervisor = start(flags(Never), vec![plain.clone(), stage.child("b")]).await;
    let change = Blueprint::new(flags(Never)).child(significant.clone());
    let refused = supervisor.reconfigure(change).await;
    assert!(matches!(refused, Err(AdminError::Spec(SpecError::SignificantNever(id))) if id.as_str() == "a"));

    let change = Blueprint::new(flags(AnySignificant)).child(significant);
    supervisor.reconfigure(change).await.unwrap();
    assert!(supervisor.child("a").await.unwrap().is_significant);
    assert_eq!((stage.ups("a"), stage.ups("b")), (1, 1));
    // What is kept from before must go with the new flags as well.
    let kept = supervisor.reconfigure(Blueprint::new(flags(Never))).await;
    assert!(matches!(
        kept,
        Err(AdminError::Spec(SpecError::SignificantNever(_)))
    ));
    stage.cell("a").stop(None);
    assert!(!stays(&stage, &supervisor, "a").await);
    let permanent = stage.child("c").significant(true);
    let refused = Supervisor::start(flags(AnySignificant), vec![permanent], None)
        .await
        .unwrap_err();
    assert!(matches!(
        refused,
        StartError::Spec(SpecError::SignificantPermanent(_))
    ));
}
