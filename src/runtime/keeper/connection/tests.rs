use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::*;
use crate::names::InstanceId;
use crate::runtime::keeper::protocol::{OutputCounters, Push, Reply, TreeUsage};

fn connection() -> (Connection, OwnedFd) {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (socket, peer) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
    (Connection::new(socket), peer)
}

fn push() -> Message {
    Message::Push(Push::OutputDropped {
        app: "web".parse().unwrap(),
        output: OutputCounters::default(),
    })
}

#[test]
fn a_caller_that_takes_nothing_is_cut_off_and_costs_no_more_than_the_bound() {
    let (mut connection, _deaf) = connection();
    let mut rounds = 0u32;
    while connection.send() {
        connection.queue(&push());
        assert!(connection.outgoing.len() <= UNSENT_BYTES_MAX);
        rounds += 1;
        assert!(rounds < 1_000_000, "it is never cut off");
    }
    assert_eq!(connection.outgoing.capacity(), 0);
}

#[test]
fn what_a_slow_caller_has_taken_is_let_go_of_before_it_has_taken_all() {
    let (mut connection, slow) = connection();
    let mut taken = vec![0; 64 * 1024];
    // Four times what may wait for it passes, and it always lags behind.
    for _ in 0..4 * UNSENT_BYTES_MAX / taken.len() {
        while connection.unsent_bytes() < UNTAKEN_BYTES_MAX {
            connection.queue(&push());
        }
        assert!(connection.send());
        let _ = rustix::io::read(&slow, &mut taken);
        assert!(connection.outgoing.len() < 4 * UNTAKEN_BYTES_MAX);
    }
}

#[test]
fn an_answer_that_is_too_long_is_refused_not_missed() {
    let (mut connection, _peer) = connection();
    let usage = TreeUsage {
        instance: InstanceId::random(),
        processes_count: 1,
        cpu_ms: 1,
        memory_bytes: 1,
        open_files_count: 1,
    };
    let count = MESSAGE_BYTES_MAX / 32;
    connection.queue(&Message::Reply {
        id: 7,
        result: Ok(Reply::Stats(vec![usage; count])),
    });
    let mut buffer = FrameBuffer::default();
    buffer.extend(&connection.outgoing);
    assert_eq!(buffer.next_message::<Message>().unwrap(), Some(too_long(7)));
    assert!(connection.send());
}
