//! How a failure is shown, and what the world says to a life.

use super::super::super::*;

/// A trace that a person can read: of an app only its digest.
pub(super) fn brief(text: &str) -> String {
    let mut rest = text;
    let mut brief = String::new();
    while let Some(at) = rest.find("DesiredApp {") {
        let (before, after) = rest.split_at(at);
        let digest = after.find("digest: ").map_or("", |at| &after[at + 9..at + 15]);
        let end = after.find("artefact: None }").unwrap_or(after.len() - 16) + 16;
        brief.push_str(before);
        brief.push_str(digest);
        rest = &after[end..];
    }
    brief + rest
}

pub(super) fn exited(found: &Found, code: i32, at_ms: u64) -> AppEvent {
    AppEvent::Exited {
        instance: found.id.clone(),
        exit: Exit {
            how: ExitKind::Code(code),
            is_out_of_memory: false,
            was_killed_after_grace: code == 137,
            at_ms,
        },
    }
}

pub(super) fn trouble(is_unsure: bool, is_counted: bool) -> Trouble {
    Trouble {
        code: "test".to_owned(),
        message: "it did not work".to_owned(),
        is_unsure,
        is_counted,
    }
}
