//! The log of a daemon. A host that embeds a node has a log of its own: nothing here is done unless the binary asks.

use std::io::IsTerminal;
use std::panic;

use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Registry, fmt, reload};

use crate::config::values::{LogFilter, LogFormat};

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter is none.
    #[error("the log level cannot be used: {0}")]
    Filter(#[from] ParseError),
    /// Somebody has set up a log in this process already.
    #[error("this process has a log already: {0}")]
    Taken(#[from] TryInitError),
}

/// Changes what is logged.
#[derive(Debug, Clone)]
pub struct LogControl(reload::Handle<Targets, Registry>);

impl LogControl {
    /// From now on, what `filter` says.
    ///
    /// # Errors
    /// When it is no filter; the old one stays.
    pub fn set(&self, filter: &LogFilter) -> Result<(), LoggingError> {
        let filter = targets(filter)?;
        // Only a subscriber that is gone refuses, and with it there is no log to change.
        let _ = self.0.reload(filter);
        Ok(())
    }
}

/// Logs to standard error from now on, and panics with it: one line each, with thread and place.
///
/// # Errors
/// When the filter is none, or when there is a log already.
pub fn install(filter: &LogFilter, format: LogFormat) -> Result<LogControl, LoggingError> {
    let (filter, control) = reload::Layer::new(targets(filter)?);
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Pretty => {
            let is_colored = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            registry
                .with(fmt::layer().with_writer(std::io::stderr).with_ansi(is_colored))
                .try_init()?;
        }
        LogFormat::Json => {
            let lines = fmt::layer()
                .json()
                .flatten_event(true)
                .with_writer(std::io::stderr);
            registry.with(lines).try_init()?;
        }
    }
    log_panics();
    Ok(LogControl(control))
}

/// The filter, without the spans of the actor library: they would mark each event with the actor that told it to the
/// router. Who names `ractor` sees them.
fn targets(filter: &LogFilter) -> Result<Targets, ParseError> {
    let words = format!("ractor=warn,{filter}");
    words.split_whitespace().collect::<String>().parse()
}

/// Actors are restarted after a panic: it is a line of the log, not sixty lines of a trace between the others.
fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let place = panic.location().map(ToString::to_string);
        tracing::error!(
            thread = thread.name(),
            place,
            reason = panic.payload_as_str(),
            "a thread panicked"
        );
    }));
}
