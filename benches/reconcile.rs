//! A reconcile that finds nothing to do, by the number of specs, beside the fetch alone, `git ls-remote` and the original.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench fails by panicking"
)]

#[path = "support/rig.rs"]
#[expect(dead_code, reason = "each bench uses a part of it")]
mod rig;

use osier::git::{GitRepository, GitSettings};
use rig::{NoProcess, Rig, ls_remote, median, reconcile};

/// Specs, and milliseconds that bc_gitops took for the same (its median on the machine of the other figures).
const SIZES: [(usize, u32); 4] = [(10, 60), (100, 164), (1_000, 1_471), (5_000, 13_575)];
const ROUNDS: usize = 30;
/// What a reconcile may cost beside the fetch.
const OVERHEAD_MS_MAX: f64 = 5.0;

#[tokio::main]
async fn main() {
    println!(
        "| specs | reconcile without change, ms | fetch alone, ms | overhead, ms (goal: {OVERHEAD_MS_MAX}) | git ls-remote, ms | bc_gitops, ms |"
    );
    println!("|---|---|---|---|---|---|");
    for (size, original_ms) in SIZES {
        let rig = Rig::with_specs(size);
        let node = rig.start(NoProcess::default()).await;
        node.wait_until(|status, apps| apps.len() == size && status.last_commit.is_some())
            .await;
        reconcile(&node).await;

        let url = format!("file://{}", rig.specs().display())
            .parse()
            .expect("a URL");
        let settings = GitSettings::new(url, "main".parse().expect("a branch"));
        let alone = GitRepository::open(settings, rig.path("alone"))
            .await
            .expect("a clone");
        alone.update().await.expect("a first fetch");

        let (mut whole, mut fetch, mut peer) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            whole.push(reconcile(&node).await);
            let began = std::time::Instant::now();
            alone.update().await.expect("a fetch");
            fetch.push(began.elapsed());
            peer.push(ls_remote(&rig.specs()));
        }
        let (whole, fetch, peer) = (median(&mut whole), median(&mut fetch), median(&mut peer));
        println!(
            "| {size} | {whole:.2} | {fetch:.2} | {:.2} | {peer:.2} | {original_ms} |",
            whole - fetch
        );
        node.shutdown().await;
    }
}
