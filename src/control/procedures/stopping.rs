//! Stops many apps: each after those that depend on it, all others at the same time, within a bounded time.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::NodeContext;
use crate::names::AppName;
use crate::plan::stop_order;
use crate::rpc::procedures::{ActionReply, Operation};
use crate::specs::AppSpec;

/// So long dependents are waited for. Then whatever is left is stopped at once: a chain of apps that do not heed their
/// signal must not keep an operator waiting for all their graces one after the other.
const DEPENDENTS_WAIT: Duration = Duration::from_secs(30);
/// The same when the node itself ends with its apps (it is killed after 14 s).
const LAST_WAIT: Duration = Duration::from_secs(5);
/// How long the node then waits for the last of them; the keeper ends the rest.
const LAST_STOP_MAX: Duration = Duration::from_secs(8);
/// The runtime whose apps outlive the node unless they are stopped.
const PROCESS: &str = "process";

/// Stops all apps by an operator's word, and waits for each.
pub(crate) async fn all(node: &NodeContext) -> Vec<ActionReply> {
    let apps = node.board.all().into_keys().map(|app| {
        let depends_on = spec_of(node, &app)
            .map(|spec| spec.depends_on.clone())
            .unwrap_or_default();
        (app, depends_on)
    });
    let apps = apps.collect();
    dependents_first(&apps, Instant::now() + DEPENDENTS_WAIT, |app| async move {
        let error = node.apps.operate(&app, Operation::Stop).await.err();
        ActionReply {
            note: None,
            action: "stop".to_owned(),
            app,
            result: if error.is_some() { "error" } else { "ok" }.to_owned(),
            error,
        }
    })
    .await
}

/// Stops the processes of a node whose actors have ended already: nobody starts them again, and nothing is remembered of
/// it as an operator's word.
pub(crate) async fn with_the_node(node: &NodeContext) {
    // What was being started when its actor ended runs as well, and no board tells.
    let asked = node.node_board.specs().desired;
    let asked = |app: &AppName| Some(Arc::clone(&asked.as_ref()?.apps.get(app)?.spec));
    let all = node.board.all().into_keys();
    let specs: BTreeMap<AppName, Arc<AppSpec>> = all
        .filter_map(|app| Some((app.clone(), spec_of(node, &app).or_else(|| asked(&app))?)))
        .collect();
    let apps = specs
        .iter()
        .map(|(app, spec)| (app.clone(), spec.depends_on.clone()))
        .collect();
    let Some(runtime) = node.apps.runtimes().get(PROCESS) else {
        return;
    };
    let stopped = dependents_first(&apps, Instant::now() + LAST_WAIT, |app| {
        let policy = specs.get(&app).map(|spec| spec.stop.policy());
        async move {
            if let Some(policy) = policy
                && let Err(error) = runtime.remove(&app, policy).await
            {
                tracing::debug!(%app, %error, "the app is left to the keeper");
            }
        }
    });
    if timeout(LAST_STOP_MAX, stopped).await.is_err() {
        tracing::warn!("some apps take long to stop; they are left to the keeper");
    }
}

fn spec_of(node: &NodeContext, app: &AppName) -> Option<Arc<AppSpec>> {
    let applied = node.board.posted(app)?.record.applied.clone()?;
    Some(Arc::clone(&applied.spec))
}

/// Calls `stop` for each app, after it is done for all that depend on it or `patience` is over. The results in the order
/// of names.
async fn dependents_first<T, F: Future<Output = T>>(
    apps: &BTreeMap<AppName, Vec<AppName>>,
    patience: Instant,
    stop: impl Fn(AppName) -> F,
) -> Vec<T> {
    let waits_for = stop_order(apps);
    let done: BTreeMap<&AppName, watch::Sender<bool>> =
        apps.keys().map(|app| (app, watch::Sender::new(false))).collect();
    let all = apps.keys().map(|app| {
        let dependents = waits_for.get(app).into_iter().flatten();
        let dependents: Vec<_> = dependents
            .filter_map(|app| Some(done.get(app)?.subscribe()))
            .collect();
        let (is_done, stop) = (done.get(app), &stop);
        async move {
            for mut dependent in dependents {
                let _ = timeout_at(patience, dependent.wait_for(|is_done| *is_done)).await;
            }
            let result = stop(app.clone()).await;
            if let Some(is_done) = is_done {
                is_done.send_replace(true);
            }
            result
        }
    });
    futures::future::join_all(all).await
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn apps(of: &[(&str, &[&str])]) -> BTreeMap<AppName, Vec<AppName>> {
        let name = |text: &&str| text.parse::<AppName>().unwrap();
        let app = |(app, depends_on): &(&str, &[&str])| (name(app), depends_on.iter().map(name).collect());
        of.iter().map(app).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn dependents_are_stopped_first_and_strangers_at_the_same_time() {
        let apps = apps(&[
            ("db", &[]),
            ("api", &["db"]),
            ("web", &["api", "db"]),
            ("cron", &[]),
        ]);
        let log = Mutex::new(Vec::new());
        let begun = Instant::now();
        let names = dependents_first(&apps, begun + DEPENDENTS_WAIT, |app| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            log.lock()
                .unwrap()
                .push((app.to_string(), begun.elapsed().as_secs()));
            app
        })
        .await;
        assert_eq!(
            names,
            apps.keys().cloned().collect::<Vec<_>>(),
            "told in the order of names"
        );
        let mut log = log.into_inner().unwrap();
        log.sort_by_key(|(app, at)| (*at, app.clone()));
        let expected = [("cron", 1), ("web", 1), ("api", 2), ("db", 3)];
        assert_eq!(log, expected.map(|(app, at)| (app.to_owned(), at)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_app_that_hangs_delays_what_it_depends_on_for_a_bounded_time() {
        let apps = apps(&[("db", &[]), ("web", &["db"])]);
        let begun = Instant::now();
        let stopped = dependents_first(&apps, begun + DEPENDENTS_WAIT, |app| async move {
            if app.as_str() == "web" {
                tokio::time::sleep(Duration::from_secs(3600)).await;
            }
            begun.elapsed().as_secs()
        });
        assert_eq!(stopped.await, [30, 3600]);
    }

    #[tokio::test(start_paused = true)]
    async fn apps_that_depend_on_each_other_are_stopped_all_the_same() {
        let apps = apps(&[("a", &["b"]), ("b", &["a"]), ("c", &["c", "gone"])]);
        let begun = Instant::now();
        let at = dependents_first(&apps, begun + DEPENDENTS_WAIT, |_| async move {
            begun.elapsed().as_secs()
        });
        assert_eq!(at.await, [0, 0, 0], "nobody waits for a cycle");
    }
}
