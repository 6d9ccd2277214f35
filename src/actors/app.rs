//! One actor per app: brings about its target, and keeps what runs of it running.
//!
//! Thin over [`crate::lifecycle`]: a message becomes an [`AppEvent`], `step` answers with effects, and each effect runs in
//! a task of its own, with a deadline, that casts its outcome back. The handler awaits nothing.
//!
//! Kill the actor at any point and no process is lost or doubled: effects under way are not cancelled but finish, the
//! successor waits for its turn ([`services::Turns`]) and looks what really runs. Nothing here stops a process by `Drop`.

mod clock;
pub mod services;

use std::sync::Arc;

use ractor::RpcReplyPort;

pub use self::clock::SteadyClock;
pub use self::services::{AppRecords, AppReport, AppServices, FirstLook};
use crate::lifecycle::{AppEvent, AppRecord, Operation, OperatorError, Target};
use crate::names::AppName;

/// What an app actor may be told.
#[derive(Debug)]
pub enum AppMsg {
    /// Bring this about. The same again changes nothing; each one is answered with an [`AppReport`].
    Target(Target),
    /// By hand. The answer comes when it is done or has failed.
    Operator {
        /// What to do.
        command: Operation,
        /// Who waits for it.
        reply: RpcReplyPort<Result<(), OperatorError>>,
    },
    /// From the actor's own tasks.
    #[doc(hidden)]
    Happened(Happened),
}

/// Something that one of the actor's own tasks tells it.
#[derive(Debug)]
pub struct Happened(AppEvent);

/// What an app actor starts with, and is started with again.
#[derive(Clone)]
pub struct AppArguments {
    /// The app.
    pub name: AppName,
    /// Everything it works with.
    pub services: Arc<AppServices>,
    /// What the store remembers of it; what an earlier incarnation of the actor knew goes before it.
    pub record: Option<AppRecord>,
    /// What the creator saw just now.
    pub first_look: FirstLook,
}

/// The actor.
#[derive(Debug, Clone, Copy, Default)]
pub struct AppActor;
