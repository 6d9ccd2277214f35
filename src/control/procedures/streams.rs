//! Streams: what happened, and a nudge whenever something changed.

use std::sync::Arc;
use std::time::Duration;

use super::NodeContext;
use crate::control::server::Items;
use crate::control::wire::encode;
use crate::rpc::procedures::{EventsRequest, Nothing};
use crate::rpc::{RpcError, RpcErrorCode};

/// Watchers are woken at most so often.
const NUDGE_INTERVAL: Duration = Duration::from_millis(200);

/// Sends one item; `false`: nobody reads any more.
pub(super) async fn send<T: serde::Serialize>(items: &Items, item: &T) -> Result<bool, RpcError> {
    let body = encode(item).map_err(|error| RpcError::new(RpcErrorCode::Failed, error.to_string()))?;
    Ok(items.send(body).await)
}

/// A nudge now and whenever the node or an app may have changed.
pub(crate) async fn watch(node: &Arc<NodeContext>, items: Items) -> Result<(), RpcError> {
    let mut changes = node.node_board.changes();
    while send(&items, &Nothing {}).await? {
        tokio::time::sleep(NUDGE_INTERVAL).await;
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { break },
            () = items.closed() => break,
        }
    }
    Ok(())
}

/// What happened, oldest first; with `follow` it goes on with what happens.
pub(crate) async fn events(
    node: &Arc<NodeContext>,
    request: EventsRequest,
    items: Items,
) -> Result<(), RpcError> {
    let telemetry = node.telemetry.clone();
    // Where it begins is looked up on the disk.
    let opened = tokio::task::spawn_blocking(move || telemetry.events(&request));
    let opened = opened.await.map_err(|_| super::unavailable("event store"))?;
    let mut events = opened.map_err(|error| RpcError::new(RpcErrorCode::NotFound, error.to_string()))?;
    loop {
        let record = tokio::select! {
            record = events.next() => record,
            () = items.closed() => return Ok(()),
        };
        let Some(record) = record else { return Ok(()) };
        if !send(&items, record.as_ref()).await? {
            return Ok(());
        }
    }
}
