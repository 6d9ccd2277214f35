//! The supervision tree as a tree.

use super::super::look::{Glyph, Look, Mark, Tone};
use super::super::words::{count, escape, span};
use crate::rpc::procedures::TreeNode;

/// `root` and everything under it, a line each.
pub(crate) fn draw(look: &Look, root: &TreeNode) -> String {
    let mut lines = Vec::new();
    collect(look, root, "", "", &mut lines);
    let width = lines
        .iter()
        .map(|(left, _)| unicode_width::UnicodeWidthStr::width(left.as_str()))
        .max()
        .unwrap_or(0);
    lines
        .into_iter()
        .map(|(left, right)| {
            let pad = width.saturating_sub(unicode_width::UnicodeWidthStr::width(left.as_str()));
            format!("{left}{}  {right}", " ".repeat(pad))
                .trim_end()
                .to_owned()
                + "\n"
        })
        .collect()
}

fn collect(look: &Look, node: &TreeNode, own: &str, below: &str, lines: &mut Vec<(String, String)>) {
    lines.push((format!("{own}{}", escape(&node.name)), describe(look, node)));
    let last = node.children.len().saturating_sub(1);
    for (index, child) in node.children.iter().enumerate() {
        let (branch, trunk) = if index == last {
            (look.pick("└─ ", "`- "), "   ")
        } else {
            (look.pick("├─ ", "|- "), look.pick("│  ", "|  "))
        };
        collect(
            look,
            child,
            &format!("{below}{branch}"),
            &format!("{below}{trunk}"),
            lines,
        );
    }
}

fn describe(look: &Look, node: &TreeNode) -> String {
    let mut parts = vec![look.state(mark(&node.state), &escape(&node.state))];
    if let Some(detail) = &node.detail {
        parts.push(look.paint(Tone::Dim, &escape(detail)));
    }
    if let Some(pid) = node.os_pid {
        parts.push(format!("pid {pid}"));
    }
    if let Some(age) = node.age_ms {
        parts.push(look.paint(
            Tone::Dim,
            &format!("up {}", span(i64::try_from(age).unwrap_or(i64::MAX))),
        ));
    }
    if let Some(waiting) = node.mailbox {
        let tone = if waiting > 0 { Tone::Busy } else { Tone::Dim };
        parts.push(look.paint(tone, &format!("mailbox {waiting}")));
    }
    if node.restarts > 0 {
        let restarts = count(usize::try_from(node.restarts).unwrap_or(usize::MAX), "restart");
        parts.push(look.paint(Tone::Warning, &format!("{} {restarts}", look.glyph(Glyph::Busy))));
    }
    if let Some(exit) = &node.last_exit {
        parts.push(look.paint(Tone::Dim, &format!("last: {}", escape(exit))));
    }
    parts.join("  ")
}

fn mark(state: &str) -> Mark {
    match state {
        "running" => (Glyph::Good, Tone::Good),
        "failed" | "invalid" => (Glyph::Bad, Tone::Bad),
        "backoff" => (Glyph::Warning, Tone::Warning),
        "stopped" => (Glyph::Stopped, Tone::Dim),
        "pending" | "waiting" => (Glyph::Waiting, Tone::Busy),
        _ => (Glyph::Busy, Tone::Busy),
    }
}
