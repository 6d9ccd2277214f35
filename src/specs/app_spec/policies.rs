//! How an app is kept: its health, and what happens when it ends, is stopped or gets a new version.
//!
//! Defaults live in the methods that resolve a group.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::specs::values::{Signal, Span};

/// How to learn whether an app is well.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// Which probe; default http.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<HealthKind>,
    /// http, tcp: default 8080.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// http: default /.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// custom: the name that the host registered (bc_gitops: the module).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// notify: the longest silence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watchdog: Option<Span>,
    /// Default 30 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Span>,
    /// Default 5 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// Default 0 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_delay: Option<Span>,
    /// Default 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_threshold: Option<u32>,
    /// Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_threshold: Option<u32>,
}

/// Which probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum HealthKind {
    Http,
    Tcp,
    Command,
    Notify,
    Custom,
}

impl HealthKind {
    /// The word in specs and on the screen.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::Command => "command",
            Self::Notify => "notify",
            Self::Custom => "custom",
        }
    }
}

/// [`Health`] with every default in place, but for what is the probe's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthPolicy {
    /// Which probe.
    pub kind: HealthKind,
    /// From the beginning of one check to that of the next.
    pub interval: Duration,
    /// How long a check may take.
    pub timeout: Duration,
    /// How long after an app's start it is first checked.
    pub initial_delay: Duration,
    /// So many failures in a row make an app unhealthy.
    pub failure_threshold: u32,
    /// So many successes in a row make it healthy.
    pub success_threshold: u32,
    /// notify: the longest silence.
    pub watchdog: Option<Duration>,
}

impl Default for HealthPolicy {
    fn default() -> Self {
        Health::default().policy()
    }
}

impl Health {
    /// The port that http and tcp ask where the spec names none.
    pub const PORT_DEFAULT: u16 = 8080;

    /// With defaults: http, each 30 s, 5 s, at once, 3 failures, 1 success.
    #[must_use]
    pub fn policy(&self) -> HealthPolicy {
        HealthPolicy {
            kind: self.kind.unwrap_or(HealthKind::Http),
            interval: self.interval.map_or(Duration::from_secs(30), Span::get),
            timeout: self.timeout.map_or(Duration::from_secs(5), Span::get),
            initial_delay: self.initial_delay.map_or(Duration::ZERO, Span::get),
            failure_threshold: self.failure_threshold.unwrap_or(3).max(1),
            success_threshold: self.success_threshold.unwrap_or(1).max(1),
            watchdog: self.watchdog.map(Span::get),
        }
    }
}

/// What happens when an app ends.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Restart {
    /// Default permanent.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<RestartType>,
    /// Restarts that are allowed within `period`; default 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intensity: Option<u32>,
    /// Default 60 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Span>,
    /// The waits in between.
    #[serde(default, skip_serializing_if = "Backoff::is_empty")]
    pub backoff: Backoff,
}

/// The waits between restarts: doubling from `initial` to `max`, ±20 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backoff {
    /// Default 1 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial: Option<Span>,
    /// Default 5 m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Span>,
}

impl Backoff {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// When an app is restarted (OTP's restart types).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RestartType {
    /// Always.
    Permanent,
    /// After an abnormal end.
    Transient,
    /// Never.
    Temporary,
}

/// [`Restart`] with every default in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartPolicy {
    /// When.
    pub kind: RestartType,
    /// How many within `period`.
    pub intensity: u32,
    /// The sliding window; also the healthy time after which back-off begins anew.
    pub period: Duration,
    /// The first wait.
    pub backoff_initial: Duration,
    /// The longest wait.
    pub backoff_max: Duration,
}

impl Restart {
    /// With defaults: permanent, 5 in 60 s (OTP's 1 in 5 s is too tight for processes), 1 s to 5 m.
    #[must_use]
    pub fn policy(&self) -> RestartPolicy {
        RestartPolicy {
            kind: self.kind.unwrap_or(RestartType::Permanent),
            intensity: self.intensity.unwrap_or(5),
            period: self.period.map_or(Duration::from_secs(60), Span::get),
            backoff_initial: self.backoff.initial.map_or(Duration::from_secs(1), Span::get),
            backoff_max: self.backoff.max.map_or(Duration::from_secs(300), Span::get),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How an app is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// Default TERM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<Signal>,
    /// How long before KILL; default 10 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
}

/// [`Stop`] with every default in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopPolicy {
    /// The signal that asks.
    pub signal: Signal,
    /// How long the app has before KILL.
    pub grace: Duration,
}

impl Stop {
    /// With defaults: TERM, 10 s.
    #[must_use]
    pub fn policy(&self) -> StopPolicy {
        StopPolicy {
            signal: self.signal.unwrap_or(Signal::Term),
            grace: self.timeout.map_or(Duration::from_secs(10), Span::get),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How a new version takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upgrade {
    /// Default restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<UpgradeStrategy>,
    /// How long the new version has to become healthy; default 60 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_timeout: Option<Span>,
    /// Default rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<UpgradeFailure>,
}

/// What an [`Upgrade`] amounts to with its defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpgradePolicy {
    /// How a new version takes over.
    pub strategy: UpgradeStrategy,
    /// How long it has to become healthy.
    pub health_timeout: Duration,
    /// What happens if it does not.
    pub on_failure: UpgradeFailure,
}

impl Upgrade {
    /// With the defaults in place of what is not said (SPEC_FORMAT).
    #[must_use]
    pub fn policy(&self) -> UpgradePolicy {
        UpgradePolicy {
            strategy: self.strategy.unwrap_or(UpgradeStrategy::Restart),
            health_timeout: self
                .health_timeout
                .map_or(Duration::from_secs(60), Duration::from),
            on_failure: self.on_failure.unwrap_or(UpgradeFailure::Rollback),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How a new version takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UpgradeStrategy {
    /// Stop the old, start the new.
    Restart,
    /// The new one beside the old one on its own sockets; users move when it is healthy.
    Handover,
}

/// What happens when the new version does not become healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UpgradeFailure {
    /// Back to the last good version.
    Rollback,
    /// Stay as it is.
    Halt,
}
