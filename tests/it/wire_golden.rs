//! What earlier releases said and wrote is read as it was meant. `tests/golden/vN` is what version N wrote: a change of the
//! formats adds a folder and leaves the older ones as they are.

use std::fmt::Debug;
use std::path::{Path, PathBuf};

use osier::control::wire;
use osier::rpc::frames::{ClientFrame, REPLY_BYTES_MAX, REQUEST_BYTES_MAX, ServerFrame};
use osier::runtime::keeper::frame::{FrameBuffer, Framed, write_frame};
use osier::runtime::keeper::protocol::{Call, Message};
use osier::runtime::keeper::records::Record;
use osier::runtime::leavings::{KEPT_FOR, Leavings, Moment};
use osier::store::record::{decode, encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::wire_samples as samples;

fn golden(name: &str) -> PathBuf {
    crate::project::root().join("tests/golden/v1").join(name)
}

/// The golden file; with `OSIER_BLESS` one that is missing is written. One that is there is never written again.
fn read_or_bless(path: &Path, now: &[u8]) -> Vec<u8> {
    if std::env::var_os("OSIER_BLESS").is_some() && !path.exists() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, now).unwrap();
    }
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The samples as a corpus for fuzzing: a file each.
fn bless_corpus(name: &str, frames: &[Vec<u8>]) {
    if std::env::var_os("OSIER_BLESS").is_none() {
        return;
    }
    let folder = crate::project::root().join("tests/data/corpus").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    for (number, frame) in frames.iter().enumerate() {
        std::fs::write(folder.join(format!("{number:02}")), frame).unwrap();
    }
}

fn control_bytes<T: Serialize>(frames: &[T], bytes_max: usize) -> Vec<Vec<u8>> {
    frames
        .iter()
        .map(|frame| wire::frame(frame, bytes_max).unwrap())
        .collect()
}

async fn control_frames<T: DeserializeOwned>(mut bytes: &[u8], bytes_max: usize) -> Vec<T> {
    let mut frames = Vec::new();
    while let Some(frame) = wire::read_frame(&mut bytes, bytes_max).await.unwrap() {
        frames.push(frame);
    }
    frames
}

#[tokio::test]
async fn golden_frames_of_the_control_socket_are_read() {
    let (client, server) = (samples::client_frames(), samples::server_frames());
    let client_bytes = control_bytes(&client, REQUEST_BYTES_MAX);
    let server_bytes = control_bytes(&server, REPLY_BYTES_MAX);
    bless_corpus(
        "control_frames",
        &[client_bytes.clone(), server_bytes.clone()].concat(),
    );
    let bytes = read_or_bless(&golden("control_client.bin"), &client_bytes.concat());
    assert_eq!(
        control_frames::<ClientFrame>(&bytes, REQUEST_BYTES_MAX).await,
        client
    );
    let bytes = read_or_bless(&golden("control_server.bin"), &server_bytes.concat());
    assert_eq!(
        control_frames::<ServerFrame>(&bytes, REPLY_BYTES_MAX).await,
        server
    );
}

fn keeper_bytes<T: Framed + Serialize>(messages: &[T]) -> Vec<Vec<u8>> {
    let bytes = |message: &T| {
        let mut out = Vec::new();
        write_frame(message, &mut out).unwrap();
        out
    };
    messages.iter().map(bytes).collect()
}

fn keeper_frames<T: Framed + DeserializeOwned + Debug>(bytes: &[u8]) -> Vec<T> {
    let mut buffer = FrameBuffer::default();
    buffer.extend(bytes);
    std::iter::from_fn(|| buffer.next_message().unwrap()).collect()
}

#[test]
fn golden_frames_of_the_keepers_socket_are_read() {
    let (calls, messages) = (samples::keeper_calls(), samples::keeper_messages());
    let (call_bytes, message_bytes) = (keeper_bytes(&calls), keeper_bytes(&messages));
    let newer = [
        keeper_bytes(&samples::keeper_calls_of_version_2()),
        keeper_bytes(&samples::keeper_messages_of_version_2()),
    ];
    let all = [call_bytes.clone(), message_bytes.clone()]
        .into_iter()
        .chain(newer);
    bless_corpus("keeper_frames", &all.collect::<Vec<_>>().concat());
    let bytes = read_or_bless(&golden("keeper_calls.bin"), &call_bytes.concat());
    assert_eq!(keeper_frames::<Call>(&bytes), calls);
    let bytes = read_or_bless(&golden("keeper_messages.bin"), &message_bytes.concat());
    assert_eq!(keeper_frames::<Message>(&bytes), messages);
}

#[test]
fn golden_frames_of_version_2_of_the_keepers_protocol_are_read() {
    let golden = |name: &str| crate::project::root().join("tests/golden/v2").join(name);
    let calls = samples::keeper_calls_of_version_2();
    let messages = samples::keeper_messages_of_version_2();
    let (call_bytes, message_bytes) = (keeper_bytes(&calls), keeper_bytes(&messages));
    let bytes = read_or_bless(&golden("keeper_calls.bin"), &call_bytes.concat());
    assert_eq!(keeper_frames::<Call>(&bytes), calls);
    let bytes = read_or_bless(&golden("keeper_messages.bin"), &message_bytes.concat());
    assert_eq!(keeper_frames::<Message>(&bytes), messages);
}

#[test]
fn golden_records_of_the_keeper_are_read() {
    let records = samples::keeper_records();
    let lines: Vec<String> = records
        .iter()
        .map(|record| serde_json::to_string(record).unwrap() + "\n")
        .collect();
    let whole = lines.concat();
    let halves = [whole.clone(), whole[..whole.len() / 2].to_owned()].map(String::into_bytes);
    bless_corpus("keeper_records", &halves);
    let bytes = read_or_bless(&golden("keeper.records"), whole.as_bytes());
    let read: Vec<Record> = bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(read, records);
}

#[test]
fn golden_leavings_of_removed_apps_are_read() {
    let mut leavings = Leavings::default();
    leavings.advance(&Moment {
        boot: "2f0c2a70-6a4b-4b1c-9a53-3f1e5d0d9b11".into(),
        ms: 5_000,
    });
    leavings.keep("web".parse().unwrap(), KEPT_FOR);
    let bytes = read_or_bless(&golden("leavings.bin"), &encode(&leavings).unwrap());
    assert_eq!(decode::<Leavings>(&bytes).unwrap(), leavings);
}
