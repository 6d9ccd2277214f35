//! The forms in which values of the floors below are kept.

use super::record::Record;
use crate::lifecycle::record::AppRecord;
use crate::telemetry::EventRecord;

impl Record for AppRecord {
    const VERSION: u8 = 1;
}

impl Record for EventRecord {
    const VERSION: u8 = 1;
}
