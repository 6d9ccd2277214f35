//! Files that are generated from the settings are what the code would generate now.

use std::path::Path;

use osier::config::{Config, ConfigFile, Layers, Surroundings, reference};

use crate::project::root;

/// Compares a committed file with what the code says; `OSIER_BLESS=1` writes it instead.
pub fn assert_generated(path: &str, generated: &str) {
    let file = root().join(path);
    if std::env::var_os("OSIER_BLESS").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, generated).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == generated,
        "{path} is not what the code says: run this test with OSIER_BLESS=1"
    );
}

#[test]
fn the_schema_of_the_configuration_is_current() {
    let text = serde_json::to_string_pretty(&reference::schema()).unwrap();
    assert_generated("config/schema/config.schema.json", &format!("{text}\n"));
}

#[test]
fn the_reference_page_is_current() {
    assert_generated("docs/reference/configuration.md", &reference::page());
}

#[test]
fn the_commented_file_is_current() {
    assert_generated("config/osier.toml", &reference::commented_file());
}

fn machine() -> Surroundings {
    Surroundings {
        hostname: "node".to_owned(),
        is_root: true,
        ..Surroundings::default()
    }
}

fn read(text: String) -> Config {
    let file = Some(ConfigFile {
        path: Path::new("osier.toml").to_owned(),
        text,
    });
    Layers {
        file,
        surroundings: machine(),
        flags: Vec::new(),
    }
    .read()
    .unwrap()
}

#[test]
fn the_commented_file_means_the_defaults() {
    let config = read(reference::commented_file());
    let defaults = Config::of_repo(&config.repo.url, &machine());
    assert!(config.changed_sections(&defaults).is_empty());
}

/// With its defaults uncommented it still means the same: the comments show valid values.
#[test]
fn the_defaults_that_the_file_shows_are_the_defaults() {
    let is_shown = |line: &&str| {
        !line.starts_with("# ")
            && !line.starts_with("#:")
            && !line.ends_with(" =")
            && !line.ends_with("\"…\"")
    };
    let text: Vec<&str> = include_str!("../../config/osier.toml")
        .lines()
        .filter(is_shown)
        .collect();
    let config = read(text.join("\n").replace("\n#", "\n"));
    let defaults = Config::of_repo(&config.repo.url, &machine());
    assert!(config.changed_sections(&defaults).is_empty());
    let said = config
        .values()
        .into_iter()
        .filter(|value| value.origin != "default")
        .count();
    assert!(said > 25, "only {said} settings were shown");
}

#[test]
fn the_schema_knows_every_setting_and_its_default() {
    let schema = reference::schema();
    for section in osier::config::sections::all(&machine()) {
        let pointer: String = section
            .path
            .split('.')
            .map(|part| format!("/properties/{part}"))
            .collect();
        let object = schema
            .pointer(&pointer)
            .unwrap_or_else(|| panic!("no {}", section.path));
        assert_eq!(object["additionalProperties"], false, "{}", section.path);
        for setting in section.settings {
            let name = setting.key.rsplit('.').next().unwrap();
            let property = &object["properties"][name];
            assert!(property.is_object(), "{}", setting.key);
            let is_derived = ["node.name", "node.data_dir", "node.socket"].contains(&setting.key.as_str());
            assert_eq!(
                property.get("default").is_some(),
                setting.default.is_some() && !is_derived,
                "{}",
                setting.key
            );
        }
    }
    assert_eq!(
        schema["properties"]["repo"]["required"],
        serde_json::json!(["url"])
    );
}
