#![no_main]
//! Any bytes on the control socket, in both directions.

use osier::control::wire::decode;
use osier::rpc::frames::{ClientFrame, ServerFrame};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = decode::<ClientFrame>(bytes);
    let _ = decode::<ServerFrame>(bytes);
});
