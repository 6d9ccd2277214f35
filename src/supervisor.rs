//! OTP's supervisors on ractor: child specs, restart strategies, restart intensity, ordered starts and stops, escalation.
//!
//! ractor gives links and exit events, no supervisors: when an actor dies its children are killed, unordered and unawaited,
//! and a clean stop alone runs `post_stop`. So all of OTP's rules are here, decided in one pure state machine (`decide`)
//! and carried out by a thin actor (`actor`) with tasks that report back (`effects`).
//!
//! The way of a crash: ractor tells the supervisor → `decide` (intensity, strategy) → commands → a task waits until nothing
//! is left of the last incarnation (`brood`), starts the next and reports → `decide`.
//!
//! Rooms: `spec` what a child is, `start` what its start comes to, `flags` what a supervisor is and what of both is refused, `exit` why a child ended,
//! `budget` how many restarts are left, `blueprint` how a supervisor is started, `handle` and `dynamic` how others speak to it, `admin` what they may hear,
//! `observe` and `snapshot` what it tells of its children.
//!
//! **Invariants.** Nothing is in a process-global registry, so any number of trees live in one process. No handler of a
//! supervisor waits for a start or a stop. A child has one live incarnation at a time, also after a kill of its supervisor.
//! When a supervisor has ended in order, nothing below it lives.
//!
//! `docs/explanation/otp-conformance.md` maps each case of OTP's own suite to a test of ours.

mod actor;
mod admin;
mod blueprint;
mod brood;
mod budget;
mod decide;
mod dynamic;
mod effects;
mod exit;
mod flags;
mod handle;
mod log;
mod message;
mod observe;
mod snapshot;
mod spec;
mod start;

pub use admin::AdminError;
pub use blueprint::{Blueprint, Supervisor};
pub use dynamic::{DynamicFlags, DynamicSupervisor};
pub(crate) use exit::panic_message;
pub use exit::{ExitReason, REASON_BYTES_MAX};
pub use flags::{
    AutoShutdown, CHILDREN_MAX, Flags, INTENSITY_DEFAULT, INTENSITY_MAX, PERIOD_DEFAULT, PERIOD_MAX,
    SpecError, Strategy,
};
pub use handle::SupervisorRef;
pub use observe::{ChildInfo, ChildState, Consequence, Counts, LastExit, Notice, Observer, Tree};
pub use spec::{CHILD_ID_BYTES_MAX, ChildId, ChildSpec, Kind, Restart, Shutdown, WORKER_SHUTDOWN_DEFAULT};
pub use start::{ChildRef, Info, StartError, Started};
