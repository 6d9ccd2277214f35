//! `osier demo`: a node to look at, from nothing and back to nothing.
//!
//! [`stage`] makes a folder with a specs repository; the node runs in this very process, its control socket in the
//! folder, its keeper tied to it: however the demo ends, its apps end with it. Everything that is shown is asked over the
//! control socket, as any client would.

mod repository;
mod stage;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;

use self::stage::{Stage, quoted};
use super::super::context::Context;
use super::super::look::{Glyph, Tone};
use super::super::outcome::{Exit, Outcome, Trouble};
use super::super::reader;
use super::super::render;
use super::super::screen::Format;
use super::super::words::took;
use crate::control::client::Client;
use crate::names::AppName;
use crate::node::NodeHandle;
use crate::node::daemon::start;
use crate::rpc::procedures::{
    Events, EventsRequest, Nothing, Operate, OperateRequest, Operation, State, Watch,
};
use crate::status::{AppState, RunState};

/// All apps run long before; after this something is wrong.
const READY_TIMEOUT: Duration = Duration::from_secs(20);

/// Toys stop at once; what does not is killed by the keeper when the node has left.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Show a running node: a throw-away repository with four toy apps, no root and no network needed.
///
/// Everything lies in one folder and is removed when the demo ends, by Ctrl-C, SIGTERM or a closed terminal.
/// Its apps end with it even after kill -9; the folder is removed by the next demo then.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  osier demo
  osier demo --keep /tmp/look      # leave the folder when it ends")]
pub(crate) struct DemoArgs {
    /// How many nodes; only 1 for now.
    #[arg(long, value_name = "N", default_value_t = 1, hide_default_value = true)]
    nodes: u32,

    /// Use this folder, and leave it there in the end.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,

    /// Open no browser. (There is no console to open yet.)
    #[arg(long)]
    no_open: bool,
}

/// Runs it until it is told to end.
pub(crate) fn run(context: &mut Context, args: &DemoArgs) -> Outcome {
    if args.nodes != 1 {
        return Err(Trouble::not_yet("a demo of several nodes").help("osier demo"));
    }
    let began = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Trouble::new("cannot begin").cause(error))?;
    // Before anything is made: whoever ends the demo meanwhile must not leave it lying there.
    let end = runtime.block_on(async { End::listen() })?;
    stage::sweep();
    let stage = Stage::set(args.keep.as_deref())?;
    let outcome = runtime.block_on(play(context, &stage, end, began));
    runtime.shutdown_background();
    drop(stage);
    outcome
}

/// From start to end; whatever happens between, the node is shut down.
async fn play(context: &mut Context, stage: &Stage, mut end: End, began: Instant) -> Outcome {
    super::daemon::log_to_stderr(&stage.config)?;
    let started = start(&stage.config, true).await;
    let node = started.map_err(|error| {
        Trouble::new("the node does not start")
            .place(stage.folder().display().to_string())
            .cause(error)
    })?;
    let outcome = tokio::select! {
        outcome = show(context, stage, began) => outcome,
        reason = node.ended() => Err(Trouble::new("the node gave up").cause(reason).exit(Exit::No)),
        () = end.comes() => Ok(Exit::Yes),
        () = reader::has_left() => Ok(Exit::Yes),
    };
    context.screen.talk("\nStopping the node and its apps ...");
    tokio::select! {
        () = clear(node, stage) => {}
        () = end.comes() => {}
    }
    outcome
}

/// Stops the apps, then the node. The keeper, being tied, ends by itself.
async fn clear(node: NodeHandle, stage: &Stage) {
    let stop = async {
        let mut client = Client::connect(&stage.socket()).await?;
        let all = OperateRequest {
            operation: Operation::Stop,
            app: None,
        };
        client.call::<Operate>(&all, Some(STOP_TIMEOUT)).await
    };
    // Apps that do not stop in time are the keeper's: it kills them when the node is gone.
    let _ = timeout(STOP_TIMEOUT, stop).await;
    let _ = timeout(STOP_TIMEOUT, node.shutdown()).await;
}

async fn show(context: &mut Context, stage: &Stage, began: Instant) -> Outcome {
    let apps = match timeout(READY_TIMEOUT, all_running(stage)).await {
        Ok(apps) => apps?,
        Err(_) => {
            return Err(Trouble::new("not all apps run")
                .help(format!(
                    "look: osier status --socket {}",
                    stage.socket().display()
                ))
                .exit(Exit::No));
        }
    };
    introduce(context, stage, &apps, began.elapsed())?;
    follow(context, stage).await
}

async fn all_running(stage: &Stage) -> Result<BTreeMap<AppName, AppState>, Trouble> {
    let mut changes = Client::connect(&stage.socket())
        .await?
        .stream::<Watch>(&Nothing {})
        .await?;
    let mut client = Client::connect(&stage.socket()).await?;
    loop {
        let apps = client.call::<State>(&Nothing {}, None).await?;
        if apps.len() == repository::APPS.len() && apps.values().all(|app| app.status == RunState::Running) {
            return Ok(apps);
        }
        if changes.next().await?.is_none() {
            return Err(Trouble::new("the node left before its apps ran"));
        }
    }
}

fn introduce(
    context: &mut Context,
    stage: &Stage,
    apps: &BTreeMap<AppName, AppState>,
    elapsed: Duration,
) -> Result<(), Trouble> {
    let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    let look = context.screen.look;
    let answer = serde_json::json!({
        "socket": stage.socket(),
        "folder": stage.folder(),
        "repository": stage.repository(),
        "work": stage.work(),
        "url": format!("http://127.0.0.1:{}/", stage.port),
        "apps": apps.values().map(|app| (app.name.to_string(), app.os_pid.into())).collect::<serde_json::Map<_, _>>(),
        "ready_ms": elapsed_ms,
    });
    let done = look.paint(Tone::Good, look.glyph(Glyph::Good));
    let names: Vec<_> = apps.keys().map(AsRef::as_ref).collect();
    let pid = apps.get("clock").and_then(|app| app.os_pid).unwrap_or_default();
    context.screen.show(
        &answer,
        |_, _| {
            format!(
                "{done} a node runs in this process      {folder}\n\
                 {done} a repository says what it runs   {repository}\n\
                 {done} {count} apps run after {took}           {names}\n\n\
                 In another terminal:\n  export {path}OSIER_SOCKET={socket}\n  osier status\n\n\
                 Then try, with `osier tree -w` beside it:\n\
                 \x20 kill one              kill -9 {pid}\n\
                 \x20                       osier why clock\n\
                 \x20 commit a change       sed -i 's/GREETING: .*/GREETING: good day/' {work}/apps/web/app.yaml\n\
                 \x20                       git -C {work} commit -qam 'Greet better' && git -C {work} push -q\n\
                 \x20                       osier logs worker -f\n\
                 \x20 break a spec          sed -i 's/^version:/vresion:/' {work}/apps/clock/app.yaml\n\
                 \x20                       osier validate {work}\n\
                 \x20                       git -C {work} commit -qam 'Oops' && git -C {work} push -q\n\
                 \x20                       osier status\n\n\
                 Ctrl-C stops the node and its apps{removes}. Until then, what happens:\n\n",
                folder = stage.folder().display(),
                repository = stage.repository().display(),
                count = apps.len(),
                took = took(elapsed_ms),
                names = names.join(", "),
                path = stage.path_export(),
                socket = quoted(&stage.socket()),
                work = quoted(&stage.work()),
                removes = if stage.is_kept() { "" } else { " and removes everything" },
            )
        },
        || apps.keys().map(ToString::to_string).collect(),
    )
}

/// Prints what happens until the demo ends.
async fn follow(context: &mut Context, stage: &Stage) -> Outcome {
    let request = EventsRequest {
        since_ms: Some(context.screen.look.now_ms),
        follow: true,
        ..EventsRequest::default()
    };
    let mut events = Client::connect(&stage.socket())
        .await?
        .stream::<Events>(&request)
        .await?;
    loop {
        let Ok(Some(event)) = events.next().await else {
            // A node without events is a node all the same: stay until the end is asked for.
            return std::future::pending().await;
        };
        let mut look = context.screen.look;
        look.now_ms = event.timestamp;
        match context.screen.format {
            Format::Table | Format::Wide => context.screen.print(&render::events::line(&look, &event))?,
            Format::Jsonl => context.screen.print(&super::super::screen::line(&event)?)?,
            Format::Json | Format::Yaml | Format::Name => {}
        }
    }
}

/// The three ways in which a demo is told to end.
struct End {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl End {
    fn listen() -> Result<Self, Trouble> {
        let listen =
            |kind| signal(kind).map_err(|error| Trouble::new("cannot listen for signals").cause(error));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    async fn comes(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}
