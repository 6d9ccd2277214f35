//! Commands that need no daemon: validate, config, schema, doctor.

use std::path::Path;
use std::process::Command;

use crate::fake_daemon::{Ran, osier, ran};

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn git(folder: &Path, arguments: &[&str]) {
    let mut command = Command::new("git");
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("GIT_CONFIG_GLOBAL", "/dev/null");
    command
        .args(["-c", "user.name=t", "-c", "user.email=t@localhost"])
        .args(arguments)
        .current_dir(folder);
    assert!(command.output().unwrap().status.success(), "git {arguments:?}");
}

/// `osier` standing in `folder`, with a home of its own.
fn standing(folder: &Path, arguments: &[&str]) -> Ran {
    let mut command = osier(arguments);
    command.current_dir(folder).env("HOME", folder);
    ran(command)
}

fn two_mistakes(root: &Path) {
    write(
        root,
        "apps/a/app.yaml",
        "version: 1\nheath: {}\ncommand: [\"true\"]\n",
    );
    write(
        root,
        "apps/b/app.toml",
        "version = \"1\"\ncommand = [\"true\"]\ndepends_on = [\"zz\"]\n",
    );
    write(
        root,
        "apps/c/app.json",
        "{\"version\": \"1\", \"command\": [\"true\"]}",
    );
}

#[test]
fn validate_names_all_mistakes_at_once_and_answers_no() {
    let folder = tempfile::tempdir().unwrap();
    two_mistakes(folder.path());
    let ran = standing(folder.path(), &["validate"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(1), ""), "{ran:?}");
    insta::assert_snapshot!(ran.out);
    let json = standing(folder.path(), &["validate", "-o", "json"]).json();
    let places: Vec<_> = json["mistakes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| format!("{}:{}", m["file"], m["line"]))
        .collect();
    assert_eq!(places, ["\"apps/a/app.yaml\":2", "\"apps/b/app.toml\":3"]);
    assert_eq!(json["files"], 3);
}

#[test]
fn validate_speaks_the_tongues_of_ci() {
    let folder = tempfile::tempdir().unwrap();
    two_mistakes(folder.path());
    let github = standing(folder.path(), &["validate", "--format", "github"]);
    assert!(github.out.starts_with("::error file=apps/a/app.yaml,line=2,col=1,title=osier%3A%3Aspec%3A%3Aunknown_key::unknown key `heath`"), "{}", github.out);
    let sarif: serde_json::Value =
        serde_json::from_str(&standing(folder.path(), &["validate", "--format", "sarif"]).out).unwrap();
    assert_eq!(
        sarif["runs"][0]["results"][1]["locations"][0]["physicalLocation"]["region"]["startLine"],
        3
    );
}

#[test]
fn validate_without_mistakes_answers_yes_and_nothing_to_check_is_no_yes() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "apps/c/app.yaml",
        "version: 1\ncommand: [\"true\"]\n",
    );
    let ran = standing(folder.path(), &["validate"]);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (Some(0), "✓ no mistakes in 1 file\n")
    );
    for (arguments, why) in [
        (&["validate", "apps"][..], "there is no folder `apps`"),
        (&["validate", "nowhere"], "there is no such folder"),
        (&["validate", "--rev", "x"], "cannot read the revision"),
    ] {
        let ran = standing(folder.path(), arguments);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{ran:?}");
        assert!(ran.err.contains(why), "{ran:?}");
    }
}

#[test]
fn validate_reads_a_revision_or_one_file() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "apps/c/app.yaml",
        "version: 1\ncommand: [\"true\"]\n",
    );
    git(folder.path(), &["init", "-q"]);
    git(folder.path(), &["add", "."]);
    git(folder.path(), &["commit", "-qm", "good"]);
    write(folder.path(), "apps/c/app.yaml", "version: [\n");
    assert_eq!(standing(folder.path(), &["validate"]).code, Some(1));
    assert_eq!(
        standing(folder.path(), &["validate", "--rev", "HEAD"]).code,
        Some(0)
    );
    assert_eq!(
        standing(folder.path(), &["validate", "apps/c/app.yaml"]).code,
        Some(1)
    );
}

#[test]
fn a_hostile_spec_cannot_steer_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "apps/c/app.yaml",
        "version: 1\n\"x\u{1b}]0;owned\u{7}\": 1\n",
    );
    for arguments in [
        &["validate"][..],
        &["validate", "--format", "github"],
        &["validate", "-o", "json"],
    ] {
        let ran = standing(folder.path(), arguments);
        assert!(!ran.out.contains(['\u{1b}', '\u{7}']), "{ran:?}");
    }
}

#[test]
fn config_show_tells_where_each_value_came_from_without_a_daemon() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        ".config/osier/osier.toml",
        "[repo]\nurl = \"https://git.example.com/specs.git\"\n",
    );
    let mut command = osier(&["config", "show", "--origin", "-o", "json"]);
    command
        .env("HOME", folder.path())
        .env("OSIER_REPO__BRANCH", "edge");
    let ran = ran(command);
    let values = ran.json();
    let origin = |key: &str| {
        values
            .as_array()
            .unwrap()
            .iter()
            .find(|v| v["key"] == key)
            .unwrap()["origin"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert!(
        origin("repo.url").ends_with("/.config/osier/osier.toml:2"),
        "{}",
        origin("repo.url")
    );
    assert_eq!(origin("repo.branch"), "$OSIER_REPO__BRANCH");
    assert_eq!(origin("repo.apps_dir"), "default");
    assert!(ran.err.contains("none was asked"));
}

#[test]
fn a_wrong_configuration_is_shown_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "osier.toml",
        "[repo]\nurl = \"https://git.example.com/specs.git\"\nbrnch = \"x\"\n",
    );
    let ran = standing(folder.path(), &["daemon", "--config", "osier.toml"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
    insta::assert_snapshot!(ran.err);
}

#[test]
fn doctor_works_with_the_daemon_dead() {
    let folder = tempfile::tempdir().unwrap();
    let ran = standing(
        folder.path(),
        &["doctor", "-o", "json", "--socket", "/nonexistent.sock"],
    );
    let checks = ran.json();
    let state = |name: &str| {
        checks
            .as_array()
            .unwrap()
            .iter()
            .find(|c| c["name"] == name)
            .unwrap()["state"]
            .clone()
    };
    assert_eq!(state("daemon"), "warning");
    assert_eq!(state("kernel"), "good");
    assert_eq!(state("panics"), "good");
}

#[test]
fn doctor_answers_no_where_a_daemon_would_refuse_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("mine");
    let with = |more: &str| {
        let text = format!(
            "[node]\ndata_dir = \"{}\"\n{more}[repo]\nurl = \"/x\"\n",
            data.display()
        );
        write(folder.path(), "osier.toml", &text);
        let ran = standing(folder.path(), &["doctor", "-o", "json", "--config", "osier.toml"]);
        let checks = ran.json().as_array().unwrap().clone();
        let of = |name: &str| checks.iter().find(|check| check["name"] == name).cloned();
        (ran.code, of("configuration").unwrap(), of("data directory"))
    };
    let (_, good, _) = with("");
    assert_eq!(good["state"], "good");
    let (code, unknown, place) = with("[prune]\nmx = \"1%\"\n");
    assert_eq!((code, &unknown["state"]), (Some(1), &"bad".into()), "{unknown}");
    let found = place.unwrap()["found"].to_string();
    assert!(found.contains(data.to_str().unwrap()), "{found}");
    let (code, _, place) = with("labels = 7\n");
    assert_eq!(
        (code, place),
        (Some(1), None),
        "of a section with a mistake nothing is known"
    );
}

#[test]
fn validate_counts_files_where_two_apps_share_a_name() {
    let folder = tempfile::tempdir().unwrap();
    for app in ["a", "b"] {
        let text = "name: same\nversion: 1\ncommand: [\"true\"]\n";
        write(folder.path(), &format!("apps/{app}/app.yaml"), text);
    }
    let ran = standing(folder.path(), &["validate"]);
    assert!(ran.out.contains("2 mistakes in 2 of 2 files"), "{}", ran.out);
}

#[test]
fn what_prints_no_data_takes_no_format_of_data() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "sys.config", "[{bc_gitops, []}].\n");
    for arguments in [
        &["completion", "bash"][..],
        &["man"],
        &["config", "import", "sys.config"],
    ] {
        let ran = standing(folder.path(), &[arguments, &["-o", "json"]].concat());
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(ran.err.contains("leave -o out"), "{ran:?}");
    }
}

#[test]
fn the_schema_of_the_configuration_is_printed() {
    let schema = ran(osier(&["schema", "config"])).json();
    assert!(schema["properties"]["repo"]["properties"]["branch"].is_object());
}

#[test]
fn init_writes_a_repository_that_validates_and_overwrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let ran = standing(folder.path(), &["init", "specs"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(standing(folder.path(), &["validate", "specs"]).code, Some(0));
    assert_eq!(
        standing(folder.path(), &["init", "specs"]).code,
        Some(0),
        "the same again is no conflict"
    );
    write(folder.path(), "specs/apps/hello/app.yaml", "version: 7\n");
    let refused = standing(folder.path(), &["init", "specs"]);
    assert_eq!(refused.code, Some(2));
    assert!(
        refused.err.contains("nothing was written") && refused.err.contains("apps/hello/app.yaml"),
        "{}",
        refused.err
    );
    assert_eq!(
        std::fs::read_to_string(folder.path().join("specs/apps/hello/app.yaml")).unwrap(),
        "version: 7\n"
    );
}

#[test]
fn init_translates_a_bc_gitops_repository_and_says_what_it_could_not() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "bc/apps/counter/app.config",
        "#{name => counter, version => <<\"0.1.5\">>, env => #{http_port => 8082}}.\n",
    );
    write(folder.path(), "bc/apps/broken/app.config", "#{name => ");
    std::fs::create_dir_all(folder.path().join("bc/apps/empty")).unwrap();
    let ran = standing(folder.path(), &["init", "--from-bc-gitops", "bc", "new"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.err.contains("apps/broken/app.config:1:") && ran.err.contains("empty: there is no spec"),
        "{}",
        ran.err
    );
    let text = std::fs::read_to_string(folder.path().join("new/apps/counter/app.yaml")).unwrap();
    assert!(
        text.contains("name: counter") && text.contains("version: \"0.1.5\""),
        "{text}"
    );
    let same = standing(folder.path(), &["init", "--from-bc-gitops", "bc", "bc"]);
    assert_eq!(same.code, Some(2), "{same:?}");
}

#[test]
fn a_sys_config_becomes_a_configuration_that_can_be_used() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "sys.config",
        "[{bc_gitops, [{repo_url, <<\"https://git.example.com/specs.git\">>}, {branch, <<\"edge\">>}, {reconcile_interval, 30000}]}].\n",
    );
    let imported = standing(folder.path(), &["config", "import", "sys.config"]);
    assert_eq!(imported.code, Some(0), "{imported:?}");
    write(folder.path(), "osier.toml", &imported.out);
    let shown = standing(
        folder.path(),
        &["config", "show", "--config", "osier.toml", "-o", "json"],
    )
    .json();
    let value = |key: &str| {
        shown
            .as_array()
            .unwrap()
            .iter()
            .find(|v| v["key"] == key)
            .unwrap()["value"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        (
            value("repo.branch").as_str(),
            value("repo.reconcile_interval").as_str()
        ),
        ("edge", "30s")
    );
    write(folder.path(), "wrong.config", "[{bc_gitops, [");
    assert_eq!(
        standing(folder.path(), &["config", "import", "wrong.config"]).code,
        Some(1)
    );
}

#[test]
fn a_mistake_in_osier_yaml_hides_no_mistake_in_a_spec() {
    let room = tempfile::tempdir().unwrap();
    let put = |path: &str, text: &str| {
        let place = room.path().join(path);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, text).unwrap();
    };
    put("osier.yaml", "defalts: {}\n");
    put("apps/a/app.yaml", "version: 1\nversio: 1\n");
    put("apps/b/app.yaml", "version: 1\ncommand: sleep\n");
    let path = room.path().display().to_string();
    let told = crate::fake_daemon::ran(crate::fake_daemon::osier(&["validate", &path, "-o", "json"]));
    assert_eq!(told.code, Some(1), "{told:?}");
    let told = told.out;
    for file in ["osier.yaml", "apps/a/app.yaml", "apps/b/app.yaml"] {
        assert!(told.contains(&format!("\"file\": \"{file}\"")), "{told}");
    }
}
