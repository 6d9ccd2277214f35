//! Apps as processes of their own, as a node's settings want them: who their keeper is, and whose end is theirs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::{debug, info, warn};

use super::AtEnd;
use crate::actors::node_board::NodeBoard;
use crate::config::{Config, values};
use crate::runtime::DynRuntime;
use crate::runtime::keeper::link::{KeeperLink, LinkEvent, LinkOptions};
use crate::runtime::keeper::protocol::{Enforce, LogLimits};
use crate::runtime::keeper::{self, KeeperOptions, KeeperProgram};
use crate::runtime::process::{ProcessOptions, ProcessRuntime};
use crate::telemetry::{Event, EventSink};

/// How apps run as processes of their own. A host chooses who keeps them:
///
/// | constructor | the keeper is | apps |
/// |---|---|---|
/// | [`Self::installed`] | an installed `osier`, as a process | outlive the host |
/// | [`Self::this_program`] | the host's own program, started once more | outlive the host |
/// | [`Self::in_process`] | a thread of the host | end with the node |
#[derive(Debug, Clone)]
pub struct ProcessSettings {
    /// Who is started as keeper where none answers.
    pub keeper: KeeperProgram,
    /// The keeper and its apps end with this node, however it ends. Always so with a keeper in this process.
    pub ends_with_node: bool,
    /// Who runs apps that do not say; default: whoever runs the node.
    pub app_user: Option<String>,
    /// What cannot be enforced fails the app; else it is shown. Default true.
    pub is_strict: bool,
    /// The size at which an app's log is rotated. Default 10 MiB.
    pub log_bytes_max: u64,
    /// How many rotated logs are kept. Default 5.
    pub logs_kept: u32,
}

impl ProcessSettings {
    /// An installed `osier` is started as keeper, from this path.
    #[must_use]
    pub fn installed(program: impl Into<PathBuf>) -> Self {
        Self::of(KeeperProgram::Installed(program.into()))
    }

    /// The running program is started once more as keeper. Its `main` must begin with
    /// [`keeper::run_if_asked`]; a node of a program that never called it does not start.
    #[must_use]
    pub fn this_program() -> Self {
        Self::of(KeeperProgram::ThisProgram)
    }

    /// No other program: a thread of this process is the keeper, and apps end with the node. What this cannot give says
    /// [`keeper::in_process`].
    #[must_use]
    pub fn in_process() -> Self {
        Self::of(KeeperProgram::InProcess)
    }

    fn of(keeper: KeeperProgram) -> Self {
        Self {
            ends_with_node: keeper == KeeperProgram::InProcess,
            keeper,
            app_user: None,
            is_strict: true,
            log_bytes_max: 10 << 20,
            logs_kept: 5,
        }
    }

    /// The keeper and its apps end with the node, however it ends.
    #[must_use]
    pub fn ending_with_node(self) -> Self {
        Self {
            ends_with_node: true,
            ..self
        }
    }

    /// What a configuration says. The daemon's program is its own keeper.
    #[expect(clippy::unnecessary_wraps, reason = "elsewhere there are none")]
    pub(super) fn of_config(config: &Config, ends_with_node: bool) -> Option<Self> {
        Some(Self {
            ends_with_node,
            app_user: config.node.app_user.as_ref().map(ToString::to_string),
            is_strict: config.node.enforce == values::Enforce::Strict,
            log_bytes_max: config.logs.max_size.bytes(),
            logs_kept: config.logs.keep.get(),
            ..Self::this_program()
        })
    }

    /// What is wrong with these settings.
    pub(super) fn mistake(&self) -> Option<&'static str> {
        let is_asked_in_vain = self.keeper == KeeperProgram::ThisProgram && !keeper::can_be_asked();
        is_asked_in_vain.then_some(
            "this program is to be its own keeper and never called `osier::runtime::keeper::run_if_asked`: \
             call it first thing in `main`",
        )
    }

    pub(crate) fn app_user(&self) -> Option<&str> {
        self.app_user.as_deref()
    }
}

/// The runtime over the keeper of `data_dir`, and how apps that end with the node end. Needs a tokio runtime.
pub(super) fn start(
    data_dir: &Path,
    settings: &ProcessSettings,
    board: Arc<NodeBoard>,
    sink: Arc<dyn EventSink>,
) -> (Arc<dyn DynRuntime>, Option<AtEnd>) {
    let tied = settings.ends_with_node || settings.keeper == KeeperProgram::InProcess;
    let keeper = KeeperOptions {
        data_dir: data_dir.to_owned(),
        tied,
    };
    let (link, events) = KeeperLink::open(LinkOptions {
        keeper,
        program: settings.keeper.clone(),
    });
    tokio::spawn(watch(link.trouble(), board.clone(), sink));
    tokio::spawn(tell(events, board));
    let enforce = if settings.is_strict {
        Enforce::Strict
    } else {
        Enforce::BestEffort
    };
    let logs = LogLimits {
        file_bytes_max: settings.log_bytes_max,
        files_max: settings.logs_kept,
    };
    let options = ProcessOptions {
        data_dir: data_dir.to_owned(),
        app_user: settings.app_user.clone(),
        enforce,
        logs,
    };
    let ended = link.clone();
    let at_end: Option<AtEnd> = tied.then(|| Box::pin(async move { ended.finish().await }) as AtEnd);
    (Arc::new(ProcessRuntime::new(link, options)), at_end)
}

/// Shows on the board whether the keeper can be reached, and tells each change once.
async fn watch(
    mut trouble: tokio::sync::watch::Receiver<Option<String>>,
    board: Arc<NodeBoard>,
    sink: Arc<dyn EventSink>,
) {
    while trouble.changed().await.is_ok() {
        let why = trouble.borrow_and_update().clone();
        if board.set_keeper_trouble(why.clone()) {
            sink.emit(match why {
                Some(error) => Event::KeeperUnreachable {
                    code: "osier::keeper::unreachable".to_owned(),
                    error,
                },
                None => Event::KeeperRecovered,
            });
        }
    }
}

async fn tell(mut events: tokio::sync::mpsc::Receiver<LinkEvent>, board: Arc<NodeBoard>) {
    while let Some(event) = events.recv().await {
        match event {
            LinkEvent::Connected { hello, list } => info!(
                pid = hello.pid,
                running = list.running.len(),
                "the keeper answers"
            ),
            // What lasts is told by an event.
            LinkEvent::Disconnected { why } => debug!(why, "there is no connection to the keeper"),
            LinkEvent::OutputDropped { app, output } => {
                let bytes = output.dropped_bytes_count;
                // Once an app: `osier show` has the count.
                if board.set_dropped_output_bytes(app.clone(), bytes) {
                    warn!(%app, bytes, "output is dropped: too much at once");
                }
            }
        }
    }
}
