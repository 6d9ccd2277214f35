//! How an app is kept: restart, stop, upgrade.

use super::artefact::SPAN_HELP;
use super::fields::{Decoder, Fields};
use crate::specs::app_spec::{
    AppSpec, Backoff, HealthKind, Isolation, Restart, RestartType, Stop, Upgrade, UpgradeFailure,
    UpgradeStrategy,
};
use crate::specs::mistake::codes;
use crate::specs::values::{Signal, Span};

impl Decoder<'_> {
    pub(super) fn restart(&mut self, fields: &Fields<'_>) -> Restart {
        const KINDS: &[(&str, RestartType)] = &[
            ("permanent", RestartType::Permanent),
            ("transient", RestartType::Transient),
            ("temporary", RestartType::Temporary),
        ];
        const INTENSITY_MAX: u32 = 1_000_000;
        let Some(inner) = self.group(fields, "restart", &["type", "intensity", "period", "backoff"]) else {
            return Restart::default();
        };
        let restart = Restart {
            kind: inner
                .get("type")
                .and_then(|node| self.choice(node, &"restart.type", KINDS)),
            intensity: inner
                .get("intensity")
                .and_then(|node| self.small(node, &"restart.intensity", 0..=INTENSITY_MAX)),
            period: inner
                .get("period")
                .and_then(|node| self.measured(node, &"restart.period", SPAN_HELP)),
            backoff: self.backoff(&inner),
        };
        if restart.period.is_some_and(|period| period.get().is_zero()) {
            self.mistake(
                inner.key_at("period"),
                codes::BAD_VALUE,
                "`restart.period` is 0",
                SPAN_HELP,
            );
        }
        let policy = restart.policy();
        if restart.backoff != Backoff::default() && policy.backoff_initial > policy.backoff_max {
            self.mistake(
                inner.key_at("backoff"),
                codes::COMBINATION,
                "`restart.backoff.initial` is longer than `restart.backoff.max`",
                "the first wait is at most the longest one; defaults are 1s and 5m",
            );
        }
        restart
    }

    fn backoff(&mut self, restart: &Fields<'_>) -> Backoff {
        let Some(node) = restart.get("backoff") else {
            return Backoff::default();
        };
        let Some(inner) = self.fields(
            node,
            restart.key_at("backoff"),
            &"restart.backoff",
            &["initial", "max"],
        ) else {
            return Backoff::default();
        };
        Backoff {
            initial: inner
                .get("initial")
                .and_then(|node| self.measured(node, &"restart.backoff.initial", SPAN_HELP)),
            max: inner
                .get("max")
                .and_then(|node| self.measured(node, &"restart.backoff.max", SPAN_HELP)),
        }
    }

    pub(super) fn stop(&mut self, fields: &Fields<'_>) -> Stop {
        const SIGNALS: &str = "one of HUP, INT, QUIT, KILL, USR1, USR2, TERM, WINCH";
        let Some(inner) = self.group(fields, "stop", &["signal", "timeout"]) else {
            return Stop::default();
        };
        Stop {
            signal: inner
                .get("signal")
                .and_then(|node| self.parsed::<Signal>(node, &"stop.signal", SIGNALS)),
            timeout: inner
                .get("timeout")
                .and_then(|node| self.measured::<Span>(node, &"stop.timeout", SPAN_HELP)),
        }
    }

    pub(super) fn upgrade(&mut self, fields: &Fields<'_>) -> Upgrade {
        const STRATEGIES: &[(&str, UpgradeStrategy)] = &[
            ("restart", UpgradeStrategy::Restart),
            ("handover", UpgradeStrategy::Handover),
        ];
        const FAILURES: &[(&str, UpgradeFailure)] = &[
            ("rollback", UpgradeFailure::Rollback),
            ("halt", UpgradeFailure::Halt),
        ];
        let Some(inner) = self.group(fields, "upgrade", &["strategy", "health_timeout", "on_failure"]) else {
            return Upgrade::default();
        };
        Upgrade {
            strategy: inner
                .get("strategy")
                .and_then(|node| self.choice(node, &"upgrade.strategy", STRATEGIES)),
            health_timeout: inner
                .get("health_timeout")
                .and_then(|node| self.measured(node, &"upgrade.health_timeout", SPAN_HELP)),
            on_failure: inner
                .get("on_failure")
                .and_then(|node| self.choice(node, &"upgrade.on_failure", FAILURES)),
        }
    }

    /// Only a process says something by `sd_notify`, or has commands run beside it.
    pub(super) fn check_probe(&mut self, fields: &Fields<'_>, spec: &AppSpec) {
        let kind = spec.health.as_ref().map(|health| health.policy().kind);
        let is_in_host = matches!(spec.isolation(), Isolation::Embedded | Isolation::Wasm);
        let Some(kind) = kind.filter(|_| is_in_host) else {
            return;
        };
        let needs_process = match kind {
            HealthKind::Command | HealthKind::Notify => true,
            HealthKind::Http | HealthKind::Tcp | HealthKind::Custom => false,
        };
        if needs_process {
            let message = format!(
                "a `{}` health check needs an app that is a process of its own, which `isolation: {}` is not",
                kind.as_str(),
                spec.isolation().as_str()
            );
            let help = "use an http, tcp or custom check";
            self.mistake(fields.key_at("health"), codes::COMBINATION, message, help);
        }
    }

    /// A candidate and the running instance must be told apart by where they listen.
    pub(super) fn check_handover(&mut self, fields: &Fields<'_>, spec: &AppSpec) {
        if spec.upgrade.strategy != Some(UpgradeStrategy::Handover) {
            return;
        }
        let at = fields.key_at("upgrade");
        if spec.sockets.is_empty() {
            self.mistake(
                at,
                codes::COMBINATION,
                "upgrade strategy `handover` needs `sockets`",
                "add for example `sockets: [\"127.0.0.1:8080\"]`, or use `restart`",
            );
        }
        let checks_by_command = spec
            .health
            .as_ref()
            .is_some_and(|health| health.kind == Some(HealthKind::Command));
        if checks_by_command {
            self.mistake(
                at,
                codes::COMBINATION,
                "upgrade strategy `handover` cannot use a `command` health check: it cannot tell the two instances apart",
                "use an http, tcp or notify check",
            );
        }
    }
}
