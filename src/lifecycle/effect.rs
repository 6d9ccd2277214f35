//! What goes into a step and what comes out of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Exit, Operation, OperatorError, OperatorId, Target};
use crate::names::{InstanceId, SpecDigest};
use crate::specs::app_spec::{Source, StopPolicy};
use crate::specs::{AppSpec, DesiredApp};
use crate::status::health::HealthReport;
use crate::telemetry::{ActionKind, Event};

/// Numbers the effects of one actor, so that an outcome finds the effect that it belongs to and a stale one is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EffectId(pub u64);

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum AppEvent {
    /// The actor lives. First of all events.
    Began,
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
    /// The checks of an instance have found something.
    Checked {
        /// Which one.
        instance: InstanceId,
        /// The spec that asks for these checks.
        by: Arc<AppSpec>,
        /// All that they have found so far.
        report: Arc<HealthReport>,
    },
    /// A time that was waited for may have come.
    Woke,
}

/// Something to be done. Those with a number end in exactly one [`AppEvent::Done`], within [`Effect::deadline`].
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// See what runs of the app.
    Look {
        /// Its number.
        effect: EffectId,
        /// In the runtime of this name; none: in all.
        runtime: Option<String>,
    },
    /// Bring the artefact here. Never started before for the same digest.
    Fetch {
        /// Its number.
        effect: EffectId,
        /// Of what.
        app: Arc<DesiredApp>,
    },
    /// Start an instance. Nothing runs of the app.
    Start {
        /// Its number.
        effect: EffectId,
        /// What is started.
        app: Arc<DesiredApp>,
        /// Where its artefact lies.
        artefact: Option<PathBuf>,
    },
    /// Put another instance in the place of the one that runs.
    Replace {
        /// Its number.
        effect: EffectId,
        /// `Upgrade` or `Reconfigure`.
        kind: ActionKind,
        /// What is started.
        app: Arc<DesiredApp>,
        /// Where its artefact lies.
        artefact: Option<PathBuf>,
        /// How what runs is stopped.
        stop: StopPolicy,
    },
    /// Stop whatever runs of the app.
    Stop {
        /// Its number.
        effect: EffectId,
        /// In the runtime of this name; none: in all.
        runtime: Option<String>,
        /// How.
        stop: StopPolicy,
    },
    /// Tell what happened.
    Emit(Event),
    /// Answer an operator.
    Reply {
        /// Whom.
        to: OperatorId,
        /// What.
        result: Result<(), OperatorError>,
    },
    /// The app is off the node: nothing of it is remembered any more.
    Forget,
}

/// How long a look may take.
const LOOK_MAX: Duration = Duration::from_secs(10);
/// How long a start may take, from the call to the process that runs.
const START_MAX: Duration = Duration::from_secs(30);
/// How long after the grace everything of an app must be gone.
const STOP_MARGIN: Duration = Duration::from_secs(15);
/// How long an artefact may take. (A build has its own limit in the spec.)
const FETCH_MAX: Duration = Duration::from_secs(600);
/// How long a build may take, where the spec does not say (SPEC_FORMAT: `build_timeout`).
const BUILD_MAX: Duration = Duration::from_secs(30 * 60);

impl Effect {
    /// When it is given up and told as a failure, the wait for the app's turn and all runtimes included. Effects without an
    /// outcome have none.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        match self {
            Self::Look { .. } => Some(LOOK_MAX),
            Self::Start { .. } => Some(START_MAX),
            Self::Replace { stop, .. } => Some(stop.grace.saturating_add(STOP_MARGIN + START_MAX)),
            Self::Stop { stop, .. } => Some(stop.grace.saturating_add(STOP_MARGIN)),
            Self::Fetch { app, .. } => Some(match &app.spec.source {
                Some(Source::Git { build_timeout, .. }) => {
                    FETCH_MAX + build_timeout.map_or(BUILD_MAX, Duration::from)
                }
                _ => FETCH_MAX,
            }),
            Self::Emit(_) | Self::Reply { .. } | Self::Forget => None,
        }
    }
}

/// How an effect went.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// What was found by looking.
    Looked(Result<Option<Found>, Trouble>),
    /// Where the artefact lies.
    Fetched(Result<PathBuf, Trouble>),
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
    /// Milliseconds since the epoch, by the wall clock.
    pub started_at_ms: u64,
    /// Limits that are not in force.
    pub not_enforced: Vec<String>,
    /// The name of the runtime that runs it.
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
