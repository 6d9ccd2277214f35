//! Your own way to run an app: here each app is a thread of the host, for specs that say `isolation: thread`.
//!
//!     cargo run --example custom_runtime
//!
//! ```text
//! counter 1.0.0 runs by `thread`
//! counter 2.0.0 runs by `thread`
//! ```

use std::collections::BTreeMap;
use std::sync::mpsc;

use dashmap::DashMap;
use osier::prelude::*;
use tokio::sync::watch;

mod support;
use support::{Specs, running};

#[derive(Default)]
struct Threads(DashMap<AppName, Thread>);
/// What it runs; dropped to end it; whether it has ended.
struct Thread(Launch, mpsc::Sender<()>, watch::Receiver<bool>);

impl Thread {
    fn instance(&self) -> Instance {
        let mut ended = self.2.clone();
        Instance::of(&self.0, async move {
            let _ = ended.wait_for(|has_ended| *has_ended).await;
            Exit::now(ExitKind::Finished)
        })
    }
}

impl Runtime for Threads {
    async fn deploy(&self, launch: Launch) -> Result<Instance, RuntimeError> {
        let (wanted, unwanted) = mpsc::channel::<()>();
        let (end, ended) = watch::channel(false);
        std::thread::spawn(move || end.send_replace(unwanted.recv().is_err()));
        let thread = Thread(launch, wanted, ended);
        let instance = thread.instance();
        self.0.insert(instance.app.clone(), thread);
        Ok(instance)
    }

    async fn remove(&self, app: &AppName, _: StopPolicy) -> Result<(), RuntimeError> {
        if let Some((_, Thread(_, wanted, mut ended))) = self.0.remove(app) {
            drop(wanted);
            let _ = ended.wait_for(|has_ended| *has_ended).await;
        }
        Ok(())
    }

    async fn current_state(&self) -> Result<BTreeMap<AppName, Instance>, RuntimeError> {
        let threads = self.0.iter();
        Ok(threads.map(|at| (at.key().clone(), at.instance())).collect())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (specs, data) = (Specs::new(), tempfile::tempdir()?);
    let node = Node::builder(Git::new(specs.url()))
        .data_dir(data.path())
        .interval(Duration::from_millis(200))
        .runtime_named("thread", Threads::default())
        .start()
        .await?;
    for version in ["1.0.0", "2.0.0"] {
        let spec = format!("version: {version}\nisolation: thread\n");
        specs.put("apps/counter/app.yaml", &spec);
        specs.commit(version);
        let counter = running(&node, "counter", version).await;
        println!("counter {version} runs by `{}`", counter.isolation);
    }
    node.shutdown().await;
    Ok(())
}
