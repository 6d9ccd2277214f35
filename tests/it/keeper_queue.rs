//! Starts that still wait for their turn when somebody asks about them. What is sent by one write is answered before the
//! keeper begins any start, so in each of these tests a start waits for certain.

use osier::runtime::keeper::protocol::{
    List, Message, Push, Refusal, Reply, Request, Role, Spawn, SpawnFault, Waiting,
};

use crate::keeper_rig::{Caller, Rig, app};

/// Sends `requests` in the wake of a start of `spawn`, and a list when all of that was seen to. Everything that came.
fn answers(rig: &Rig, spawn: &Spawn, requests: Vec<Request>) -> (Vec<Result<Reply, Refusal>>, Vec<Push>) {
    let mut caller = Caller::connect(&rig.data_dir).unwrap();
    caller.say_hello_as(Role::Daemon);
    let spawns = vec![spawn.clone()];
    let count = requests.len() + 1;
    caller.send_together([Request::Spawn { spawns }].into_iter().chain(requests));
    let (mut replies, mut pushes) = (Vec::new(), Vec::new());
    while replies.len() <= count {
        match caller.receive().unwrap() {
            Message::Reply { result, .. } => replies.push(result),
            Message::Push(push) => pushes.push(push),
        }
        if replies.len() == count {
            caller.send(Request::List);
        }
    }
    (replies, pushes)
}

fn list(reply: &Result<Reply, Refusal>) -> &List {
    match reply {
        Ok(Reply::List(list)) => list,
        other => panic!("{other:?}"),
    }
}

fn is_called_off(pushes: &[Push], spawn: &Spawn) -> bool {
    matches!(
        pushes,
        [Push::SpawnFailed { instance, fault: SpawnFault::System { errno: libc::ECANCELED, .. }, .. }]
            if *instance == spawn.instance
    )
}

#[tokio::test]
async fn a_start_that_waits_is_listed_and_found() {
    let rig = Rig::start().await;
    let spawn = rig.spawn_of("web", &["sleep", "1000"]);
    let find = |name| Request::Find { app: app(name) };
    let (replies, _) = answers(&rig, &spawn, vec![Request::List, find("web"), find("other")]);
    let waiting = [Waiting {
        app: app("web"),
        instance: spawn.instance,
    }];
    assert_eq!(list(&replies[1]).waiting, waiting);
    assert_eq!(list(&replies[2]).waiting, waiting);
    assert_eq!(list(&replies[3]).waiting, []);
}

#[tokio::test]
async fn a_start_that_is_stopped_while_it_waits_never_runs() {
    let rig = Rig::start().await;
    let spawn = rig.spawn_of("web", &["sleep", "1000"]);
    let instance = spawn.instance.clone();
    let stop = Request::Stop {
        instance: instance.clone(),
        signal: 15,
        grace_ms: 0,
    };
    let (replies, pushes) = answers(&rig, &spawn, vec![stop]);
    assert_eq!(replies[1], Err(Refusal::NotRunning { instance }));
    assert!(is_called_off(&pushes, &spawn), "{pushes:?}");
    assert_eq!(list(&replies[2]), &List::default());
    assert_eq!(rig.marked(), Vec::<i32>::new());
}

#[tokio::test]
async fn an_app_that_is_forgotten_while_its_start_waits_never_runs() {
    let rig = Rig::start().await;
    let spawn = rig.spawn_of("web", &["sleep", "1000"]);
    let (replies, pushes) = answers(&rig, &spawn, vec![Request::Forget { app: app("web") }]);
    assert_eq!(replies[1], Ok(Reply::Done));
    assert!(is_called_off(&pushes, &spawn), "{pushes:?}");
    assert_eq!(list(&replies[2]), &List::default());
    assert_eq!(rig.marked(), Vec::<i32>::new());
}
