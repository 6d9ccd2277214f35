//! The procedures of a node: names and types. One set for three doors (control socket, mesh, console).
//!
//! Each procedure is a type that implements [`Procedure`]. Its request and its reply are serde types and travel as
//! MessagePack with field names. `control/` carries them out; authorisation is decided there, before dispatch.

pub mod frames;
pub mod procedures;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::specs::SpecError;

/// One operation that a node offers.
pub trait Procedure {
    /// The wire name, as in the seed protocol (`bc_gitops.status`).
    const NAME: &'static str;
    /// What it takes.
    type Request: Serialize + DeserializeOwned + Send + 'static;
    /// What it answers; for a stream, one item.
    type Reply: Serialize + DeserializeOwned + Send + 'static;
}

/// Why a procedure was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct RpcError {
    /// What kind of failure it is.
    pub code: RpcErrorCode,
    /// What failed, where and why, for a person.
    pub message: String,
    /// The one next step.
    #[serde(default)]
    pub help: Option<String>,
    /// The mistakes of a spec, each with its place and its own next step; at most [`MISTAKES_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mistakes: Vec<SpecError>,
}

/// The most mistakes that travel in one error: more than anybody reads, and surely within a frame.
pub const MISTAKES_MAX: usize = 200;

impl RpcError {
    /// An error without a next step.
    #[must_use]
    pub fn new(code: RpcErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            help: None,
            mistakes: Vec::new(),
        }
    }

    /// The same with the mistakes of a spec.
    #[must_use]
    pub fn mistakes(mut self, mistakes: Vec<SpecError>) -> Self {
        self.mistakes = mistakes;
        self.mistakes.truncate(MISTAKES_MAX);
        self
    }

    /// The same with a next step.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RpcErrorCode {
    /// The frame or its body cannot be read, or is too large.
    Malformed,
    /// No such procedure here (an older node).
    UnknownProcedure,
    /// The caller may not.
    NotPermitted,
    /// No such app, event or revision.
    NotFound,
    /// It was tried and the answer is no.
    Refused,
    /// It was tried and failed.
    Failed,
    /// Time ran out; the work may go on.
    TimedOut,
    /// The node is stopping or too busy. Try again.
    Unavailable,
}

impl RpcErrorCode {
    /// Is it worth trying the same again?
    #[must_use]
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::TimedOut | Self::Unavailable)
    }
}
