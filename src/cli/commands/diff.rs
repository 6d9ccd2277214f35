//! `osier diff`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::super::context::Context;
use super::super::outcome::{Exit, Outcome, Trouble};
use super::super::render;
use super::validate::open_tree;
use crate::git::open_revision;
use crate::names::{AppName, CommitId};
use crate::plan::{CurrentApp, Diff, PruneLimits, plan};
use crate::rpc::procedures::{Current, CurrentReply, DiffNow, DiffRequest, Nothing};
use crate::specs::load::{RepositoryError, SpecCache, load};
use crate::specs::{Desired, NodeFacts};

/// Show what a reconcile would do, and each field that differs.
///
/// With `--repo` the specs of a repository on this machine are held against what the node runs: what a push would do.
/// Answers 0 when there is nothing to do, 1 when there is, 2 when it could not tell.
#[derive(Debug, Args)]
#[command(
    visible_alias = "plan",
    after_help = "\
Examples:
  osier diff
  osier diff --rev 41b09de         # a commit that the node has fetched
  osier diff --repo ~/specs        # before it is committed
  osier diff --repo ~/specs --rev my-branch"
)]
pub(crate) struct DiffArgs {
    /// Compare with this repository: its files as they lie there, or its revision.
    #[arg(long, value_name = "PATH")]
    repo: Option<PathBuf>,

    /// A revision of `--repo`; without that one that the node has. Default: what the node's branch points to.
    #[arg(long, value_name = "REV")]
    rev: Option<String>,
}

/// Runs it.
pub(crate) async fn run(context: &mut Context, args: &DiffArgs) -> Outcome {
    context
        .repeat(async |context| {
            let diff = match &args.repo {
                Some(repository) => {
                    let current = context.ask::<Current>(&Nothing {}).await?;
                    local(repository, args.rev.as_deref(), &current)?
                }
                None => {
                    context
                        .ask::<DiffNow>(&DiffRequest {
                            rev: args.rev.clone(),
                        })
                        .await?
                }
            };
            print(context, &diff)
        })
        .await
}

fn print(context: &mut Context, diff: &Diff) -> Outcome {
    context.screen.show_list(
        diff,
        &diff.actions,
        |look, _| render::diff::draw(look, diff),
        || diff.actions.iter().map(|action| action.app.to_string()).collect(),
    )?;
    Ok(Exit::of(diff.is_empty()))
}

/// What the node of `current` would do if it were given this repository.
fn local(repository: &Path, revision: Option<&str>, current: &CurrentReply) -> Result<Diff, Trouble> {
    let desired = read(repository, revision, current)?;
    let apps = current.apps.iter().map(|app| {
        let managed = CurrentApp {
            applied: Arc::new(app.applied.clone()),
            is_held: app.is_held,
            is_removal_refused: app.is_removal_refused,
        };
        (app.applied.spec.name.clone(), managed)
    });
    let limits = PruneLimits {
        share_max: current.prune_max,
        is_accepted: false,
    };
    let mut plan = plan(&desired, &apps.collect(), limits);
    let is_held = |app: &AppName| current.is_suspended || current.removed_by_hand.contains(app);
    plan.actions.retain(|action| !is_held(action.app()));
    Ok(Diff::of(commit(repository, revision), &plan))
}

fn read(repository: &Path, revision: Option<&str>, current: &CurrentReply) -> Result<Arc<Desired>, Trouble> {
    let unusable = |cause: String| {
        Trouble::new("cannot compare with the repository")
            .place(repository.display().to_string())
            .cause(cause)
    };
    let tree = open_tree(repository, revision)?;
    let name = current
        .node
        .parse()
        .map_err(|error| unusable(format!("{error}")))?;
    let facts = NodeFacts {
        runtimes: current.runtimes.iter().cloned().collect(),
        factories: current.factories.iter().cloned().collect(),
        health_checks: current.health_checks.iter().cloned().collect(),
        ..NodeFacts::of_this_machine(name, current.labels.clone(), current.data_dir.clone())
    };
    let names = current.apps.iter().filter(|app| !app.applied.folder.is_empty());
    let names = names
        .map(|app| (app.applied.folder.clone(), app.applied.spec.name.clone()))
        .collect();
    load(
        &*tree,
        &current.apps_dir,
        &facts,
        &mut SpecCache::with_names(names),
    )
    .map_err(|error| match error {
        RepositoryError::Settings(mistakes) => {
            let mut trouble = Trouble::new("a node would refuse this repository as a whole")
                .place(repository.display().to_string())
                .exit(Exit::No);
            trouble.mistakes = mistakes.into();
            trouble
        }
        error => unusable(error.to_string()),
    })
}

/// The commit of a revision; files as they lie there are none.
fn commit(repository: &Path, revision: Option<&str>) -> Option<CommitId> {
    open_revision(repository, revision?)
        .ok()
        .map(|(commit, _)| commit.id)
}
