//! What the health checks of an app have found, as it is shown.

use serde::{Deserialize, Serialize};

use super::HealthState;
use crate::specs::app_spec::HealthKind;

/// How many different reasons are kept.
pub const REASONS_MAX: usize = 5;

/// What the health checks of a running instance have found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthReport {
    /// Which probe.
    #[serde(rename = "type")]
    pub kind: HealthKind,
    /// What follows from it.
    pub health: HealthState,
    /// Failures in a row, as far as they count.
    pub failures: u32,
    /// When the first of them was, RFC 3339.
    pub failing_since: Option<String>,
    /// The last reasons, newest first, at most [`REASONS_MAX`]; the same in a row stands once.
    pub reasons: Vec<HealthFailure>,
    /// notify: what the app says about itself (`STATUS=`).
    pub status: Option<String>,
}

/// Why a check failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthFailure {
    /// When it did so last, RFC 3339.
    pub at: String,
    /// `http 503 from http://127.0.0.1:8080/health`.
    pub reason: String,
}

impl HealthReport {
    /// Before the first check.
    #[must_use]
    pub fn blank(kind: HealthKind, health: HealthState) -> Self {
        Self {
            kind,
            health,
            failures: 0,
            failing_since: None,
            reasons: Vec::new(),
            status: None,
        }
    }

    /// `http 503 from http://127.0.0.1:8080/health, 3 times in a row`; none while nothing fails.
    #[must_use]
    pub fn failing(&self) -> Option<String> {
        let newest = self.reasons.first().filter(|_| self.failures > 0)?;
        Some(match self.failures {
            1 => newest.reason.clone(),
            count => format!("{}, {count} times in a row", newest.reason),
        })
    }
}
