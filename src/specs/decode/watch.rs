//! How an app's health is learnt.

use super::artefact::SPAN_HELP;
use super::environment::Variables;
use super::fields::{Decoder, Fields};
use crate::specs::app_spec::{Health, HealthKind};
use crate::specs::mistake::codes;

const KINDS: &[(&str, HealthKind)] = &[
    ("http", HealthKind::Http),
    ("tcp", HealthKind::Tcp),
    ("command", HealthKind::Command),
    ("notify", HealthKind::Notify),
    ("custom", HealthKind::Custom),
];

const KEYS: &[&str] = &[
    "type",
    "port",
    "path",
    "command",
    "module",
    "watchdog",
    "interval",
    "timeout",
    "initial_delay",
    "failure_threshold",
    "success_threshold",
];

/// Thresholds beyond this are surely a mistake.
const THRESHOLD_MAX: u32 = 10_000;

impl Decoder<'_> {
    pub(super) fn health(&mut self, fields: &Fields<'_>, variables: &Variables<'_>) -> Option<Health> {
        let inner = self.group(fields, "health", KEYS)?;
        let kind = inner
            .get("type")
            .and_then(|node| self.choice(node, &"health.type", KINDS));
        let health = Health {
            kind,
            port: inner
                .get("port")
                .and_then(|node| self.small(node, &"health.port", 1..=65_535))
                .and_then(|port| u16::try_from(port).ok()),
            path: inner
                .get("path")
                .and_then(|node| variables.text(self, node, &"health.path")),
            command: self.health_command(&inner, variables),
            module: inner
                .get("module")
                .and_then(|node| self.text(node, &"health.module")),
            watchdog: inner
                .get("watchdog")
                .and_then(|node| self.measured(node, &"health.watchdog", SPAN_HELP)),
            interval: inner
                .get("interval")
                .and_then(|node| self.measured(node, &"health.interval", SPAN_HELP)),
            timeout: inner
                .get("timeout")
                .and_then(|node| self.measured(node, &"health.timeout", SPAN_HELP)),
            initial_delay: inner
                .get("initial_delay")
                .and_then(|node| self.measured(node, &"health.initial_delay", SPAN_HELP)),
            failure_threshold: inner
                .get("failure_threshold")
                .and_then(|node| self.small(node, &"health.failure_threshold", 1..=THRESHOLD_MAX)),
            success_threshold: inner
                .get("success_threshold")
                .and_then(|node| self.small(node, &"health.success_threshold", 1..=THRESHOLD_MAX)),
        };
        self.check_health(&inner, &health);
        Some(health)
    }

    fn health_command(&mut self, health: &Fields<'_>, variables: &Variables<'_>) -> Vec<String> {
        self.command(health, "command", variables)
    }

    fn check_health(&mut self, fields: &Fields<'_>, health: &Health) {
        let kind = health.kind.unwrap_or(HealthKind::Http);
        if kind == HealthKind::Command && fields.get("command").is_none() {
            self.missing(
                fields,
                "health.command",
                "add for example `command: [\"bin/check\"]`",
            );
        }
        if kind == HealthKind::Custom && fields.get("module").is_none() {
            self.missing(
                fields,
                "health.module",
                "name the function that the host registered",
            );
        }
        if let (HealthKind::Custom, Some(name), true) = (kind, &health.module, self.facts.is_known())
            && !self.facts.health_checks.contains(name)
        {
            let message = format!(
                "`health.module`: this node's host has registered no health function `{}`",
                crate::names::shown(name)
            );
            let help = "register one in the host app, or use another type of check";
            self.mistake(fields.key_at("module"), codes::BAD_VALUE, message, help);
        }
        if let Some(path) = health.path.as_ref().filter(|path| !is_http_path(path)) {
            let message = format!(
                "`health.path`: `{}` is not a path of a web server",
                crate::names::shown(path)
            );
            self.mistake(
                fields.key_at("path"),
                codes::BAD_VALUE,
                message,
                "write for example /health",
            );
        }
        for key in ["interval", "timeout"] {
            let span = if key == "interval" {
                health.interval
            } else {
                health.timeout
            };
            if span.is_some_and(|span| span.get().is_zero()) {
                self.mistake(
                    fields.key_at(key),
                    codes::BAD_VALUE,
                    format!("`health.{key}` is 0"),
                    SPAN_HELP,
                );
            }
        }
        let idle: &[&str] = match kind {
            HealthKind::Http => &["command", "module", "watchdog"],
            HealthKind::Tcp => &["path", "command", "module", "watchdog"],
            HealthKind::Command => &["port", "path", "module", "watchdog"],
            HealthKind::Notify => &["port", "path", "command", "module"],
            HealthKind::Custom => &["command", "watchdog"],
        };
        for key in idle.iter().filter(|key| fields.get(key).is_some()) {
            let message = format!("`health.{key}` has no effect with this type of check");
            self.warn(fields.key_at(key), message, "remove it, or change `health.type`");
        }
    }
}

fn is_http_path(path: &str) -> bool {
    path.starts_with('/') && !path.chars().any(|c| c.is_control() || c.is_whitespace())
}
