//! Where there is no keeper: on other systems than Linux, and without the feature `process`.

use std::path::Path;
use std::sync::Arc;

use super::AtEnd;
use crate::actors::node_board::NodeBoard;
use crate::config::Config;
use crate::runtime::DynRuntime;
use crate::telemetry::EventSink;

/// There are none here: apps run as processes of their own on Linux only, with the feature `process`.
#[derive(Debug, Clone)]
pub enum ProcessSettings {}

impl ProcessSettings {
    pub(super) fn of_config(_: &Config, _: bool) -> Option<Self> {
        None
    }

    pub(super) fn mistake(&self) -> Option<&'static str> {
        match *self {}
    }

    pub(crate) fn app_user(&self) -> Option<&str> {
        match *self {}
    }
}

pub(super) fn start(
    _: &Path,
    settings: &ProcessSettings,
    _: Arc<NodeBoard>,
    _: Arc<dyn EventSink>,
) -> (Arc<dyn DynRuntime>, Option<AtEnd>) {
    match *settings {}
}
