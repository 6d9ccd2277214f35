//! All integration tests in one binary: one link instead of one for each area.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test that cannot go on fails; the helpers of tests are tests too"
)]

mod floors;
mod git_file;
#[path = "../support/git_source.rs"]
mod git_source;
#[path = "../support/memory_tree.rs"]
mod memory_tree;
mod project;
mod specs_load;
