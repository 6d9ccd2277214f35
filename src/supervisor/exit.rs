//! Why a child ended, in OTP's terms.

use std::fmt;
use std::sync::Arc;

use ractor::ActorProcessingErr;

/// Reasons longer than this are cut (bytes): they go into status, events and logs.
pub const REASON_BYTES_MAX: usize = 4096;

/// The stop reason by which supervisors stop their children.
pub(crate) const SHUTDOWN: &str = "shutdown";
/// A stop reason that begins so is OTP's `{shutdown, Term}`.
const SHUTDOWN_WITH: &str = "shutdown: ";
/// What ractor says of an actor that was killed.
const KILLED: &str = "killed";
/// What ractor says of an actor that was drained: it did all that it was asked, and left.
const DRAINED: &str = "Drained";

/// Why a child ended. [`ExitReason::is_normal`] is what restart types ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitReason {
    /// It was done: stopped without a reason, with `normal`, or drained.
    Normal,
    /// It was told to leave, or left because its work is over: OTP's `shutdown` and `{shutdown, Term}`.
    Shutdown(Option<Arc<str>>),
    /// It was killed.
    Killed,
    /// It stopped itself, or was stopped, for another reason.
    Stopped(Arc<str>),
    /// It panicked, or a handler of it returned an error.
    Failed(Arc<str>),
    /// It ended before it was linked to its supervisor; its reason cannot be known and counts as abnormal.
    Lost,
    /// It was killed but did not end in time, because it blocks its thread. It ends as soon as it awaits anything.
    Unresponsive,
}

impl ExitReason {
    /// Does a transient child stay down after it? (`normal`, `shutdown` and `{shutdown, Term}` of OTP.)
    #[must_use]
    pub fn is_normal(&self) -> bool {
        match self {
            Self::Normal | Self::Shutdown(_) => true,
            Self::Killed | Self::Stopped(_) | Self::Failed(_) | Self::Lost | Self::Unresponsive => false,
        }
    }

    /// Reads what ractor says of an actor that terminated.
    pub(crate) fn of_termination(reason: Option<&str>) -> Self {
        match reason {
            None | Some("normal" | DRAINED) => Self::Normal,
            Some(SHUTDOWN) => Self::Shutdown(None),
            Some(KILLED) => Self::Killed,
            Some(other) => match other.strip_prefix(SHUTDOWN_WITH) {
                Some(detail) => Self::Shutdown(Some(bounded(detail))),
                None => Self::Stopped(bounded(other)),
            },
        }
    }

    /// Reads what ractor says of an actor that failed.
    pub(crate) fn of_failure(error: &ActorProcessingErr) -> Self {
        Self::Failed(bounded(&error.to_string()))
    }

    /// A shutdown that says why.
    pub(crate) fn shutdown_because(detail: &str) -> Self {
        Self::Shutdown(Some(bounded(detail)))
    }

    /// The stop reason that [`ExitReason::of_termination`] reads back as this.
    pub(crate) fn as_stop_reason(&self) -> Option<String> {
        match self {
            Self::Normal => None,
            Self::Shutdown(None) => Some(SHUTDOWN.to_owned()),
            Self::Shutdown(Some(detail)) => Some(format!("{SHUTDOWN_WITH}{detail}")),
            Self::Killed | Self::Stopped(_) | Self::Failed(_) | Self::Lost | Self::Unresponsive => {
                Some(self.to_string())
            }
        }
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal => f.write_str("normal"),
            Self::Shutdown(None) => f.write_str(SHUTDOWN),
            Self::Shutdown(Some(detail)) => write!(f, "{SHUTDOWN_WITH}{detail}"),
            Self::Killed => f.write_str(KILLED),
            Self::Stopped(reason) => write!(f, "stopped: {reason}"),
            Self::Failed(reason) => write!(f, "failed: {reason}"),
            Self::Lost => f.write_str("ended before it was linked"),
            Self::Unresponsive => f.write_str("killed, but it blocks its thread and has not ended yet"),
        }
    }
}

/// Cuts a text of unknown origin at [`REASON_BYTES_MAX`], at a character's border.
fn bounded(text: &str) -> Arc<str> {
    if text.len() <= REASON_BYTES_MAX {
        return Arc::from(text);
    }
    let end = text.floor_char_boundary(REASON_BYTES_MAX - '…'.len_utf8());
    let kept = text.get(..end).unwrap_or_default();
    Arc::from(format!("{kept}…"))
}

/// What a panic said, cut to a bearable length.
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    const CHARS_MAX: usize = 500;
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").chars().take(CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_normal_and_shutdown_are_normal() {
        for (reason, is_normal) in [
            (None, true),
            (Some("normal"), true),
            (Some("Drained"), true),
            (Some("shutdown"), true),
            (Some("shutdown: its work is done"), true),
            (Some("killed"), false),
            (Some("actor_task_cancelled"), false),
            (Some("shutdownish"), false),
        ] {
            assert_eq!(
                ExitReason::of_termination(reason).is_normal(),
                is_normal,
                "{reason:?}"
            );
        }
    }

    #[test]
    fn a_shutdown_keeps_its_detail_on_its_way_through_ractor() {
        for reason in [
            ExitReason::Normal,
            ExitReason::Shutdown(None),
            ExitReason::shutdown_because("gave up"),
        ] {
            let said = reason.as_stop_reason();
            assert_eq!(ExitReason::of_termination(said.as_deref()), reason);
        }
    }

    #[test]
    fn u03_format_log_a_long_reason_is_cut_at_a_characters_border() {
        let error: ActorProcessingErr = "ü".repeat(REASON_BYTES_MAX).into();
        let ExitReason::Failed(text) = ExitReason::of_failure(&error) else {
            panic!("a failure is a failure")
        };
        assert!(text.len() <= REASON_BYTES_MAX);
        assert!(text.ends_with("ü…"));
    }
}
