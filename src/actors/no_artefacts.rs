//! For tests of apps that need no artefact.

use std::sync::Arc;

use crate::source::{ArtefactError, Artefacts, FetchFuture};
use crate::specs::DesiredApp;

/// There are none.
pub(super) struct NoArtefacts;

impl Artefacts for NoArtefacts {
    fn fetch(&self, app: Arc<DesiredApp>) -> FetchFuture {
        let message = format!("{} has none", app.spec.name);
        Box::pin(async {
            Err(ArtefactError {
                code: "test".to_owned(),
                message,
            })
        })
    }
}
