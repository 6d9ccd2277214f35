//! What a supervisor is told: by others, and by its own tasks.

use ractor::{ActorCell, ActorId, RpcReplyPort};

use super::decide::{Answer, Incarnation, Request};
use super::exit::ExitReason;
use super::flags::{Flags, SpecError};
use super::observe::ChildInfo;
use super::snapshot::Snapshot;
use super::spec::{ChildId, ChildSpec};
use super::start::{ChildRef, StartError};

/// What a supervisor can be told.
pub(crate) enum Message {
    /// An admin call.
    Call {
        request: Request,
        reply: RpcReplyPort<Answer<ChildRef>>,
    },
    /// Stop the child that runs as this actor.
    TerminateActor {
        actor: ActorCell,
        reply: RpcReplyPort<Answer<ChildRef>>,
    },
    /// Let these flags and specs hold.
    Reconfigure {
        flags: Flags,
        children: Vec<ChildSpec>,
        reply: RpcReplyPort<Result<(), SpecError>>,
    },
    /// How is everybody?
    Inspect(RpcReplyPort<Snapshot>),
    /// How is this child?
    Child(ChildId, RpcReplyPort<Option<(ChildSpec, ChildInfo)>>),
    /// A task has reported.
    Wake,
    /// A child that could not be linked has ended.
    Gone { incarnation: Incarnation },
    /// A failed restart's turn has come.
    Retry { child: ChildId, ticket: Incarnation },
}

/// What tasks report.
pub(crate) enum Report {
    Started {
        incarnation: Incarnation,
        outcome: Result<Option<ChildRef>, StartError>,
    },
    Cancelled {
        incarnation: Incarnation,
    },
    Stopped {
        incarnation: Incarnation,
        actor: ActorId,
        reason: ExitReason,
    },
}
