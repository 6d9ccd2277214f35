//! From a tree to the desired state: which file is read, what one bad spec does to others, what only shows across specs.

use std::collections::BTreeMap;
use std::sync::Arc;

use osier::names::AppName;
use osier::specs::{Capabilities, Desired, NodeFacts, RepositoryError, SpecCache, SpecError, load};

use crate::memory_tree::{Item, MemoryTree};

const MINIMAL: &str = "version: 1.0.0\ncommand: [/bin/true]\n";

fn app(name: &str) -> AppName {
    name.parse().unwrap()
}

fn node() -> NodeFacts {
    let labels = BTreeMap::from([
        ("site".to_owned(), "ams".to_owned()),
        ("role".to_owned(), "edge".to_owned()),
    ]);
    NodeFacts::of_this_machine("lab-a".parse().unwrap(), labels, "/var/lib/osier".to_owned())
}

fn loaded(tree: &MemoryTree) -> Arc<Desired> {
    load(tree, "apps", &node(), &mut SpecCache::default()).unwrap()
}

fn named(desired: &Desired) -> Vec<&str> {
    desired.apps.keys().map(AppName::as_str).collect()
}

fn error<'d>(desired: &'d Desired, name: &str) -> &'d SpecError {
    desired
        .invalid
        .get(name)
        .unwrap_or_else(|| panic!("{name} has no error: {desired:#?}"))
}

#[test]
fn a_spec_becomes_an_app() {
    let tree = MemoryTree::of([(
        "apps/web/app.yaml",
        "version: 1.10\ncommand: [/bin/sleep, 5]\nenv: {PORT: 8080}\n",
    )]);
    let desired = loaded(&tree);
    let web = &desired.apps["web"];
    assert_eq!(web.spec.version.as_str(), "1.10");
    assert_eq!(web.spec.command, ["/bin/sleep", "5"]);
    assert_eq!(web.spec.env["PORT"], "8080");
    assert_eq!(
        (web.file.as_str(), web.line, web.folder.as_str()),
        ("apps/web/app.yaml", 1, "apps/web")
    );
    assert!(
        desired.mistakes.is_empty() && desired.warnings.is_empty(),
        "{desired:#?}"
    );
}

#[test]
fn one_bad_spec_hides_no_other_and_removes_nothing() {
    let good = MemoryTree::of([
        ("apps/a/app.yaml", MINIMAL),
        ("apps/b/app.yaml", "name: bee\nversion: 1\ncommand: [x]\n"),
        ("apps/c/app.yaml", MINIMAL),
    ]);
    let mut cache = SpecCache::default();
    let before = load(&good, "apps", &node(), &mut cache).unwrap();
    assert_eq!(named(&before), ["a", "bee", "c"]);
    let broken = good
        .without("apps/b")
        .with(
            "apps/b/app.yaml",
            Item::File(b"name: bee\nversion: [1\n".to_vec()),
        )
        .done();
    let after = load(&broken, "apps", &node(), &mut cache).unwrap();
    assert_eq!(named(&after), ["a", "c"]);
    assert!(
        Arc::ptr_eq(&before.apps["a"], &after.apps["a"]),
        "an unchanged app keeps its value"
    );
    let error = error(&after, "bee");
    assert_eq!(
        (error.file.as_str(), error.code.as_str()),
        ("apps/b/app.yaml", "osier::spec::syntax")
    );
    assert!(error.line >= 2, "{error:?}");
    assert_eq!(error.app, Some(app("bee")));
}

#[test]
fn an_unreadable_spec_stands_for_the_name_it_last_had_even_after_a_restart() {
    let names = BTreeMap::from([("apps/b".to_owned(), app("bee"))]);
    let tree = MemoryTree::of([
        ("apps/b/app.yaml", "]"),
        ("apps/new/app.yaml", "]"),
        ("apps/NO!/app.yaml", "]"),
    ]);
    let desired = load(&tree, "apps", &node(), &mut SpecCache::with_names(names)).unwrap();
    assert_eq!(
        desired.invalid.keys().map(AppName::as_str).collect::<Vec<_>>(),
        ["bee", "new"]
    );
    assert_eq!(desired.mistakes.len(), 3);
    assert!(
        desired
            .mistakes
            .iter()
            .any(|error| error.app.is_none() && error.file == "apps/NO!/app.yaml")
    );
}

#[test]
fn a_bad_spec_with_another_name_still_stands_for_the_app_that_its_folder_had() {
    for (bad, invalid) in [
        // The name of another app.
        ("name: a\nversion: 1\ncommand: [x]\n", ["a", "b"].as_slice()),
        // A new name, and a mistake beside it.
        ("name: c\nversion: 1\ncomand: [x]\n", &["b", "c"]),
    ] {
        let good = MemoryTree::of([("apps/a/app.yaml", MINIMAL), ("apps/b/app.yaml", MINIMAL)]);
        let mut cache = SpecCache::default();
        load(&good, "apps", &node(), &mut cache).unwrap();
        let broken = good
            .without("apps/b")
            .with("apps/b/app.yaml", Item::File(bad.into()))
            .done();
        // Twice: for the next commit it is the same.
        for _ in 0..2 {
            let after = load(&broken, "apps", &node(), &mut cache).unwrap();
            assert_eq!(
                after.invalid.keys().map(AppName::as_str).collect::<Vec<_>>(),
                invalid
            );
        }
    }
}

#[test]
fn what_is_no_folder_with_a_spec_is_no_app() {
    let tree = MemoryTree::of([
        ("apps/README.md", "hello"),
        ("apps/a.config", "#{}."),
        ("apps/empty/notes.txt", "x"),
        ("apps/group/a/app.yaml", MINIMAL),
        ("apps/.hidden/app.yaml", MINIMAL),
        ("apps/odd/config/x", "y"),
    ]);
    let desired = loaded(&tree);
    assert_eq!(*desired, Desired::default());
    assert_eq!(
        *loaded(&MemoryTree::of([("README.md", "no apps at all")])),
        Desired::default()
    );
}

#[test]
fn symlinks_and_submodules_are_errors_and_no_removals() {
    let names = BTreeMap::from([("apps/file".to_owned(), app("known"))]);
    let tree = MemoryTree::of([("apps/file", "in the way"), ("apps/other", "ignored")])
        .with("apps/link", Item::Symlink("/".to_owned()))
        .with("apps/sub", Item::Submodule)
        .with("apps/spec/app.yaml", Item::Symlink("/etc/passwd".to_owned()))
        .done();
    let desired = load(&tree, "apps", &node(), &mut SpecCache::with_names(names)).unwrap();
    assert_eq!(
        desired.invalid.keys().map(AppName::as_str).collect::<Vec<_>>(),
        ["known", "link", "spec", "sub"]
    );
    for error in &desired.mistakes {
        assert_eq!(error.code, "osier::spec::not_a_file");
        assert_eq!(error.source_line, "");
        assert!(!format!("{error:?}").contains("passwd"), "{error:?}");
    }
    let refused = load(
        &MemoryTree::default()
            .with("apps", Item::Symlink("/".to_owned()))
            .done(),
        "apps",
        &node(),
        &mut SpecCache::default(),
    );
    assert!(matches!(refused, Err(RepositoryError::NotAFolder { .. })));
}

#[test]
fn two_specs_in_one_folder_are_an_error_that_names_both() {
    let tree = MemoryTree::of([("apps/a/app.yaml", MINIMAL), ("apps/a/app.config", "#{}.")]);
    let error = error(&loaded(&tree), "a").clone();
    assert_eq!(error.code, "osier::spec::two_files");
    assert!(error.message.contains("apps/a/app.yaml") && error.message.contains("apps/a/app.config"));
    // `config.*` only counts where there is no `app.*`.
    let tree = MemoryTree::of([
        ("apps/a/app.yaml", MINIMAL),
        ("apps/a/config.yaml", "]"),
        ("apps/b/config.yaml", MINIMAL),
    ]);
    assert_eq!(named(&loaded(&tree)), ["a", "b"]);
}

#[test]
fn one_name_claimed_twice_is_an_error_of_both() {
    let tree = MemoryTree::of([
        ("apps/a/app.yaml", "name: x\nversion: 1\ncommand: [a]\n"),
        ("apps/b/app.yaml", "name: x\nversion: 2\ncommand: [a]\n"),
        ("apps/c/app.yaml", MINIMAL),
    ]);
    let desired = loaded(&tree);
    assert_eq!(named(&desired), ["c"]);
    let messages: Vec<&str> = desired
        .mistakes
        .iter()
        .map(|error| error.message.as_str())
        .collect();
    assert_eq!(
        messages,
        [
            "two apps are named `x`: apps/a/app.yaml and apps/b/app.yaml",
            "two apps are named `x`: apps/b/app.yaml and apps/a/app.yaml"
        ]
    );
    assert_eq!(error(&desired, "x").line, 1);
}

fn depending(on: &str) -> String {
    format!("{MINIMAL}depends_on: [{on}]\n")
}

#[test]
fn circles_and_unknown_dependencies_are_errors_of_exactly_those_apps() {
    let [a, x, y, z, late, me, twice, waits] =
        ["", "y", "x", "nope", "x", "me", "a, a", "broken"].map(depending);
    let tree = MemoryTree::of([
        ("apps/a/app.yaml", a.as_str()),
        ("apps/x/app.yaml", &x),
        ("apps/y/app.yaml", &y),
        ("apps/z/app.yaml", &z),
        ("apps/late/app.yaml", &late),
        ("apps/me/app.yaml", &me),
        ("apps/twice/app.yaml", &twice),
        ("apps/waits/app.yaml", &waits),
        ("apps/broken/app.yaml", "]"),
    ]);
    let desired = loaded(&tree);
    assert_eq!(named(&desired), ["a", "twice", "waits"]);
    assert_eq!(desired.apps["twice"].spec.depends_on, [app("a")]);
    let cycle = error(&desired, "x");
    assert_eq!(
        cycle.message,
        "apps depend on each other in a circle: x -> y -> x (apps/x/app.yaml, apps/y/app.yaml)"
    );
    assert_eq!(
        (cycle.code.as_str(), cycle.line, cycle.column),
        ("osier::spec::cycle", 3, 14)
    );
    assert_eq!(
        error(&desired, "me").message,
        "`depends_on`: `me` depends on itself, so it would never start"
    );
    assert!(
        error(&desired, "late")
            .message
            .starts_with("`late` depends on apps that depend on each other")
    );
    assert_eq!(
        error(&desired, "z").message,
        "`depends_on`: there is no app `nope`"
    );
}

#[test]
fn a_spec_with_a_mistake_of_its_own_is_checked_against_the_others_all_the_same() {
    let wrong = |on: &str| format!("{MINIMAL}comand: [x]\ndepends_on: [{on}]\n");
    let [unknown, me, x] = ["nosuch", "me", "y"].map(wrong);
    let y = depending("x");
    let tree = MemoryTree::of([
        ("apps/unknown/app.yaml", unknown.as_str()),
        ("apps/me/app.yaml", &me),
        ("apps/x/app.yaml", &x),
        ("apps/y/app.yaml", &y),
        (
            "apps/old/app.config",
            "#{name => old, command => [<<\"x\">>], depends_on => [nosuch]}.",
        ),
    ]);
    let desired = loaded(&tree);
    let told: Vec<(&str, &str)> = desired
        .mistakes
        .iter()
        .map(|mistake| (mistake.app.as_ref().unwrap().as_str(), mistake.code.as_str()))
        .collect();
    let [key, missing] = ["osier::spec::unknown_key", "osier::spec::missing_key"];
    let [nobody, circle] = ["osier::spec::unknown_dependency", "osier::spec::cycle"];
    assert_eq!(
        told,
        [
            ("me", key),
            ("me", circle),
            ("old", missing),
            ("old", nobody),
            ("unknown", key),
            ("unknown", nobody),
            ("x", key),
            ("x", circle),
            ("y", circle),
        ]
    );
}

#[test]
fn placement_wants_the_name_and_the_labels() {
    let placed = |placement: &str| format!("{MINIMAL}placement: {placement}\n");
    let [here, there, both, half, dependant] = [
        placed("{nodes: [lab-a, lab-b]}"),
        placed("{nodes: [lab-b]}"),
        placed("{nodes: [lab-a], labels: {role: edge, site: ams}}"),
        placed("{nodes: [lab-a], labels: {role: core}}"),
        format!("{MINIMAL}depends_on: [there]\n"),
    ];
    let tree = MemoryTree::of([
        ("apps/here/app.yaml", here.as_str()),
        ("apps/there/app.yaml", &there),
        ("apps/both/app.yaml", &both),
        ("apps/half/app.yaml", &half),
        ("apps/dependant/app.yaml", &dependant),
    ]);
    let desired = loaded(&tree);
    assert_eq!(named(&desired), ["both", "dependant", "here"]);
    assert_eq!(
        desired.elsewhere.iter().map(AppName::as_str).collect::<Vec<_>>(),
        ["half", "there"]
    );
    assert_eq!(desired.warnings.len(), 1);
    assert!(
        desired.warnings[0]
            .message
            .contains("`there` does not run on this node")
    );
    let everywhere = load(&tree, "apps", &NodeFacts::of_nobody(), &mut SpecCache::default()).unwrap();
    assert_eq!(everywhere.apps.len(), 5);
}

#[test]
fn for_no_node_in_particular_a_dependency_that_some_node_may_lack_is_warned_of() {
    let spec = |placement: &str, on: &str| format!("{MINIMAL}placement: {placement}\ndepends_on: [{on}]\n");
    let [db, wide, narrow, other, edge] = [
        spec("{nodes: [lab-a, lab-b]}", ""),
        spec("{}", "db"),
        spec("{nodes: [lab-b], labels: {role: edge}}", "db"),
        spec("{nodes: [lab-b, lab-c]}", "db"),
        spec("{labels: {role: edge}}", "wide"),
    ];
    let tree = MemoryTree::of([
        ("apps/db/app.yaml", db.as_str()),
        ("apps/wide/app.yaml", &wide),
        ("apps/narrow/app.yaml", &narrow),
        ("apps/other/app.yaml", &other),
        ("apps/edge/app.yaml", &edge),
    ]);
    let desired = load(&tree, "apps", &NodeFacts::of_nobody(), &mut SpecCache::default()).unwrap();
    let warned: Vec<&str> = desired
        .warnings
        .iter()
        .map(|warning| warning.file.as_str())
        .collect();
    assert_eq!(warned, ["apps/other/app.yaml", "apps/wide/app.yaml"]);
    assert!(desired.mistakes.is_empty(), "{:?}", desired.mistakes);
}

#[test]
fn an_unchanged_repository_is_not_read_again() {
    let tree = MemoryTree::of([
        ("apps/a/app.yaml", MINIMAL),
        ("apps/b/app.yaml", MINIMAL),
        ("osier.yaml", "defaults: {env: {A: 1}}\n"),
    ]);
    let mut cache = SpecCache::default();
    let first = load(&tree, "apps", &node(), &mut cache).unwrap();
    assert_eq!(cache.read_count(), 2);
    let reads = tree.reads.get();
    let second = load(&tree, "apps", &node(), &mut cache).unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!(tree.reads.get(), reads, "nothing at all is read");
    let changed = tree
        .with(
            "apps/b/app.yaml",
            Item::File(b"version: 2\ncommand: [x]\n".to_vec()),
        )
        .done();
    let third = load(&changed, "apps", &node(), &mut cache).unwrap();
    assert_eq!(cache.read_count(), 3);
    assert!(Arc::ptr_eq(&first.apps["a"], &third.apps["a"]));
    assert_ne!(first.apps["b"].digest, third.apps["b"].digest);
    let other_defaults = changed
        .with("osier.yaml", Item::File(b"defaults: {env: {A: 2}}\n".to_vec()))
        .done();
    let fourth = load(&other_defaults, "apps", &node(), &mut cache).unwrap();
    assert_eq!(cache.read_count(), 5);
    assert_eq!(fourth.apps["a"].spec.env["A"], "2");
}

#[test]
fn a_broken_osier_yaml_refuses_the_commit_as_a_whole() {
    for (text, says) in [
        ("defaults: {env: {A: 1}", "not valid YAML"),
        ("defaults: {comand: [x]}\n", "unknown key `comand`"),
        ("default: {}\n", "unknown key `default`"),
        (
            "defaults: {restart: {intensity: many}}\n",
            "must be a whole number",
        ),
        ("defaults: {version: 1}\n", "cannot be a default"),
        ("rollout: {canary: no}\n", "must be a whole number"),
        ("[]\n", "a spec is a map"),
    ] {
        let tree = MemoryTree::of([("apps/a/app.yaml", MINIMAL), ("osier.yaml", text)]);
        let refused = load(&tree, "apps", &node(), &mut SpecCache::default());
        let Err(RepositoryError::Settings(errors)) = refused else {
            panic!("{text} was taken: {refused:?}");
        };
        assert!(errors[0].message.contains(says), "{text}: {errors:?}");
        assert_eq!(errors[0].file, "osier.yaml");
    }
    let fine = "x-note: hi\ndefaults: {restart: {intensity: 9}, health: null, env: {SITE: \"${node.labels.site}\"}}\n";
    let desired = loaded(&MemoryTree::of([
        ("apps/a/app.yaml", MINIMAL),
        ("osier.yaml", fine),
    ]));
    assert_eq!(desired.apps["a"].spec.restart.policy().intensity, 9);
    assert_eq!(desired.apps["a"].spec.env["SITE"], "ams");
}

#[test]
fn what_is_not_carried_out_yet_makes_an_app_invalid_and_says_so() {
    let text = format!("{MINIMAL}sockets: ['127.0.0.1:8080']\nupgrade: {{strategy: handover}}\n");
    let desired = loaded(&MemoryTree::of([("apps/a/app.yaml", text.as_str())]));
    let error = error(&desired, "a");
    assert_eq!(error.code, "osier::spec::not_supported_yet");
    assert_eq!(error.message, "not supported yet: `sockets`");
    assert_eq!((error.line, error.column), (3, 1));
    assert_eq!(desired.mistakes.len(), 2);
}

#[test]
fn overrides_apply_where_all_their_labels_match() {
    let text = format!(
        "{MINIMAL}env: {{PORT: 8080, LOG: info, OLD: x}}\noverrides:\n\
         - match: {{site: ams}}\n  merge: {{env: {{PORT: 9090, OLD: null}}, limits: {{memory: 1GiB}}}}\n\
         - match: {{site: fra}}\n  merge: {{env: {{PORT: 1}}}}\n\
         - match: {{site: ams, role: edge}}\n  merge: {{command: [/bin/false], env: {{LOG: debug}}}}\n"
    );
    let desired = loaded(&MemoryTree::of([("apps/a/app.yaml", text.as_str())]));
    let spec = &desired.apps["a"].spec;
    assert_eq!(
        spec.env,
        BTreeMap::from([
            ("PORT".to_owned(), "9090".to_owned()),
            ("LOG".to_owned(), "debug".to_owned())
        ])
    );
    assert_eq!(spec.command, ["/bin/false"]);
    assert_eq!(spec.limits.memory.unwrap().bytes(), 1 << 30);
}

#[test]
fn a_mistake_in_an_override_for_other_nodes_is_found_as_well() {
    let text = format!(
        "{MINIMAL}overrides:\n- match: {{site: fra}}\n  merge: {{envv: {{}}, name: other, limits: {{pids: x}}}}\n"
    );
    let desired = loaded(&MemoryTree::of([("apps/a/app.yaml", text.as_str())]));
    let messages: Vec<&str> = desired
        .mistakes
        .iter()
        .map(|error| error.message.as_str())
        .collect();
    assert_eq!(
        messages,
        [
            "unknown key `envv` in an app",
            "`name` must not stand in an override",
            "`limits.pids` must be a whole number, found a text"
        ]
    );
}

#[test]
fn a_folder_whose_name_a_terminal_would_act_upon_is_an_error() {
    let tree = MemoryTree::of([(
        "apps/a\u{1b}]0;x\u{7}\nb/app.yaml",
        "name: web\nversion: 1\ncommand: [x]\n",
    )]);
    let desired = loaded(&tree);
    assert!(desired.apps.is_empty() && desired.invalid.is_empty());
    assert_eq!(desired.mistakes[0].file, "apps/a␛]0;x␇␊b");
}

#[test]
fn what_an_escape_put_into_a_key_is_shown_harmlessly() {
    let text = "version: 1\ncommand: [x]\nenv: {\"A\\e[31m\": [\"${nope}\"]}\n\"h\\u202eeath\": 1\n";
    let desired = loaded(&MemoryTree::of([("apps/a/app.yaml", text)]));
    assert_eq!(desired.mistakes.len(), 3);
    for error in &desired.mistakes {
        let shown = format!(
            "{} {} {} {}",
            error.message, error.help, error.source_line, error.file
        );
        assert!(
            !shown.chars().any(|c| c.is_control() || c == '\u{202e}'),
            "{shown:?}"
        );
    }
}

#[test]
fn files_beside_a_spec_are_part_of_its_digest_and_must_be_there() {
    let spec =
        "version: 1\ncommand: [x]\nsource: {type: path, path: bin/./tools}\nconfig_files: {a: files/a.txt}\n";
    let facts = NodeFacts {
        capabilities: Capabilities::ALL,
        ..node()
    };
    let digest = |tree: &MemoryTree| {
        let desired = load(tree, "apps", &facts, &mut SpecCache::default()).unwrap();
        assert_eq!(desired.mistakes, [], "no mistakes");
        (
            desired.apps["a"].digest.clone(),
            desired.apps["a"].artefact.clone(),
        )
    };
    let file = |text: &str| Item::File(text.as_bytes().to_vec());
    let tree = MemoryTree::of([
        ("apps/a/app.yaml", spec),
        ("apps/a/bin/tools/x", "1"),
        ("apps/a/files/a.txt", "1"),
        ("apps/a/notes", "1"),
    ]);
    let (first, artefact) = digest(&tree);
    assert!(artefact.is_some());
    let tree = tree.with("apps/a/notes", file("2")).done();
    assert_eq!(digest(&tree).0, first, "a file that nobody names is nothing");
    let tree = tree.with("apps/a/files/a.txt", file("2")).done();
    assert_ne!(digest(&tree).0, first);
    let tree = tree
        .with("apps/a/files/a.txt", file("1"))
        .with("apps/a/bin/tools/x", file("2"))
        .done();
    assert_ne!(digest(&tree), (first, artefact));
    let broken = tree
        .without("apps/a/bin")
        .with("apps/a/bin", Item::Symlink("/bin".to_owned()))
        .without("apps/a/files")
        .done();
    let desired = load(&broken, "apps", &facts, &mut SpecCache::default()).unwrap();
    let told: Vec<String> = desired
        .mistakes
        .iter()
        .map(|error| format!("{}:{} {}", error.line, error.column, error.message))
        .collect();
    assert_eq!(
        told,
        [
            "3:22 `bin/./tools` is a symlink, not a folder",
            "4:16 there is no file `files/a.txt` in apps/a"
        ]
    );
}

#[test]
fn one_socket_for_two_apps_is_an_error_of_both() {
    let spec = |placement: &str| format!("{MINIMAL}sockets: [\"127.0.0.1:80\"]\nplacement: {placement}\n");
    let [a, b, c, unclear] = [
        spec("{}"),
        spec("{}") + "heath: {}\n",
        spec("{nodes: [other]}"),
        spec("{nodse: [other]}"),
    ];
    let tree = MemoryTree::of([
        ("apps/a/app.yaml", a.as_str()),
        ("apps/b/app.yaml", &b),
        ("apps/c/app.yaml", &c),
        ("apps/unclear/app.yaml", &unclear),
    ]);
    let facts = NodeFacts {
        capabilities: Capabilities::ALL,
        ..node()
    };
    let desired = load(&tree, "apps", &facts, &mut SpecCache::default()).unwrap();
    assert_eq!(
        desired.invalid.keys().map(AppName::as_str).collect::<Vec<_>>(),
        ["a", "b", "unclear"]
    );
    assert_eq!(
        error(&desired, "unclear").code,
        "osier::spec::unknown_key",
        "where it would run is not known"
    );
    assert_eq!(
        error(&desired, "a").message,
        "the socket 127.0.0.1:80 is claimed by two apps: apps/a/app.yaml and apps/b/app.yaml"
    );
}

#[test]
fn a_file_that_is_too_large_is_the_trouble_of_its_app_alone() {
    let tree = MemoryTree::of([("apps/a/app.yaml", MINIMAL)])
        .with("apps/b/app.yaml", Item::File(vec![b'x'; 20 << 20]))
        .done();
    let desired = loaded(&tree);
    assert_eq!(named(&desired), ["a"]);
    assert!(
        error(&desired, "b")
            .message
            .starts_with("the file has 20971520 bytes")
    );
}

#[test]
fn an_app_with_a_mistake_is_left_alone_even_where_it_would_not_be_placed() {
    let text = format!("{MINIMAL}heath: {{}}\nplacement: {{nodes: [other]}}\n");
    let desired = loaded(&MemoryTree::of([("apps/a/app.yaml", text.as_str())]));
    assert!(desired.invalid.contains_key("a") && desired.elsewhere.contains("a") && desired.apps.is_empty());
}

#[test]
fn of_digests_by_target_a_node_has_its_own_and_a_new_one_for_others_changes_nothing() {
    let spec = |others: char| {
        let (mine, others) = ("a".repeat(64), others.to_string().repeat(64));
        format!(
            "version: 1\nsource:\n  type: release\n  url: https://example.com/web.tar.gz\n  sha256: {{ {}: {mine}, other-target: {others} }}\n",
            node().target
        )
    };
    let first = loaded(&MemoryTree::of([("apps/web/app.yaml", spec('b').as_str())]));
    let second = loaded(&MemoryTree::of([("apps/web/app.yaml", spec('c').as_str())]));
    let web = &first.apps["web"];
    assert_eq!(web.artefact_id().unwrap().as_str(), "a".repeat(64));
    assert_eq!(web.digest, second.apps["web"].digest);

    let elsewhere = "version: 1\nsource:\n  type: release\n  url: https://example.com/web.tar.gz\n  sha256: { other-target: "
        .to_owned()
        + &"b".repeat(64)
        + " }\n";
    let desired = loaded(&MemoryTree::of([("apps/web/app.yaml", elsewhere.as_str())]));
    let told = error(&desired, "web");
    assert!(told.message.contains(&node().target), "{told}");
    assert_eq!(told.line, 5);
}
