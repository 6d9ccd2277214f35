//! The one screen: a node's headline and its apps.

use std::collections::BTreeMap;

use super::super::look::{Look, Tone};
use super::super::words::{age, count, escape, span, took};
use super::{apps, states};
use crate::names::AppName;
use crate::status::{AppState, Blocked, BlockedKind, NodeStatus};

/// Headline and table.
pub(crate) fn screen(
    look: &Look,
    status: &NodeStatus,
    all: &BTreeMap<AppName, AppState>,
    is_wide: bool,
) -> String {
    let mut text = headline(look, status, all);
    if !all.is_empty() {
        text.push('\n');
        text.push_str(&apps::table(look, &states::worst_first(all.values()), is_wide));
    }
    text
}

fn headline(look: &Look, status: &NodeStatus, all: &BTreeMap<AppName, AppState>) -> String {
    let state = look.state(states::of_node(status.status), status.status.as_str());
    let uptime = span(i64::try_from(status.uptime_s).unwrap_or(0).saturating_mul(1_000));
    let mut text = format!(
        "{}  {state}  {}\n",
        look.paint(Tone::Strong, &escape(&status.node)),
        look.paint(
            Tone::Dim,
            &format!("osier {}, up {uptime}", escape(&status.version))
        )
    );
    let mut line = |label: &str, value: &str| {
        text.push_str(&format!(
            "  {}  {value}\n",
            look.paint(Tone::Dim, &format!("{label:<9}"))
        ));
    };
    if let Some(reason) = &status.reason {
        line("because", &escape(reason));
    }
    line(
        "repo",
        &format!("{}  {}", escape(&status.repo_url), revision(status)),
    );
    line("reconcile", &reconciled(look, status));
    line("apps", &counts(all));
    if let Some(blocked) = &status.blocked {
        line("blocked", &look.paint(Tone::Warning, &blocked_by(blocked)));
        line("accept", &escape(&blocked.accept));
    }
    if status.mesh.state != "off" {
        line(
            "mesh",
            &format!(
                "{}, {}",
                escape(&status.mesh.state),
                count(status.mesh.peers, "peer")
            ),
        );
    }
    text
}

/// For status bars and login messages.
pub(crate) fn oneline(look: &Look, status: &NodeStatus) -> String {
    let state = look.state(states::of_node(status.status), status.status.as_str());
    let mut text = format!(
        "{} {state} {} {}/{} healthy",
        escape(&status.node),
        revision(status),
        status.healthy_count,
        status.app_count
    );
    if let Some(reason) = &status.reason {
        text.push_str(&format!(": {}", escape(reason)));
    }
    text + "\n"
}

/// `main@41b09de`.
fn revision(status: &NodeStatus) -> String {
    let branch = escape(&status.branch);
    match &status.last_commit {
        Some(commit) => format!("{branch}@{}", commit.short()),
        None => format!("{branch}, nothing read yet"),
    }
}

fn reconciled(look: &Look, status: &NodeStatus) -> String {
    let Some(last) = &status.last_reconcile else {
        return "not yet".to_owned();
    };
    let when = format!(
        "{} ago, took {}",
        age(Some(&last.at), look.now_ms),
        took(last.duration_ms)
    );
    match &last.error {
        Some(error) => format!("{when}: {}", look.paint(Tone::Bad, &escape(error))),
        None => when,
    }
}

/// `4 apps: 1 failed, 3 running`: in the words of the table below it, so that they add up.
fn counts(all: &BTreeMap<AppName, AppState>) -> String {
    let mut parts: Vec<(&str, usize)> = Vec::new();
    for app in states::worst_first(all.values()) {
        let word = app.status.as_str();
        match parts.iter_mut().find(|(known, _)| *known == word) {
            Some((_, number)) => *number += 1,
            None => parts.push((word, 1)),
        }
    }
    let parts: Vec<_> = parts
        .into_iter()
        .map(|(word, number)| format!("{number} {word}"))
        .collect();
    let total = count(all.len(), "app");
    if parts.is_empty() {
        total
    } else {
        format!("{total}: {}", parts.join(", "))
    }
}

/// What waits for an operator's word, in one sentence.
pub(crate) fn blocked_by(blocked: &Blocked) -> String {
    let commit = blocked.commit.short();
    let names: Vec<_> = blocked.apps.iter().map(AsRef::as_ref).collect();
    match blocked.kind {
        BlockedKind::Prune => format!(
            "{commit} would remove {}: {}",
            count(names.len(), "app"),
            names.join(", ")
        ),
        BlockedKind::History => format!("{commit} does not descend from what was accepted"),
        BlockedKind::Signature => format!("the signature of {commit} does not hold"),
    }
}
