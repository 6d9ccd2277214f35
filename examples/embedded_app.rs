//! Apps that are part of the host: a future and an actor, which exist while the repository says `isolation: embedded`.
//!
//!     cargo run --example embedded_app
//!
//! ```text
//! greeter 1.0.0 says hello
//! counter begins
//! greeter 1.0.0 ends
//! greeter 2.0.0 says good evening
//! ```

use osier::prelude::*;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::mpsc;

mod support;
use support::{Specs, running};

type Says = mpsc::UnboundedSender<String>;

async fn greeter(mut context: EmbeddedContext, says: Says) -> Result<(), EmbeddedError> {
    let version = context.spec.version.clone();
    let greeting = context.spec.env.get("GREETING").cloned().unwrap_or_default();
    says.send(format!("greeter {version} says {greeting}"))?;
    context.stop.wait().await;
    Ok(says.send(format!("greeter {version} ends"))?)
}

struct Counter;

impl Actor for Counter {
    type Msg = ();
    type State = u64;
    type Arguments = Says;

    async fn pre_start(&self, _: ActorRef<()>, says: Says) -> Result<u64, ActorProcessingErr> {
        says.send("counter begins".to_owned())?;
        Ok(0)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (specs, data) = (Specs::new(), tempfile::tempdir()?);
    let (says, mut heard) = mpsc::unbounded_channel();
    let greeted = says.clone();
    let apps = Factories::new()
        .future("greeter", move |context| greeter(context, greeted.clone()))
        .actor("counter", move |_| {
            let spawned = Actor::spawn(None, Counter, says.clone());
            async { spawned.await.map(|(counter, _)| counter.get_cell()) }
        });
    let node = Node::builder(Git::new(specs.url())).embedded(apps);
    let node = node
        .interval(Duration::from_millis(200))
        .data_dir(data.path())
        .start()
        .await?;

    commit_greeter(&specs, "1.0.0", "hello");
    running(&node, "greeter", "1.0.0").await;
    specs.put("apps/counter/app.yaml", "version: 0.1.0\nisolation: embedded\n");
    specs.commit("a counter");
    running(&node, "counter", "0.1.0").await;
    commit_greeter(&specs, "2.0.0", "good evening");
    for _ in 0..4 {
        println!("{}", heard.recv().await.unwrap_or_default());
    }
    node.shutdown().await;
    Ok(())
}

fn commit_greeter(specs: &Specs, version: &str, greeting: &str) {
    let env = format!("env: {{ GREETING: {greeting} }}");
    let spec = format!("version: {version}\nisolation: embedded\n{env}\n");
    specs.put("apps/greeter/app.yaml", &spec);
    specs.commit(version);
}
