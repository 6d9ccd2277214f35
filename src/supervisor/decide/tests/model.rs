//! A second supervisor, written after OTP's `supervisor.erl` alone: it does one thing at a time and waits for each start and
//! stop. Where the world answers at once, [`Core`] must do the same things in the same order, and give the same answers.

use std::time::Instant;

use super::*;

mod otp;

use otp::Otp;

/// What happened to children, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Deed {
    Start(usize, Luck),
    Stop(usize),
}

/// An answer, without what it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Child(Option<Pid>),
    AlreadyStarted(Pid),
    AlreadyPresent,
    NotFound,
    Running,
    Restarting,
    NoProcess,
    StartFailed,
}

/// The id and how often it came up before.
type Pid = (usize, usize);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    Undefined,
    Restarting(u64),
    Runs(Pid),
}

/// What lies in the mailbox of either.
#[derive(Debug, Clone)]
enum Mail<Ticket> {
    Exit(Pid, ExitReason),
    Call(Ask, usize),
    Retry(usize, Ticket),
    Shutdown,
}

#[derive(Debug, Clone)]
struct Kid {
    id: usize,
    is: Is,
}

/// [`Core`] in a world that answers at once.
struct Ours<'a> {
    setting: &'a Setting,
    core: Core<Pid, ()>,
    begin: Instant,
    now_ms: u64,
    attempts: [usize; IDS.len()],
    ups: [usize; IDS.len()],
    incarnations: HashMap<Pid, Incarnation>,
    mailbox: VecDeque<Mail<Incarnation>>,
    deeds: Vec<Deed>,
    said: Vec<Said>,
    ends: usize,
}

impl<'a> Ours<'a> {
    fn new(setting: &'a Setting) -> Self {
        let mut ours = Self {
            setting,
            core: Core::new(setting.mode, setting.flags, setting.boot_specs()).unwrap(),
            begin: Instant::now(),
            now_ms: 0,
            attempts: [0; IDS.len()],
            ups: [0; IDS.len()],
            incarnations: HashMap::new(),
            mailbox: VecDeque::new(),
            deeds: Vec::new(),
            said: Vec::new(),
            ends: 0,
        };
        ours.decide(Event::Begin);
        ours
    }

    fn decide(&mut self, event: Event<Pid, ()>) {
        let at = self.begin + Duration::from_millis(self.now_ms);
        let mut commands: VecDeque<_> = self.core.decide(event, at).into();
        while let Some(command) = commands.pop_front() {
            let answer = match command {
                Command::Start {
                    incarnation, child, ..
                } => self.start(incarnation, index(&child)),
                Command::Stop {
                    incarnation, handle, ..
                } => {
                    self.deeds.push(Deed::Stop(handle.0));
                    Event::Stopped {
                        incarnation,
                        reason: ExitReason::Shutdown(None),
                    }
                }
                Command::Retry { child, ticket } => {
                    self.mailbox.push_back(Mail::Retry(index(&child), ticket));
                    continue;
                }
                Command::Reply { answer, .. } => {
                    self.said.push(said(&answer));
                    continue;
                }
                Command::StartFailed(_) | Command::End(_) => {
                    self.ends += 1;
                    continue;
                }
                Command::Cancel { .. } => panic!("nothing is in flight for long enough to be cancelled"),
                Command::Notice(_) | Command::Up => continue,
            };
            commands.extend(self.core.decide(answer, at));
        }
    }

    fn start(&mut self, incarnation: Incarnation, id: usize) -> Event<Pid, ()> {
        let luck = self.setting.luck(id, self.attempts[id]);
        self.attempts[id] += 1;
        self.deeds.push(Deed::Start(id, luck));
        let outcome = match luck {
            Luck::Runs => {
                let pid = (id, self.ups[id]);
                self.ups[id] += 1;
                self.incarnations.insert(pid, incarnation);
                Ok(Some(pid))
            }
            Luck::Ignores => Ok(None),
            Luck::Fails => Err(StartError::failed("bad luck")),
        };
        Event::Started { incarnation, outcome }
    }

    fn receive(&mut self) {
        match self.mailbox.pop_front() {
            None => {}
            Some(Mail::Exit(pid, reason)) => {
                self.decide(Event::Exited {
                    incarnation: self.incarnations[&pid],
                    reason,
                });
            }
            Some(Mail::Call(ask, id)) => {
                self.decide(Event::Call {
                    request: request(self.setting, ask, id),
                    reply: (),
                });
            }
            Some(Mail::Retry(id, ticket)) => self.decide(Event::Retry {
                child: IDS[id].into(),
                ticket,
            }),
            Some(Mail::Shutdown) => self.decide(Event::Shutdown {
                reason: ExitReason::Shutdown(None),
            }),
        }
    }

    /// What is listed, in start order; whether it is restarting; who runs.
    fn list(&self) -> Vec<(usize, bool, Option<Pid>)> {
        let list = self.core.children().map(|child| {
            let id = index(child.spec.id());
            match &child.state {
                State::Stopped => (id, false, None),
                State::Restarting { .. } => (id, true, None),
                State::Running { handle, .. } => (id, false, Some(*handle)),
                State::Starting { .. } | State::Cancelling { .. } | State::Stopping { .. } => {
                    panic!("{} is in flight although all was answered", IDS[id])
                }
            }
        });
        list.collect()
    }
}

fn said(answer: &Answer<Pid>) -> Said {
    match answer {
        Ok(child) => Said::Child(*child),
        Err(AdminError::AlreadyStarted(pid)) => Said::AlreadyStarted(*pid),
        Err(AdminError::AlreadyPresent) => Said::AlreadyPresent,
        Err(AdminError::NotFound) => Said::NotFound,
        Err(AdminError::Running) => Said::Running,
        Err(AdminError::Restarting) => Said::Restarting,
        Err(AdminError::NoProcess) => Said::NoProcess,
        Err(AdminError::StartFailed(_)) => Said::StartFailed,
        Err(AdminError::Cancelled | AdminError::Spec(_)) => panic!("nothing is cancelled or wrong here"),
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// The running child at this place ends.
    Exit(usize, ExitReason),
    Call(Ask, usize),
    Advance(u64),
    Receive,
    Shutdown,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..IDS.len(), any_exit()).prop_map(|(place, reason)| Step::Exit(place, reason)),
        6 => (any_ask(), 0..IDS.len()).prop_map(|(ask, id)| Step::Call(ask, id)),
        // Whole half periods, so that entries exactly as old as the period come up.
        4 => (1_u64..8).prop_map(|halves| Step::Advance(halves * 500)),
        12 => Just(Step::Receive),
        1 => Just(Step::Shutdown),
    ]
}

fn compare(otp: &Otp<'_>, ours: &Ours<'_>) -> Result<(), TestCaseError> {
    prop_assert_eq!(&ours.deeds, &otp.deeds);
    prop_assert_eq!(&ours.said, &otp.said);
    prop_assert_eq!(ours.ends == 1, otp.has_ended);
    if otp.has_ended {
        prop_assert!(
            ours.list().iter().all(|(_, _, runs)| runs.is_none()),
            "nothing runs after the end"
        );
        return Ok(());
    }
    let list: Vec<_> = otp
        .kids
        .iter()
        .map(|kid| match kid.is {
            Is::Undefined => (kid.id, false, None),
            Is::Restarting(_) => (kid.id, true, None),
            Is::Runs(pid) => (kid.id, false, Some(pid)),
        })
        .collect();
    prop_assert_eq!(ours.list(), list);
    prop_assert_eq!(ours.mailbox.len(), otp.mailbox.len());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// P1-P4 and P7-P9 of the conformance page, by comparison.
    #[test]
    fn it_does_what_otp_does(setting in any_setting(), steps in proptest::collection::vec(any_step(), 0..60)) {
        let (mut otp, mut ours) = (Otp::new(&setting), Ours::new(&setting));
        compare(&otp, &ours)?;
        for step in steps {
            match step {
                Step::Exit(place, reason) => {
                    let running: Vec<Pid> = ours.list().into_iter().filter_map(|(_, _, runs)| runs).collect();
                    if let Some(pid) = running.get(place) {
                        otp.mailbox.push_back(Mail::Exit(*pid, reason.clone()));
                        ours.mailbox.push_back(Mail::Exit(*pid, reason));
                    }
                }
                Step::Call(ask, id) => {
                    // By type, a dynamic supervisor has but these two.
                    if setting.mode == Mode::Dynamic && matches!(ask, Ask::Restart | Ask::Delete) {
                        continue;
                    }
                    otp.mailbox.push_back(Mail::Call(ask, id));
                    ours.mailbox.push_back(Mail::Call(ask, id));
                }
                Step::Advance(ms) => {
                    otp.now_ms += ms;
                    ours.now_ms += ms;
                }
                Step::Receive => {
                    otp.receive();
                    ours.receive();
                }
                Step::Shutdown => {
                    otp.mailbox.push_back(Mail::Shutdown);
                    ours.mailbox.push_back(Mail::Shutdown);
                }
            }
            compare(&otp, &ours)?;
        }
        // To the end, so that nothing hangs in a mailbox unseen. A restart that never succeeds does not end by itself where
        // time stands still only as long as the intensity lasts.
        for _ in 0..1000 {
            if otp.mailbox.is_empty() {
                break;
            }
            otp.receive();
            ours.receive();
            compare(&otp, &ours)?;
        }
        prop_assert!(otp.mailbox.is_empty());
    }
}
