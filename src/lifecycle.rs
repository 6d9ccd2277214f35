//! An app's life as a state machine: [`step`] takes what happened and answers with what is to be done. Pure.
//!
//! Facts and phase are apart. A *fact* is what is known: the target, the instance that lives, the artefact that is there,
//! the budget. The *phase* says what is going on. An event changes facts; when no effect is under way, `converge` looks at
//! the facts alone and chooses what comes next. So the last target wins whatever was going on, and a lost message heals
//! with the next one.
//!
//! The rooms: [`target`] what is asked for, [`exit`] how an instance ended, [`budget`] restarts and their delays,
//! [`record`] what survives the daemon, [`operator`] what people do by hand.

pub mod exit;
pub mod operator;
pub mod record;
pub mod target;

use std::path::PathBuf;
use std::sync::Arc;

pub use self::exit::{Exit, ExitKind};
pub use self::operator::{Operation, OperatorError, OperatorId};
pub use self::record::{AppRecord, PAST_EXITS_MAX};
pub use self::target::{Target, Want};
use crate::names::{InstanceId, SpecDigest};

/// Numbers the effects of one actor, so that an outcome finds the effect that it belongs to and a stale one is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EffectId(pub u64);

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum AppEvent {
    /// Somebody says what is to be.
    Target(Arc<Target>),
    /// An operator asks for something.
    Operator {
        /// Who waits for the answer.
        id: OperatorId,
        /// What is asked.
        command: Operation,
    },
    /// An effect is done, or could not be done.
    Done {
        /// Which effect.
        effect: EffectId,
        /// How it went.
        outcome: Outcome,
    },
    /// An instance ended with its whole tree.
    Exited {
        /// Which one.
        instance: InstanceId,
        /// How.
        exit: Exit,
    },
    /// Nobody can tell any more whether an instance lives; it must be looked for.
    Lost {
        /// Which one.
        instance: InstanceId,
    },
    /// A time that was waited for has come.
    Woke,
}

/// How an effect went.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// What was found by looking.
    Looked(Result<Option<Found>, Trouble>),
    /// Where the artefact lies; none for source `none`.
    Fetched(Result<Option<PathBuf>, Trouble>),
    /// The new instance runs. For a start and for a replacement.
    Started(Result<Found, Trouble>),
    /// Nothing runs any more.
    Stopped(Result<(), Trouble>),
}

/// An instance that lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Which run of the app.
    pub id: InstanceId,
    /// What it was started from.
    pub digest: SpecDigest,
    /// Its main process.
    pub os_pid: Option<u32>,
    /// Milliseconds since the epoch.
    pub started_at_ms: u64,
    /// Limits that are not in force.
    pub not_enforced: Vec<String>,
    /// The word of the runtime that runs it.
    pub runtime: String,
}

/// Why an effect failed, and what that means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// A stable code.
    pub code: String,
    /// What, where and why.
    pub message: String,
    /// Something may run all the same: look before anything is started.
    pub is_unsure: bool,
    /// It spends the restart budget. Not so when the runtime itself is away: that is not the app's fault.
    pub is_counted: bool,
}
