//! GitOps for nodes without Kubernetes: a node that runs exactly what git says, as an actor system.
//!
//! The way of the data is one straight path: git commit -> specs -> plan -> app actors -> runtimes -> telemetry.
//! Modules stand on floors and import only from their own floor or from one below; `docs/architecture.md` is the map.
//!
//! Three uses, three doors:
//!
//! - You want a node: the binary `osier` is one (`osier daemon`, or `osier demo` to look at it), and this library is what it
//!   is made of.
//! - You have a program and want a node inside it: [`node::Node::builder`], as below.
//! - You want OTP's supervisors for your own actors: [`supervisor`].
//!
//! ```no_run
//! use osier::prelude::*;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), NodeError> {
//!     let apps = Factories::new().future("greeter", |mut context| async move {
//!         println!("{} {} runs", context.spec.name, context.spec.version);
//!         context.stop.wait().await;
//!         Ok::<(), std::io::Error>(())
//!     });
//!     let node = Node::builder(Git::new("https://example.com/specs.git").branch("main"))
//!         .interval(Duration::from_secs(30))
//!         .embedded(apps)                              // specs that say `isolation: embedded`
//!         .processes(ProcessSettings::in_process())    // all others: processes that end with this one
//!         .on_event(|event| println!("{} {:?}", event.name(), event.app()))
//!         .shutdown_on_signal()
//!         .start()
//!         .await?;
//!     let reason = node.ended().await;
//!     println!("{} ended: {reason}", node.name());
//!     Ok(())
//! }
//! ```
//!
//! A node that runs is a tree of actors, each of which may crash at any time:
//!
//! ```text
//! node (one_for_one)
//! ├── store                    durable state
//! ├── telemetry_router         events to log, store, counters, handlers of the host
//! └── core (rest_for_one)
//!     ├── apps (dynamic)       one actor an app: its target, its instance, its restarts
//!     ├── reconciler           hands each app its target
//!     └── repo_watcher         polls, fetches, reports commits
//! ```
//!
//! `docs/reference/api.md` lists what a host has to know, and `examples/` holds five whole programs.
//!
//! | feature | default | gives |
//! |---|---|---|
//! | `process` | yes | apps as processes of their own, the keeper, cgroups; on Linux only, elsewhere it changes nothing |
//! | `testing` | no | fakes for your own tests: a runtime that answers by script, sinks that remember |

// Floor 0: pure. No clock, no I/O.
pub mod config;
pub mod identicon;
pub mod lifecycle;
pub mod messagepack;
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
pub mod probe;
pub mod runtime;
pub mod source;
pub mod store;
mod web;

// Floor 3: the actors.
pub mod actors;

// Floor 4: the node and its doors.
pub mod control;
pub mod node;
pub mod prelude;

pub use node::Node;

// Floor 5: the command line.
pub mod cli;

// For tests, ours and those of people who embed Osier.
#[cfg(any(test, feature = "testing"))]
pub mod testing;

// The code in these pages compiles, or the check fails.
#[cfg(doctest)]
#[doc = include_str!("../docs/reference/api.md")]
struct ApiReference;
#[cfg(doctest)]
#[doc = include_str!("../docs/how-to/embed-a-node.md")]
struct EmbedANode;
