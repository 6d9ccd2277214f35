//! From the merged value tree to an [`AppSpec`], with every mistake. Field rules are SPEC_FORMAT's table; each group of
//! fields has its own file.

mod appearance;
mod artefact;
mod confinement;
mod environment;
mod fields;
mod fleet;
mod paths;
mod policies;
mod process;
mod watch;

use std::collections::BTreeSet;

use self::environment::Variables;
use self::fields::{Decoder, Fields};
use super::app_spec::{AppSpec, Isolation, Source};
use super::facts::NodeFacts;
use super::format::Format;
use super::mistake::{Mistake, codes};
use super::node::{Map, Node, Place, Value};
use super::source::Sources;
use crate::names::{AppName, Version, shown};

/// The keys that an app may have, beside `x-…`.
pub const APP_KEYS: &[&str] = &[
    "name",
    "version",
    "description",
    "icon",
    "source",
    "command",
    "working_dir",
    "env",
    "secrets",
    "config_files",
    "health",
    "depends_on",
    "isolation",
    "limits",
    "sandbox",
    "restart",
    "stop",
    "upgrade",
    "sockets",
    "placement",
    "rollout",
    "suspend",
    "overrides",
    "vm_config",
    "license",
];

/// What a spec is decoded against.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The files, by the number in each place.
    pub sources: Sources<'a>,
    /// The node.
    pub facts: &'a NodeFacts,
    /// The folder's own name: the app's name where the spec has none.
    pub folder_name: &'a str,
}

/// What came out: as much of the spec as could be read, and everything that is wrong with it.
#[derive(Debug, Clone, Default)]
pub struct Decoded {
    /// The app's name, where it is a valid one.
    pub name: Option<AppName>,
    /// The spec without the parts that are wrong; `None` without a name and version.
    pub spec: Option<AppSpec>,
    /// What makes it unusable.
    pub mistakes: Vec<Mistake>,
    /// What is odd.
    pub warnings: Vec<Mistake>,
    /// Where things stand that are checked across specs.
    pub places: Places,
}

/// Places that checks across specs point at.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The name, else the version, else the top.
    pub name: Option<Place>,
    /// Each dependency with its place.
    pub depends_on: Vec<(AppName, Place)>,
    /// Each socket with its place.
    pub sockets: Vec<(String, Place)>,
}

/// Decodes the merged tree of one app.
#[must_use]
pub fn decode(root: &Map, top: Place, context: Context<'_>) -> Decoded {
    let mut decoder = Decoder {
        sources: context.sources,
        facts: context.facts,
        mistakes: Vec::new(),
        warnings: Vec::new(),
    };
    decoder.check_keys(root, &"an app", APP_KEYS);
    let fields = Fields::new(root, top);
    let name = decoder.name(&fields, context.folder_name);
    let version = decoder.version(&fields);
    let mut places = Places {
        name: ["name", "version"]
            .iter()
            .find(|key| fields.get(key).is_some())
            .map(|key| fields.key_at(key)),
        ..Places::default()
    };
    // Without a name or version the rest is decoded all the same, for its mistakes.
    let stand_in = AppSpec::new(
        name.clone().unwrap_or_else(stand_in_name),
        version.clone().unwrap_or_else(stand_in_version),
    );
    let spec = decoder.rest(&fields, stand_in, &mut places);
    decoder.check_self_dependency(name.as_ref(), &places.depends_on);
    Decoded {
        spec: (name.is_some() && version.is_some()).then_some(spec),
        name,
        mistakes: decoder.mistakes,
        warnings: decoder.warnings,
        places,
    }
}

#[expect(clippy::expect_used, reason = "a constant that is a valid name")]
fn stand_in_name() -> AppName {
    "app".parse().expect("a valid name")
}

#[expect(clippy::expect_used, reason = "a constant that is a valid version")]
fn stand_in_version() -> Version {
    "0".parse().expect("a valid version")
}

impl Decoder<'_> {
    fn name(&mut self, fields: &Fields<'_>, folder_name: &str) -> Option<AppName> {
        const RULE: &str = "1 to 63 of a-z, 0-9, `_` and `-`, beginning with a letter or digit";
        match fields.get("name") {
            Some(node) => self.parsed(node, &"name", RULE),
            None => {
                let name = folder_name.parse().ok();
                if name.is_none() {
                    let message = format!(
                        "the folder's name `{}` is not a valid app name",
                        shown(folder_name)
                    );
                    self.mistake(
                        fields.at,
                        codes::BAD_VALUE,
                        message,
                        format!("add `name:` with {RULE}"),
                    );
                }
                name
            }
        }
    }

    fn version(&mut self, fields: &Fields<'_>) -> Option<Version> {
        const HELP: &str = "a tag-like text such as 1.4.2";
        let Some(node) = fields.get("version") else {
            self.missing(fields, "version", "add for example `version: \"1.0.0\"`");
            return None;
        };
        match &node.value {
            // YAML's reader keeps what was written, so 1.10 is not 1.1 here.
            Value::Number(text) if self.sources.format(node.at) == Format::Yaml => {
                self.version_text(node, text)
            }
            Value::Number(_) => {
                let help = format!(
                    "put the version in quotes: \"{}\"",
                    shown(self.sources.slice(node.at))
                );
                self.wrong_type(node, &"version", "a text", help);
                None
            }
            Value::Atom(text) => {
                let help = format!("put the version in quotes: <<\"{}\">>", shown(text));
                self.wrong_type(node, &"version", "a text", help);
                None
            }
            _ => self.parsed(node, &"version", HELP),
        }
    }

    fn version_text(&mut self, node: &Node, text: &str) -> Option<Version> {
        let version = text.parse();
        if let Err(error) = &version {
            self.bad_value(node, &"version", error, "a tag-like text such as 1.4.2");
        }
        version.ok()
    }

    fn rest(&mut self, fields: &Fields<'_>, mut spec: AppSpec, places: &mut Places) -> AppSpec {
        spec.description = self.description(fields);
        spec.icon = self.icon(fields);
        let variables = Variables::new(self, fields, &spec);
        spec.env = variables.env().clone();
        spec.source = self.source(fields, &variables);
        spec.command = self.command(fields, "command", &variables);
        spec.working_dir = self.working_dir(fields);
        spec.secrets = self.secrets(fields);
        spec.config_files = self.config_files(fields, &variables);
        spec.health = self.health(fields, &variables);
        spec.isolation = self.isolation(fields, &spec.name);
        spec.limits = self.limits(fields);
        spec.sandbox = self.sandbox(fields);
        spec.restart = self.restart(fields);
        spec.stop = self.stop(fields);
        spec.upgrade = self.upgrade(fields);
        places.sockets = self.sockets(fields);
        spec.sockets = places.sockets.iter().map(|(socket, _)| socket.clone()).collect();
        spec.placement = self.placement(fields);
        spec.rollout = fields
            .get("rollout")
            .map(|node| self.rollout(node, fields.key_at("rollout")));
        spec.suspend = fields
            .get("suspend")
            .and_then(|node| self.boolean(node, &"suspend"));
        places.depends_on = self.depends_on(fields);
        spec.depends_on = distinct(&places.depends_on);
        self.check_combinations(fields, &spec);
        spec
    }

    fn depends_on(&mut self, fields: &Fields<'_>) -> Vec<(AppName, Place)> {
        let items = fields
            .get("depends_on")
            .and_then(|node| self.list(node, &"depends_on"))
            .unwrap_or_default();
        items
            .iter()
            .filter_map(|item| {
                self.parsed(item, &"depends_on", "write the names of other apps")
                    .map(|name| (name, item.at))
            })
            .collect()
    }

    fn check_self_dependency(&mut self, name: Option<&AppName>, depends_on: &[(AppName, Place)]) {
        for (dependency, at) in depends_on {
            if Some(dependency) == name {
                let message =
                    format!("`depends_on`: `{dependency}` depends on itself, so it would never start");
                self.mistake(*at, codes::CYCLE, message, "remove this entry");
            }
        }
    }

    fn check_combinations(&mut self, fields: &Fields<'_>, spec: &AppSpec) {
        let has_artefact = !matches!(spec.source, None | Some(Source::None {}))
            || fields.get("source").is_some_and(|source| {
                // A source with a mistake of its own must not be reported as a missing command as well.
                source.as_map().is_none_or(|map| {
                    map.get("type")
                        .is_some_and(|kind| kind.value != Value::Text("none".to_owned()))
                })
            });
        let runs_command = spec.isolation() == Isolation::Process;
        if runs_command && !has_artefact && fields.get("command").is_none() {
            self.missing(fields, "command", "without a `source` there is nothing else to run: add for example `command: [\"/usr/bin/my-app\"]`");
        }
        self.check_handover(fields, spec);
        self.check_probe(fields, spec);
        self.check_sandbox(fields, spec);
    }
}

fn distinct(names: &[(AppName, Place)]) -> Vec<AppName> {
    let mut seen = BTreeSet::new();
    names
        .iter()
        .filter(|(name, _)| seen.insert(name.clone()))
        .map(|(name, _)| name.clone())
        .collect()
}
