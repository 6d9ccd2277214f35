//! How long the specs of a repository take: read for the first time, read again with one change, and without any.
//!
//! `cargo bench --bench spec_load [-- COUNT]`. The tree is in memory, so that git is left out of it.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench, not a part of the library"
)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use osier::specs::{NodeFacts, SpecCache, load};

#[path = "../tests/support/memory_tree.rs"]
mod memory_tree;
use memory_tree::{Item, MemoryTree};

/// Rounds of which the median is told.
const ROUNDS: usize = 7;

fn spec(number: usize) -> String {
    format!(
        "# yaml-language-server: $schema=../../.osier/app.schema.json\n\
         name: app-{number}\nversion: 1.{number}.0\ndescription: One of many, number {number}\n\
         command: [\"/usr/bin/app\", \"--port\", \"${{env.PORT}}\", --name, \"${{app.name}}\"]\n\
         env:\n  PORT: {}\n  LOG: info\n  SITE: \"${{node.labels.site}}\"\n  DATA: \"${{app.data}}/db\"\n\
         depends_on: [app-{}]\nlimits: {{ memory: 512MiB, cpus: 0.5, pids: 200 }}\n\
         restart: {{ type: permanent, intensity: 5, period: 60s, backoff: {{ initial: 1s, max: 5m }} }}\n\
         stop: {{ signal: TERM, timeout: 10s }}\nplacement: {{ labels: {{ role: edge }} }}\n",
        1024 + number,
        number / 2,
    )
    .replace("depends_on: [app-0]\n", "")
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn main() {
    let labels = BTreeMap::from([
        ("site".to_owned(), "ams".to_owned()),
        ("role".to_owned(), "edge".to_owned()),
    ]);
    let facts = NodeFacts::of_this_machine("bench".parse().unwrap(), labels, "/var/lib/osier".to_owned());
    let asked: Option<usize> = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok());
    let counts = asked.map_or(vec![10, 100, 1_000, 5_000], |count| vec![count]);
    println!(
        "{:>6}  {:>12}  {:>12}  {:>12}",
        "specs", "first", "one changed", "unchanged"
    );
    for count in counts {
        let tree = (0..count)
            .fold(MemoryTree::default(), |tree, number| {
                tree.with(
                    &format!("apps/app-{number}/app.yaml"),
                    Item::File(spec(number).into_bytes()),
                )
            })
            .done();
        let changed = spec(count / 2).replace("LOG: info", "LOG: debug");
        let mut times = [Vec::new(), Vec::new(), Vec::new()];
        let mut tree = tree;
        for _ in 0..ROUNDS {
            let mut cache = SpecCache::default();
            let timed = |tree: &MemoryTree, cache: &mut SpecCache| {
                let started = Instant::now();
                let desired = load(tree, "apps", &facts, cache).unwrap();
                assert_eq!(
                    (desired.apps.len(), desired.mistakes.len()),
                    (count, 0),
                    "{:?}",
                    desired.mistakes.first()
                );
                started.elapsed()
            };
            times[0].push(timed(&tree, &mut cache));
            times[2].push(timed(&tree, &mut cache));
            let path = format!("apps/app-{}/app.yaml", count / 2);
            tree = tree.with(&path, Item::File(changed.clone().into_bytes())).done();
            times[1].push(timed(&tree, &mut cache));
            tree = tree.with(&path, Item::File(spec(count / 2).into_bytes())).done();
        }
        let [first, one, none] = times.map(median);
        println!("{count:>6}  {first:>12.2?}  {one:>12.2?}  {none:>12.2?}");
    }
}
