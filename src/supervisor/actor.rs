//! The actor around [`Core`]: turns messages and exits into events, and commands into effects.
//!
//! It starts its children in `pre_start` (so that a start that fails fails its own start) and stops them in `post_stop` (so
//! that a plain stop of its cell is an ordered one). In between its handlers only decide; what takes time runs in tasks.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::admin::AdminError;
use ractor::{
    Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, ActorStatus, RpcReplyPort, SupervisionEvent,
};
use tokio::sync::mpsc::{self, UnboundedReceiver};

use super::brood::{Brood, Remains};
use super::decide::{Answer, Command, Core, Event, Incarnation, Request};
use super::effects::Reporter;
use super::exit::ExitReason;
use super::log::log;
use super::message::{Message, Report};
use super::observe::{Notice, Observer};
use super::snapshot;
use super::spec::ChildId;
use super::start::{ChildRef, StartError};

type SupervisorCore = Core<ChildRef, RpcReplyPort<Answer<ChildRef>>>;

pub(crate) struct SupervisorActor;

/// What a supervisor is started with.
pub(crate) struct Arguments {
    pub(crate) core: SupervisorCore,
    pub(crate) brood: Brood,
    pub(crate) observer: Option<Observer>,
    pub(crate) end: EndSlot,
}

/// Where a supervisor that ends in order leaves its reason, for whoever holds a reference to it.
pub(crate) type EndSlot = Arc<OnceLock<ExitReason>>;

pub(crate) struct Supervision {
    core: SupervisorCore,
    reporter: Reporter,
    reports: UnboundedReceiver<Report>,
    observer: Option<Observer>,
    actors: HashMap<ActorId, Incarnation>,
    /// Exits of actors whose start has not been reported yet. Only kept while starts are in flight.
    early_exits: HashMap<ActorId, ExitReason>,
    /// What is left of incarnations that ended by themselves; the next one waits for it.
    remains: HashMap<ChildId, Remains>,
    ended: Option<Ended>,
    end: EndSlot,
}

enum Ended {
    With(ExitReason),
    StartFailed(StartError),
}

impl Actor for SupervisorActor {
    type Msg = Message;
    type State = Supervision;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        arguments: Arguments,
    ) -> Result<Supervision, ActorProcessingErr> {
        let mut supervision = Supervision::new(myself.get_cell(), arguments);
        supervision.decide(Event::Begin);
        while supervision.core.is_starting() {
            supervision.next_report().await;
        }
        let Some(ended) = supervision.ended.take() else {
            return Ok(supervision);
        };
        supervision.reporter.brood.remains_gone().await;
        Err(Box::new(match ended {
            Ended::StartFailed(error) => error,
            Ended::With(reason) => StartError::failed(reason.to_string()),
        }))
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        supervision: &mut Supervision,
    ) -> Result<(), ActorProcessingErr> {
        supervision.on_message(message);
        supervision.leave_when_ended(&myself);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Message>,
        event: SupervisionEvent,
        supervision: &mut Supervision,
    ) -> Result<(), ActorProcessingErr> {
        let (actor, reason) = match event {
            SupervisionEvent::ActorTerminated(cell, _, reason) => {
                (cell.get_id(), ExitReason::of_termination(reason.as_deref()))
            }
            SupervisionEvent::ActorFailed(cell, error) => (cell.get_id(), ExitReason::of_failure(&error)),
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => return Ok(()),
        };
        supervision.on_exit(actor, reason);
        supervision.leave_when_ended(&myself);
        Ok(())
    }

    async fn post_stop(
        &self,
        _myself: ActorRef<Message>,
        supervision: &mut Supervision,
    ) -> Result<(), ActorProcessingErr> {
        supervision.decide(Event::Shutdown {
            reason: ExitReason::Shutdown(None),
        });
        while supervision.ended.is_none() {
            supervision.next_report().await;
        }
        // Who ended by itself was stopped by nobody, so nobody has waited for what is left of it.
        supervision.reporter.brood.remains_gone().await;
        Ok(())
    }
}

impl Supervision {
    fn new(supervisor: ActorCell, arguments: Arguments) -> Self {
        let (sender, reports) = mpsc::unbounded_channel();
        Self {
            core: arguments.core,
            reporter: Reporter {
                supervisor,
                reports: sender,
                brood: arguments.brood,
            },
            reports,
            observer: arguments.observer,
            actors: HashMap::new(),
            early_exits: HashMap::new(),
            remains: HashMap::new(),
            ended: None,
            end: arguments.end,
        }
    }

    fn on_message(&mut self, message: Message) {
        match message {
            Message::Call { request, reply } => self.decide(Event::Call { request, reply }),
            Message::TerminateActor { actor, reply } => self.terminate_actor(&actor, reply),
            Message::Reconfigure {
                flags,
                children,
                reply,
            } => {
                let changed = self.core.reconfigure(flags, children, now());
                let _ = reply.send(changed.map(|commands| self.carry_out_all(commands)));
            }
            Message::Inspect(reply) => {
                let _ = reply.send(snapshot::take(&self.core, now()));
            }
            Message::Child(id, reply) => {
                let _ = reply.send(snapshot::child(&self.core, &id, now()));
            }
            Message::Wake => {
                while let Ok(report) = self.reports.try_recv() {
                    self.on_report(report);
                }
            }
            Message::Gone { incarnation } => self.on_exit_of(incarnation, ExitReason::Lost),
            Message::Retry { child, ticket } => self.decide(Event::Retry { child, ticket }),
        }
    }

    /// An actor of ours is stopped; one that has ended needs no stop; anybody else's is left alone.
    fn terminate_actor(&mut self, actor: &ActorCell, reply: RpcReplyPort<Answer<ChildRef>>) {
        let incarnation = self.actors.get(&actor.get_id());
        let child = incarnation
            .and_then(|incarnation| self.core.child_of(*incarnation))
            .cloned();
        match child {
            Some(child) => self.decide(Event::Call {
                request: Request::Terminate(child),
                reply,
            }),
            None => {
                let has_ended = actor.get_status() == ActorStatus::Stopped;
                let _ = reply.send(if has_ended {
                    Ok(None)
                } else {
                    Err(AdminError::NotFound)
                });
            }
        }
    }

    /// The supervisor holds a sender itself, so the channel does not close.
    async fn next_report(&mut self) {
        if let Some(report) = self.reports.recv().await {
            self.on_report(report);
        }
    }

    fn on_report(&mut self, report: Report) {
        match report {
            Report::Started { incarnation, outcome } => {
                let actor = outcome
                    .as_ref()
                    .ok()
                    .and_then(Option::as_ref)
                    .map(|child| child.cell.get_id());
                if let Some(actor) = actor {
                    self.actors.insert(actor, incarnation);
                }
                self.decide(Event::Started { incarnation, outcome });
                if let Some(reason) = actor.and_then(|actor| self.early_exits.remove(&actor)) {
                    self.on_exit_of(incarnation, reason);
                }
            }
            Report::Cancelled { incarnation } => self.decide(Event::Cancelled { incarnation }),
            Report::Stopped {
                incarnation,
                actor,
                reason,
            } => {
                self.actors.remove(&actor);
                self.decide(Event::Stopped { incarnation, reason });
            }
        }
        if self.core.starts_in_flight() == 0 {
            self.early_exits.clear();
        }
    }

    fn on_exit(&mut self, actor: ActorId, reason: ExitReason) {
        match self.actors.remove(&actor) {
            Some(incarnation) => self.on_exit_of(incarnation, reason),
            None if self.core.starts_in_flight() > 0 => {
                self.early_exits.insert(actor, reason);
            }
            None => {}
        }
    }

    fn on_exit_of(&mut self, incarnation: Incarnation, reason: ExitReason) {
        self.keep_remains(incarnation);
        self.decide(Event::Exited { incarnation, reason });
    }

    /// Remembers what the next incarnation has to wait for, unless a stop is under way, which waits for it itself.
    fn keep_remains(&mut self, incarnation: Incarnation) {
        let Some(child) = self.core.running(incarnation).cloned() else {
            return;
        };
        self.remains.retain(|_, remains| !remains.are_gone());
        if let Some(remains) = self.reporter.brood.leave(incarnation) {
            self.remains.insert(child, remains);
        }
    }

    fn decide(&mut self, event: Event<ChildRef, RpcReplyPort<Answer<ChildRef>>>) {
        let commands = self.core.decide(event, now());
        self.carry_out_all(commands);
    }

    fn carry_out_all(&mut self, commands: Vec<Command<ChildRef, RpcReplyPort<Answer<ChildRef>>>>) {
        for command in commands {
            self.carry_out(command);
        }
    }

    fn carry_out(&mut self, command: Command<ChildRef, RpcReplyPort<Answer<ChildRef>>>) {
        match command {
            Command::Start {
                incarnation,
                child,
                start,
            } => {
                // Kept as well: if this start is dropped, the next one has to wait for the same.
                let last = self.remains.get(&child).cloned();
                self.reporter.start(incarnation, start, last);
            }
            Command::Cancel { incarnation } => self.reporter.cancel(incarnation),
            Command::Stop {
                incarnation,
                handle,
                shutdown,
            } => {
                self.reporter.stop(incarnation, handle.cell, shutdown);
            }
            Command::Retry { child, ticket } => {
                let _ = self
                    .reporter
                    .supervisor
                    .send_message(Message::Retry { child, ticket });
            }
            Command::Reply { to, answer } => {
                let _ = to.send(answer);
            }
            Command::Notice(notice) => self.tell(&notice),
            Command::Up => {}
            Command::StartFailed(error) => self.ended = Some(Ended::StartFailed(error)),
            Command::End(reason) => {
                self.tell(&Notice::Ended {
                    reason: reason.clone(),
                });
                let _ = self.end.set(reason.clone());
                self.ended = Some(Ended::With(reason));
            }
        }
    }

    fn tell(&self, notice: &Notice) {
        log(notice);
        if let Some(observer) = &self.observer {
            observer(notice);
        }
    }

    fn leave_when_ended(&self, myself: &ActorRef<Message>) {
        if let Some(Ended::With(reason)) = &self.ended {
            myself.stop(reason.as_stop_reason());
        }
    }
}

/// The monotonic clock, paused where tokio's is.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
