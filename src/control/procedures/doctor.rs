//! `doctor`: what of the machine is there and what is missing, as the daemon sees it.

use std::time::Duration;

use tokio::time::timeout;

use super::NodeContext;
use crate::git::Tool;
use crate::rpc::procedures::{Check, CheckState};
use crate::runtime::{Ability, accounts};

/// How long a runtime is waited for.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// Everything that the daemon can tell about its surroundings.
pub(crate) async fn checks(node: &NodeContext) -> Vec<Check> {
    let mut checks = vec![unwinding(), user(node), data_dir(node), repository(node)];
    let configuration = node.configuration.clone();
    let now = tokio::task::spawn_blocking(move || configuration.now());
    checks.extend(now.await.ok().flatten());
    checks.extend(program(node));
    for (name, runtime) in node.apps.runtimes() {
        checks.extend(match timeout(ANSWER_MAX, runtime.abilities()).await {
            Ok(abilities) => abilities.into_iter().map(ability).collect(),
            Err(_) => vec![Check::new(
                name,
                CheckState::Bad,
                "the runtime does not answer",
                Some("see the daemon's log"),
            )],
        });
    }
    checks
}

/// Something that a runtime can do here, or cannot.
fn ability(ability: Ability) -> Check {
    let Ability { name, how, gap, fix } = ability;
    let (state, found) = match gap {
        None => (CheckState::Good, how),
        Some(gap) => (CheckState::Warning, format!("{how}: {gap}")),
    };
    Check::new(&name, state, found, fix.as_deref())
}

/// Supervision catches panics; a host that aborts on them has none.
fn unwinding() -> Check {
    if cfg!(panic = "unwind") {
        return Check::new(
            "panics",
            CheckState::Good,
            "unwind: a crash of an actor stays local",
            None,
        );
    }
    let fix = "build the host with `panic = \"unwind\"` in every profile";
    Check::new(
        "panics",
        CheckState::Bad,
        "abort: any crash ends the whole process",
        Some(fix),
    )
}

fn user(node: &NodeContext) -> Check {
    let is_root = rustix::process::geteuid().is_root();
    let app_user = node
        .settings
        .processes
        .as_ref()
        .and_then(|processes| processes.app_user());
    match (app_user, is_root) {
        (Some(user), _) if !accounts::is_known(user) => Check::new(
            "app user",
            CheckState::Bad,
            format!("there is no user `{user}` on this machine; apps that name no user cannot be started"),
            Some("make the account, or change `[node] app_user`"),
        ),
        (Some(user), _) => Check::new(
            "app user",
            CheckState::Good,
            format!("apps that name no user run as {user}"),
            None,
        ),
        (None, false) => Check::new(
            "app user",
            CheckState::Good,
            "apps run as the user that runs the node",
            None,
        ),
        (None, true) => {
            let fix = "set `[node] app_user`, or `sandbox.user` in each spec";
            Check::new(
                "app user",
                CheckState::Warning,
                "apps that name no user run as root",
                Some(fix),
            )
        }
    }
}

fn data_dir(node: &NodeContext) -> Check {
    match node.node_board.store_error() {
        None => Check::new(
            "state",
            CheckState::Good,
            format!("kept in {}", node.settings.data_dir.display()),
            None,
        ),
        Some(error) => Check::new(
            "state",
            CheckState::Bad,
            error,
            Some("free space or mend the folder; it recovers by itself"),
        ),
    }
}

/// The program that the repository's address needs, where the daemon looks for it.
fn program(node: &NodeContext) -> Option<Check> {
    let url = &node.settings.repo.url;
    let tool = Tool::needed_for(url)?;
    Some(match tool.find() {
        Some(place) => Check::new(tool.name, CheckState::Good, place.display().to_string(), None),
        None => {
            let found = format!("not on the daemon's PATH; {url} needs it");
            Check::new(tool.name, CheckState::Bad, found, Some(&tool.remedy()))
        }
    })
}

fn repository(node: &NodeContext) -> Check {
    let source = node.node_board.source();
    match (source.error, source.fetched_at_ms) {
        (Some(error), _) => Check::new(
            "repository",
            CheckState::Bad,
            error,
            Some("`osier status` says what runs meanwhile"),
        ),
        (None, Some(_)) => Check::new(
            "repository",
            CheckState::Good,
            format!("{} answers", node.settings.repo.url),
            None,
        ),
        (None, None) => Check::new("repository", CheckState::Warning, "not looked at yet", None),
    }
}
