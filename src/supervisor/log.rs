//! What of a supervisor's notices goes to the log, and how loud.

use tracing::{debug, error, info, warn};

use super::observe::{Consequence, Notice};

/// Starts that somebody asked for are `debug`, what happens unasked is louder (OTP's level policy for its reports).
pub(super) fn log(notice: &Notice) {
    match notice {
        Notice::Started { child } => debug!(%child, "child started"),
        Notice::StartFailed { child, error } => warn!(%child, %error, "child failed to start"),
        Notice::Exited {
            child,
            reason,
            consequence: Consequence::Restart,
            ..
        } => {
            warn!(%child, %reason, "child ended, is restarted");
        }
        Notice::Exited {
            child,
            reason,
            consequence: Consequence::StaysDown,
            ..
        } => {
            info!(%child, %reason, "child ended");
        }
        Notice::Exited {
            child,
            reason,
            consequence: Consequence::Asked,
            ..
        } => debug!(%child, %reason, "child stopped"),
        Notice::Restarted { child, restarts } => info!(%child, restarts, "child restarted"),
        Notice::GaveUp {
            child,
            reason,
            intensity,
            ..
        } => {
            error!(%child, %reason, intensity, "too many restarts, giving up");
        }
        Notice::Ended { reason } => debug!(%reason, "supervisor ended"),
    }
}
