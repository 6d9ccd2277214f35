//! The control socket as an actor: bound when it starts, gone with it.

use std::path::PathBuf;
use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::task::AbortHandle;

use super::dispatch::LocalDoor;
use super::procedures::NodeContext;
use super::server;
use crate::actors::mailbox::{Depth, Mailbox};

/// What the door needs.
#[derive(Clone)]
pub(crate) struct DoorArguments {
    pub socket: PathBuf,
    pub node: Arc<NodeContext>,
}

/// The socket failed; its supervisor binds it anew.
#[derive(Debug)]
pub(crate) struct SocketFailed(std::io::Error);

/// The actor.
pub(crate) struct ControlDoor(pub Depth);

/// Ends the server with the actor, however that ends.
pub(crate) struct Serving {
    server: AbortHandle,
    socket: PathBuf,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.server.abort();
        // The next daemon would replace it anyway; a client is told at once that nobody listens.
        let _ = std::fs::remove_file(&self.socket);
    }
}

impl Actor for ControlDoor {
    type Msg = SocketFailed;
    type State = Serving;
    type Arguments = DoorArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<SocketFailed>,
        arguments: DoorArguments,
    ) -> Result<Serving, ActorProcessingErr> {
        let DoorArguments { socket, node } = arguments;
        let myself = Mailbox::new(myself, self.0.clone());
        let listener = server::bind(&socket)
            .map_err(|error| format!("cannot listen on {}: {error}", socket.display()))?;
        let server = tokio::spawn(async move {
            if let Err(error) = server::serve(listener, Arc::new(LocalDoor(node))).await {
                let _ = myself.cast(SocketFailed(error));
            }
        });
        Ok(Serving {
            server: server.abort_handle(),
            socket,
        })
    }

    async fn handle(
        &self,
        _: ActorRef<SocketFailed>,
        SocketFailed(error): SocketFailed,
        _: &mut Serving,
    ) -> Result<(), ActorProcessingErr> {
        self.0.taken();
        Err(format!("the control socket failed: {error}").into())
    }
}
