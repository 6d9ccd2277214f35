//! Cases that are too rare for chance.

use std::time::Instant;

use super::*;

type Ours = Core<u32, ()>;

fn start_of(commands: &[Command<u32, ()>]) -> Incarnation {
    let start = commands.iter().find_map(|command| match command {
        Command::Start { incarnation, .. } => Some(*incarnation),
        _ => None,
    });
    start.expect("a start")
}

fn retry_of(commands: Vec<Command<u32, ()>>) -> (ChildId, Incarnation) {
    let retry = commands.into_iter().find_map(|command| match command {
        Command::Retry { child, ticket } => Some((child, ticket)),
        _ => None,
    });
    retry.expect("a retry")
}

/// A supervisor of one child, which runs.
fn with_one_child(at: Instant) -> (Ours, Incarnation) {
    let spec = ChildSpec::new("a", |_| async { Ok(Started::ignored()) });
    let flags = Flags::default().intensity(100, Duration::from_secs(5));
    let mut core = Ours::new(Mode::Static, flags, vec![spec]).unwrap();
    let incarnation = start_of(&core.decide(Event::Begin, at));
    core.decide(
        Event::Started {
            incarnation,
            outcome: Ok(Some(1)),
        },
        at,
    );
    (core, incarnation)
}

/// The child crashes, and its restart fails.
fn crash(core: &mut Ours, incarnation: Incarnation, at: Instant) -> (ChildId, Incarnation) {
    let reason = ExitReason::Killed;
    let incarnation = start_of(&core.decide(Event::Exited { incarnation, reason }, at));
    let outcome = Err(StartError::failed("bad luck"));
    retry_of(core.decide(Event::Started { incarnation, outcome }, at))
}

#[test]
fn e09_a_retry_of_an_earlier_loop_is_not_taken_for_one_of_this() {
    let at = Instant::now();
    let (mut core, incarnation) = with_one_child(at);
    let (child, old) = crash(&mut core, incarnation, at);
    let call = |request| Event::Call { request, reply: () };
    core.decide(call(Request::Terminate(child.clone())), at);
    let incarnation = start_of(&core.decide(call(Request::Restart(child.clone())), at));
    core.decide(
        Event::Started {
            incarnation,
            outcome: Ok(Some(2)),
        },
        at,
    );
    let (_, new) = crash(&mut core, incarnation, at);
    assert_ne!(old, new);
    assert!(
        core.decide(
            Event::Retry {
                child: child.clone(),
                ticket: old
            },
            at
        )
        .is_empty()
    );
    start_of(&core.decide(Event::Retry { child, ticket: new }, at));
}

#[test]
fn e09_an_exit_of_an_old_incarnation_changes_nothing() {
    let at = Instant::now();
    let (mut core, old) = with_one_child(at);
    let exit = || Event::Exited {
        incarnation: old,
        reason: ExitReason::Killed,
    };
    let incarnation = start_of(&core.decide(exit(), at));
    assert!(core.decide(exit(), at).is_empty());
    core.decide(
        Event::Started {
            incarnation,
            outcome: Ok(Some(2)),
        },
        at,
    );
    assert!(core.decide(exit(), at).is_empty());
    let running = core
        .children()
        .all(|child| matches!(child.state, State::Running { handle: 2, .. }));
    assert!(running);
}

#[test]
fn e07_an_actor_that_comes_up_after_its_start_was_given_up_is_killed() {
    let at = Instant::now();
    let (mut core, incarnation) = with_one_child(at);
    let reason = ExitReason::Killed;
    let incarnation = start_of(&core.decide(Event::Exited { incarnation, reason }, at));
    let terminate = Request::Terminate("a".into());
    core.decide(
        Event::Call {
            request: terminate,
            reply: (),
        },
        at,
    );
    core.decide(Event::Cancelled { incarnation }, at);
    let commands = core.decide(
        Event::Started {
            incarnation,
            outcome: Ok(Some(2)),
        },
        at,
    );
    assert!(matches!(
        commands[..],
        [Command::Stop {
            handle: 2,
            shutdown: Shutdown::Brutal,
            ..
        }]
    ));
}

#[test]
fn who_waits_for_a_group_is_heard_when_its_restart_fails_also_after_a_change_of_strategy() {
    let at = Instant::now();
    let specs = || ["a", "b"].map(|id| ChildSpec::new(id, |_| async { Ok(Started::ignored()) }));
    let flags = |strategy| Flags::new(strategy).intensity(100, Duration::from_secs(5));
    let mut core = Ours::new(Mode::Static, flags(RestartStrategy::RestForOne), specs().to_vec()).unwrap();
    let first = start_of(&core.decide(Event::Begin, at));
    let started = |incarnation, handle| Event::Started {
        incarnation,
        outcome: Ok(Some(handle)),
    };
    let second = start_of(&core.decide(started(first, 1), at));
    core.decide(started(second, 2), at);
    // The first dies: the second is stopped, then the first is started.
    let reason = ExitReason::Killed;
    core.decide(
        Event::Exited {
            incarnation: first,
            reason: reason.clone(),
        },
        at,
    );
    let stopped = Event::Stopped {
        incarnation: second,
        reason,
    };
    let again = start_of(&core.decide(stopped, at));
    core.reconfigure(flags(RestartStrategy::OneForOne), specs().to_vec(), at)
        .unwrap();
    let terminate = Event::Call {
        request: Request::Terminate("b".into()),
        reply: (),
    };
    assert!(core.decide(terminate, at).is_empty(), "it waits for the group");
    let failed = Event::Started {
        incarnation: again,
        outcome: Err(StartError::failed("bad luck")),
    };
    let commands = core.decide(failed, at);
    let is_answer = |command: &Command<u32, ()>| matches!(command, Command::Reply { answer: Ok(None), .. });
    assert!(commands.iter().any(is_answer));
}

#[test]
fn a_child_that_ends_badly_while_it_is_stopped_is_told_with_its_own_reason() {
    let at = Instant::now();
    let (mut core, incarnation) = with_one_child(at);
    let terminate = Request::Terminate("a".into());
    core.decide(
        Event::Call {
            request: terminate,
            reply: (),
        },
        at,
    );
    let reason = ExitReason::Failed("it broke while it tidied up".into());
    core.decide(
        Event::Exited {
            incarnation,
            reason: reason.clone(),
        },
        at,
    );
    let stopped = Event::Stopped {
        incarnation,
        reason: ExitReason::Shutdown(None),
    };
    let commands = core.decide(stopped, at);
    let told = commands.iter().find_map(|command| match command {
        Command::Notice(Notice::Exited { reason, .. }) => Some(reason.clone()),
        _ => None,
    });
    assert_eq!(told, Some(reason));
}

#[test]
fn where_children_share_their_fate_one_start_waits_for_the_other() {
    let at = Instant::now();
    let specs = ["a", "b"].map(|id| ChildSpec::new(id, |_| async { Ok(Started::ignored()) }));
    let flags = Flags::new(RestartStrategy::OneForAll);
    let mut core = Ours::new(Mode::Static, flags, specs.to_vec()).unwrap();
    // Neither wants to run at first: both are listed, and down.
    let mut incarnation = start_of(&core.decide(Event::Begin, at));
    let ignored = |incarnation| Event::Started {
        incarnation,
        outcome: Ok(None),
    };
    incarnation = start_of(&core.decide(ignored(incarnation), at));
    core.decide(ignored(incarnation), at);
    let restart = |id: &str| Event::Call {
        request: Request::Restart(id.into()),
        reply: (),
    };
    let first = start_of(&core.decide(restart("a"), at));
    assert!(core.decide(restart("b"), at).is_empty(), "it waits");
    let started = Event::Started {
        incarnation: first,
        outcome: Ok(Some(1)),
    };
    start_of(&core.decide(started, at));
}
