//! One time limit for all the steps of one piece of work: the wait for an app's turn, then calls of runtimes.
//!
//! A runtime may be a host's: it may hang or panic, and neither may be more than a failure of that call.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, timeout_at};

use crate::lifecycle::Trouble;
use crate::runtime::RuntimeError;

/// When a piece of work is given up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    at: Instant,
    /// How long that was when it began.
    patience: Duration,
}

impl Deadline {
    /// So long from now on.
    pub fn after(patience: Duration) -> Self {
        let at = Instant::now() + patience;
        Self { at, patience }
    }

    /// An app's turn. Whoever keeps it longer than this has begun something that is not over.
    pub async fn turn(
        self,
        turn: impl Future<Output = OwnedMutexGuard<()>>,
    ) -> Result<OwnedMutexGuard<()>, Trouble> {
        let taken = timeout_at(self.at, turn).await;
        taken.map_err(|_| Trouble {
            code: "osier::runtime::busy".to_owned(),
            message: format!(
                "something else was at work on the app for {} s",
                self.patience.as_secs()
            ),
            is_unsure: true,
            is_counted: false,
        })
    }

    /// A call that has an outcome of its own; a panic in it is a failure of it and not of the caller.
    pub async fn guarded<T>(self, future: impl Future<Output = T>) -> Result<T, Trouble> {
        match timeout_at(self.at, AssertUnwindSafe(future).catch_unwind()).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(panic)) => Err(Trouble {
                code: "osier::runtime::panicked".to_owned(),
                message: format!(
                    "the runtime panicked: {}",
                    crate::supervisor::panic_message(&*panic)
                ),
                is_unsure: true,
                is_counted: true,
            }),
            Err(_) => Err(Trouble {
                code: "osier::runtime::timed_out".to_owned(),
                message: format!("no answer within {} s", self.patience.as_secs()),
                is_unsure: true,
                is_counted: true,
            }),
        }
    }

    /// A call of a runtime.
    pub async fn call<T>(self, call: impl Future<Output = Result<T, RuntimeError>>) -> Result<T, Trouble> {
        self.guarded(call).await?.map_err(|error| {
            let is_away = matches!(error, RuntimeError::Unavailable { .. });
            let has_no_room = matches!(error, RuntimeError::Exhausted { .. });
            Trouble {
                code: error.code().to_owned(),
                message: error.to_string(),
                is_unsure: is_away,
                is_counted: !is_away && !has_no_room,
            }
        })
    }
}
