//! The repository that says what runs: polled, fetched into a bare clone of our own, read from its object database.
//!
//! ```text
//! RepoUrl, GitSettings ── transport (file, ssh, git, http) ── gix ── clone (bare, private) ── CommitTree ── specs
//! ```
//! [`GitRepository`] is the way in for actors: futures in front, threads of its own behind. Everything else here blocks.
//! Invariants: nothing is checked out, no link followed, no hook, filter or credential helper run; nothing is read from
//! the machine's git configuration; each wait has a deadline; a failure never changes what was accepted.

mod clone;
mod commit;
mod entry_name;
mod error;
mod fetch;
mod folder;
mod foreign_text;
mod history;
mod keeping;
mod line_map;
mod local;
mod peek;
mod repository;
mod settings;
mod snapshot;
mod tool;
mod transport;
mod tree;
mod walk;
mod watch;

pub use clone::AcceptedNote;
pub use commit::Commit;
pub use error::GitError;
pub use fetch::Update;
pub use folder::FolderTree;
pub use local::open_revision;
pub use repository::GitRepository;
pub use settings::{Deadlines, FETCH_BYTES_MAX, GitAuth, GitSettings};
pub use tool::Tool;
pub use tree::{CommitTree, FOLDER_ENTRIES_MAX};
pub use walk::{CHANGES_WALK_MAX, Certainty, Change};
