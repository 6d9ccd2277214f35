//! bc_gitops' own cases for specs: what its parser took and refused, and what ours makes of it.
//!
//! Each case is run. Where the outcome is meant to differ, the table in `docs/explanation/bc-gitops-conformance.md` says
//! so and why; a case that is in neither way accounted for fails.

use std::collections::BTreeMap;

use osier::identicon;
use osier::specs::app_spec::{AppSpec, Icon, Source};
use osier::specs::facts::Capabilities;
use osier::specs::{AppFile, NodeFacts, SpecCache, load, read_app};
use serde_json::{Map, Value as Json, json};

use crate::memory_tree::MemoryTree;

const CASES: &str = include_str!("../data/bc_gitops/cases.json");
const TABLE: &str = include_str!("../../docs/explanation/bc-gitops-conformance.md");

/// Cases whose outcome differs from the original's on purpose: what comes out in its place. `ok` and the empty code
/// stand for a spec without mistakes; the rest are the codes of [`osier::specs::mistake::codes`].
const DIFFERENT: &[(&str, &str)] = &[
    ("minimal spec gives all defaults", "missing_key"),
    ("health not a map is dropped", "wrong_type"),
    ("health port not a number is accepted", "wrong_type"),
    (
        "hex source without ref takes the app version",
        "unsupported_source",
    ),
    ("hex source with explicit ref keeps it", "unsupported_source"),
    ("git source without url is accepted", "missing_key"),
    (
        "mesh source without mcid is accepted by the parser",
        "missing_key",
    ),
    ("unknown source type is accepted", "missing_key"),
    ("source given as a proplist becomes hex silently", "bad_value"),
    ("empty name accepted", "bad_value"),
    ("path traversal in name accepted", "bad_value"),
    ("256 character name", "bad_value"),
    ("name null", "ok"),
    ("missing name", "ok"),
    ("Erlang terms: empty list", "missing_key"),
    ("env not a map accepted", "ok"),
    ("depends_on not a list accepted", "wrong_type"),
    ("depends_on from JSON/YAML stays strings, so never matches", "ok"),
    ("icon unknown type is an error that blocks the repository", "ok"),
    ("isolation vm", "ok"),
    ("isolation container", "ok"),
    ("isolation None", "ok"),
    ("vm_config; non-string extra arg becomes undefined", "unsupported"),
    ("description with a code point above 255 in a charlist", "ok"),
    ("JSON on OTP < 27", "missing_key"),
    ("YAML without yamerl", "missing_key"),
    ("YAML empty list becomes an empty map", "ok"),
    ("YAML with several documents uses the first", "syntax"),
    ("Erlang terms: list of non-tuples", "wrong_type"),
];

fn cases(area: &str) -> Vec<(String, Json)> {
    let all: Vec<Json> = serde_json::from_str(CASES).unwrap();
    let of_area = all.into_iter().filter(|case| case["area"] == area);
    of_area
        .map(|case| (case["name"].as_str().unwrap().to_owned(), case))
        .collect()
}

/// Facts of a node that carries out everything and hosts an app by each name that the cases use.
fn facts() -> NodeFacts {
    NodeFacts {
        capabilities: Capabilities::ALL,
        ..NodeFacts::of_nobody()
    }
}

/// The file that a case gives, if it gives one.
fn file_of(given: &Json) -> Option<(String, String)> {
    const BASE: &str = "name => my_app, version => <<\"1.0.0\">>, source => #{type => hex}";
    let text = |key: &str| given[key].as_str().map(str::to_owned);
    if let (Some(file), Some(text)) = (text("file"), text("text")) {
        return Some((file.replace("invalid.json", "app.json"), text));
    }
    if let Some(fragment) = text("encoding").or_else(|| text("erlang")) {
        let key = fragment.split_whitespace().next().unwrap();
        let base: Vec<&str> = BASE
            .split(", ")
            .filter(|part| !part.starts_with(&format!("{key} ")))
            .collect();
        return Some((
            "app.config".to_owned(),
            format!("#{{{}, {fragment}}}.", base.join(", ")),
        ));
    }
    if let Some(yaml) = text("yaml") {
        let yaml = if yaml.contains("---") {
            "name: a\nversion: 1\n---\nname: b\n".to_owned()
        } else {
            format!("name: a\nversion: 1\n{yaml}\n")
        };
        return Some(("app.yaml".to_owned(), yaml));
    }
    let mut spec = given["json"].as_object().or(given.as_object())?.clone();
    if spec.contains_key("files") || spec.contains_key("file") {
        return None;
    }
    if spec.get("name").and_then(Json::as_str) == Some("a*256") {
        spec.insert("name".to_owned(), json!("a".repeat(256)));
    }
    // A fragment stands for a whole spec with this one key.
    if !spec.contains_key("name") && !spec.contains_key("version") {
        spec.insert("name".to_owned(), json!("my_app"));
        spec.insert("version".to_owned(), json!("1.0.0"));
        spec.insert("source".to_owned(), json!({"type": "hex"}));
    }
    Some(("app.json".to_owned(), Json::Object(spec).to_string()))
}

/// The codes of a file's mistakes. That `hex` is unsupported and that nothing is left to run is known of nearly every
/// case and left aside, unless it is all that the case is about.
fn codes(read: &AppFile, is_about_sources: bool) -> Vec<&str> {
    let is_known =
        |code: &str, message: &str| code == "unsupported_source" || message == "`command` is missing";
    read.errors
        .iter()
        .map(|error| {
            (
                error.code.trim_start_matches("osier::spec::"),
                error.message.as_str(),
            )
        })
        .filter(|(code, message)| is_about_sources || !is_known(code, message))
        .map(|(code, _)| code)
        .collect()
}

/// A spec in the words of the original.
fn view(spec: &AppSpec) -> Map<String, Json> {
    let schema = osier::specs::schema::app_schema();
    let health_default = |key: &str| {
        schema["$defs"]["Health"]["properties"][key]
            .get("default")
            .cloned()
            .unwrap_or(Json::Null)
    };
    let mut view = Map::new();
    let mut set = |key: &str, value: Json| view.insert(key.to_owned(), value);
    set("name", json!(spec.name));
    set("version", json!(spec.version));
    set("description", json!(spec.description));
    set("depends_on", json!(spec.depends_on));
    set("env", json!(spec.env));
    set("isolation", json!(spec.isolation()));
    set(
        "source",
        match &spec.source {
            Some(Source::Git { url, reference, .. }) => json!({"type": "git", "url": url, "ref": reference}),
            Some(Source::Mesh { mcid }) => json!({"type": "mesh", "mcid": mcid}),
            Some(other) => json!({"type": other.kind()}),
            None => json!({"type": "hex"}),
        },
    );
    set(
        "icon",
        match &spec.icon {
            None | Some(Icon::Identicon {}) => {
                json!({"type": "identicon", "mime": "image/svg+xml", "value": "data:image/svg+xml;base64,..."})
            }
            Some(Icon::Url { value, mime_type }) => json!({"type": "url", "value": value, "mime": mime_type}),
            Some(Icon::Base64 { value, mime_type }) => {
                json!({"type": "base64", "value": value, "mime": mime_type.as_deref().unwrap_or("image/png")})
            }
        },
    );
    set(
        "health",
        match &spec.health {
            None => Json::Null,
            Some(health) => {
                let millis = |span: Option<osier::specs::values::Span>, key: &str| match span {
                    Some(span) => json!(span.get().as_millis() as u64),
                    None => millis_of(&health_default(key)),
                };
                json!({
                    "type": health.kind.map_or(health_default("type"), |kind| json!(kind)),
                    "port": health.port.map_or(health_default("port"), |port| json!(port)),
                    "path": health.path,
                    "interval_ms": millis(health.interval, "interval"),
                    "timeout_ms": millis(health.timeout, "timeout"),
                    "module": health.module,
                })
            }
        },
    );
    view
}

fn millis_of(span: &Json) -> Json {
    let span: osier::specs::values::Span = span.as_str().unwrap_or("0").parse().unwrap();
    json!(span.get().as_millis() as u64)
}

/// Every value of `expected` is in `found`: a key `a.b` looks into `a`; numbers and texts compare by their text.
fn assert_holds(case: &str, expected: &Json, found: &Json) {
    match expected {
        Json::Object(fields) => {
            for (key, expected) in fields {
                let at = key.split('.').fold(found, |at, key| &at[key]);
                if key != "source.type" || expected != "hex" {
                    assert_holds(&format!("{case} / {key}"), expected, at);
                }
            }
        }
        Json::String(text) => assert_eq!(found.as_str(), Some(text.as_str()), "{case}"),
        Json::Number(_) | Json::Bool(_) => {
            let text = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
            assert_eq!(text, expected.to_string(), "{case}");
        }
        _ => assert_eq!(found, expected, "{case}"),
    }
}

fn check(name: &str, case: &Json, file: &str, text: &str) {
    let read = read_app(&format!("apps/x/{file}"), text.as_bytes(), "x", &facts());
    if let Some((_, outcome)) = DIFFERENT.iter().find(|(different, _)| *different == name) {
        let is_about_sources = outcome.starts_with("unsupported_source") || *outcome == "missing_key";
        let codes = codes(&read, is_about_sources);
        match *outcome {
            "ok" => assert!(codes.is_empty(), "{name}: {:?}", read.errors),
            code => assert!(codes.contains(&code), "{name}: {:?}", read.errors),
        }
        return;
    }
    let codes = codes(&read, false);
    if let Some(ok) = case["expect"].get("ok") {
        assert!(codes.is_empty(), "{name}: {:?}", read.errors);
        assert_holds(name, ok, &Json::Object(view(read.spec.as_ref().unwrap())));
        return;
    }
    let error = case["expect"]["error"]
        .as_array()
        .unwrap_or_else(|| panic!("{name} expects nothing"));
    let ours = match error[0].as_str().unwrap() {
        "missing_field" => "missing_key",
        "invalid_type" | "invalid_json" => "wrong_type",
        _ => "",
    };
    assert!(!read.errors.is_empty(), "{name} was taken");
    assert!(
        codes.iter().any(|code| ours.is_empty() || *code == ours),
        "{name}: {:?}",
        read.errors
    );
    if let (true, Some(field)) = (error[0] != "invalid_json", error.get(1).and_then(Json::as_str)) {
        let is_field = ["name", "version"].contains(&field);
        assert!(
            !is_field
                || read
                    .errors
                    .iter()
                    .any(|error| error.message.contains(&format!("`{field}`"))),
            "{name}: {:?}",
            read.errors
        );
    }
}

#[test]
fn the_parser_cases_hold_or_differ_on_purpose() {
    let mut run = 0;
    for (name, case) in cases("parser") {
        let (file, text) = file_of(&case["given"]).unwrap_or_else(|| panic!("{name} gives nothing"));
        check(&name, &case, &file, &text);
        run += 1;
    }
    assert_eq!(run, 43);
}

#[test]
fn the_format_cases_hold_or_differ_on_purpose() {
    let mut skipped = Vec::new();
    let cases = cases("format");
    for (name, case) in &cases {
        match file_of(&case["given"]) {
            Some((file, text)) => check(name, case, &file, &text),
            None => skipped.push(name.as_str()),
        }
    }
    assert_eq!(cases.len(), 19);
    // The first is about a file that is not there, which no tree lists; the other has a test of its own below.
    assert_eq!(skipped.len(), 2, "{skipped:?}");
}

#[test]
fn the_four_demo_specs_are_read() {
    let read = |name: &str| {
        let path = format!("tests/data/bc_gitops/demo-specs/apps/{name}/app.config");
        let bytes = std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(&path)).unwrap();
        read_app(&path, &bytes, name, &facts())
    };
    let url = |name: &str| format!("https://github.com/beam-campus/bc-gitops-demo-{name}.git");
    for (name, version, source, variable, value) in [
        (
            "demo_counter",
            "0.1.5",
            Some(("counter", "v0.1.5")),
            "http_port",
            "8082",
        ),
        (
            "demo_phoenix",
            "0.1.0",
            Some(("phoenix", "master")),
            "http_port",
            "4001",
        ),
        (
            "demo_tui",
            "0.1.0",
            Some(("tui", "master")),
            "counter_url",
            "http://localhost:8082",
        ),
        ("demo_uptime", "0.3.0", None, "http_port", "8083"),
    ] {
        let file = read(name);
        let spec = file.spec.unwrap();
        assert_eq!((spec.name.as_str(), spec.version.as_str()), (name, version));
        assert_eq!(spec.env[variable], value);
        // BEAM builds are said to be unsupported, with what to add; nothing else is wrong.
        let codes: Vec<&str> = file.errors.iter().map(|error| error.code.as_str()).collect();
        assert_eq!(codes, ["osier::spec::unsupported_source"], "{:?}", file.errors);
        if let Some((repository, reference)) = source {
            assert_eq!(
                spec.source,
                Some(Source::Git {
                    url: url(repository),
                    reference: reference.to_owned(),
                    build: Vec::new(),
                    build_timeout: None
                })
            );
        }
    }
    let tui = read("demo_tui").spec.unwrap();
    assert_eq!(tui.env["auto_start"], "false");
    assert_eq!(tui.depends_on[0].as_str(), "demo_counter");
    let components = |name: &str| -> Json {
        serde_json::from_str(&read(name).spec.unwrap().env["liveview_components"]).unwrap()
    };
    assert_eq!(
        components("demo_phoenix")[0]["module"],
        "Elixir.DemoPhoenixWeb.GuestComponent"
    );
    assert_eq!(components("demo_uptime")[0]["topic"], "stats:updates");
}

/// `name x version 1` as the text of a file.
fn spec_text(words: &str, file: &str) -> String {
    let words: Vec<&str> = words.split_whitespace().collect();
    let of = |key: &str| words.iter().position(|word| *word == key).map(|at| words[at + 1]);
    let (name, version) = (of("name").unwrap_or("good"), of("version").unwrap_or("1"));
    match file.rsplit_once('.').map_or("config", |(_, ending)| ending) {
        "yaml" => format!("name: {name}\nversion: \"{version}\"\ncommand: [x]\n"),
        "json" => json!({"name": name, "version": version, "command": ["x"]}).to_string(),
        _ => format!("#{{name => {name}, version => <<\"{version}\">>, command => [\"x\"]}}."),
    }
}

/// The apps and the invalid ones of a tree with these files below `apps/`.
fn apps_of(files: &[(&str, &str)]) -> (BTreeMap<String, String>, Vec<String>, Vec<String>) {
    let paths: Vec<(String, &str)> = files
        .iter()
        .map(|(path, text)| (format!("apps/{path}"), *text))
        .collect();
    let tree = MemoryTree::of(paths.iter().map(|(path, text)| (path.as_str(), *text)));
    let desired = load(&tree, "apps", &facts(), &mut SpecCache::default()).unwrap();
    let apps = desired
        .apps
        .iter()
        .map(|(name, app)| (name.to_string(), app.spec.version.to_string()))
        .collect();
    let invalid = desired.invalid.keys().map(ToString::to_string).collect();
    let codes = desired
        .mistakes
        .iter()
        .map(|error| error.code.trim_start_matches("osier::spec::").to_owned())
        .collect();
    (apps, invalid, codes)
}

#[test]
fn the_apps_dir_cases_hold_or_differ_on_purpose() {
    for (name, case) in cases("apps_dir") {
        let given: Vec<(String, String)> = case["given"]["files"]
            .as_object()
            .map(|files| {
                files
                    .iter()
                    .map(|(path, text)| {
                        let words = text.as_str().unwrap_or("");
                        match path.as_str() {
                            "a" | "b" => (format!("{path}/app.config"), spec_text(words, "app.config")),
                            path if path.ends_with('/') => (format!("{path}.keep"), String::new()),
                            path if words.starts_with("name") => (path.to_owned(), spec_text(words, path)),
                            path if ["good", "ok"].contains(&words) => (path.to_owned(), spec_text("", path)),
                            path => (path.to_owned(), words.to_owned()),
                        }
                    })
                    .collect()
            })
            .unwrap_or_default();
        let files: Vec<(&str, &str)> = given
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
            .collect();
        let (apps, invalid, codes) = apps_of(&files);
        let apps: Vec<&str> = apps.keys().map(String::as_str).collect();
        let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
        let (expected_apps, expected_invalid, expected_codes): (&[&str], &[&str], &[&str]) = match name
            .as_str()
        {
            "directory does not exist"
            | "empty directory"
            | "plain files are skipped"
            | "directories without a config are skipped"
            | "file search order"
            | "nested directories are not searched"
            | "flat file apps/a.config is not read"
            | "hidden directories are read"
            | "a DIRECTORY called config inside an app directory" => (&[], &[], &[]),
            "one app" => (&["test_app"], &[], &[]),
            "app.config wins over app.yaml" => (&[], &["priority_app"], &["two_files"]),
            "only app.yaml" => (&["yaml_only"], &[], &[]),
            "only app.json" => (&["json_only"], &[], &[]),
            "broken app.config next to a good app.yaml" => (&[], &["a"], &["two_files"]),
            "one broken app of two" => (&["good"], &["bad"], &["missing_key", "missing_key"]),
            "two directories declare the same name" => (&[], &["x"], &["duplicate_name", "duplicate_name"]),
            "directory name and app name may differ" | "bare file `config` is read as Erlang terms" => {
                (&["zzz"], &[], &[])
            }
            unknown => panic!("nobody has looked at the case `{unknown}`"),
        };
        assert_eq!(apps, expected_apps, "{name}");
        assert_eq!(invalid, expected_invalid, "{name}");
        assert_eq!(codes, expected_codes, "{name}");
    }
}

#[test]
fn the_file_search_order_is_kept() {
    // Of `app.*` there may be one only; of `config.*` the first wins, and it does so broken or not.
    for file in [
        "app.yaml",
        "app.yml",
        "app.toml",
        "app.json",
        "app.config",
        "config.yaml",
        "config.yml",
        "config.toml",
        "config.json",
        "config.config",
        "config",
    ] {
        let text = match file.rsplit_once('.').map_or("config", |(_, ending)| ending) {
            "yaml" | "yml" => "version: '1'\ncommand: [x]\n",
            "toml" => "version = '1'\ncommand = ['x']\n",
            "json" => "{\"version\": \"1\", \"command\": [\"x\"]}",
            _ => "#{version => \"1\", command => [\"x\"]}.",
        };
        let path = format!("a/{file}");
        assert_eq!(apps_of(&[(&path, text)]).0.len(), 1, "{file}");
        if file.starts_with("app.") {
            let (apps, _, codes) = apps_of(&[(&path, text), ("a/config.yaml", "]")]);
            assert_eq!((apps.len(), codes.len()), (1, 0), "{file}");
        }
    }
    assert_eq!(
        apps_of(&[
            ("a/config.yaml", "]"),
            ("a/config", "#{version => \"1\", command => [\"x\"]}.")
        ])
        .2,
        ["syntax"]
    );
}

#[test]
fn the_identicon_cases_hold() {
    let picture = |name: &str, size| identicon::svg(name, size).unwrap();
    for (name, case) in cases("identicon") {
        match case["given"].get("name").and_then(Json::as_str) {
            Some(app) => {
                let size = case["given"]["size"].as_u64().unwrap() as u32;
                let drawn = identicon::svg(app, size);
                if app.is_empty() || size < 5 {
                    assert_eq!(drawn, None, "{name}");
                    continue;
                }
                let drawn = drawn.unwrap();
                if let Some(svg) = case["expect"]["svg"].as_str() {
                    assert_eq!(drawn, svg, "{name}");
                }
                assert!(
                    drawn.starts_with(case["expect"]["svg_starts"].as_str().unwrap_or("<svg ")),
                    "{name}"
                );
                assert_eq!(
                    sha256(&drawn),
                    case["expect"]["sha256"].as_str().unwrap(),
                    "{name}"
                );
            }
            None => match name.as_str() {
                "returns an <svg>...</svg> document" => {
                    let svg = picture("x", 64);
                    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>"));
                }
                // Names are texts here, so that there is one kind of input.
                "is deterministic" | "atom, binary and string input give the same picture" => {
                    assert_eq!(picture("my_app", 64), picture("my_app", 64));
                }
                "size 128 is not shorter than size 32, both carry width=" => {
                    assert!(picture("x", 128).len() >= picture("x", 32).len());
                    assert!(picture("x", 128).contains("width=") && picture("x", 32).contains("width="));
                }
                "data URI starts with data:image/svg+xml;base64," => {
                    assert!(
                        identicon::data_uri("x", 64)
                            .unwrap()
                            .starts_with("data:image/svg+xml;base64,PHN2Zy")
                    );
                }
                "app_one, app_two, app_three all differ" => {
                    let pictures: std::collections::BTreeSet<String> = ["app_one", "app_two", "app_three"]
                        .map(|app| picture(app, 64))
                        .into();
                    assert_eq!(pictures.len(), 3);
                }
                // The seven vectors are the algorithm.
                "algorithm" => {}
                unknown => panic!("nobody has looked at the case `{unknown}`"),
            },
        }
    }
}

fn sha256(text: &str) -> String {
    use std::fmt::Write;
    let digest = rustls::crypto::aws_lc_rs::default_provider()
        .cipher_suites
        .iter()
        .find_map(|suite| match suite {
            rustls::SupportedCipherSuite::Tls13(suite) if suite.common.hash_provider.output_len() == 32 => {
                Some(suite.common.hash_provider.hash(text.as_bytes()))
            }
            _ => None,
        })
        .unwrap();
    digest.as_ref().iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

#[test]
fn every_case_of_these_areas_is_in_the_table() {
    for area in ["parser", "format", "apps_dir", "identicon"] {
        for (name, _) in cases(area) {
            let row = format!("| {area} | {name} |");
            let rows: Vec<&str> = TABLE.lines().filter(|line| line.starts_with(&row)).collect();
            assert_eq!(rows.len(), 1, "{row}");
            let says_different = rows[0].contains("| different |");
            let is_different = DIFFERENT.iter().any(|(different, _)| *different == name);
            if ["parser", "format"].contains(&area) {
                assert_eq!(says_different, is_different, "{row}");
            }
        }
    }
}
