//! All integration tests in one binary: one link instead of one for each area.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test that cannot go on fails; the helpers of tests are tests too"
)]

mod bad_input;
mod cli_act;
mod cli_demo;
mod cli_follow;
mod cli_history;
mod cli_local;
mod cli_look;
mod cli_node;
mod cli_reach;
mod cli_troubles;
mod cli_unfollowed;
mod cli_word;
mod config_generated;
mod config_layers;
mod docs_commands;
mod embed_node;
mod embed_processes;
#[path = "../support/fake_daemon.rs"]
mod fake_daemon;
mod floors;
mod fuzz_frames;
mod fuzz_specs;
mod fuzz_urls;
mod git_conformance;
mod git_daemon;
mod git_damage;
mod git_file;
mod git_history;
mod git_http;
mod git_node;
mod git_proxy;
mod git_secrets;
#[path = "../support/git_server_http.rs"]
mod git_server_http;
#[path = "../support/git_server_inetd.rs"]
mod git_server_inetd;
#[path = "../support/git_source.rs"]
mod git_source;
mod git_ssh;
mod git_tools;
mod git_trees;
mod git_why;
#[path = "../support/http_proxy.rs"]
mod http_proxy;
mod keeper_abuse;
mod keeper_death;
mod keeper_health;
mod keeper_identity;
mod keeper_life;
mod keeper_limits;
mod keeper_output;
mod keeper_queue;
#[path = "../support/keeper_rig.rs"]
mod keeper_rig;
mod keeper_runtime;
mod keeper_sandbox;
mod keeper_silence;
mod keeper_user;
#[path = "../support/kill_model.rs"]
mod kill_model;
#[path = "../support/kill_stage.rs"]
mod kill_stage;
#[path = "../support/memory_tree.rs"]
mod memory_tree;
#[path = "../support/mutate.rs"]
mod mutate;
mod node_audit;
mod node_doctor;
mod node_ends;
mod node_garbage;
mod node_health;
mod node_keeper;
mod node_kills;
mod node_leavings;
mod node_life;
mod node_rollback;
mod node_sandbox;
#[path = "../support/other_half.rs"]
mod other_half;
mod otp_admin;
mod otp_beyond;
mod otp_change;
mod otp_conformance;
mod otp_loops;
mod otp_remains;
mod otp_restart;
mod otp_scale;
mod otp_significant;
#[path = "../support/otp_stage.rs"]
mod otp_stage;
mod otp_start;
mod otp_stop;
mod otp_strategies;
#[path = "../support/panicking_log.rs"]
mod panicking_log;
mod plan_conformance;
#[path = "../support/poll.rs"]
mod poll;
mod project;
#[path = "../support/real_daemon.rs"]
mod real_daemon;
mod specs_conformance;
mod specs_fields;
mod specs_hostile;
mod specs_import;
mod specs_laws;
mod specs_load;
mod specs_reference;
#[path = "../support/specs_repository.rs"]
mod specs_repository;
mod specs_schema;
mod store_damage;
mod store_events;
mod store_records;
mod telemetry_generated;
mod telemetry_log;
mod telemetry_router;
mod wire_golden;
#[path = "../support/wire_samples.rs"]
mod wire_samples;
