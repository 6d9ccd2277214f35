use super::*;
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
