//! What happens next, and when; and until when git is not applied. Pure.

use super::{WhyFacts, listed, millis};
use crate::status::hold::{Hold, Until};
use crate::status::time::span;
use crate::status::{HealthState, RunState, SyncState};

impl WhyFacts<'_> {
    /// What happens next, and when.
    pub(super) fn next(&self) -> Option<String> {
        let app = &self.state.name;
        if self.unseen.is_some() {
            return Some("Next: it is looked for as soon as the keeper answers.".to_owned());
        }
        if self.state.sync == SyncState::Error {
            let kept = if self.state.status == RunState::Running {
                "What runs goes on. "
            } else {
                ""
            };
            return Some(format!("{kept}Next: a commit that mends the spec."));
        }
        Some(match self.state.status {
            RunState::Backoff => match self.state.next_try_at.as_deref().and_then(millis) {
                Some(at_ms) => format!(
                    "Next: it is tried again in {}.",
                    span(at_ms.saturating_sub(self.now_ms))
                ),
                None => "Next: it is tried again.".to_owned(),
            },
            RunState::Failed => format!(
                "Next: a commit that touches it, or `osier restart {app}`. Nothing more happens by itself."
            ),
            RunState::Stopped if self.is_removed() => return None,
            RunState::Stopped if self.is_stopped_by_hand => {
                format!("Next: `osier start {app}`, or a commit that touches it.")
            }
            RunState::Stopped => "Next: nothing, until a commit touches it.".to_owned(),
            RunState::Waiting => {
                let verb = if self.state.waits_for.len() > 1 {
                    "are"
                } else {
                    "is"
                };
                format!(
                    "Next: it starts when {} {verb} healthy.{}",
                    self.waited_for(),
                    self.in_vain()
                )
            }
            RunState::Invalid => "Next: a commit that mends the spec.".to_owned(),
            _ if self.state.sync == SyncState::Suspended => return None,
            RunState::Running if self.state.sync == SyncState::Orphaned => {
                "Its removal waits for an operator's word: see `osier status`.".to_owned()
            }
            RunState::Running if self.state.sync == SyncState::Reconciling => {
                "Next: it is checked again, and taken back if it is not healthy in time.".to_owned()
            }
            RunState::Running if self.state.health == HealthState::Unhealthy => {
                "Next: it is checked again; a temporary app is not restarted.".to_owned()
            }
            RunState::Running if self.state.checks.is_some() && self.state.health == HealthState::Unknown => {
                "Next: it is checked again.".to_owned()
            }
            RunState::Running if self.state.sync == SyncState::Synced && self.unfollowed.is_some() => {
                "Nothing is left to do for the accepted commit.".to_owned()
            }
            RunState::Running if self.state.sync == SyncState::Synced => "Nothing is left to do.".to_owned(),
            RunState::Running => match self.state.next_try_at.as_deref().and_then(millis) {
                Some(at_ms) => format!(
                    "Next: tried again in {}.",
                    span(at_ms.saturating_sub(self.now_ms))
                ),
                None if self.is_rolled_back() => "Next: another commit that touches it.".to_owned(),
                None if self.state.last_error.is_some() => format!(
                    "Next: a commit that touches it, or `osier restart {app}`. Nothing more happens by itself."
                ),
                None => return None,
            },
            RunState::Pending
            | RunState::Fetching
            | RunState::Starting
            | RunState::Upgrading
            | RunState::Stopping => {
                return None;
            }
        })
    }

    /// Until when git is not applied to it, and what ends that.
    pub(super) fn held(&self) -> Option<String> {
        let app = &self.state.name;
        Some(match self.hold? {
            Hold::Changed(Until::NextReconcile) | Hold::Removed(Until::NextReconcile)
                if self.desired.is_some_and(|desired| desired.spec.is_suspended()) =>
            {
                "Its spec suspends it: it stays so until a commit changes that.".to_owned()
            }
            Hold::Changed(Until::NextReconcile) => {
                format!("The next reconcile undoes that{}.", self.next_look())
            }
            Hold::Removed(Until::NextReconcile) => {
                let again = format!("The next reconcile deploys it again{}", self.next_look());
                self.desired
                    .map(|_| format!("{again}; `osier resume {app}` does at once."))?
            }
            Hold::Removed(until) => format!("It stays so {}.", self.until(until, &format!(" {app}"))),
            Hold::Changed(until) | Hold::Suspended(until) => {
                format!(
                    "Git is not applied to it {}.",
                    self.until(until, &format!(" {app}"))
                )
            }
            Hold::NodeSuspended(until) => format!(
                "The node is suspended: git is applied to no app {}.",
                self.until(until, "")
            ),
            Hold::BySpec => {
                "Its spec suspends it: git is not applied to it until a commit changes that.".to_owned()
            }
        })
    }

    /// `for another 1 h, or until osier resume web`.
    fn until(&self, until: Until, what: &str) -> String {
        match until {
            Until::At(at_ms) => format!(
                "for another {}, or until `osier resume{what}`",
                span(at_ms.saturating_sub(self.now_ms))
            ),
            Until::Touched => format!("until a commit touches it, or `osier resume{what}`"),
            Until::Revoked | Until::NextReconcile => format!("until `osier resume{what}`"),
        }
    }

    fn next_look(&self) -> String {
        let wait_ms = self.next_look_ms.map(|at_ms| at_ms.saturating_sub(self.now_ms));
        wait_ms.map_or_else(String::new, |wait_ms| format!(", in {}", span(wait_ms)))
    }

    /// Who of those has given up, and is not tried again by itself.
    fn in_vain(&self) -> String {
        let verb = if self.waits_in_vain_for.len() > 1 {
            "have"
        } else {
            "has"
        };
        match self.waits_in_vain_for {
            [] => String::new(),
            [first, ..] => format!(
                " But {} {verb} given up: see `osier why {first}`.",
                listed(self.waits_in_vain_for)
            ),
        }
    }
}
