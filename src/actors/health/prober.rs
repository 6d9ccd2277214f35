//! Asks one instance once, in the way that its spec says.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::super::app::AppServices;
use crate::lifecycle::checkup::{Finding, Weight};
use crate::lifecycle::{ExitKind, Watched, needs_artefact};
use crate::probe::custom::{CustomProbe, HealthContext};
use crate::probe::{http, tcp};
use crate::runtime::{CheckCommand, CheckEnd, DynRuntime, Launch, RuntimeError};
use crate::specs::app_spec::{Health, HealthKind};
use crate::specs::desired::DesiredApp;

/// How long after its timeout a command's end may be heard of: it is killed, and the news travels.
const NEWS_WITHIN: Duration = Duration::from_secs(10);

/// How one instance is asked. Cheap to clone.
#[derive(Clone)]
pub(super) enum Prober {
    Http {
        port: u16,
        path: String,
    },
    Tcp {
        port: u16,
    },
    Custom {
        probe: CustomProbe,
        context: HealthContext,
    },
    Command(Arc<Command>),
    /// Nobody can ask, and why.
    Nobody {
        why: String,
    },
}

/// A command that is run by the instance's runtime.
pub(super) struct Command {
    runtime: Arc<dyn DynRuntime>,
    command: Vec<String>,
    app: Arc<DesiredApp>,
    launch: Launch,
    services: Arc<AppServices>,
    /// Where the app's artefact lies, once somebody looked.
    artefact: OnceLock<Option<PathBuf>>,
}

impl Prober {
    pub(super) fn new(watched: &Watched, services: &Arc<AppServices>) -> Self {
        let Some(health) = &watched.app.spec.health else {
            return Self::nobody("its spec asks for no checks");
        };
        let port = health.port.unwrap_or(Health::PORT_DEFAULT);
        match health.policy().kind {
            HealthKind::Http => Self::Http {
                port,
                path: health.path.clone().unwrap_or_else(|| "/".to_owned()),
            },
            HealthKind::Tcp => Self::Tcp { port },
            HealthKind::Notify => Self::nobody("it speaks by itself"),
            HealthKind::Custom => Self::custom(watched, services, health),
            HealthKind::Command => Self::command(watched, services, health),
        }
    }

    fn nobody(why: impl Into<String>) -> Self {
        Self::Nobody { why: why.into() }
    }

    fn custom(watched: &Watched, services: &AppServices, health: &Health) -> Self {
        let name = health.module.as_deref().unwrap_or_default();
        let Some(probe) = services.health_checks.get(name) else {
            return Self::nobody(format!("the host has registered no health function `{name}`"));
        };
        Self::Custom {
            probe,
            context: HealthContext {
                spec: Arc::clone(&watched.app.spec),
                instance: watched.instance.clone(),
                node: services.node.clone(),
            },
        }
    }

    fn command(watched: &Watched, services: &Arc<AppServices>, health: &Health) -> Self {
        let Some(runtime) = services.runtimes.get(&watched.runtime) else {
            return Self::nobody(format!("this node has no runtime `{}`", watched.runtime));
        };
        Self::Command(Arc::new(Command {
            runtime: Arc::clone(runtime),
            command: health.command.clone(),
            app: Arc::clone(&watched.app),
            launch: Launch {
                spec: Arc::clone(&watched.app.spec),
                instance: watched.instance.clone(),
                digest: watched.app.digest.clone(),
                artefact: None,
                node: services.node.clone(),
            },
            services: Arc::clone(services),
            artefact: OnceLock::new(),
        }))
    }

    /// Asks, and gives up after `timeout`.
    pub(super) async fn ask(&self, timeout: Duration) -> Finding {
        let asked = async {
            match self {
                Self::Http { port, path } => found(http::ask(*port, path).await),
                Self::Tcp { port } => found(tcp::ask(*port).await),
                Self::Custom { probe, context } => found(probe.ask(context.clone()).await),
                Self::Command(command) => command.ask(timeout).await,
                Self::Nobody { why } => Finding::weighing(Weight::Nothing, why.clone()),
            }
        };
        let patience = match self {
            Self::Command(_) => timeout.saturating_add(NEWS_WITHIN),
            Self::Http { .. } | Self::Tcp { .. } | Self::Custom { .. } | Self::Nobody { .. } => timeout,
        };
        match tokio::time::timeout(patience, asked).await {
            Ok(finding) => finding,
            Err(_) => self.hangs(timeout),
        }
    }

    fn hangs(&self, timeout: Duration) -> Finding {
        let whose = match self {
            Self::Http { port, path } => http::url(*port, path),
            Self::Tcp { port } => format!("127.0.0.1:{port}"),
            Self::Custom { .. } => "the host's function".to_owned(),
            Self::Command(_) | Self::Nobody { .. } => {
                return Finding::weighing(Weight::Nothing, "the command's end was not heard of");
            }
        };
        Finding::weighing(Weight::Hung, format!("no answer from {whose} within {timeout:?}"))
    }
}

fn found(asked: Result<(), String>) -> Finding {
    match asked {
        Ok(()) => Finding::Well,
        Err(reason) => Finding::ill(reason),
    }
}

/// For checks by notify, while the app has not said that it is ready.
pub(super) fn has_not_said_ready() -> Finding {
    Finding::ill("it has not said READY=1")
}

impl Command {
    async fn ask(&self, timeout: Duration) -> Finding {
        let artefact = match self.artefact().await {
            Ok(artefact) => artefact,
            Err(why) => return Finding::weighing(Weight::Nothing, why),
        };
        let check = CheckCommand {
            launch: Launch {
                artefact,
                ..self.launch.clone()
            },
            command: self.command.clone(),
            timeout,
        };
        match self.runtime.check(check).await {
            Ok(end) => judge(&end, self.name(), timeout),
            // The app's own end is told by others.
            Err(error @ (RuntimeError::Unavailable { .. } | RuntimeError::Exhausted { .. })) => {
                Finding::weighing(Weight::Nothing, error.to_string())
            }
            Err(error) => Finding::ill(error.to_string()),
        }
    }

    fn name(&self) -> &str {
        self.command.first().map_or("", String::as_str)
    }

    /// The folder of the artefact that the instance runs from: it is there already.
    async fn artefact(&self) -> Result<Option<PathBuf>, String> {
        if let Some(known) = self.artefact.get() {
            return Ok(known.clone());
        }
        let found = if needs_artefact(&self.app.spec) {
            let fetched = self.services.artefacts.fetch(Arc::clone(&self.app)).await;
            Some(fetched.map_err(|error| error.message)?)
        } else {
            None
        };
        Ok(self.artefact.get_or_init(|| found).clone())
    }
}

fn judge(end: &CheckEnd, name: &str, timeout: Duration) -> Finding {
    let said = crate::probe::readable(&end.output);
    let said = if said.is_empty() {
        said
    } else {
        format!(": {said}")
    };
    match &end.how {
        Some(ExitKind::Code(0)) => Finding::Well,
        Some(ExitKind::Code(code)) => Finding::ill(format!("{name}: exit {code}{said}")),
        Some(ExitKind::Signal(signal)) => Finding::ill(format!("{name}: signal {signal}{said}")),
        Some(ExitKind::Finished | ExitKind::Crashed(_) | ExitKind::Unknown) => {
            Finding::weighing(Weight::Nothing, format!("{name}: nobody knows how it ended"))
        }
        None => Finding::weighing(
            Weight::Hung,
            format!("{name} was not done within {timeout:?}{said}"),
        ),
    }
}
