//! A world that answers late, in any order, and sometimes twice. Whatever it does, the invariants hold.

use std::collections::BTreeMap;
use std::time::Instant;

use super::*;

/// Something that the world still has to say.
#[derive(Debug, Clone)]
enum Due {
    Start(Incarnation, usize),
    Stop(Incarnation),
    Cancelled(Incarnation),
    Exit(Incarnation, ExitReason),
    Retry(usize, Incarnation),
}

#[derive(Debug, Clone)]
enum Step {
    /// One of the things that are due is said now.
    Say(usize),
    /// One of those that live ends.
    Exit(usize, ExitReason),
    Call(Ask, usize),
    Advance(u64),
    /// Something that was said before is said again.
    Again(usize),
    /// The flags change.
    Reconfigure(Flags),
    Shutdown,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        14 => any::<usize>().prop_map(Step::Say),
        5 => (any::<usize>(), any_exit()).prop_map(|(which, reason)| Step::Exit(which, reason)),
        6 => (any_ask(), 0..IDS.len()).prop_map(|(ask, id)| Step::Call(ask, id)),
        2 => (1_u64..6000).prop_map(Step::Advance),
        2 => any::<usize>().prop_map(Step::Again),
        1 => any_flags().prop_map(Step::Reconfigure),
        1 => Just(Step::Shutdown),
    ]
}

/// A start that nobody has cancelled, an actor that lives, or one that was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Starting,
    Alive,
    ToldToStop,
}

struct World<'a> {
    setting: &'a Setting,
    core: Core<Incarnation, usize>,
    begin: Instant,
    now_ms: u64,
    attempts: [usize; IDS.len()],
    due: Vec<Due>,
    said: Vec<Due>,
    lives: BTreeMap<Incarnation, (usize, Life)>,
    calls: usize,
    answered: Vec<usize>,
    ends: usize,
    /// Since the supervisor was told to end: what it stopped, by place.
    stops: Option<Vec<u64>>,
    /// Those that somebody else told it to stop; they may be gone out of turn.
    terminated: Vec<usize>,
}

impl<'a> World<'a> {
    fn new(setting: &'a Setting) -> Result<Self, TestCaseError> {
        let mut world = Self {
            setting,
            core: Core::new(setting.mode, setting.flags, setting.boot_specs()).unwrap(),
            begin: Instant::now(),
            now_ms: 0,
            attempts: [0; IDS.len()],
            due: Vec::new(),
            said: Vec::new(),
            lives: BTreeMap::new(),
            calls: 0,
            answered: Vec::new(),
            ends: 0,
            stops: None,
            terminated: Vec::new(),
        };
        world.decide(Event::Begin)?;
        Ok(world)
    }

    fn now(&self) -> Instant {
        self.begin + Duration::from_millis(self.now_ms)
    }

    fn decide(&mut self, event: Event<Incarnation, usize>) -> Result<(), TestCaseError> {
        let commands = self.core.decide(event, self.now());
        self.carry_out(commands)
    }

    fn carry_out(&mut self, commands: Vec<Command<Incarnation, usize>>) -> Result<(), TestCaseError> {
        let was_ending = self.stops.is_some();
        if !was_ending && matches!(self.core.phase, Phase::Ending(_)) {
            self.stops = Some(Vec::new());
        }
        for command in commands {
            match command {
                Command::Start {
                    incarnation, child, ..
                } => {
                    let id = index(&child);
                    // P1: one live incarnation of a child.
                    let twin = self.lives.values().any(|(other, _)| *other == id);
                    prop_assert!(!twin, "{} is started although it lives", IDS[id]);
                    prop_assert!(!was_ending, "nothing is started when it ends");
                    self.lives.insert(incarnation, (id, Life::Starting));
                    self.due.push(Due::Start(incarnation, id));
                }
                Command::Cancel { incarnation } => self.due.push(Due::Cancelled(incarnation)),
                Command::Stop {
                    incarnation, handle, ..
                } => {
                    prop_assert_eq!(incarnation, handle);
                    if let Some((id, life)) = self.lives.get_mut(&incarnation) {
                        prop_assert_ne!(*life, Life::ToldToStop, "it is told once");
                        *life = Life::ToldToStop;
                        let place = self.core.child(&IDS[*id].into()).map(|child| child.position);
                        let has_its_turn = !self.terminated.contains(id);
                        if let (Some(stops), Some(place), true) = (&mut self.stops, place, has_its_turn) {
                            stops.push(place);
                        }
                    }
                    self.due.push(Due::Stop(incarnation));
                }
                Command::Retry { child, ticket } => self.due.push(Due::Retry(index(&child), ticket)),
                Command::Reply { to, .. } => {
                    prop_assert!(!self.answered.contains(&to), "each call is answered once");
                    self.answered.push(to);
                }
                Command::StartFailed(_) | Command::End(_) => {
                    self.ends += 1;
                    // P5: nothing lives after the end.
                    prop_assert!(self.lives.is_empty(), "{:?} outlived it", self.lives);
                }
                Command::Notice(_) | Command::Up => {}
            }
        }
        Ok(())
    }

    fn say(&mut self, which: usize) -> Result<(), TestCaseError> {
        if self.due.is_empty() {
            return Ok(());
        }
        let due = self.due.remove(which % self.due.len());
        self.said.push(due.clone());
        match due {
            Due::Start(incarnation, id) => self.start_is_over(incarnation, id),
            Due::Stop(incarnation) => {
                self.lives.remove(&incarnation);
                self.decide(Event::Stopped {
                    incarnation,
                    reason: ExitReason::Shutdown(None),
                })
            }
            Due::Cancelled(incarnation) => self.start_is_cancelled(incarnation),
            Due::Exit(incarnation, reason) => self.decide(Event::Exited { incarnation, reason }),
            Due::Retry(id, ticket) => self.decide(Event::Retry {
                child: IDS[id].into(),
                ticket,
            }),
        }
    }

    fn start_is_over(&mut self, incarnation: Incarnation, id: usize) -> Result<(), TestCaseError> {
        let luck = self.setting.luck(id, self.attempts[id]);
        self.attempts[id] += 1;
        let outcome = match luck {
            Luck::Runs => {
                self.lives.insert(incarnation, (id, Life::Alive));
                Ok(Some(incarnation))
            }
            Luck::Ignores | Luck::Fails => {
                self.lives.remove(&incarnation);
                if luck == Luck::Ignores {
                    Ok(None)
                } else {
                    Err(StartError::failed("bad luck"))
                }
            }
        };
        self.decide(Event::Started { incarnation, outcome })
    }

    /// It takes effect only where the start is still under way.
    fn start_is_cancelled(&mut self, incarnation: Incarnation) -> Result<(), TestCaseError> {
        let start = self
            .due
            .iter()
            .position(|due| matches!(due, Due::Start(other, _) if *other == incarnation));
        if let Some(start) = start {
            self.due.remove(start);
            self.lives.remove(&incarnation);
        }
        self.decide(Event::Cancelled { incarnation })
    }

    /// P6: what is said about an incarnation that is gone changes nothing.
    fn say_again(&mut self, which: usize) -> Result<(), TestCaseError> {
        if self.said.is_empty() {
            return Ok(());
        }
        let again = match self.said[which % self.said.len()].clone() {
            Due::Start(incarnation, _) if !self.lives.contains_key(&incarnation) => Event::Started {
                incarnation,
                outcome: Err(StartError::failed("again")),
            },
            Due::Stop(incarnation) => Event::Stopped {
                incarnation,
                reason: ExitReason::Killed,
            },
            Due::Cancelled(incarnation) => Event::Cancelled { incarnation },
            Due::Exit(incarnation, reason) if !self.lives.contains_key(&incarnation) => {
                Event::Exited { incarnation, reason }
            }
            Due::Start(..) | Due::Exit(..) | Due::Retry(..) => return Ok(()),
        };
        if self.is_news(&again) {
            return Ok(());
        }
        let before = self.states();
        let commands = self.core.decide(again, self.now());
        prop_assert!(
            commands.is_empty(),
            "{} commands for what is known",
            commands.len()
        );
        prop_assert_eq!(self.states(), before);
        Ok(())
    }

    /// A dead actor whose stop has not been answered is not gone yet: what is said about it then may count.
    fn is_news(&self, event: &Event<Incarnation, usize>) -> bool {
        let (Event::Started { incarnation, .. }
        | Event::Stopped { incarnation, .. }
        | Event::Cancelled { incarnation }
        | Event::Exited { incarnation, .. }) = event
        else {
            return true;
        };
        self.core.child_of(*incarnation).is_some()
    }

    fn states(&self) -> Vec<(usize, u8)> {
        let states = self.core.children().map(|child| {
            let state = match &child.state {
                State::Stopped => 0,
                State::Restarting { .. } => 1,
                State::Starting { .. } => 2,
                State::Cancelling { .. } => 3,
                State::Running { .. } => 4,
                State::Stopping { .. } => 5,
            };
            (index(child.spec.id()), state)
        });
        states.collect()
    }

    fn exit(&mut self, which: usize, reason: ExitReason) {
        let alive: Vec<_> = self
            .lives
            .iter()
            .filter(|(_, (_, life))| *life != Life::Starting)
            .collect();
        if alive.is_empty() {
            return;
        }
        let incarnation = *alive[which % alive.len()].0;
        // One that was told to stop lives until the stop is over, as far as the supervisor can know.
        if self.lives[&incarnation].1 == Life::Alive {
            self.lives.remove(&incarnation);
        }
        self.due.push(Due::Exit(incarnation, reason));
    }

    fn call(&mut self, ask: Ask, id: usize) -> Result<(), TestCaseError> {
        if let Ask::Terminate = ask {
            self.terminated.push(id);
        }
        let reply = self.calls;
        self.calls += 1;
        self.decide(Event::Call {
            request: request(self.setting, ask, id),
            reply,
        })
    }

    /// P7: at rest, who runs according to the supervisor is who lives.
    fn check_at_rest(&self) -> Result<(), TestCaseError> {
        let mut running = Vec::new();
        for child in self.core.children() {
            match &child.state {
                State::Running { incarnation, .. } => running.push(*incarnation),
                State::Stopped => {}
                State::Restarting { .. }
                | State::Starting { .. }
                | State::Cancelling { .. }
                | State::Stopping { .. } => {
                    prop_assert!(false, "{} is not at rest", child.spec.id());
                }
            }
        }
        running.sort();
        let alive: Vec<_> = self.lives.keys().copied().collect();
        prop_assert_eq!(running, alive);
        prop_assert_eq!((self.core.in_flight, self.core.starting), (0, 0));
        prop_assert!(self.core.deferred.is_empty());
        Ok(())
    }

    fn settle(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..10_000 {
            if self.due.is_empty() {
                return Ok(());
            }
            self.say(0)?;
            // Time goes on, or a restart that fails and fails would use up any intensity.
            self.now_ms += 1;
        }
        prop_assert!(false, "it does not come to rest");
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn its_invariants_hold_whatever_the_world_does(
        setting in any_setting(),
        steps in proptest::collection::vec(any_step(), 0..120),
    ) {
        let mut world = World::new(&setting)?;
        for step in steps {
            match step {
                Step::Say(which) => world.say(which)?,
                Step::Exit(which, reason) => world.exit(which, reason),
                // A supervisor that is starting does not read its mailbox, and cannot be told anything else.
                _ if world.core.is_starting() && world.stops.is_none() && world.calls == 0 => {}
                Step::Call(ask, id) => world.call(ask, id)?,
                Step::Advance(ms) => world.now_ms += ms,
                Step::Again(which) => world.say_again(which)?,
                Step::Reconfigure(flags) => {
                    let at = world.now();
                    if let Ok(commands) = world.core.reconfigure(flags, Vec::new(), at) {
                        world.carry_out(commands)?;
                    }
                }
                Step::Shutdown => world.decide(Event::Shutdown { reason: ExitReason::Shutdown(None) })?,
            }
        }
        world.settle()?;
        if world.ends == 0 {
            world.check_at_rest()?;
        }
        world.decide(Event::Shutdown { reason: ExitReason::Shutdown(None) })?;
        world.settle()?;
        prop_assert_eq!(world.ends, 1);
        prop_assert!(world.lives.is_empty());
        prop_assert_eq!(world.answered.len(), world.calls, "each call was answered");
        // P2: the end goes against the start order.
        if setting.mode == Mode::Static {
            let stops = world.stops.unwrap_or_default();
            prop_assert!(stops.is_sorted_by(|before, after| before > after), "{stops:?}");
        }
    }
}
