//! What is generated from the settings: the reference page, the JSON Schema, the commented `osier.toml`.

use std::fmt::Write;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use super::sections::{
    ConsoleConfig, LogsConfig, MeshConfig, NodeConfig, PruneConfig, RepoConfig, SectionFacts, Setting,
    SourcesConfig, TelemetryConfig, WebhookConfig, all,
};
use super::surroundings::Surroundings;

/// The machine that the generated files describe: a node that root runs.
fn packaged() -> Surroundings {
    Surroundings {
        is_root: true,
        ..Surroundings::default()
    }
}

/// Settings whose default depends on the machine: their text says on what, and files leave them out.
const DERIVED: &[&str] = &["node.name", "node.data_dir", "node.socket"];

/// The JSON Schema of `osier.toml` (draft 2020-12).
#[must_use]
pub fn schema() -> Value {
    let mut properties = serde_json::Map::new();
    let mut add = |name: &str, schema: Schema| {
        properties.insert(name.to_owned(), schema.to_value());
    };
    add("node", section_schema::<NodeConfig>());
    add("repo", section_schema::<RepoConfig>());
    add("prune", section_schema::<PruneConfig>());
    add("sources", section_schema::<SourcesConfig>());
    add("logs", section_schema::<LogsConfig>());
    add("mesh", section_schema::<MeshConfig>());
    add("console", section_schema::<ConsoleConfig>());
    add("telemetry", section_schema::<TelemetryConfig>());
    add("webhook", section_schema::<WebhookConfig>());
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "osier.toml",
        "description": "The configuration of an Osier node.",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    });
    for section in all(&packaged()) {
        let pointer: String = section
            .path
            .split('.')
            .map(|part| format!("/properties/{part}"))
            .collect();
        if let Some(Value::Object(object)) = schema.pointer_mut(&pointer) {
            object.remove("title");
            object.remove("$schema");
            finish_section(object, &section);
        }
    }
    schema
}

fn section_schema<T: JsonSchema>() -> Schema {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>()
}

/// Which settings must be there, and the defaults of the others.
fn finish_section(object: &mut serde_json::Map<String, Value>, section: &SectionFacts) {
    let name_of = |setting: &Setting| setting.key.rsplit('.').next().unwrap_or_default().to_owned();
    let required: Vec<String> = section
        .settings
        .iter()
        .filter(|setting| setting.is_required)
        .map(name_of)
        .collect();
    if required.is_empty() {
        object.remove("required");
    } else {
        object.insert("required".to_owned(), json!(required));
    }
    for setting in section
        .settings
        .iter()
        .filter(|setting| !DERIVED.contains(&setting.key.as_str()))
    {
        let default = setting.default.as_deref().and_then(json_of_toml);
        let property = object
            .get_mut("properties")
            .and_then(|all| all.get_mut(name_of(setting)));
        if let (Some(default), Some(Value::Object(property))) = (default, property) {
            property.insert("default".to_owned(), default);
        }
    }
}

fn json_of_toml(text: &str) -> Option<Value> {
    let value: toml::Value = format!("value = {text}")
        .parse::<toml::Table>()
        .ok()?
        .remove("value")?;
    serde_json::to_value(value).ok()
}

/// The commented `osier.toml`: every setting with its default, as comments but for the one that is required.
#[must_use]
pub fn commented_file() -> String {
    let mut text = String::from(
        "# The configuration of an Osier node. Every line that is commented out shows a default.\n\
         # Read from --config, else $OSIER_CONFIG, $XDG_CONFIG_HOME/osier/osier.toml, /etc/osier/osier.toml;\n\
         # OSIER_SECTION__KEY in the environment and flags win over it. `osier config show --origin` tells what is in force.\n\
         # A duration is written with `ms`, `s`, `m`, `h` or `d`, a size with `KiB`, `MiB`, `GiB`. Unknown keys are errors.\n\
         #:schema schema/config.schema.json\n",
    );
    for section in all(&packaged()) {
        let _ = write!(text, "\n# {}\n[{}]\n", section.doc.trim(), section.path);
        for setting in &section.settings {
            text.push_str(&commented_setting(setting));
        }
    }
    text
}

fn commented_setting(setting: &Setting) -> String {
    let name = setting.key.rsplit('.').next().unwrap_or_default();
    let doc = setting.doc.trim();
    match &setting.default {
        _ if setting.is_required => {
            format!("# {doc} Required.\n{name} = \"https://git.example.org/fleet.git\"\n")
        }
        Some(_) if DERIVED.contains(&setting.key.as_str()) => format!("# {doc}\n#{name} = \"…\"\n"),
        Some(default) => format!("# {doc}\n#{name} = {default}\n"),
        None => format!("# {doc}\n#{name} =\n"),
    }
}

/// `docs/reference/configuration.md`.
#[must_use]
pub fn page() -> String {
    let mut text = String::from(PAGE_HEAD);
    for section in all(&packaged()) {
        let _ = write!(
            text,
            "\n## `[{}]`\n\n{}\n\n| setting | default | meaning |\n|---|---|---|\n",
            section.path,
            section.doc.trim()
        );
        for setting in &section.settings {
            let name = setting.key.rsplit('.').next().unwrap_or_default();
            let default = match &setting.default {
                _ if setting.is_required => "required".to_owned(),
                _ if DERIVED.contains(&setting.key.as_str()) => "see there".to_owned(),
                Some(default) => format!("`{default}`"),
                None => "unset".to_owned(),
            };
            let _ = writeln!(
                text,
                "| `{name}` | {default} | {} |",
                setting.doc.trim().replace('|', "\\|")
            );
        }
    }
    text
}

const PAGE_HEAD: &str = "\
# Configuration

<!-- Generated from src/config/sections.rs. `OSIER_BLESS=1 cargo test --test it config` writes it anew. -->

A node is configured by one TOML file: `--config FILE`, else `$OSIER_CONFIG`, else `$XDG_CONFIG_HOME/osier/osier.toml`
(`~/.config/osier/osier.toml`), else `/etc/osier/osier.toml`. A file of the current folder is never read.

Each setting can also be given in the environment as `OSIER_SECTION__KEY` (`OSIER_REPO__RECONCILE_INTERVAL=30s`,
`OSIER_REPO__AUTH__TOKEN_FILE=/run/secrets/git`), and some by flags. Later wins: default, file, environment, flag. In a
variable a list is written as TOML (`[\"a\", \"b\"]`) or with commas (`a,b`), labels as `{ site = \"ams\" }`.

`osier config show --origin` prints every value in force and where it came from. Secrets stand in files that the
configuration names; passwords in URLs are accepted but never shown. Unknown keys are errors, and all mistakes are
reported at once.

A duration is a whole number with `ms`, `s`, `m`, `h` or `d`; a number alone is milliseconds. A size is a whole number with
`KiB`, `MiB`, `GiB`, `TiB` (or `KB`, `MB`, `GB`, `TB` for powers of ten). Paths are absolute.

SIGHUP reads the file again; with a mistake in it the node goes on with what it had.
";
