//! Drawing: values in, text out. Pure; what came from apps, git or peers is escaped here.

pub(crate) mod apps;
pub(crate) mod diff;
pub(crate) mod events;
pub(crate) mod findings;
pub(crate) mod history;
pub(crate) mod show;
pub(crate) mod states;
pub(crate) mod status;
pub(crate) mod tree;
