//! The timer that wakes the actor.

use std::future::pending;

use super::*;
use crate::lifecycle::{EffectId, Outcome, Trouble};

#[tokio::test(start_paused = true)]
async fn a_timer_that_rang_is_set_again_although_its_task_has_not_ended_yet() {
    let stage = Stage::new().await;
    let app: AppName = "other".parse().unwrap();
    let arguments = AppArguments {
        name: app,
        services: Arc::clone(&stage.services),
        record: None,
    };
    let mailbox = Mailbox::new(stage.actor.clone(), Depth::default());
    let mut state = AppActorState::new(mailbox, arguments);
    let trouble = Trouble {
        code: "test".to_owned(),
        message: "not now".to_owned(),
        is_unsure: true,
        is_counted: false,
    };
    state.happened(AppEvent::Began);
    state.happened(AppEvent::Done {
        effect: EffectId(1),
        outcome: Outcome::Looked(Err(trouble)),
    });
    let due_ms = state.timer.as_ref().unwrap().at_ms;
    // It sends on one thread, and is heard on another before it has returned.
    state.timer = Some(Timer {
        at_ms: state.worker.services.clock.now_ms(),
        task: tokio::spawn(pending::<()>()).abort_handle(),
    });
    state.happened(AppEvent::Woke);
    assert_eq!(state.timer.as_ref().unwrap().at_ms, due_ms);
}
