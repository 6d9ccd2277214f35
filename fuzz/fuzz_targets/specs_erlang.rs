#![no_main]
//! Any bytes as Erlang terms: a spec, a `sys.config`, and a spec to translate.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = osier::specs::read_app("app.config", bytes, "web", &osier::specs::NodeFacts::of_nobody());
    let _ = osier::specs::import::import_sys_config("sys.config", bytes);
    let _ = osier::specs::import::import_app("apps/a/app.config", bytes, "schema.json");
});
