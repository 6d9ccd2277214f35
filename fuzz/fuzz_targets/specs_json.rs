#![no_main]
//! Any bytes as `app.json`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = osier::specs::read_app("app.json", bytes, "web", &osier::specs::NodeFacts::of_nobody());
});
