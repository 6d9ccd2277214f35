use super::*;
use crate::runtime::keeper::protocol::{Confinement, Enforce, Limits, LogLimits};
use crate::runtime::keeper::{KeeperOptions, KeeperProgram};

#[test]
fn what_was_given_up_while_no_keeper_answers_is_dropped() {
    let (commands, received) = mpsc::unbounded_channel();
    let options = LinkOptions {
        keeper: KeeperOptions {
            data_dir: "/nonexistent".into(),
            tied: false,
        },
        program: KeeperProgram::Installed("/nonexistent".into()),
    };
    let (events, _told) = mpsc::channel(1);
    let mut task = Task::new(options, received, events, Default::default(), Default::default());
    let call = || {
        let (reply, answer) = oneshot::channel();
        let request = Request::Capabilities;
        commands.send(Command::Call { request, reply }).unwrap();
        answer
    };
    let awaited = call();
    for _ in 0..10 {
        drop(call());
    }
    commands.send(Command::Acknowledge(InstanceId::random())).unwrap();
    task.hold();
    assert_eq!(task.held.len(), 2);
    drop(awaited);
    task.hold();
    assert!(matches!(task.held.as_slice(), [Command::Acknowledge(_)]));
}

/// The start of a confined app, and where its fate is told.
fn confined() -> (Command, oneshot::Receiver<Result<Spawned, SpawnFault>>) {
    let (fate, told) = oneshot::channel();
    let spawn = Spawn {
        app: "web".parse().unwrap(),
        instance: InstanceId::random(),
        command: vec!["true".to_owned()],
        environment: Vec::new(),
        working_dir: ".".to_owned(),
        user: None,
        umask: 0o022,
        no_new_privileges: true,
        confinement: Some(Confinement::default()),
        limits: Limits::default(),
        enforce: Enforce::BestEffort,
        stop_signal: 15,
        stop_grace_ms: 0,
        logs: LogLimits::default(),
        label: String::new(),
        notify: false,
    };
    let spawn = Box::new(spawn);
    (Command::Spawn { spawn, fate }, told)
}

#[tokio::test]
async fn a_confined_app_is_never_handed_to_a_keeper_that_confines_nothing() {
    let (_commands, received) = mpsc::unbounded_channel();
    let options = LinkOptions {
        keeper: KeeperOptions {
            data_dir: "/nonexistent".into(),
            tied: false,
        },
        program: KeeperProgram::Installed("/nonexistent".into()),
    };
    let (events, _told) = mpsc::channel(1);
    let mut task = Task::new(options, received, events, Default::default(), Default::default());
    let (near, _far) = tokio::net::UnixStream::pair().unwrap();
    let mut wire = Wire::new(near);
    let is_refused = |fate: Result<Spawned, SpawnFault>| match fate {
        Err(SpawnFault::Limits { faults }) => faults[0].limit == "sandbox.read_only",
        _ => false,
    };

    task.version = VERSION_THAT_CONFINES - 1;
    let (command, fate) = confined();
    assert!(task.send_commands(&mut wire, [command].into_iter()).is_ok());
    assert!(is_refused(fate.await.unwrap()) && task.spawns.is_empty());

    task.version = VERSION_THAT_CONFINES;
    let (command, mut fate) = confined();
    assert!(task.send_commands(&mut wire, [command].into_iter()).is_ok());
    assert!(fate.try_recv().is_err() && task.spawns.len() == 1);

    // The next keeper is an older one: what the last did not answer is not sent to it.
    task.version = VERSION_THAT_CONFINES - 1;
    assert!(task.begin(&mut wire, &List::default()).is_ok());
    assert!(is_refused(fate.await.unwrap()) && task.spawns.is_empty());
}
