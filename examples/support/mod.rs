//! What the examples share: a throw-away specs repository (that of the tests), and waiting for an app.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "not every example uses all of it; git must work here"
)]

#[path = "../../tests/support/specs_repository.rs"]
mod specs_repository;

use osier::prelude::*;
pub use specs_repository::Specs;

/// Returns when `app` runs in `version`, with its state.
pub async fn running(node: &NodeHandle, app: &str, version: &str) -> AppState {
    let is_it = |state: &AppState| {
        let is_version = state.version.as_ref().is_some_and(|is| is.as_str() == version);
        state.name.as_str() == app && state.status == RunState::Running && is_version
    };
    node.wait_until(|_, apps| apps.values().any(is_it)).await;
    node.app(app).unwrap()
}
