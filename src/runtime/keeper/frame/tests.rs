use super::*;
use crate::names::{APP_NAME_BYTES_MAX, InstanceId};
use crate::runtime::keeper::protocol::{
    Call, Exit, ExitHow, FAULT_WHY_BYTES_MAX, LABEL_BYTES_MAX, LimitFault, List, Message, OutputCounters,
    Reply, Request, Role, Running, Waiting,
};
use crate::runtime::keeper::requests::WAITING_SPAWNS_MAX;
use crate::runtime::keeper::state::EXITS_KEPT_MAX;

fn hello() -> Call {
    Call {
        id: 7,
        request: Request::Hello {
            version: 1,
            role: Role::Daemon,
        },
    }
}

#[test]
fn frames_come_out_as_they_went_in_however_they_are_cut() {
    let signal = Call {
        id: 8,
        request: Request::Signal {
            instance: InstanceId::random(),
            signal: 9,
        },
    };
    let mut wire = Vec::new();
    write_frame(&hello(), &mut wire).unwrap();
    write_frame(&signal, &mut wire).unwrap();
    for cut in 1..wire.len() {
        let mut buffer = FrameBuffer::default();
        let mut read = Vec::new();
        for piece in wire.chunks(cut) {
            buffer.extend(piece);
            while let Some(call) = buffer.next_message::<Call>().unwrap() {
                read.push(call);
            }
        }
        assert_eq!(read, [hello(), signal.clone()], "cut every {cut} bytes");
    }
}

#[test]
fn a_frame_longer_than_the_bound_is_refused_by_its_head_alone() {
    let mut buffer = FrameBuffer::default();
    buffer.extend(&u32::MAX.to_be_bytes());
    assert!(matches!(
        buffer.next_message::<Call>(),
        Err(FrameError::TooLong { .. })
    ));
}

#[test]
fn a_message_longer_than_the_bound_is_not_written() {
    let mut out = b"before".to_vec();
    let long = Call {
        id: 1,
        request: Request::Acknowledge {
            instances: vec![InstanceId::random(); CALL_BYTES_MAX / 32],
        },
    };
    assert!(matches!(
        write_frame(&long, &mut out),
        Err(FrameError::TooLong { .. })
    ));
    assert_eq!(out, b"before");
}

#[test]
fn deep_nesting_is_refused_without_overflowing_the_stack() {
    let mut body = vec![0x91; 200_000];
    body.push(0xc0);
    assert!(matches!(
        read_message::<Call>(&body),
        Err(FrameError::Malformed { .. })
    ));
    assert!(matches!(
        read_message::<Message>(&body),
        Err(FrameError::Malformed { .. })
    ));
}

#[test]
fn bytes_behind_a_message_are_refused() {
    let mut body = rmp_serde::to_vec_named(&hello()).unwrap();
    body.push(0xc0);
    assert!(read_message::<Call>(&body).is_err());
}

/// Ten thousand seeded mutations of good frames: an answer or an error each time, never a panic.
#[test]
fn mutated_frames_are_answered_or_refused() {
    let mut random = fastrand::Rng::with_seed(3);
    let mut good = Vec::new();
    write_frame(&hello(), &mut good).unwrap();
    for _ in 0..10_000 {
        let mut wire = good.clone();
        for _ in 0..random.usize(1..6) {
            match random.u8(..4) {
                0 => {
                    let at = random.usize(..wire.len());
                    wire[at] = random.u8(..);
                }
                1 => wire.truncate(random.usize(1..=wire.len())),
                2 => wire.insert(random.usize(..=wire.len()), random.u8(..)),
                _ => wire.extend_from_within(random.usize(..wire.len())..),
            }
        }
        let mut buffer = FrameBuffer::default();
        buffer.extend(&wire);
        while let Ok(Some(_)) = buffer.next_message::<Call>() {}
    }
}

/// Everything is as long as it may be: what a keeper says when nothing can be enforced and nobody took an exit.
#[test]
fn the_list_of_the_largest_node_fits_into_a_frame() {
    let app: crate::names::AppName = "x".repeat(APP_NAME_BYTES_MAX).parse().unwrap();
    let (instance, label) = (InstanceId::random(), "x".repeat(LABEL_BYTES_MAX));
    let fault = LimitFault::new("open_files", "ä".repeat(FAULT_WHY_BYTES_MAX));
    assert_eq!(fault.why.len(), FAULT_WHY_BYTES_MAX);
    let running = Running {
        app: app.clone(),
        instance: instance.clone(),
        pid: u32::MAX,
        started_at_ms: u64::MAX,
        adopted: true,
        stopping: true,
        output: OutputCounters {
            lines_count: u64::MAX,
            bytes_count: u64::MAX,
            dropped_lines_count: u64::MAX,
            dropped_bytes_count: u64::MAX,
        },
        // Four limits, and two of the sandbox.
        not_in_force: vec![fault; 6],
        label: label.clone(),
        notice: None,
    };
    let exit = Exit {
        app: app.clone(),
        instance: instance.clone(),
        pid: u32::MAX,
        how: ExitHow::Signal(i32::MAX),
        oom: true,
        asked: true,
        killed: true,
        leftovers_count: u32::MAX,
        survivors_count: u32::MAX,
        started_at_ms: u64::MAX,
        at_ms: u64::MAX,
        cpu_ms: Some(u64::MAX),
        label,
    };
    let list = List {
        running: vec![running; 10_000],
        exits: vec![exit; EXITS_KEPT_MAX],
        exits_lost_count: u64::MAX,
        waiting: vec![Waiting { app, instance }; WAITING_SPAWNS_MAX],
    };
    let message = Message::Reply {
        id: u64::MAX,
        result: Ok(Reply::List(list)),
    };
    let mut wire = Vec::new();
    write_frame(&message, &mut wire).unwrap();
    let mut buffer = FrameBuffer::default();
    buffer.extend(&wire);
    assert_eq!(buffer.next_message::<Message>().unwrap(), Some(message));
}
