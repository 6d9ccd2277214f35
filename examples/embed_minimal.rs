//! The least that a host needs: a node in its own process that runs, as processes, what a git repository says.
//!
//! This program is the keeper of its apps as well: it is started once more for that, so its `main` begins with one line.
//!
//!     cargo run --example embed_minimal
//!
//! It makes its own repository, and says:
//!
//! ```text
//! clock 1.0.0 runs
//! clock 2.0.0 runs
//! after the last commit 0 apps run
//! ```

use std::process::ExitCode;

use osier::prelude::*;

mod support;
use support::{Specs, running};

fn main() -> ExitCode {
    // First of all, before there is any thread: was this process started as keeper?
    if let Some(code) = osier::runtime::keeper::run_if_asked() {
        return code;
    }
    match host() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn host() -> Result<(), Box<dyn std::error::Error>> {
    let (specs, data) = (Specs::new(), tempfile::tempdir()?);
    let node = Node::builder(Git::new(specs.url()))
        .data_dir(data.path())
        .interval(Duration::from_millis(200))
        // Without `ending_with_node` apps would go on, and the next start would find them.
        .processes(ProcessSettings::this_program().ending_with_node())
        .start()
        .await?;
    for version in ["1.0.0", "2.0.0"] {
        let command = "[sh, -c, 'while date; do sleep 1; done']";
        let spec = format!("version: {version}\ncommand: {command}\n");
        specs.put("apps/clock/app.yaml", &spec);
        specs.commit(version);
        running(&node, "clock", version).await;
        println!("clock {version} runs");
    }
    specs.remove("apps/clock/app.yaml");
    specs.put("apps/README", "One folder an app.\n");
    specs.commit("no clock any more");
    node.wait_until(|_, apps| apps.is_empty()).await;
    println!("after the last commit {} apps run", node.apps().len());
    node.shutdown().await;
    Ok(())
}
