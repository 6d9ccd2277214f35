//! App specs: every format into one [`AppSpec`], validated, placed and digested. Pure.
//!
//! The way through the rooms: bytes -> a spanned value tree (one reader a format) -> defaults and overrides merged ->
//! `${…}` expanded -> [`AppSpec`] decoded with every mistake -> checks across specs -> [`Desired`].

pub mod app_spec;
pub mod desired;
pub mod tree;
pub mod values;

pub use app_spec::AppSpec;
pub use desired::{Desired, DesiredApp, SpecError};
