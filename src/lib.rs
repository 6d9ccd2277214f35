//! GitOps for nodes without Kubernetes: a node that runs exactly what git says, as an actor system.
//!
//! The way of the data is one straight path: git commit -> specs -> plan -> app actors -> runtimes -> telemetry.
//! Modules stand on floors and import only from their own floor or from one below; `docs/architecture.md` is the map.

// Floor 0: pure. No clock, no I/O.
pub mod config;
pub mod identicon;
pub mod lifecycle;
pub mod names;
pub mod plan;
pub mod repo_url;
pub mod rpc;
pub mod specs;
pub mod status;
pub mod telemetry;

// Floor 1: supervision.
pub mod supervisor;

// Floor 2: what touches the world.
pub mod clock;
pub mod git;
pub mod runtime;
pub mod source;
pub mod store;

// Floor 3: the actors.
pub mod actors;

// Floor 4: the node and its doors.
pub mod control;
pub mod node;

// Floor 5: the command line.
pub mod cli;

// For tests, ours and those of people who embed Osier.
#[cfg(any(test, feature = "testing"))]
pub mod testing;
