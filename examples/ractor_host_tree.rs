//! A host that is an actor system itself, with whole nodes as children of its supervisor. Two nodes in one process share
//! nothing. The supervisor is told of a node's end, and a node ends with its supervisor.
//!
//!     cargo run --example ractor_host_tree
//!
//! ```text
//! the host has 2 children
//! ticker runs in both
//! the host hears that a child ended: shutdown
//! b still runs 1 app
//! b has ended with the host
//! ```

use osier::prelude::*;
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::mpsc;

mod support;
use support::{Specs, running};

struct Host;

impl Actor for Host {
    type Msg = ();
    type State = mpsc::UnboundedSender<String>;
    type Arguments = Self::State;

    async fn pre_start(&self, _: ActorRef<()>, told: Self::State) -> Result<Self::State, ActorProcessingErr> {
        Ok(told)
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<()>,
        event: SupervisionEvent,
        told: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorTerminated(_, _, reason) => told.send(reason.unwrap_or_default())?,
            SupervisionEvent::ActorFailed(_, error) => told.send(error.to_string())?,
            _ => {}
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (specs, data) = (Specs::new(), tempfile::tempdir()?);
    specs.put("apps/ticker/app.yaml", "version: 1.0.0\nisolation: embedded\n");
    specs.commit("a ticker");
    let (told, mut hears) = mpsc::unbounded_channel();
    let (host, _) = Actor::spawn(None, Host, told).await?;
    let start = async |name: &str| {
        let ticker = Factories::new().future("ticker", |_| std::future::pending::<std::io::Result<()>>());
        let node = Node::builder(Git::new(specs.url()))
            .name(name)
            .data_dir(data.path().join(name));
        node.embedded(ticker).spawn_under(host.get_cell()).start().await
    };
    let (a, b) = (start("a").await?, start("b").await?);
    println!("the host has {} children", host.get_children().len());
    running(&a, "ticker", "1.0.0").await;
    running(&b, "ticker", "1.0.0").await;
    println!("ticker runs in both");

    a.shutdown().await;
    let reason = hears.recv().await.unwrap_or_default();
    println!("the host hears that a child ended: {reason}");
    println!("b still runs {} app", b.apps().len());
    host.stop(None);
    b.ended().await;
    println!("b has ended with the host");
    Ok(())
}
