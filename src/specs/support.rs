//! What a valid spec asks for and this release does not carry out yet. Such an app is shown as invalid, never half-run.

use super::app_spec::{AppSpec, Isolation, UpgradeStrategy};
use super::facts::Capabilities;

/// One thing that is asked for and not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    /// The key, as a path from the spec's top (`upgrade.strategy`).
    pub key: &'static str,
    /// What is not supported yet, in words.
    pub what: String,
}

/// Everything that `spec` asks for and `capabilities` lack.
#[must_use]
pub fn unsupported(spec: &AppSpec, capabilities: &Capabilities) -> Vec<Unsupported> {
    let mut found = Vec::new();
    let mut lack = |is_lacking: bool, key: &'static str, what: String| {
        if is_lacking {
            found.push(Unsupported { key, what });
        }
    };
    if let Some(source) = &spec.source {
        let kind = source.kind();
        lack(
            !capabilities.sources.contains(&kind),
            "source",
            format!("source type `{kind}`"),
        );
    }
    let plain = |key: &'static str| format!("`{key}`");
    lack(
        spec.health.is_some() && !capabilities.health,
        "health",
        plain("health"),
    );
    lack(
        !spec.secrets.is_empty() && !capabilities.secrets,
        "secrets",
        plain("secrets"),
    );
    lack(
        !spec.config_files.is_empty() && !capabilities.config_files,
        "config_files",
        plain("config_files"),
    );
    lack(
        !spec.sockets.is_empty() && !capabilities.sockets,
        "sockets",
        plain("sockets"),
    );
    lack(
        spec.rollout.is_some() && !capabilities.rollout,
        "rollout",
        plain("rollout"),
    );
    lack(
        spec.upgrade.strategy == Some(UpgradeStrategy::Handover) && !capabilities.handover,
        "upgrade.strategy",
        "upgrade strategy `handover`".to_owned(),
    );
    let isolation = spec.isolation();
    let isolation_lacks = match isolation {
        Isolation::Container => !capabilities.container,
        Isolation::Wasm => !capabilities.wasm,
        Isolation::Process | Isolation::Embedded | Isolation::Custom(_) => false,
    };
    lack(
        isolation_lacks,
        "isolation",
        format!("isolation `{}`", isolation.as_str()),
    );
    lack(
        spec.sandbox.read_only == Some(true) && !capabilities.sandbox_files,
        "sandbox.read_only",
        plain("sandbox.read_only"),
    );
    lack(
        spec.sandbox.writable.is_some() && !capabilities.sandbox_files,
        "sandbox.writable",
        plain("sandbox.writable"),
    );
    found
}
