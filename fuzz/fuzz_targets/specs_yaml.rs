#![no_main]
//! Any bytes as `app.yaml`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = osier::specs::read_app("app.yaml", bytes, "web", &osier::specs::NodeFacts::of_nobody());
});
