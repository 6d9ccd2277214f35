//! How a command ends: its exit code, or an error in four parts (what, where, why, the one next step).

use std::process::ExitCode;

use super::look::{Look, Tone};
use super::words::{escape, escape_lines};
use crate::config::ConfigError;
use crate::control::client::ClientError;
use crate::rpc::{RpcError, RpcErrorCode};
use crate::specs::SpecError;

/// What a command answers with its exit code (CLI.md, alike everywhere).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, in sync, healthy, no difference.
    Yes,
    /// The answer is no: differences, unhealthy, failed, mistakes in specs.
    No,
    /// It could not be done: usage, not permitted, nobody answers, I/O.
    Unable,
    /// `--timeout` ran out.
    TimedOut,
    /// Ctrl-C.
    Interrupted,
}

impl Exit {
    /// [`Exit::Yes`] where `answer` holds.
    pub(crate) fn of(answer: bool) -> Self {
        if answer { Self::Yes } else { Self::No }
    }

    /// The number.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Yes => 0,
            Self::No => 1,
            Self::Unable => 2,
            Self::TimedOut => 124,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// What a command ends with.
pub(crate) type Outcome = Result<Exit, Trouble>;

/// An error as a person reads it.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) what: String,
    pub(crate) place: Option<String>,
    pub(crate) cause: Option<String>,
    pub(crate) help: Option<String>,
    /// Places in files, each with its source line; drawn before the rest.
    pub(crate) mistakes: Box<[SpecError]>,
    pub(crate) exit: Exit,
}

impl Trouble {
    /// Something that could not be done.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            place: None,
            cause: None,
            help: None,
            mistakes: Box::default(),
            exit: Exit::Unable,
        }
    }

    /// Something that a later release will do.
    pub(crate) fn not_yet(what: &str) -> Self {
        Self::new(format!("not supported yet: {what}"))
    }

    /// Where it failed.
    pub(crate) fn place(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// Why it failed.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "an error at hand is passed as it is"
    )]
    pub(crate) fn cause(mut self, cause: impl ToString) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// The one next step.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With another exit code.
    pub(crate) fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// The text for standard error, each line ended. What came from elsewhere is made harmless here, once for all.
    pub(crate) fn draw(&self, look: &Look) -> String {
        let mut text = super::render::findings::mistakes(look, self.mistakes.iter());
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!(
            "{} {}\n",
            look.paint(Tone::Bad, "error:"),
            escape(&self.what)
        ));
        let parts = [
            ("where", &self.place),
            ("cause", &self.cause),
            ("help", &self.help),
        ];
        for (label, part) in parts {
            let Some(part) = part else { continue };
            for (index, line) in escape_lines(part).lines().enumerate() {
                let label = if index == 0 { label } else { "" };
                text.push_str(&format!(
                    "  {}  {line}\n",
                    look.paint(Tone::Dim, &format!("{label:<5}"))
                ));
            }
        }
        text
    }
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Self {
        let place = match &error {
            ClientError::Refused(refusal) => return refusal.clone().into(),
            ClientError::Connect { path, .. }
            | ClientError::Wire { path, .. }
            | ClientError::Closed { path }
            | ClientError::TimedOut { path, .. } => path.display().to_string(),
        };
        let (what, cause, help) = match error {
            ClientError::Connect { source, .. } => (
                "no daemon answers",
                source.to_string(),
                "start one: `osier daemon`, or try it out: `osier demo`",
            ),
            ClientError::Wire { source, .. } => (
                "the daemon's answer cannot be read",
                source.to_string(),
                "compare `osier version`: client and daemon may differ",
            ),
            ClientError::Closed { .. } => (
                "the daemon left before it answered",
                "it stopped or crashed".to_owned(),
                "look at its log, then try again",
            ),
            ClientError::TimedOut { waited, .. } => (
                "the daemon does not answer",
                format!(
                    "it accepted the connection and was silent for {} s",
                    waited.as_secs()
                ),
                "is it stopped (state T) or out of CPU? see `osier doctor`",
            ),
            ClientError::Refused(refusal) => return refusal.into(),
        };
        Self::new(what).place(place).cause(cause).help(help)
    }
}

impl From<ConfigError> for Trouble {
    fn from(error: ConfigError) -> Self {
        let mut trouble = Self::new("the configuration cannot be used")
            .help("mend it, then look: `osier config show --origin`");
        trouble.mistakes = error.mistakes.into();
        trouble
    }
}

impl From<RpcError> for Trouble {
    fn from(error: RpcError) -> Self {
        let exit = match error.code {
            RpcErrorCode::Refused | RpcErrorCode::Failed => Exit::No,
            // Where `--timeout` was given, its command says 124.
            RpcErrorCode::TimedOut
            | RpcErrorCode::Malformed
            | RpcErrorCode::UnknownProcedure
            | RpcErrorCode::NotPermitted
            | RpcErrorCode::NotFound
            | RpcErrorCode::Unavailable => Exit::Unable,
        };
        let help = error.help.or_else(|| match error.code {
            RpcErrorCode::UnknownProcedure => {
                Some("the daemon is older than this client: compare `osier version`".to_owned())
            }
            RpcErrorCode::Unavailable => Some("try again in a moment".to_owned()),
            _ => None,
        });
        Self {
            what: error.message,
            place: None,
            cause: None,
            help,
            mistakes: error.mistakes.into(),
            exit,
        }
    }
}
