//! Watches the specs repository: looks at it by interval or when asked, and hands every new commit to the reconciler.
//!
//! The network is never waited for in a handler: a look is a task that reports back, one at a time. A server that hangs
//! or is gone delays nothing else; what was accepted last goes on.

mod schedule;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::task::AbortHandle;
use tracing::{debug, info, warn};

use super::mailbox::{Depth, Mailbox};
use super::node_board::NodeBoard;
use crate::clock::now_ms;
use crate::git::{AcceptedNote, Commit, GitError, GitRepository, GitSettings, Update};
use crate::names::CommitId;
use crate::specs::desired::CommitFacts;
use crate::status::{Blocked, BlockedKind};
use crate::telemetry::{Event, EventSink};

/// What the repo watcher works with.
pub(crate) struct WatcherServices {
    /// The clone: opened once, shared with the reconciler's reader.
    pub clone: SharedClone,
    /// How often to look.
    pub interval: Duration,
    /// Where the node's facts are published.
    pub board: Arc<NodeBoard>,
    /// Takes events.
    pub events: Arc<dyn EventSink>,
    /// Takes commits: those that are accepted, and those that may be.
    pub commits: Arc<dyn Fn(CommitFacts, bool) + Send + Sync>,
    /// Told when a look brought none.
    pub in_vain: Arc<dyn Fn() + Send + Sync>,
}

/// The node's clone of its specs repository, opened at first use and again after it could not be.
#[derive(Clone)]
pub(crate) struct SharedClone(Arc<Opening>);

/// Keeps what was accepted beside the clone, which may be lost.
pub(crate) trait AcceptedMemory: Send + Sync + 'static {
    /// What was accepted last.
    fn accepted(&self) -> Option<AcceptedNote>;
    /// Keeps it; returns at once.
    fn save_accepted(&self, note: &AcceptedNote);
}

struct Opening {
    settings: GitSettings,
    folder: PathBuf,
    memory: Arc<dyn AcceptedMemory>,
    opened: tokio::sync::Mutex<Option<GitRepository>>,
}

impl SharedClone {
    /// The clone in `folder`; nothing is touched yet.
    pub fn new(settings: GitSettings, folder: PathBuf, memory: Arc<dyn AcceptedMemory>) -> Self {
        Self(Arc::new(Opening {
            settings,
            folder,
            memory,
            opened: tokio::sync::Mutex::default(),
        }))
    }

    /// The opened clone.
    ///
    /// # Errors
    /// When its folder cannot be made or read; the next call tries again.
    pub async fn get(&self) -> Result<GitRepository, GitError> {
        let mut opened = self.0.opened.lock().await;
        if let Some(repository) = &*opened {
            return Ok(repository.clone());
        }
        let repository = GitRepository::open(self.0.settings.clone(), self.0.folder.clone()).await?;
        if let Some(note) = self.0.memory.accepted() {
            repository.remember(note).await?;
        }
        *opened = Some(repository.clone());
        Ok(repository)
    }

    /// Takes a commit as accepted.
    ///
    /// # Errors
    /// When there is no such commit here, or it cannot be noted.
    pub async fn accept(&self, commit: CommitId) -> Result<(), GitError> {
        let note = self.get().await?.accept(commit).await?;
        self.0.memory.save_accepted(&note);
        Ok(())
    }
}

/// What others may ask of the repo watcher.
#[derive(Debug)]
pub(crate) enum WatcherMsg {
    /// The interval has passed.
    Due,
    /// Look now; the answer comes when the look is over and its commit was handed on.
    Look {
        reply: RpcReplyPort<Result<CommitId, String>>,
    },
    /// Fetch now and answer with the branch's head, which is not handed on: somebody only wants to know.
    Peek {
        reply: RpcReplyPort<Result<CommitId, String>>,
    },
    /// The operator's word for a rewritten history.
    Accept {
        rev: String,
        reply: RpcReplyPort<Result<CommitId, String>>,
    },
    /// A look is over.
    Looked(Box<Looked>),
}

/// What a look brought.
#[derive(Debug)]
pub(crate) struct Looked {
    outcome: Result<Seen, GitError>,
    duration_ms: u64,
}

#[derive(Debug)]
struct Seen {
    facts: CommitFacts,
    previous: Option<CommitId>,
    is_fetched: bool,
}

/// The actor.
pub(crate) struct RepoWatcher(pub Depth);

/// The repo watcher's state.
pub(crate) struct Watching {
    services: Arc<WatcherServices>,
    myself: Mailbox<WatcherMsg>,
    errors: u32,
    last_error: Option<String>,
    look: Option<AbortHandle>,
    waiting: Vec<RpcReplyPort<Result<CommitId, String>>>,
    /// Who asked while a look was under way: it may have begun before what they want to see.
    next_waiting: Vec<RpcReplyPort<Result<CommitId, String>>>,
    timer: Option<AbortHandle>,
    refused: Option<CommitId>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        for task in self.look.iter().chain(&self.timer) {
            task.abort();
        }
    }
}

impl Actor for RepoWatcher {
    type Msg = WatcherMsg;
    type State = Watching;
    type Arguments = Arc<WatcherServices>;

    async fn pre_start(
        &self,
        myself: ActorRef<WatcherMsg>,
        services: Arc<WatcherServices>,
    ) -> Result<Watching, ActorProcessingErr> {
        Ok(Watching {
            services,
            myself: Mailbox::new(myself, self.0.clone()),
            errors: 0,
            last_error: None,
            look: None,
            waiting: Vec::new(),
            next_waiting: Vec::new(),
            timer: None,
            refused: None,
        })
    }

    async fn post_start(
        &self,
        _: ActorRef<WatcherMsg>,
        watching: &mut Watching,
    ) -> Result<(), ActorProcessingErr> {
        watching.begin();
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<WatcherMsg>,
        message: WatcherMsg,
        watching: &mut Watching,
    ) -> Result<(), ActorProcessingErr> {
        self.0.taken();
        match message {
            WatcherMsg::Due if watching.look.is_none() => watching.look(false),
            WatcherMsg::Due => {}
            WatcherMsg::Look { reply } if watching.look.is_some() => watching.next_waiting.push(reply),
            WatcherMsg::Look { reply } => {
                watching.waiting.push(reply);
                watching.look(false);
            }
            WatcherMsg::Peek { reply } => watching.peek(reply),
            WatcherMsg::Accept { rev, reply } => watching.accept(&rev, reply),
            WatcherMsg::Looked(looked) => watching.looked(*looked),
        }
        Ok(())
    }
}

impl Watching {
    /// The first look; what was accepted before is handed on without waiting for the network.
    fn begin(&mut self) {
        self.look(true);
    }

    fn look(&mut self, is_first: bool) {
        if let Some(timer) = self.timer.take() {
            timer.abort();
        }
        let (services, myself) = (self.services.clone(), self.myself.clone());
        let look = tokio::spawn(async move {
            let begin = Instant::now();
            let outcome = see(&services, is_first).await;
            let duration_ms = millis(begin);
            let _ = myself.cast(WatcherMsg::Looked(Box::new(Looked { outcome, duration_ms })));
        });
        self.look = Some(look.abort_handle());
    }

    fn peek(&self, reply: RpcReplyPort<Result<CommitId, String>>) {
        let services = self.services.clone();
        tokio::spawn(async move {
            let begin = Instant::now();
            let seen = see(&services, false).await;
            if let Ok(seen) = &seen {
                tell_of_fetch(&services, seen, millis(begin));
            }
            // Whoever asked may have gone.
            let _ = reply.send(seen.map(|seen| seen.facts.id).map_err(|error| error.to_string()));
        });
    }

    fn looked(&mut self, looked: Looked) {
        self.look = None;
        let answer = match looked.outcome {
            Ok(seen) => Ok(self.seen(seen, looked.duration_ms)),
            Err(error) => {
                let why = self.failed(&error);
                (self.services.in_vain)();
                Err(why)
            }
        };
        for reply in self.waiting.drain(..) {
            let _ = reply.send(answer.clone());
        }
        self.waiting.append(&mut self.next_waiting);
        if self.waiting.is_empty() {
            self.set_timer();
        } else {
            self.look(false);
        }
    }

    fn seen(&mut self, seen: Seen, duration_ms: u64) -> CommitId {
        let id = seen.facts.id.clone();
        if self.errors > 0 {
            info!(commit = %id.short(), "the repository can be used again");
        }
        (self.errors, self.last_error, self.refused) = (0, None, None);
        tell_of_fetch(&self.services, &seen, duration_ms);
        let head = Some(id.clone());
        self.services.board.set_source(|source| {
            (source.head, source.error, source.blocked) = (head, None, None);
            source.fetched_at_ms = Some(now_ms());
        });
        (self.services.commits)(seen.facts, !self.waiting.is_empty());
        id
    }

    fn failed(&mut self, error: &GitError) -> String {
        let text = error.to_string();
        if let GitError::HistoryRewritten { old, new } = error {
            return self.rewritten(old, new);
        }
        self.errors = self.errors.saturating_add(1);
        if self.last_error.as_deref() == Some(&text) {
            debug!(error = %text, attempt = self.errors, "the repository still cannot be used");
        } else {
            let code = format!("osier::git::{}", error.code());
            self.services.events.emit(Event::GitError {
                code,
                error: text.clone(),
            });
            self.last_error = Some(text.clone());
        }
        self.services
            .board
            .set_source(|source| source.error = Some(text.clone()));
        text
    }

    fn rewritten(&mut self, accepted: &CommitId, new: &CommitId) -> String {
        let blocked = Blocked {
            kind: BlockedKind::History,
            commit: new.clone(),
            apps: Vec::new(),
            accept: format!("osier reconcile --accept {}", new.short()),
        };
        let text = format!(
            "{} does not descend from the accepted {}",
            new.short(),
            accepted.short()
        );
        if self.refused.as_ref() != Some(new) {
            warn!(accepted = %accepted.short(), refused = %new.short(), "the history was rewritten; it waits for `{}`", blocked.accept);
            let (accepted, refused) = (accepted.clone(), new.clone());
            self.services
                .events
                .emit(Event::HistoryRefused { accepted, refused });
            self.refused = Some(new.clone());
        }
        (self.errors, self.last_error) = (0, None);
        self.services.board.set_source(|source| {
            (source.head, source.error, source.blocked) = (Some(new.clone()), None, Some(blocked));
            source.fetched_at_ms = Some(now_ms());
        });
        text
    }

    /// Accepts the refused commit if `rev` names it: the whole id, or at least seven digits of it.
    fn accept(&mut self, rev: &str, reply: RpcReplyPort<Result<CommitId, String>>) {
        const DIGITS_MIN: usize = 7;
        let refused = self
            .refused
            .clone()
            .filter(|id| rev.len() >= DIGITS_MIN && id.as_str().starts_with(rev));
        let Some(commit) = refused else {
            let waits = self.refused.as_ref().map_or_else(
                || "no rewritten history waits for a word".to_owned(),
                |id| format!("what waits for a word is {id}, not {}", crate::names::shown(rev)),
            );
            let _ = reply.send(Err(waits));
            return;
        };
        let (services, myself) = (self.services.clone(), self.myself.clone());
        tokio::spawn(async move {
            match services.clone.accept(commit).await {
                // The next look finds that the head is accepted, and hands it on.
                Ok(()) => drop(myself.cast(WatcherMsg::Look { reply })),
                Err(error) => drop(reply.send(Err(error.to_string()))),
            }
        });
    }

    fn set_timer(&mut self) {
        let wait = schedule::wait(self.services.interval, self.errors, fastrand::f64());
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        self.services
            .board
            .set_source(|source| source.next_at_ms = Some(now_ms().saturating_add(wait_ms)));
        self.timer = Some(self.myself.send_after(wait, || WatcherMsg::Due));
    }
}

fn tell_of_fetch(services: &WatcherServices, seen: &Seen, duration_ms: u64) {
    if seen.is_fetched {
        services.events.emit(Event::GitFetched {
            from: seen.previous.clone(),
            to: seen.facts.id.clone(),
            author: seen.facts.author.clone(),
            subject: seen.facts.subject.clone(),
            duration_ms,
        });
    }
}

fn millis(begin: Instant) -> u64 {
    u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// One look. The first one hands on what was accepted before it asks the network.
async fn see(services: &WatcherServices, is_first: bool) -> Result<Seen, GitError> {
    let clone = services.clone.get().await?;
    if is_first && let Some(accepted) = clone.accepted().await? {
        match clone.commit(accepted).await {
            Ok(commit) => (services.commits)(facts_of(commit), false),
            // It is known, but the clone with it is lost: it comes again with the fetch.
            Err(error) => {
                warn!(%error, "the accepted commit is not in the clone and has to be fetched again");
            }
        }
    }
    let update = clone.update().await?;
    let (previous, is_fetched) = match &update {
        Update::Unchanged { .. } => (None, false),
        Update::Fetched { previous, .. } => (previous.clone(), true),
    };
    let facts = facts_of(clone.commit(update.head().clone()).await?);
    Ok(Seen {
        facts,
        previous,
        is_fetched,
    })
}

/// The facts of a commit that people want to know.
pub(crate) fn facts_of(commit: Commit) -> CommitFacts {
    CommitFacts {
        id: commit.id,
        author: commit.author,
        email: commit.email,
        time: commit.at,
        subject: commit.subject,
    }
}
