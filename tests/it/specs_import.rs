//! Coming from bc_gitops, and a new repository: what is written passes `validate`.

use std::path::Path;

use osier::specs::facts::Capabilities;
use osier::specs::import::{import_app, import_sys_config};
use osier::specs::render::Severity;
use osier::specs::scaffold::{SCHEMA_FROM_APP, SCHEMA_PATH, new_repository, surroundings};
use osier::specs::{Desired, NodeFacts, SpecCache, load, read_app};

use crate::memory_tree::MemoryTree;

fn validated(files: &[(String, String)], facts: &NodeFacts) -> std::sync::Arc<Desired> {
    let tree = MemoryTree::of(files.iter().map(|(path, text)| (path.as_str(), text.as_str())));
    load(&tree, "apps", facts, &mut SpecCache::default()).unwrap()
}

#[test]
fn a_new_repository_passes_validate_and_runs_on_any_node() {
    let desired = validated(&new_repository(), &NodeFacts::of_nobody());
    assert_eq!((&desired.mistakes[..], &desired.warnings[..]), (&[][..], &[][..]));
    let hello = &desired.apps["hello"].spec;
    assert_eq!(hello.env["GREETING"], "version 1.0.0");
    assert_eq!(
        hello.stop.policy().grace.as_secs(),
        2,
        "the app's own key is on top of the default"
    );
    let paths: Vec<String> = new_repository().into_iter().map(|(path, _)| path).collect();
    assert!(
        paths.contains(&SCHEMA_PATH.to_owned()) && paths.contains(&".github/workflows/specs.yml".to_owned())
    );
    for (path, text) in new_repository() {
        if path.ends_with("yaml") || path.ends_with("yml") {
            osier::specs::format::read(osier::specs::format::Format::Yaml, &text, 0).unwrap();
        }
    }
}

#[test]
fn the_demo_specs_of_the_original_are_translated() {
    let mut files = surroundings();
    for name in ["demo_counter", "demo_phoenix", "demo_tui", "demo_uptime"] {
        let path = format!("apps/{name}/app.config");
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/data/bc_gitops/demo-specs")
            .join(&path);
        let app = import_app(&path, &std::fs::read(file).unwrap(), SCHEMA_FROM_APP).unwrap();
        assert_eq!(app.name, name);
        insta::assert_snapshot!(format!("imported {name}"), app.text);
        files.push((format!("apps/{name}/app.yaml"), app.text));
    }
    let desired = validated(&files, &NodeFacts::of_nobody());
    let mistakes: Vec<_> = desired
        .mistakes
        .iter()
        .filter(|error| error.severity() == Severity::Mistake)
        .collect();
    assert!(mistakes.is_empty(), "{mistakes:#?}");
    let everything = NodeFacts {
        capabilities: Capabilities::ALL,
        ..NodeFacts::of_nobody()
    };
    assert_eq!(validated(&files, &everything).apps.len(), 4);
}

#[test]
fn what_has_no_equivalent_is_said() {
    let text = br#"[{name, 'My.App'}, {version, "1.0"}, {description, "a: #b"}, {isolation, vm},
        {vm_config, #{memory_limit => 512, scheduler_limit => 2, extra_args => ["+S", "2"]}},
        {source, #{type => hex}}, {env, [{port, 80}, {'weird key', <<"x\ny">>}]}, {flavour, "sweet"}]."#;
    let app = import_app("apps/a/app.config", text, SCHEMA_FROM_APP).unwrap();
    assert_eq!(app.name, "my_app");
    assert_eq!(
        app.notes,
        [
            "the name was `My.App`, which is not a valid one here",
            "the source was `hex`: name a release to run in its place, then remove `suspend`",
            "vm_config.extra_args has no equivalent: [\"+S\", \"2\"]",
        ]
    );
    let read = read_app(
        "apps/a/app.yaml",
        app.text.as_bytes(),
        "a",
        &NodeFacts::of_nobody(),
    );
    let messages: Vec<&str> = read.errors.iter().map(|error| error.message.as_str()).collect();
    assert_eq!(
        messages,
        ["`weird key` is not a name for a variable"],
        "{}",
        app.text
    );
    let spec = read.spec.unwrap();
    assert_eq!(spec.limits.memory.unwrap().bytes(), 512 << 20);
    assert_eq!(spec.description.as_deref(), Some("a: #b"));
    assert!(spec.is_suspended());
    assert!(import_app("apps/a/app.config", b"oops", "").is_err());
}

#[test]
fn a_sys_config_becomes_settings() {
    let text = br#"%% node configuration
[
 {bc_gitops, [
   {repo_url, "https://git.example.com/specs.git"},
   {local_path, <<"/var/lib/bc_gitops">>},
   {branch, main}, {apps_dir, "apps"}, {reconcile_interval, 90000},
   {runtime_module, my_runtime}, {cookie, s3cret},
   {mesh_enabled, true}, {mesh_topic, <<"gitops.events">>},
   {typo_here, 1}
 ]},
 {macula, [{realm, <<"io.example">>}, {bootstrap_nodes, ["/dns4/boot.example.com/udp/4001/quic-v1"]}]},
 {kernel, [{logger_level, info}, {logger, [{handler, default, logger_std_h, #{}}]}]},
 "other.config"
].
"#;
    let imported = import_sys_config("sys.config", text).unwrap();
    let toml = imported.to_toml();
    insta::assert_snapshot!(toml);
    assert!(!toml.contains("s3cret"));
    let table: toml::Table = toml.parse().unwrap();
    assert_eq!(table["repo"]["reconcile_interval"].as_str(), Some("90s"));
    assert_eq!(
        table["mesh"]["bootstrap_nodes"][0].as_str(),
        Some("/dns4/boot.example.com/udp/4001/quic-v1")
    );
    // The section's content alone, and a value that is none.
    let bare = import_sys_config("sys.config", b"[{repo_url, \"u\"}, {mesh_enabled, maybe_so}].").unwrap();
    assert_eq!(bare.settings.len(), 1);
    assert_eq!(
        bare.notes,
        ["bc_gitops.mesh_enabled: maybe_so is not what it should be"]
    );
    assert!(import_sys_config("sys.config", b"[{repo_url").is_err());
}
