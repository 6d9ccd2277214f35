//! The log as a sink: one line for each event, at the level of its gravity, with fields that a program can search for.

use tracing::{debug, error, info, warn};

use crate::telemetry::EventRecord;
use crate::telemetry::sentence::{Gravity, gravity, sentence};

/// The target of these lines, for filters: `osier::event=warn`.
const TARGET: &str = "osier::event";

/// Fields are optional: those that an event does not have are left out of its line.
macro_rules! line {
    ($level:ident, $record:ident) => {
        $level!(
            target: TARGET,
            event = $record.name(),
            app = $record.app(),
            commit = $record.text("commit"),
            duration_ms = $record
                .measurements
                .get("duration_ms")
                .and_then(serde_json::Value::as_u64),
            code = $record.text("code"),
            id = $record.id,
            "{}",
            sentence($record)
        )
    };
}

pub(super) fn write(record: &EventRecord) {
    match gravity(record) {
        Gravity::Note => line!(debug, record),
        Gravity::Good => line!(info, record),
        Gravity::Warning => line!(warn, record),
        Gravity::Bad => line!(error, record),
    }
}
