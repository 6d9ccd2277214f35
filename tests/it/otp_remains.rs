//! What is left of a child that has ended by itself is waited for, whoever starts the next (row E03 of
//! `docs/explanation/otp-conformance.md`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use osier::supervisor::{Blueprint, ChildSpec, ChildState, Flags, Started, Supervisor, SupervisorRef};

use crate::otp_stage::{Cue, Stage, until_children};

const HOUR: Duration = Duration::from_secs(3600);
/// How long a child goes on holding its lock after it has ended.
const LINGERS: Duration = Duration::from_secs(2);

/// A lock that one incarnation may have at a time.
#[derive(Clone, Default)]
struct Lock {
    is_held: Arc<AtomicBool>,
    clashes: Arc<AtomicUsize>,
}

impl Lock {
    fn clashes(&self) -> usize {
        self.clashes.load(Ordering::SeqCst)
    }

    /// `a`, whose task lets go of the lock only a while after its actor has ended.
    fn holder(&self, stage: &Stage) -> ChildSpec {
        let (stage, lock) = (stage.clone(), self.clone());
        ChildSpec::new("a", move |parent| {
            let (stage, lock) = (stage.clone(), lock.clone());
            async move {
                if lock.is_held.swap(true, Ordering::SeqCst) {
                    lock.clashes.fetch_add(1, Ordering::SeqCst);
                }
                let (actor, join) = stage.spawn_linked("a", Cue::Run, parent).await?;
                let lingering = tokio::spawn(async move {
                    let _ = join.await;
                    tokio::time::sleep(LINGERS).await;
                    lock.is_held.store(false, Ordering::SeqCst);
                });
                Ok(Started::actor(&actor, lingering))
            }
        })
    }
}

/// A supervisor over one that allows so many restarts of its only child.
async fn above_one_of(intensity: u32, child: ChildSpec) -> SupervisorRef {
    let below = ChildSpec::supervisor("below", move || {
        let flags = Flags::default().intensity(intensity, HOUR);
        Ok(Some(Blueprint::new(flags).child(child.clone())))
    });
    let flags = Flags::default().intensity(10, HOUR);
    Supervisor::start(flags, vec![below], None).await.unwrap()
}

async fn until_the_restart_waits(supervisor: &SupervisorRef) {
    until_children(supervisor, "the restart waits", |children| {
        children[0].state == ChildState::Restarting
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn e03_what_a_child_left_is_gone_before_a_supervisor_that_gave_up_comes_back() {
    let (stage, lock) = (Stage::new().await, Lock::default());
    let _above = above_one_of(0, lock.holder(&stage)).await;
    for round in 2..=4 {
        stage.crash("a");
        stage.until_up("a", round).await;
        assert_eq!(lock.clashes(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn e03_what_a_child_left_is_waited_for_again_after_a_restart_was_dropped() {
    let (stage, lock) = (Stage::new().await, Lock::default());
    let flags = Flags::default().intensity(10, HOUR);
    let supervisor = Supervisor::start(flags, vec![lock.holder(&stage)], None)
        .await
        .unwrap();
    stage.crash("a");
    until_the_restart_waits(&supervisor).await;
    supervisor.terminate_child("a").await.unwrap();
    supervisor.restart_child("a").await.unwrap();
    assert_eq!((stage.ups("a"), lock.clashes()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn e03_what_a_child_left_is_gone_before_a_supervisor_that_was_killed_comes_back() {
    let (stage, lock) = (Stage::new().await, Lock::default());
    let above = above_one_of(10, lock.holder(&stage)).await;
    let below = above.child("below").await.unwrap().child.unwrap();
    stage.crash("a");
    until_the_restart_waits(&below.info::<SupervisorRef>().unwrap()).await;
    below.cell().kill();
    stage.until_up("a", 2).await;
    assert_eq!(lock.clashes(), 0);
}
