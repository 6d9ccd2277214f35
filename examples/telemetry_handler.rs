//! What happens on a node, told to its host: by a handler, and as a stream. Neither can delay or hurt the node: the second
//! handler here panics at every event.
//!
//! The app is a process that a thread of this program keeps, so it ends with the program.
//!
//!     cargo run --example telemetry_handler
//!
//! ```text
//! handler: deploy.start ()
//! handler: deploy.stop (ok)
//! stream: worker is restarted after exit 3
//! the node is synced
//! ```

use std::sync::mpsc;

use futures::StreamExt as _;
use osier::prelude::*;

mod support;
use support::Specs;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    std::panic::set_hook(Box::new(|_| {})); // the panics below are meant
    let (specs, data) = (Specs::new(), tempfile::tempdir()?);
    let (seen, events) = mpsc::channel();
    let node = Node::builder(Git::new(specs.url()))
        .data_dir(data.path())
        .interval(Duration::from_millis(200))
        .processes(ProcessSettings::in_process())
        .on_event(move |event| {
            if event.name().starts_with("deploy.") {
                let _ = seen.send(format!("{} ({})", event.name(), event.outcome()));
            }
        })
        .on_event(|event| assert!(event.name().is_empty(), "a bug of the host"))
        .start()
        .await?;
    let mut stream = node.event_stream();

    // The first run ends with 3, the next goes on.
    let command = "[sh, -c, 'test -e begun && exec sleep 1000; touch begun; exit 3']";
    let restart = "restart: { backoff: { initial: 0s, max: 0s } }";
    let spec = format!("version: 1.0.0\ncommand: {command}\n{restart}\n");
    specs.put("apps/worker/app.yaml", &spec);
    specs.commit("a worker");

    for _ in 0..2 {
        println!("handler: {}", events.recv_timeout(Duration::from_secs(30))?);
    }
    while let Some(event) = stream.next().await {
        if let ("app.restart", Some(app), Some(exit)) = (&*event.name(), event.app(), event.text("exit")) {
            println!("stream: {app} is restarted after {exit}");
            break;
        }
    }
    node.wait_until(|status, _| status.status == NodeState::Synced)
        .await;
    println!("the node is {}", node.status().status.as_str());
    node.shutdown().await;
    Ok(())
}
