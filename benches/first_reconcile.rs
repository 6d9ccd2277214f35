//! From the start of a node to 5,000 running apps, with a runtime that starts no process.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench fails by panicking"
)]

#[path = "support/rig.rs"]
#[expect(dead_code, reason = "each bench uses a part of it")]
mod rig;

use std::time::Instant;

use osier::status::RunState;
use rig::{NoProcess, Rig, median};

const SPECS: usize = 5_000;
const ROUNDS: usize = 5;

#[tokio::main]
async fn main() {
    let (mut started, mut running) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let rig = Rig::with_specs(SPECS);
        let runtime = NoProcess::default();
        let began = Instant::now();
        let node = rig.start(runtime.clone()).await;
        started.push(began.elapsed());
        while runtime.deployed() < SPECS {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        node.wait_until(|_, apps| {
            apps.values()
                .filter(|app| app.status == RunState::Running)
                .count()
                == SPECS
        })
        .await;
        running.push(began.elapsed());
        node.shutdown().await;
    }
    println!("| figure | measured | goal |\n|---|---|---|");
    println!(
        "| first reconcile of {SPECS} specs, clone and read included | {:.0} ms | < 1000 ms |",
        median(&mut running)
    );
    println!(
        "| of which until the tree of actors runs | {:.1} ms | |",
        median(&mut started)
    );
}
