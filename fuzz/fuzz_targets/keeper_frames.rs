#![no_main]
//! Any bytes on the keeper's socket, in both directions, and any bytes as its record file.

use osier::runtime::keeper::frame::FrameBuffer;
use osier::runtime::keeper::protocol::{Call, Message};
use osier::runtime::keeper::records::Recovered;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut buffer = FrameBuffer::default();
    buffer.extend(bytes);
    while let Ok(Some(_)) = buffer.next_message::<Call>() {}
    let mut buffer = FrameBuffer::default();
    buffer.extend(bytes);
    while let Ok(Some(_)) = buffer.next_message::<Message>() {}
    let _ = Recovered::from_bytes(bytes);
});
