//! What a supervisor does when something happens: OTP's rules as a state machine. Events go in, commands come out.
//!
//! Pure: no clock (`at` is handed in), no channel, no actor. `H` is what stands for a running actor, `R` for whoever waits
//! for an answer. Starts and stops are commands that are answered by events ([`Event::Started`], [`Event::Stopped`],
//! [`Event::Cancelled`]) at any later time, so a call never waits for one that is not its own affair.
//!
//! OTP's supervisor does one thing at a time. Here a *lane* does: the whole supervisor under one_for_all and rest_for_one,
//! each child for itself under one_for_one and in a dynamic supervisor. What concerns a busy lane waits in its queue.
//! Rooms: `calls` what others ask; `starts`, `stops` and `exits` of a single child; `group` what moves many children in
//! order (the first start, a group restart, the end); `reconfigure` the live change; `child` the state of one child.

mod calls;
mod child;
mod exits;
mod group;
mod reconfigure;
mod starts;
mod stops;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Instant;

pub(crate) use child::{Child, State};
use group::{Ending, Job};

use super::admin::AdminError;
use super::budget::Budget;
use super::exit::ExitReason;
use super::flags::{Flags, SpecError, Strategy};
use super::observe::Notice;
use super::spec::{ChildId, ChildSpec, Shutdown, StartFn};
use super::start::StartError;

/// Numbers the starts (and the retries) of one supervisor, so that what is said about an old one is known as stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Incarnation(pub(crate) u64);

/// Whether children are a fixed, ordered list or come and go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Ordered; a child that is down stays listed.
    Static,
    /// OTP's simple_one_for_one: a child that is down is forgotten; all are stopped at once.
    Dynamic,
}

/// Something that happened.
#[derive(Debug)]
pub(crate) enum Event<H, R> {
    /// Start all children, in order.
    Begin,
    /// A start is over. `Ok(None)`: the child does not want to run.
    Started {
        incarnation: Incarnation,
        outcome: Result<Option<H>, StartError>,
    },
    /// A start was cancelled before it was over.
    Cancelled { incarnation: Incarnation },
    /// A child ended.
    Exited {
        incarnation: Incarnation,
        reason: ExitReason,
    },
    /// A stop is over. `reason` counts where no exit was reported.
    Stopped {
        incarnation: Incarnation,
        reason: ExitReason,
    },
    /// A failed restart's turn has come again.
    Retry { child: ChildId, ticket: Incarnation },
    /// Somebody asks.
    Call { request: Request, reply: R },
    /// End, with this reason.
    Shutdown { reason: ExitReason },
}

/// What others may ask.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    /// Add a child and start it.
    Start(ChildSpec),
    /// Stop a child; keep its spec unless it is temporary.
    Terminate(ChildId),
    /// Start a child that is down.
    Restart(ChildId),
    /// Forget a child that is down.
    Delete(ChildId),
}

/// The answer to a [`Request`]: the running child where there is one.
pub(crate) type Answer<H> = Result<Option<H>, AdminError<H>>;

/// Something to do.
pub(crate) enum Command<H, R> {
    /// Start a child; answered by [`Event::Started`].
    Start {
        incarnation: Incarnation,
        child: ChildId,
        start: StartFn,
    },
    /// Drop a start; answered by [`Event::Cancelled`], or by the [`Event::Started`] that was on its way.
    Cancel { incarnation: Incarnation },
    /// Stop an actor; answered by [`Event::Stopped`].
    Stop {
        incarnation: Incarnation,
        handle: H,
        shutdown: Shutdown,
    },
    /// Come back with [`Event::Retry`], behind what waits in the mailbox already.
    Retry { child: ChildId, ticket: Incarnation },
    /// Answer a call.
    Reply { to: R, answer: Answer<H> },
    /// Tell the observer.
    Notice(Notice),
    /// All children have been started.
    Up,
    /// A child could not be started; the others have been stopped again.
    StartFailed(StartError),
    /// All children have been stopped: end with this reason.
    End(ExitReason),
}

/// The state of one supervisor.
pub(crate) struct Core<H, R> {
    mode: Mode,
    flags: Flags,
    children: HashMap<ChildId, Child<H, R>>,
    /// Start order.
    order: BTreeMap<u64, ChildId>,
    incarnations: HashMap<Incarnation, ChildId>,
    next_position: u64,
    next_incarnation: u64,
    /// Children that are being started, stopped, or cancelled.
    in_flight: usize,
    starting: usize,
    budget: Budget,
    phase: Phase,
    deferred: HashMap<Lane, VecDeque<Deferred<R>>>,
    /// Lanes that may have become free.
    freed: Vec<Lane>,
}

enum Phase {
    /// Moves many children in order.
    Group(Job),
    /// Everything is as it should be, lanes apart.
    Up,
    /// Stops all children, then ends.
    Ending(Ending),
    Ended,
}

/// What does one thing at a time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Lane {
    Whole,
    Child(ChildId),
}

enum Deferred<R> {
    Exit {
        incarnation: Incarnation,
        reason: ExitReason,
    },
    Retry {
        child: ChildId,
        ticket: Incarnation,
    },
    Call {
        request: Request,
        reply: R,
    },
}

impl<H: Clone, R> Core<H, R> {
    /// A supervisor of these children, none of them started.
    ///
    /// # Errors
    /// The first flag or spec that is wrong.
    pub(crate) fn new(mode: Mode, flags: Flags, specs: Vec<ChildSpec>) -> Result<Self, SpecError> {
        flags.check()?;
        super::flags::check_specs(&specs, flags.auto_shutdown)?;
        let mut core = Self {
            mode,
            flags,
            children: HashMap::new(),
            order: BTreeMap::new(),
            incarnations: HashMap::new(),
            next_position: 0,
            next_incarnation: 0,
            in_flight: 0,
            starting: 0,
            budget: Budget::default(),
            phase: Phase::Up,
            deferred: HashMap::new(),
            freed: Vec::new(),
        };
        for spec in specs {
            core.add(spec);
        }
        Ok(core)
    }

    /// What to do now that `event` happened. `at` is monotonic.
    pub(crate) fn decide(&mut self, event: Event<H, R>, at: Instant) -> Vec<Command<H, R>> {
        let mut out = Vec::new();
        match event {
            Event::Begin => self.begin_boot(),
            Event::Started { incarnation, outcome } => self.on_started(incarnation, outcome, at, &mut out),
            Event::Cancelled { incarnation } => self.on_cancelled(incarnation, &mut out),
            Event::Stopped { incarnation, reason } => self.on_stopped(incarnation, reason, at, &mut out),
            Event::Exited { incarnation, reason } => self.on_exit(incarnation, reason, at, &mut out),
            Event::Retry { child, ticket } => self.on_retry(child, ticket, at, &mut out),
            Event::Call { request, reply } => self.on_call(request, reply, &mut out),
            Event::Shutdown { reason } => self.begin_ending(group::Outcome::End(reason), &mut out),
        }
        self.go_on(at, &mut out);
        out
    }

    /// Carries on whatever can be carried on: the group that is moved, the end, the queues of the lanes that became free.
    fn go_on(&mut self, at: Instant, out: &mut Vec<Command<H, R>>) {
        loop {
            match self.phase {
                Phase::Group(_) => {
                    if !self.step_group(out) {
                        return;
                    }
                }
                Phase::Ending(_) => return self.step_ending(out),
                Phase::Ended => return,
                Phase::Up => {
                    let Some(lane) = self.freed.pop() else { return };
                    self.drain(lane, at, out);
                }
            }
        }
    }

    /// Handles what waited for this lane, until it is busy again.
    fn drain(&mut self, lane: Lane, at: Instant, out: &mut Vec<Command<H, R>>) {
        if self.is_busy(&lane) {
            return;
        }
        let Some(queue) = self.deferred.get_mut(&lane) else {
            return;
        };
        let next = queue.pop_front();
        if queue.is_empty() {
            self.deferred.remove(&lane);
        }
        let Some(next) = next else { return };
        self.freed.push(lane);
        match next {
            Deferred::Exit { incarnation, reason } => self.on_exit(incarnation, reason, at, out),
            Deferred::Retry { child, ticket } => self.on_retry(child, ticket, at, out),
            Deferred::Call { request, reply } => self.on_call(request, reply, out),
        }
    }

    fn defer(&mut self, lane: Lane, what: Deferred<R>) {
        self.deferred.entry(lane).or_default().push_back(what);
    }

    fn lane_of(&self, child: &ChildId) -> Lane {
        match (self.mode, self.flags.strategy) {
            (Mode::Dynamic, _) | (Mode::Static, Strategy::OneForOne) => Lane::Child(child.clone()),
            (Mode::Static, Strategy::OneForAll | Strategy::RestForOne) => Lane::Whole,
        }
    }

    fn is_busy(&self, lane: &Lane) -> bool {
        match (&self.phase, lane) {
            (Phase::Group(_) | Phase::Ending(_) | Phase::Ended, _) => true,
            (Phase::Up, Lane::Whole) => self.in_flight > 0,
            (Phase::Up, Lane::Child(id)) => self
                .children
                .get(id)
                .is_some_and(|child| child.state.is_in_flight()),
        }
    }

    fn add(&mut self, spec: ChildSpec) {
        let (id, position) = (spec.id().clone(), self.next_position);
        self.next_position += 1;
        self.order.insert(position, id.clone());
        self.children.insert(id, Child::new(spec, position));
    }

    fn forget(&mut self, id: &ChildId) {
        if let Some(child) = self.children.remove(id) {
            self.order.remove(&child.position);
        }
    }

    fn new_incarnation(&mut self) -> Incarnation {
        self.next_incarnation += 1;
        Incarnation(self.next_incarnation)
    }

    pub(crate) fn flags(&self) -> &Flags {
        &self.flags
    }

    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    /// The children in start order.
    pub(crate) fn children(&self) -> impl Iterator<Item = &Child<H, R>> {
        self.order.values().filter_map(|id| self.children.get(id))
    }

    pub(crate) fn child(&self, id: &ChildId) -> Option<&Child<H, R>> {
        self.children.get(id)
    }

    /// How many starts are in flight.
    pub(crate) fn starts_in_flight(&self) -> usize {
        self.starting
    }

    /// Is the first start under way, or being undone?
    pub(crate) fn is_starting(&self) -> bool {
        match self.phase {
            Phase::Group(_) | Phase::Ending(_) => true,
            Phase::Up | Phase::Ended => false,
        }
    }

    /// Which child this incarnation is of, if it is alive or in flight.
    pub(crate) fn child_of(&self, incarnation: Incarnation) -> Option<&ChildId> {
        self.incarnations.get(&incarnation)
    }

    /// Which child this incarnation is of, if it runs.
    pub(crate) fn running(&self, incarnation: Incarnation) -> Option<&ChildId> {
        let id = self.incarnations.get(&incarnation)?;
        matches!(self.children.get(id)?.state, State::Running { .. }).then_some(id)
    }
}
