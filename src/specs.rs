//! App specs: every format into one [`AppSpec`], validated, placed and digested. Pure.
//!
//! The way through the rooms: bytes -> a spanned value tree (`format`, one reader each) -> defaults and overrides merged
//! (`layers`) -> `${…}` expanded and [`AppSpec`] decoded with every mistake (`decode`) -> checks across specs (`load`)
//! -> [`Desired`].

pub mod app_file;
pub mod app_spec;
pub mod decode;
pub mod desired;
pub mod expand;
pub mod facts;
pub mod format;
pub mod import;
pub mod layers;
pub mod load;
pub mod merge;
pub mod mistake;
pub mod node;
pub mod render;
pub mod scaffold;
pub mod schema;
pub mod source;
pub mod support;
pub mod tree;
pub mod values;

pub use app_file::{AppFile, read_app};
pub use app_spec::AppSpec;
pub use desired::{Desired, DesiredApp, SpecError};
pub use facts::{Capabilities, NodeFacts};
pub use load::{RepositoryError, SpecCache, load};
