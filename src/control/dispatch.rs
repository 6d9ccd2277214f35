//! From a wire name to the procedure that carries it out, with the decision who may and the audit of who did.

use std::future::Future;
use std::sync::Arc;

use futures::future::BoxFuture;

use super::audit::Audit;
use super::procedures::{self as carry_out, NodeContext};
use super::server::{Caller, Door, Items};
use super::wire::{decode, encode};
use crate::rpc::procedures as p;
use crate::rpc::{Procedure, RpcError, RpcErrorCode};

/// The node's own door: every procedure, for whoever may open the control socket.
pub(crate) struct LocalDoor(pub Arc<NodeContext>);

impl Door for LocalDoor {
    fn call(
        &self,
        caller: Caller,
        procedure: String,
        body: Vec<u8>,
        items: Items,
    ) -> BoxFuture<'static, Result<Vec<u8>, RpcError>> {
        let node = self.0.clone();
        Box::pin(async move { dispatch(node, &caller, &procedure, &body, items).await })
    }
}

async fn dispatch(
    node: Arc<NodeContext>,
    caller: &Caller,
    procedure: &str,
    body: &[u8],
    items: Items,
) -> Result<Vec<u8>, RpcError> {
    match procedure {
        p::Status::NAME => answer::<p::Status, _>(body, |_| async { Ok(node.status()) }).await,
        p::State::NAME => answer::<p::State, _>(body, |_| async { Ok(node.state()) }).await,
        p::Current::NAME => answer::<p::Current, _>(body, |_| async { Ok(node.current()) }).await,
        p::ShowApp::NAME => {
            answer::<p::ShowApp, _>(body, |request| carry_out::show::app(&node, request)).await
        }
        p::Why::NAME => answer::<p::Why, _>(body, |request| carry_out::show::why(&node, request)).await,
        p::DiffNow::NAME => {
            answer::<p::DiffNow, _>(body, |request| carry_out::reconcile::diff(&node, request)).await
        }
        p::Tree::NAME => answer::<p::Tree, _>(body, |_| carry_out::tree::tree(&node)).await,
        p::Doctor::NAME => {
            answer::<p::Doctor, _>(body, |_| async { Ok(carry_out::doctor::checks(&node).await) }).await
        }
        p::History::NAME => {
            answer::<p::History, _>(body, |request| carry_out::history::history(&node, request)).await
        }
        p::Config::NAME => answer::<p::Config, _>(body, |_| node.configuration()).await,
        p::Logs::NAME => {
            stream::<p::Logs, _>(body, |request| carry_out::logs::stream(&node, request, items)).await
        }
        p::Events::NAME => {
            stream::<p::Events, _>(body, |request| carry_out::streams::events(&node, request, items)).await
        }
        p::Watch::NAME => stream::<p::Watch, _>(body, |_| carry_out::streams::watch(&node, items)).await,
        _ => change(&node, caller, procedure, body).await,
    }
}

/// The procedures that change the node: each is audited, done or not.
async fn change(
    node: &Arc<NodeContext>,
    caller: &Caller,
    procedure: &str,
    body: &[u8],
) -> Result<Vec<u8>, RpcError> {
    let audit = &mut Audit::begin(node, caller, procedure);
    let result = match procedure {
        p::Reconcile::NAME => {
            audited::<p::Reconcile, _>(audit, body, |request| {
                carry_out::reconcile::reconcile(node, request)
            })
            .await
        }
        p::Deploy::NAME => {
            audited::<p::Deploy, _>(audit, body, |request| {
                carry_out::manual::deploy(node, caller.describe(), request)
            })
            .await
        }
        p::Upgrade::NAME => {
            audited::<p::Upgrade, _>(audit, body, |request| {
                carry_out::manual::upgrade(node, caller.describe(), request)
            })
            .await
        }
        p::Remove::NAME => {
            audited::<p::Remove, _>(audit, body, |request| {
                carry_out::manual::remove(node, caller.describe(), request)
            })
            .await
        }
        p::Rollback::NAME => {
            audited::<p::Rollback, _>(audit, body, |request| {
                carry_out::manual::rollback(node, caller.describe(), request)
            })
            .await
        }
        p::Operate::NAME => {
            audited::<p::Operate, _>(audit, body, |request| carry_out::manual::operate(node, request)).await
        }
        p::Suspend::NAME => {
            audited::<p::Suspend, _>(audit, body, |request| carry_out::manual::suspend(node, request)).await
        }
        p::TreeKill::NAME => {
            audited::<p::TreeKill, _>(audit, body, |request| carry_out::tree::kill(node, request)).await
        }
        unknown => {
            audit.is_nothing();
            let shown = crate::names::shown(unknown);
            return Err(RpcError::new(
                RpcErrorCode::UnknownProcedure,
                format!("this node has no procedure `{shown}`"),
            ));
        }
    };
    audit.end(result.as_ref().err()).await;
    result
}

/// As [`answer`], with the request noted before it is carried out.
async fn audited<P: Procedure, F>(
    audit: &mut Audit,
    body: &[u8],
    work: impl FnOnce(P::Request) -> F,
) -> Result<Vec<u8>, RpcError>
where
    F: Future<Output = Result<P::Reply, RpcError>>,
{
    answer::<P, F>(body, |request| {
        audit.note(&request);
        work(request)
    })
    .await
}

/// Reads the request, carries it out and writes the reply.
async fn answer<P: Procedure, F>(body: &[u8], work: impl FnOnce(P::Request) -> F) -> Result<Vec<u8>, RpcError>
where
    F: Future<Output = Result<P::Reply, RpcError>>,
{
    let request = decode(body).map_err(|error| RpcError::new(RpcErrorCode::Malformed, error.to_string()))?;
    let reply = work(request).await?;
    encode(&reply).map_err(|error| RpcError::new(RpcErrorCode::Failed, error.to_string()))
}

/// The same for a stream: it sends items and answers with nothing.
async fn stream<P: Procedure, F>(body: &[u8], work: impl FnOnce(P::Request) -> F) -> Result<Vec<u8>, RpcError>
where
    F: Future<Output = Result<(), RpcError>>,
{
    let request = decode(body).map_err(|error| RpcError::new(RpcErrorCode::Malformed, error.to_string()))?;
    work(request).await?;
    Ok(Vec::new())
}
