//! What the daemon and the keeper say to each other over `keeper.sock`.
//!
//! The daemon sends [`Call`]s, each with an id; the keeper answers every call with one [`Message::Reply`] of that id
//! and sends [`Message::Push`]es of its own accord. A spawn's fate comes as a push of its instance, because many spawns
//! travel in one call and none waits for another. Every request may be repeated: spawning an instance that is known
//! already, stopping one that has ended or acknowledging twice changes nothing. So the link resends after a reconnect.
//!
//! Fields may be added with `#[serde(default)]`; anything else raises [`VERSION`], and the two versions before stay
//! understood.
//!
//! Rooms: `start` what a program is started with, `check` commands that look after one, `report` what is told of runs,
//! `fault` why something was not done.

use serde::{Deserialize, Serialize};

use crate::names::{AppName, InstanceId};
use crate::runtime::notice::Notice;

mod check;
mod fault;
mod report;
mod start;

pub use check::{CHECK_OUTPUT_BYTES_MAX, Check, CheckEnd};
#[cfg(test)]
pub(in crate::runtime::keeper) use fault::FAULT_WHY_BYTES_MAX;
pub use fault::{LimitFault, Refusal, SpawnFault, SpawnStep, errno_text};
pub use report::{
    Capabilities, Exit, ExitHow, Hello, List, OutputCounters, Running, SandboxMeans, TreeKill, TreeUsage,
    Waiting,
};
pub use start::{
    Confinement, Enforce, LABEL_BYTES_MAX, Limits, LogLimits, NOTIFY_SOCKET, Spawn, Spawned, User,
    VISIBLE_MAX,
};

/// The version that this keeper and this daemon speak. 2 brought what apps say about themselves, commands that look after
/// them, and starts that are confined ([`Spawn::confinement`]).
pub const VERSION: u32 = 2;
/// The first version with [`Request::Check`], [`Push::Checked`] and [`Push::Noticed`].
pub const VERSION_OF_HEALTH: u32 = 2;
/// The oldest version that is still understood: two back, once there are that many.
pub const VERSION_OLDEST: u32 = 1;
/// The first version whose keeper confines. An older one would start the app without a word, and unconfined.
pub const VERSION_THAT_CONFINES: u32 = 2;

/// One request with its id, chosen by the caller and used once a connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Comes back in the reply.
    pub id: u64,
    /// What is asked.
    pub request: Request,
}

/// What may be asked of the keeper. The first call of a connection is [`Request::Hello`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Who speaks and in which version. Answered by [`Reply::Hello`].
    Hello {
        /// The caller's [`VERSION`].
        version: u32,
        /// What the caller is.
        role: Role,
    },
    /// Start these. Answered at once; each fate follows as [`Push::Spawned`] or [`Push::SpawnFailed`].
    Spawn {
        /// At most [`SPAWNS_IN_A_CALL_MAX`].
        spawns: Vec<Spawn>,
    },
    /// Ask the main process to end, and kill the whole tree after the grace. [`Push::Exited`] tells the end. A start that
    /// still waits for its turn is called off: that one never runs, and [`Push::SpawnFailed`] says so.
    Stop {
        /// Which run.
        instance: InstanceId,
        /// The signal that asks, by number.
        signal: i32,
        /// How long it has.
        grace_ms: u64,
    },
    /// Send the main process a signal.
    Signal {
        /// Which run.
        instance: InstanceId,
        /// By number.
        signal: i32,
    },
    /// Everything that runs, every start that waits and every exit that nobody acknowledged. Answered by
    /// [`Reply::List`].
    List,
    /// As [`Request::List`], of one app alone.
    Find {
        /// Which app.
        app: AppName,
    },
    /// These exits are known and may be forgotten.
    Acknowledge {
        /// Whose exits.
        instances: Vec<InstanceId>,
    },
    /// Run a command that is to tell how a running app fares. Answered at once; how it ended follows as
    /// [`Push::Checked`]. One that still runs for the app is killed first.
    Check(Box<Check>),
    /// What the trees of these use. Answered by [`Reply::Stats`].
    Stats {
        /// Which runs; empty: all.
        instances: Vec<InstanceId>,
    },
    /// The app is removed: its groups and its output pipe go, and a start of it that still waits is called off. Its data
    /// and logs stay.
    Forget {
        /// Which app; it must not run.
        app: AppName,
    },
    /// How trees are killed and limits enforced here. Answered by [`Reply::Capabilities`].
    Capabilities,
    /// End the keeper; the apps are stopped first or live on.
    Shutdown {
        /// Whether to stop them, each by its own signal and grace.
        stop_apps: bool,
    },
}

/// How many spawns one call may hold.
pub const SPAWNS_IN_A_CALL_MAX: usize = 256;

/// What a caller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It gets the pushes, keeps the keeper alive, and a tied keeper ends with it.
    Daemon,
    /// It asks and leaves.
    Observer,
}

/// What the keeper says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// The answer to the call of this id.
    Reply {
        /// The call's.
        id: u64,
        /// Its result.
        result: Result<Reply, Refusal>,
    },
    /// Something happened.
    Push(Push),
}

/// Answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// To [`Request::Hello`].
    Hello(Hello),
    /// Done, or begun where a push tells the end.
    Done,
    /// To [`Request::List`] and [`Request::Find`].
    List(List),
    /// To [`Request::Stats`].
    Stats(Vec<TreeUsage>),
    /// To [`Request::Capabilities`].
    Capabilities(Capabilities),
}

/// What the keeper tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Push {
    /// The program runs (its exec succeeded).
    Spawned(Spawned),
    /// It does not.
    SpawnFailed {
        /// Whose.
        app: AppName,
        /// The run that never was.
        instance: InstanceId,
        /// Why.
        fault: SpawnFault,
    },
    /// A run is over: the main process has ended, and its whole tree with it. [`Request::List`] tells it again until it
    /// is acknowledged.
    Exited(Exit),
    /// A command that looked after an app has ended, or was never started.
    Checked {
        /// [`Check::id`].
        id: InstanceId,
        /// How.
        result: Result<CheckEnd, SpawnFault>,
    },
    /// A run has said something about itself.
    Noticed {
        /// Which run.
        instance: InstanceId,
        /// All that it has said so far.
        notice: Notice,
    },
    /// Output was dropped since the last such message (at most one a second and app).
    OutputDropped {
        /// Whose.
        app: AppName,
        /// All counters so far.
        output: OutputCounters,
    },
}
