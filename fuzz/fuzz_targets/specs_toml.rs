#![no_main]
//! Any bytes as `app.toml`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = osier::specs::read_app("app.toml", bytes, "web", &osier::specs::NodeFacts::of_nobody());
});
