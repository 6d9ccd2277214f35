//! OTP's cases of how a supervisor starts (rows S01-S16).

use osier::supervisor::{ExitReason, Flags, Supervisor};

#[tokio::test(start_paused = true)]
async fn s01_sup_start_normal_starts_empty_and_ends_with_shutdown() {
    let supervisor = Supervisor::start(Flags::default(), Vec::new(), None)
        .await
        .unwrap();
    let ended = tokio::spawn({
        let supervisor = supervisor.clone();
        async move { supervisor.ended().await }
    });
    tokio::task::yield_now().await;
    supervisor.shutdown().await;
    assert_eq!(ended.await.unwrap(), ExitReason::Shutdown(None));
}
