//! The configuration: layers, origins, and what is said about mistakes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use osier::config::values::{Enforce, LogFormat, VerifyMode};
use osier::config::{Config, ConfigError, ConfigFile, Flag, Layers, Surroundings};
use osier::specs::SpecError;
use proptest::prelude::*;

fn surroundings(variables: &[(&str, &str)]) -> Surroundings {
    Surroundings {
        variables: variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        hostname: "Garden.local".to_owned(),
        is_root: true,
    }
}

fn layers(text: &str, variables: &[(&str, &str)], flags: &[(&str, &str, &str)]) -> Layers {
    Layers {
        file: Some(ConfigFile {
            path: PathBuf::from("/etc/osier/osier.toml"),
            text: text.to_owned(),
        }),
        surroundings: surroundings(variables),
        flags: flags
            .iter()
            .map(|(name, key, value)| Flag {
                name: (*name).to_owned(),
                key: (*key).to_owned(),
                value: (*value).to_owned(),
            })
            .collect(),
    }
}

const MINIMAL: &str = "[repo]\nurl = \"https://git.example.org/fleet.git\"\n";

fn read(text: &str) -> Result<Config, ConfigError> {
    layers(text, &[], &[]).read()
}

fn mistakes(text: &str) -> Vec<SpecError> {
    read(text).expect_err("a mistake").mistakes
}

fn values(config: &Config) -> BTreeMap<String, (String, String)> {
    config
        .values()
        .into_iter()
        .map(|value| (value.key, (value.value, value.origin)))
        .collect()
}

#[test]
fn a_url_is_enough_and_the_rest_has_the_defaults_of_the_contract() {
    let config = read(MINIMAL).unwrap();
    assert_eq!(config.repo.url.to_string(), "https://git.example.org/fleet.git");
    assert_eq!(config.repo.branch.as_str(), "main");
    assert_eq!(config.repo.apps_dir.as_str(), "apps");
    assert_eq!(config.repo.reconcile_interval.to_string(), "1m");
    assert_eq!(config.repo.depth.get(), None);
    assert_eq!(config.repo.verify.mode, VerifyMode::Off);
    assert!((config.prune.max.get() - 0.5).abs() < f64::EPSILON);
    assert_eq!(config.node.name.as_str(), "Garden.local");
    assert_eq!(config.node.data_dir.as_path(), Path::new("/var/lib/osier"));
    assert_eq!(
        config.node.socket.as_path(),
        Path::new("/var/lib/osier/osier.sock")
    );
    assert_eq!(config.node.enforce, Enforce::Strict);
    assert_eq!(config.logs.max_size.bytes(), 10 << 20);
    assert_eq!(config.logs.keep.get(), 5);
    assert_eq!(config.console.listen.to_string(), "127.0.0.1:7420");
    assert!(
        config
            .sources
            .deny
            .iter()
            .any(|network| network.contains("169.254.169.254".parse().unwrap()))
    );
    assert_eq!(config.telemetry.log_format, LogFormat::Pretty);
    assert_eq!(config.telemetry.retention.to_string(), "30d");
    assert!(config.webhook.listen.is_off() && !config.mesh.enabled);
    assert!(
        config
            .changed_sections(&Config::of_repo(&config.repo.url, &surroundings(&[])))
            .is_empty()
    );
}

#[test]
fn later_layers_win_and_each_value_tells_where_it_came_from() {
    let text = format!(
        "{MINIMAL}branch = \"file\"\napps_dir = \"file\"\n[node]\nname = \"file\"\ndata_dir = \"/srv/osier\"\n"
    );
    let variables = [
        ("OSIER_REPO__BRANCH", "variable"),
        ("OSIER_NODE__NAME", "variable"),
        ("OSIER_SOCKET", "/ignored"),
    ];
    let config = layers(&text, &variables, &[("--name", "node.name", "flag")])
        .read()
        .unwrap();
    let values = values(&config);
    let of = |key: &str| (values[key].0.as_str(), values[key].1.as_str());
    assert_eq!(
        of("repo.url"),
        ("\"https://git.example.org/fleet.git\"", "/etc/osier/osier.toml:2")
    );
    assert_eq!(of("repo.apps_dir"), ("\"file\"", "/etc/osier/osier.toml:4"));
    assert_eq!(of("repo.branch"), ("\"variable\"", "$OSIER_REPO__BRANCH"));
    assert_eq!(of("node.name"), ("\"flag\"", "--name"));
    assert_eq!(of("prune.max"), ("\"50%\"", "default"));
    assert_eq!(of("node.socket"), ("\"/srv/osier/osier.sock\"", "default"));
    assert_eq!(of("repo.auth.token_file"), ("unset", "default"));
}

#[test]
fn a_variable_speaks_for_every_type_of_setting() {
    let variables = [
        ("OSIER_REPO__DEPTH", "7"),
        ("OSIER_REPO__RECONCILE_INTERVAL", "2500"),
        ("OSIER_REPO__AUTH__TOKEN_FILE", "/run/token"),
        ("OSIER_REPO__AUTH__SSH_KEY", ""),
        ("OSIER_MESH__ENABLED", "true"),
        ("OSIER_MESH__BOOTSTRAP_NODES", "a.example.org, b.example.org:9"),
        ("OSIER_SOURCES__PATHS", "[\"/opt/a\", \"/opt/b,c\"]"),
        ("OSIER_NODE__LABELS", "{ site = \"ams\" }"),
        ("OSIER_NODE__ENFORCE", "best_effort"),
        ("OSIER_CONSOLE__LISTEN", ""),
        ("OSIER_LOGS__MAX_SIZE", "1MiB"),
        ("OSIER_NODE__NAME", "7"),
    ];
    let text = format!("{MINIMAL}[repo.auth]\nssh_key = \"/etc/key\"\n");
    let config = layers(&text, &variables, &[]).read().unwrap();
    assert_eq!(config.repo.depth.get().map(std::num::NonZeroU32::get), Some(7));
    assert_eq!(config.repo.reconcile_interval.to_string(), "2500ms");
    assert_eq!(
        config.repo.auth.token_file.as_deref(),
        Some(Path::new("/run/token"))
    );
    assert_eq!(config.repo.auth.ssh_key, None, "an empty variable unsets");
    assert!(config.mesh.enabled);
    assert_eq!(config.mesh.bootstrap_nodes.len(), 2);
    assert_eq!(config.sources.paths[1].as_path(), Path::new("/opt/b,c"));
    assert_eq!(config.node.labels.get("site").map(String::as_str), Some("ams"));
    assert_eq!(config.node.enforce, Enforce::BestEffort);
    assert!(config.console.listen.is_off());
    assert_eq!(config.logs.max_size.bytes(), 1 << 20);
    assert_eq!(
        config.node.name.as_str(),
        "7",
        "a text is a text even where it looks like a number"
    );
}

#[test]
fn all_mistakes_of_all_layers_are_told_at_once_each_with_its_place_and_one_fix() {
    let text = "[repo]\nurl = \"ext::sh -c id\"\nbrunch = \"main\"\n\n[nod]\nname = \"x\"\n\n[logs]\nkeep = 0\nmax_size = true\n[console]\ntls_key = \"/k\"\n";
    let error = layers(
        text,
        &[("OSIER_REPO__BRANCH", "-x"), ("OSIER_LOGS__KEPP", "1")],
        &[],
    )
    .read()
    .unwrap_err();
    let told: Vec<(&str, u32, u32, &str)> = error
        .mistakes
        .iter()
        .map(|m| (m.file.as_str(), m.line, m.column, m.code.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("$OSIER_LOGS__KEPP", 0, 0, "osier::config::unknown_key"),
            ("$OSIER_REPO__BRANCH", 0, 0, "osier::config::bad_value"),
            ("/etc/osier/osier.toml", 2, 7, "osier::config::bad_value"),
            ("/etc/osier/osier.toml", 3, 1, "osier::config::unknown_key"),
            ("/etc/osier/osier.toml", 5, 2, "osier::config::unknown_key"),
            ("/etc/osier/osier.toml", 9, 8, "osier::config::bad_value"),
            ("/etc/osier/osier.toml", 10, 12, "osier::config::bad_value"),
            ("/etc/osier/osier.toml", 12, 11, "osier::config::combination"),
        ]
    );
    let help: Vec<&str> = error.mistakes.iter().map(|m| m.help.as_str()).collect();
    assert_eq!(help[0], "did you mean `keep`?");
    assert_eq!(help[3], "did you mean `branch`?");
    assert_eq!(help[4], "did you mean `node`?");
    assert_eq!(help[1], "write for example `\"main\"`, the default");
    assert!(help.iter().all(|help| !help.is_empty()), "{help:?}");
    assert_eq!(error.mistakes[3].source_line, "brunch = \"main\"");
    assert_eq!(error.mistakes[3].width, 6);
}

#[test]
fn what_is_needed_is_asked_for_by_name() {
    let told = mistakes("[node]\nname = \"x\"\n");
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].message, "`repo.url` is not set");
    assert!(
        told[0].help.contains("[repo]") && told[0].help.contains("OSIER_REPO__URL"),
        "{}",
        told[0].help
    );
}

#[test]
fn a_setting_in_the_wrong_section_or_by_the_original_name_is_sent_to_its_place() {
    let told = mistakes(&format!(
        "repo_url = \"x\"\n{MINIMAL}[node]\nreconcile_interval = 1\n"
    ));
    assert_eq!(told[0].help, "`url` belongs into [repo]");
    assert_eq!(told[1].help, "`reconcile_interval` belongs into [repo]");
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    for (text, word) in [
        ("[console]\ntls_key = \"/k\"\n", "tls_cert"),
        ("[webhook]\nlisten = \"127.0.0.1:1\"\n", "secret_file"),
        // A promise that this release does not keep must not be read as kept.
        (
            "[repo.verify]\nmode = \"head\"\n",
            "every commit of the branch is applied",
        ),
    ] {
        let told = mistakes(&format!("{MINIMAL}{text}"));
        assert_eq!(told.len(), 1, "{text}");
        assert_eq!(told[0].code, "osier::config::combination");
        assert!(told[0].help.contains(word) && told[0].line > 0, "{:?}", told[0]);
    }
    assert_eq!(mistakes(&format!("{MINIMAL}reconcile_interval = 1\n")).len(), 1);
}

#[test]
fn what_does_not_go_together_is_told_beside_a_url_that_is_missing_or_wrong() {
    let rest = "[webhook]\nlisten = \"127.0.0.1:1\"\n[console]\ntls_cert = \"/c\"\ntls_key = \"k\"\n";
    let repo = "reconcile_interval = \"0s\"\nverify = { mode = \"head\" }\n";
    for url in ["", "url = 7\n"] {
        let told = mistakes(&format!("{rest}[repo]\n{url}{repo}"));
        let combinations: Vec<u32> = told
            .iter()
            .filter(|mistake| mistake.code == "osier::config::combination")
            .map(|mistake| mistake.line)
            .collect();
        let first = 7 + u32::from(!url.is_empty());
        assert_eq!(combinations, [2, first, first + 1], "{told:?}");
        assert_eq!(told.len(), 5, "{told:?}");
    }
}

#[test]
fn bad_values_of_every_kind_are_refused() {
    for bad in [
        "[node]\nname = \"../x\"",
        "[node]\ndata_dir = \"relative\"",
        "[node]\nlabels = { \"\" = \"x\" }",
        "[node]\nenforce = \"maybe\"",
        "[node]\napp_user = \"-r\"",
        "[prune]\nmax = \"101%\"",
        "[prune]\nmax = \"nan%\"",
        "[prune]\nmax = 50",
        "[sources]\ndeny = [\"300.0.0.0/8\"]",
        "[sources]\ndeny = [\"10.0.0.0/33\"]",
        "[sources]\nallow = [\"https://user@host/\"]",
        "[sources]\nproxy = \"-oProxyCommand\"",
        "[sources]\ndisk_max = \"1.5GiB\"",
        "[mesh]\ntopic = \"a b\"",
        "[mesh]\nlisten = [\"0.0.0.0:1\"]",
        "[mesh]\nbootstrap_nodes = [\"https://x\"]",
        "[console]\nlisten = \"7420\"",
        "[telemetry]\nlog = \"loud\"",
        "[telemetry]\nlog = \"info,=debug\"",
        "[telemetry]\nwebhooks = [\"ftp://x\"]",
        "[telemetry]\nretention = \"-1d\"",
    ] {
        let told = mistakes(&format!("{MINIMAL}{bad}\n"));
        assert_eq!(told.len(), 1, "{bad}: {told:?}");
        assert_eq!(told[0].code, "osier::config::bad_value", "{bad}");
        assert_eq!(told[0].line, 4, "{bad}");
    }
    let apps_dir = mistakes(&format!("{MINIMAL}apps_dir = \"../x\"\n"));
    assert_eq!(apps_dir.len(), 1);
}

#[test]
fn a_file_with_a_syntax_error_names_the_place() {
    let told = mistakes("[repo]\nurl = \"https://x/y\nbranch = \"main\"\n");
    assert_eq!(
        (told[0].line, told[0].code.as_str()),
        (2, "osier::config::syntax")
    );
    let double = mistakes(&format!("{MINIMAL}url = \"https://a/b\"\n"));
    assert!(
        double
            .iter()
            .any(|m| m.line == 3 && m.code == "osier::config::syntax"),
        "{double:?}"
    );
    let section = mistakes(&format!("prune = 7\n{MINIMAL}"));
    assert!(section[0].message.contains("section"), "{section:?}");
}

#[test]
fn secrets_are_neither_printed_nor_quoted() {
    let secret = "hunter2";
    let text = format!(
        "[repo]\nurl = \"https://me:{secret}@git.example.org/x.git\"\n[sources]\nproxy = \"http://u:{secret}@proxy:1\"\n\
         [telemetry]\nwebhooks = [\"https://hooks.example.org/{secret}\"]\n"
    );
    let config = read(&text).unwrap();
    assert_eq!(
        config
            .sources
            .proxy
            .as_ref()
            .map(|url| url.reveal().contains(secret)),
        Some(true)
    );
    let shown = format!("{:?} {config:?}", config.values());
    assert!(!shown.contains(secret), "{shown}");
    for bad in [
        format!("[repo]\nurl = \"htps://me:{secret}@git.example.org/x.git\"\n"),
        format!("{MINIMAL}[sources]\nproxy = \"htp://u:{secret}@proxy:1\"\n"),
        format!("{MINIMAL}[telemetry]\nwebhooks = [\"htp://hooks.example.org/{secret}\"]\n"),
        format!("[repo]\nurl = \"https://me:{secret}@git.example.org/x.git\" 7\n"),
    ] {
        let error = read(&bad).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(secret), "{error:?}");
    }
}

#[test]
fn the_search_never_looks_into_the_current_folder() {
    let paths = |variables: &[(&str, &str)], flag: Option<&str>| -> Vec<(String, bool)> {
        let candidates = surroundings(variables).config_candidates(flag.map(Path::new));
        candidates
            .into_iter()
            .map(|c| (c.path.display().to_string(), c.is_named))
            .collect()
    };
    let usual = |path: &str| (path.to_owned(), false);
    assert_eq!(paths(&[], Some("/x.toml")), [("/x.toml".to_owned(), true)]);
    assert_eq!(
        paths(&[("OSIER_CONFIG", "/y.toml")], None),
        [("/y.toml".to_owned(), true)]
    );
    assert_eq!(
        paths(&[("XDG_CONFIG_HOME", "/c"), ("HOME", "/h")], None),
        [usual("/c/osier/osier.toml"), usual("/etc/osier/osier.toml")]
    );
    assert_eq!(
        paths(&[("XDG_CONFIG_HOME", "c"), ("HOME", "h")], None),
        [usual("/etc/osier/osier.toml")]
    );
    assert_eq!(
        paths(&[("HOME", "/h")], None)[0],
        usual("/h/.config/osier/osier.toml")
    );
}

#[test]
fn the_data_directory_of_a_user_follows_xdg() {
    let user = |variables: &[(&str, &str)]| {
        Surroundings {
            is_root: false,
            ..surroundings(variables)
        }
        .data_dir()
    };
    assert_eq!(user(&[("XDG_STATE_HOME", "/s")]), Path::new("/s/osier"));
    assert_eq!(
        user(&[("HOME", "/home/dana")]),
        Path::new("/home/dana/.local/state/osier")
    );
    assert_eq!(user(&[("HOME", "dana")]), Path::new("/var/lib/osier"));
    assert_eq!(
        surroundings(&[("HOME", "/root")]).data_dir(),
        Path::new("/var/lib/osier")
    );
}

#[test]
fn every_hostname_makes_a_node_name() {
    for (hostname, name) in [
        ("web-1.example.org", "web-1.example.org"),
        ("Dana’s Mac", "Dana-s-Mac"),
        ("", "node"),
        ("---", "node"),
    ] {
        let surroundings = Surroundings {
            hostname: hostname.to_owned(),
            ..Surroundings::default()
        };
        assert_eq!(surroundings.node_name().as_str(), name);
    }
}

#[test]
fn a_file_that_was_named_must_be_there_and_others_need_not() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.toml");
    let error = Layers::load(surroundings(&[]), Some(&missing), Vec::new()).unwrap_err();
    assert_eq!(error.mistakes[0].code, "osier::config::unreadable");
    assert!(error.to_string().contains("missing.toml"), "{error}");
    let user = folder.path().join("osier");
    std::fs::create_dir(&user).unwrap();
    std::fs::write(user.join("osier.toml"), MINIMAL).unwrap();
    let variables = surroundings(&[("XDG_CONFIG_HOME", folder.path().to_str().unwrap())]);
    let layers = Layers::load(variables, None, Vec::new()).unwrap();
    assert_eq!(layers.file.unwrap().path, user.join("osier.toml"));
}

#[test]
fn a_reload_knows_which_sections_changed() {
    let old = read(MINIMAL).unwrap();
    let new = read(&format!(
        "{MINIMAL}branch = \"next\"\n[telemetry]\nlog = \"debug\"\n"
    ))
    .unwrap();
    assert_eq!(old.changed_sections(&new), ["repo", "telemetry"]);
    assert!(old.changed_sections(&old.clone()).is_empty());
    let other_password = read("[repo]\nurl = \"https://a:1@git.example.org/x\"\n").unwrap();
    let rotated = read("[repo]\nurl = \"https://a:2@git.example.org/x\"\n").unwrap();
    assert_eq!(other_password.changed_sections(&rotated), ["repo"]);
}

#[test]
fn the_socket_is_found_in_spite_of_mistakes_elsewhere() {
    let found = layers("[node]\ndata_dir = \"/d\"\nnmae = 1\n", &[], &[]).socket();
    assert_eq!(found.as_path(), Path::new("/d/osier.sock"));
}

proptest! {
    #[test]
    fn no_text_panics_and_every_mistake_has_a_message(text in ".{0,300}") {
        if let Err(error) = read(&text) {
            prop_assert!(!error.mistakes.is_empty());
            prop_assert!(error.mistakes.iter().all(|mistake| !mistake.message.is_empty()));
        }
    }

    #[test]
    fn nearly_right_texts_do_not_panic(cut in 0usize..600, byte in any::<u8>()) {
        let mut bytes = include_bytes!("../../config/osier.toml").to_vec();
        let at = cut % bytes.len();
        bytes[at] = byte;
        let _ = read(&String::from_utf8_lossy(&bytes));
        let _ = read(&String::from_utf8_lossy(&bytes[..at]));
    }
}
