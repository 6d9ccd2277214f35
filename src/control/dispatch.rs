//! From a wire name to the procedure that carries it out, with the decision who may and the audit of who did.

use std::future::Future;
use std::sync::Arc;

use futures::future::BoxFuture;

use super::procedures::{self as carry_out, NodeContext};
use super::server::{Caller, Door, Items};
use super::wire::{decode, encode};
use crate::rpc::procedures as p;
use crate::rpc::{Procedure, RpcError, RpcErrorCode};
use crate::telemetry::Event;

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
            answer::<p::Doctor, _>(body, |_| async { Ok(carry_out::doctor::checks(&node)) }).await
        }
        p::Config::NAME => answer::<p::Config, _>(body, |_| async { Ok(node.config_values()) }).await,
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
    let mut audit = Audit {
        target: None,
        reason: None,
    };
    let result = match procedure {
        p::Reconcile::NAME => {
            answer::<p::Reconcile, _>(body, |request| {
                audit.note(
                    request.app.as_ref().map(ToString::to_string),
                    request.reason.clone(),
                );
                carry_out::reconcile::reconcile(node, request)
            })
            .await
        }
        p::Deploy::NAME => {
            answer::<p::Deploy, _>(body, |request| {
                audit.note(Some(request.file.clone()), None);
                carry_out::manual::deploy(node, request)
            })
            .await
        }
        p::Upgrade::NAME => {
            answer::<p::Upgrade, _>(body, |request| {
                audit.note(Some(request.app.clone()), None);
                carry_out::manual::upgrade(node, request)
            })
            .await
        }
        p::Remove::NAME => {
            answer::<p::Remove, _>(body, |request| {
                audit.note(Some(request.app.clone()), None);
                carry_out::manual::remove(node, request)
            })
            .await
        }
        p::Operate::NAME => {
            answer::<p::Operate, _>(body, |request| {
                audit.note(request.app.clone(), None);
                carry_out::manual::operate(node, request)
            })
            .await
        }
        p::Suspend::NAME => {
            answer::<p::Suspend, _>(body, |request| {
                audit.note(request.app.clone(), request.reason.clone());
                carry_out::manual::suspend(node, request)
            })
            .await
        }
        p::TreeKill::NAME => {
            answer::<p::TreeKill, _>(body, |request| {
                audit.note(Some(request.path.clone()), None);
                carry_out::tree::kill(node, request)
            })
            .await
        }
        unknown => {
            let shown = crate::names::shown(unknown);
            return Err(RpcError::new(
                RpcErrorCode::UnknownProcedure,
                format!("this node has no procedure `{shown}`"),
            ));
        }
    };
    node.events.emit(Event::Audit {
        actor: caller.describe(),
        procedure: procedure.to_owned(),
        target: audit.target,
        reason: audit.reason,
        result: result
            .as_ref()
            .map_or_else(|error| error.message.clone(), |_| "ok".to_owned()),
    });
    result
}

struct Audit {
    target: Option<String>,
    reason: Option<String>,
}

impl Audit {
    fn note(&mut self, target: Option<String>, reason: Option<String>) {
        (self.target, self.reason) = (target, reason);
    }
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
