//! Status calls over the control socket while a thousand apps are being deployed.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench fails by panicking"
)]

#[path = "support/rig.rs"]
#[expect(dead_code, reason = "each bench uses a part of it")]
mod rig;

use std::time::{Duration, Instant};

use osier::control::client::Client;
use osier::rpc::procedures::{Nothing, Status};
use rig::{NoProcess, Rig, quantile, reconcile};

const APPS: usize = 1_000;
const CALLS: usize = 1_000;

#[tokio::main]
async fn main() {
    let rig = Rig::with_specs(0);
    let runtime = NoProcess::default();
    let node = rig.start(runtime.clone()).await;
    reconcile(&node).await;
    let mut idle = calls(&rig, || false).await.0;

    rig.commit_specs(APPS);
    let deploying = tokio::spawn({
        let node = node.clone();
        async move { reconcile(&node).await }
    });
    let seen = runtime.clone();
    let (mut busy, during) = calls(&rig, move || seen.deployed() < APPS).await;
    let whole = deploying.await.expect("the reconcile ends");
    assert_eq!(runtime.deployed(), APPS);
    println!("| {CALLS} status calls | p50, ms | p99, ms | goal p99 |\n|---|---|---|---|");
    println!(
        "| of an idle node | {:.3} | {:.3} | |",
        quantile(&mut idle, 0.5),
        quantile(&mut idle, 0.99)
    );
    println!(
        "| while {APPS} apps are deployed ({during} calls; {:.0} ms in all) | {:.3} | {:.3} | < 5 ms |",
        whole.as_secs_f64() * 1000.0,
        quantile(&mut busy, 0.5),
        quantile(&mut busy, 0.99)
    );
    node.shutdown().await;
}

/// How long each call took, at least as long as `is_during` holds, and how many were answered meanwhile.
async fn calls(rig: &Rig, is_during: impl Fn() -> bool) -> (Vec<Duration>, usize) {
    let mut client = Client::connect(&rig.socket()).await.expect("a connection");
    let (mut took, mut during) = (Vec::with_capacity(CALLS), 0);
    while took.len() < CALLS || is_during() {
        let began = Instant::now();
        client
            .call::<Status>(&Nothing {}, Some(Duration::from_secs(5)))
            .await
            .expect("an answer");
        took.push(began.elapsed());
        during += usize::from(is_during());
    }
    (took, during)
}
