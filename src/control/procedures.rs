//! What each procedure does. Looking reads the boards and never waits for an actor; changing sends a message.

pub(crate) mod doctor;
pub(crate) mod history;
pub(crate) mod logs;
pub(crate) mod manual;
pub(crate) mod origin;
pub(crate) mod reconcile;
pub(crate) mod removed;
pub(crate) mod show;
pub(crate) mod stopping;
pub(crate) mod streams;
pub(crate) mod tree;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use ractor::{Message, RpcReplyPort};

use crate::actors::apps::Apps;
use crate::actors::board::Board;
use crate::actors::directory::Directory;
use crate::actors::mailbox::Mailbox;
use crate::actors::node_board::NodeBoard;
use crate::actors::reconciler::ReconcilerMsg;
use crate::actors::repo_watcher::{SharedClone, WatcherMsg};
use crate::actors::telemetry_router::Telemetry;
use crate::names::AppName;
use crate::node::NodeSettings;
use crate::node::configuration::Configuration;
use crate::rpc::procedures::{ConfigReply, CurrentReply, ManagedApp};
use crate::rpc::{RpcError, RpcErrorCode};
use crate::source::release::Releases;
use crate::specs::NodeFacts;
use crate::status::headline::{Headline, Surroundings, headline};
use crate::status::unfollowed::Unfollowed;
use crate::status::{AppState, KeeperTrouble, MeshStatus, NodeStatus};
use crate::store::{DataDir, Store};
use crate::supervisor::SupervisorRef;
use crate::telemetry::EventSink;

/// What procedures work with.
pub(crate) struct NodeContext {
    pub settings: NodeSettings,
    pub facts: Arc<NodeFacts>,
    pub started: Instant,
    pub board: Arc<Board>,
    pub node_board: Arc<NodeBoard>,
    pub apps: Apps,
    pub directory: Arc<Directory>,
    pub clone: SharedClone,
    pub releases: Releases,
    pub events: Arc<dyn EventSink>,
    pub store: Store,
    pub telemetry: Telemetry,
    /// Who changed which app last, as far as somebody asked.
    pub origins: origin::Origins,
    /// Locked as long as the node lives, whoever still holds this.
    pub data_dir: Mutex<Option<DataDir>>,
    /// The configuration in force, for `config show`.
    pub configuration: Configuration,
    /// The root of the supervision tree, once it has started.
    pub root: OnceLock<SupervisorRef>,
}

impl NodeContext {
    /// The node's headline.
    pub fn status(&self) -> NodeStatus {
        let source = self.node_board.source();
        let specs = self.node_board.specs();
        let found = self.headline();
        NodeStatus {
            node: self.settings.name.to_string(),
            peer_id: None,
            status: found.status,
            reason: found.reason,
            unfollowed: self.unfollowed(),
            blocked: source.blocked.or(specs.blocked),
            last_commit: specs.accepted.map(|facts| facts.id),
            branch: self.settings.repo.branch.to_string(),
            repo_url: self.settings.repo.url.to_string(),
            app_count: found.app_count,
            healthy_count: found.healthy_count,
            failed_count: found.failed_count,
            pending_count: found.pending_count,
            last_reconcile: self.node_board.last_reconcile(),
            mesh: MeshStatus {
                state: "off".to_owned(),
                peers: 0,
            },
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: self.started.elapsed().as_secs(),
        }
    }

    /// Asks the reconciler; the answer takes as long as what is asked for.
    ///
    /// # Errors
    /// When it is being restarted, or the node stops.
    async fn ask_reconciler<T: Send + 'static>(
        &self,
        question: impl FnOnce(RpcReplyPort<T>) -> ReconcilerMsg,
    ) -> Result<T, RpcError> {
        ask("reconciler", self.directory.reconciler.get(), question).await
    }

    /// As [`NodeContext::ask_reconciler`], of the repository's watcher.
    async fn ask_repo_watcher<T: Send + 'static>(
        &self,
        question: impl FnOnce(RpcReplyPort<T>) -> WatcherMsg,
    ) -> Result<T, RpcError> {
        ask("repo watcher", self.directory.repo_watcher.get(), question).await
    }

    /// Closes the state files and lets go of the data directory: another node may have it now, although callers of this one
    /// (a stream of events, a clone of its handle) may still be there.
    pub async fn release(&self) {
        let store = self.store.clone();
        if tokio::task::spawn_blocking(move || store.close()).await.is_ok() {
            drop(
                self.data_dir
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take(),
            );
        }
    }

    /// The root of the supervision tree.
    pub fn root(&self) -> Option<SupervisorRef> {
        self.root.get().cloned()
    }

    /// What git asks for beyond the accepted commit, or may.
    pub fn unfollowed(&self) -> Option<Unfollowed> {
        let source = self.node_board.source();
        let blocked = source.blocked.as_ref().map(Unfollowed::blocked);
        blocked.or_else(|| self.unusable())
    }

    /// A repository or a newer commit that cannot be used.
    fn unusable(&self) -> Option<Unfollowed> {
        let source = self.node_board.source();
        let unreachable = source.error.as_deref().map(Unfollowed::unreachable);
        let refused = || self.node_board.specs().refused;
        let unreadable = || refused().map(|refused| Unfollowed::unreadable(&refused.facts, &refused.why));
        unreachable.or_else(unreadable)
    }

    /// The headline alone.
    pub fn headline(&self) -> Headline {
        let source = self.node_board.source();
        let specs = self.node_board.specs();
        let store_error = self.node_board.store_error();
        let missing = removed::missing(self);
        let keeper = self.node_board.keeper_trouble();
        let keeper_error = keeper.as_ref().map(KeeperTrouble::sentence);
        let stray = specs.desired.as_ref().and_then(|desired| {
            desired
                .mistakes
                .iter()
                .find(|mistake| mistake.app.is_none())
                .map(ToString::to_string)
        });
        let unfollowed = self.unusable();
        let surroundings = Surroundings {
            has_specs: specs.accepted.is_some(),
            has_reconciled: self.node_board.last_reconcile().is_some(),
            unfollowed: unfollowed.as_ref(),
            blocked: source.blocked.as_ref().or(specs.blocked.as_ref()),
            stray_mistake: stray.as_deref(),
            is_suspended: self.node_board.is_suspended(),
            store_error: store_error.as_deref(),
            keeper_error: keeper_error.as_deref(),
        };
        match keeper {
            None => {
                let here = self.board.states();
                headline(here.iter().map(AsRef::as_ref).chain(&missing), surroundings)
            }
            Some(_) => headline(self.state().values(), surroundings),
        }
    }

    /// All apps, as far as it is known how they are, and those that git asks for and an operator removed.
    pub fn state(&self) -> BTreeMap<AppName, AppState> {
        let keeper = self.node_board.keeper_trouble();
        let shown = |state: &AppState| {
            let shown = match &keeper {
                None => state.clone(),
                Some(trouble) => trouble.shade(state),
            };
            self.with_progress(shown)
        };
        let here = self.board.all().into_values().map(|state| shown(&state));
        let all = here.chain(removed::missing(self));
        all.map(|state| (state.name.clone(), state)).collect()
    }

    /// With how far its artefact has come: that is on no board, as it changes all the time.
    pub fn with_progress(&self, state: AppState) -> AppState {
        let progress = self.releases.progress(&state.name);
        AppState { progress, ..state }
    }

    /// What a caller needs to plan by itself.
    pub fn current(&self) -> CurrentReply {
        // What ends with the next reconcile holds nothing against what a push would do.
        let held = self.node_board.held();
        let removed = held.removed.keys().filter(|name| held.outlasts_reconcile(name));
        let managed = |name: &AppName| {
            let applied = self.board.posted(name)?.record.applied.as_deref().cloned()?;
            Some(ManagedApp {
                applied,
                is_held: held.outlasts_reconcile(name),
                is_removal_refused: held.refused_prune.contains(name),
            })
        };
        CurrentReply {
            node: self.settings.name.to_string(),
            labels: self.facts.labels.clone(),
            data_dir: self.facts.data_dir.clone(),
            apps_dir: self.settings.apps_dir.clone(),
            runtimes: self.facts.runtimes.iter().cloned().collect(),
            factories: self.facts.factories.iter().cloned().collect(),
            health_checks: self.facts.health_checks.iter().cloned().collect(),
            prune_max: self.settings.prune_share_max,
            is_suspended: held.node.is_some(),
            removed_by_hand: removed.cloned().collect(),
            apps: self.board.all().keys().filter_map(managed).collect(),
        }
    }

    /// The configuration in force, and what a start would find.
    ///
    /// # Errors
    /// When reading it crashed.
    pub async fn configuration(&self) -> Result<ConfigReply, RpcError> {
        let configuration = self.configuration.clone();
        let read = tokio::task::spawn_blocking(move || configuration.reply()).await;
        read.map_err(|_| RpcError::new(RpcErrorCode::Failed, "the configuration cannot be read"))
    }

    /// The app that `text` names.
    ///
    /// # Errors
    /// When there is none: with the nearest name as help.
    pub fn app(&self, text: &str) -> Result<AppName, RpcError> {
        let known = self.board.all();
        if let Some((name, _)) = known.get_key_value(text) {
            return Ok(name.clone());
        }
        if let Some((name, _)) = self.node_board.held().removed.get_key_value(text) {
            return Ok(name.clone());
        }
        if let Some(app) = show::elsewhere(self, text) {
            let (why, help) = show::not_placed_here(self, &app);
            return Err(RpcError::new(RpcErrorCode::NotFound, why).help(help));
        }
        let node = &self.settings.name;
        let error = RpcError::new(
            RpcErrorCode::NotFound,
            format!("no app `{}` on {node}", crate::names::shown(text)),
        );
        let near = known
            .keys()
            .map(|name| (strsim::jaro_winkler(name.as_str(), text), name));
        let nearest = near
            .filter(|(likeness, _)| *likeness > 0.8)
            .max_by(|a, b| a.0.total_cmp(&b.0));
        Err(match nearest {
            Some((_, name)) => error.help(format!("did you mean `{name}`?")),
            None => error.help("`osier apps` lists them"),
        })
    }
}

async fn ask<M: Message, T: Send + 'static>(
    role: &str,
    actor: Option<Mailbox<M>>,
    question: impl FnOnce(RpcReplyPort<T>) -> M,
) -> Result<T, RpcError> {
    let actor = actor.ok_or_else(|| unavailable(role))?;
    actor.ask(question).await.ok_or_else(|| unavailable(role))
}

/// An actor did not answer: it is being restarted, or the node stops.
pub(crate) fn unavailable(role: &str) -> RpcError {
    RpcError::new(
        RpcErrorCode::Unavailable,
        format!("the {role} does not answer; it may be restarting"),
    )
    .help("try again in a moment")
}
