//! Seeded mutation of what stands on the two sockets: no panic, no unbounded growth; an error, or a message that can be
//! written and read again as it is.

use std::fmt::Debug;

use futures::FutureExt as _;
use osier::control::wire;
use osier::rpc::Procedure;
use osier::rpc::frames::{ClientFrame, REPLY_BYTES_MAX, REQUEST_BYTES_MAX, ServerFrame};
use osier::rpc::procedures as calls;
use osier::runtime::keeper::frame::{FrameBuffer, Framed, write_frame};
use osier::runtime::keeper::protocol::{Call, Message};
use osier::runtime::keeper::records::{Record, Recovered};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::mutate;

/// Reads `bytes` as a stream of frames to its end or its first error.
fn control<T: Serialize + DeserializeOwned + PartialEq + Debug>(mut bytes: &[u8], bytes_max: usize) {
    // A slice is always ready.
    let mut next = || {
        wire::read_frame::<T>(&mut bytes, bytes_max)
            .now_or_never()
            .unwrap()
    };
    while let Ok(Some(frame)) = next() {
        let written = wire::frame(&frame, bytes_max).unwrap();
        let again = wire::read_frame::<T>(&mut written.as_slice(), bytes_max).now_or_never();
        assert_eq!(again.unwrap().unwrap(), Some(frame));
    }
}

/// A request out of any bytes, as the door reads it.
fn request<P: Procedure>(body: &[u8]) {
    if let Ok(request) = wire::decode::<P::Request>(body) {
        let written = wire::encode(&request).unwrap();
        let again = wire::decode::<P::Request>(&written).unwrap();
        assert_eq!(wire::encode(&again).unwrap(), written);
    }
}

fn requests(body: &[u8]) {
    request::<calls::Status>(body);
    request::<calls::ShowApp>(body);
    request::<calls::Reconcile>(body);
    request::<calls::Deploy>(body);
    request::<calls::Upgrade>(body);
    request::<calls::Remove>(body);
    request::<calls::Operate>(body);
    request::<calls::Suspend>(body);
    request::<calls::Logs>(body);
    request::<calls::Events>(body);
    request::<calls::TreeKill>(body);
}

#[test]
fn fuzz_control_frames() {
    mutate::run("control_frames", |bytes| {
        control::<ClientFrame>(bytes, REQUEST_BYTES_MAX);
        control::<ServerFrame>(bytes, REPLY_BYTES_MAX);
        requests(bytes);
        if let Ok(ClientFrame::Call { body, .. }) = wire::decode(bytes.get(4..).unwrap_or_default()) {
            requests(&body);
        }
    });
}

/// Reads `bytes` in pieces, as a socket brings them.
fn keeper<T: Framed + Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
    let mut buffer = FrameBuffer::default();
    for piece in bytes.chunks(1_000) {
        buffer.extend(piece);
        loop {
            match buffer.next_message::<T>() {
                Ok(Some(message)) => {
                    let mut written = Vec::new();
                    write_frame(&message, &mut written).unwrap();
                    assert!(written.len() <= T::BYTES_MAX + 4);
                    let mut again = FrameBuffer::default();
                    again.extend(&written);
                    assert_eq!(again.next_message::<T>().unwrap(), Some(message));
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

#[test]
fn fuzz_keeper_frames() {
    mutate::run("keeper_frames", |bytes| {
        keeper::<Call>(bytes);
        keeper::<Message>(bytes);
    });
}

#[test]
fn fuzz_keeper_records() {
    mutate::run("keeper_records", |bytes| {
        let lines = bytes
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .count();
        let found = Recovered::from_bytes(bytes);
        assert!(found.starts.len() + found.exits.len() + found.torn_count as usize <= lines);
        // What was read is written and read as it is.
        let starts = found.starts.iter().cloned().map(Record::Start);
        let ends = found.exits.iter().cloned().map(Record::End);
        let written: Vec<String> = starts
            .chain(ends)
            .map(|record| serde_json::to_string(&record).unwrap())
            .collect();
        let again = Recovered::from_bytes(written.join("\n").as_bytes());
        assert_eq!((again.starts, again.exits), (found.starts, found.exits));
    });
}
