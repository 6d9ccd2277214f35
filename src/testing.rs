//! Fakes for tests: a runtime without processes, a list of events, records in memory.
//!
//! Behind the feature `testing`, because who embeds Osier needs them as well.

mod runtime;
mod sinks;

pub use self::runtime::{Answer, Call, FakeRuntime};
pub use self::sinks::{EventLog, MemoryRecords};
