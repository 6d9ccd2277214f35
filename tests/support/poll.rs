//! The one way to wait for what only looking can tell: files, processes, boards. Whoever can be told of an event waits for
//! that instead.

use std::time::{Duration, Instant};

/// Longer than anything here takes on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How long to wait between two looks.
const PAUSE: Duration = Duration::from_millis(2);

/// Looks until there is something, and returns it.
pub async fn found<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "still not so: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// [`found`] for whoever can say what is missing: fails with the last that was said.
pub async fn found_or<T>(mut look: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look() {
            Ok(found) => return found,
            Err(missing) => assert!(Instant::now() < deadline, "still not so: {missing}"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// [`found`] where looking is asking somebody.
pub async fn answered<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "still not so: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Looks until it is so.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    found(what, || is_so().then_some(())).await;
}

/// [`found`] for tests without a runtime.
pub fn found_blocking<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "still not so: {what}");
        std::thread::sleep(PAUSE);
    }
}

/// [`until`] for tests without a runtime.
pub fn until_blocking(what: &str, mut is_so: impl FnMut() -> bool) {
    found_blocking(what, || is_so().then_some(()));
}
