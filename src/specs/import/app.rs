//! One spec of bc_gitops as `app.yaml`.
//!
//! The original builds Erlang and Elixir projects inside its own virtual machine. Osier runs programs, so what it is to
//! run has to be said by a person: the file says where, and waits suspended until then.

use std::fmt::Write;

use super::{flow, quoted, remark};
use crate::names::AppName;
use crate::specs::app_file::parse;
use crate::specs::desired::SpecError;
use crate::specs::node::{Entry, Map, Node, Value};

/// A translated spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedApp {
    /// The app's name, as it was or made valid.
    pub name: String,
    /// The text of its `app.yaml`.
    pub text: String,
    /// What a person has to decide, one line each; the file says it in comments as well.
    pub notes: Vec<String>,
}

/// Translates the spec in `bytes`, of a bc_gitops repository, read from `path`. `schema` is the path of the JSON Schema
/// as the new file sees it, for the line that editors look for.
///
/// # Errors
/// When the file cannot be read at all.
pub fn import_app(path: &str, bytes: &[u8], schema: &str) -> Result<ImportedApp, Box<SpecError>> {
    let (_, root) = parse(path, bytes)?;
    let empty = Map::default();
    let map = root.as_map().unwrap_or(&empty);
    let folder = path.rsplit('/').nth(1).unwrap_or("app");
    let mut writer = Writer {
        text: format!(
            "# yaml-language-server: $schema={schema}\n# From bc_gitops: {}\n",
            remark(path)
        ),
        notes: Vec::new(),
    };
    let name = writer.name(map, folder);
    writer.version(map);
    writer.copied(map, "description");
    writer.copied(map, "icon");
    writer.source(map, &name);
    writer.copied(map, "env");
    writer.copied(map, "health");
    writer.copied(map, "depends_on");
    writer.isolation(map);
    writer.limits(map);
    writer.rest(map);
    Ok(ImportedApp {
        name,
        text: writer.text,
        notes: writer.notes,
    })
}

struct Writer {
    text: String,
    notes: Vec<String>,
}

impl Writer {
    fn line(&mut self, line: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{line}");
    }

    /// A comment that is told to the user as well.
    fn note(&mut self, note: &str) {
        self.line(&format!("# {note}"));
        self.notes.push(note.to_owned());
    }

    fn copied(&mut self, map: &Map, key: &str) {
        let Some(node) = map.get(key) else { return };
        let node = &self.adapted(node);
        match &node.value {
            // One line for each entry reads better than one long line.
            Value::Map(entries) if !entries.0.is_empty() => {
                self.line(&format!("{key}:"));
                for (name, entry) in &entries.0 {
                    self.line(&format!("  {}: {}", quoted(name), flow(&entry.node)));
                }
            }
            Value::List(items) if items.is_empty() => {}
            Value::Map(_) => {}
            _ => self.line(&format!("{key}: {}", flow(node))),
        }
    }

    fn name(&mut self, map: &Map, folder: &str) -> String {
        let written = map
            .get("name")
            .and_then(text_of)
            .unwrap_or_else(|| folder.to_owned());
        if written.parse::<AppName>().is_ok() {
            self.line(&format!("name: {}", quoted(&written)));
            return written;
        }
        let mut name: String = written
            .to_ascii_lowercase()
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || c == '-' {
                    c
                } else {
                    '_'
                }
            })
            .take(crate::names::APP_NAME_BYTES_MAX)
            .collect();
        if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            name = format!("app{name}")
                .chars()
                .take(crate::names::APP_NAME_BYTES_MAX)
                .collect();
        }
        self.note(&format!(
            "the name was `{}`, which is not a valid one here",
            remark(&crate::names::shown(&written))
        ));
        self.line(&format!("name: {}", quoted(&name)));
        name
    }

    fn version(&mut self, map: &Map) {
        let version = match map.get("version").map(|node| &node.value) {
            Some(Value::Text(text) | Value::Atom(text) | Value::Number(text)) => text.clone(),
            _ => "0".to_owned(),
        };
        self.line(&format!("version: {}", quoted(&version)));
    }

    fn source(&mut self, map: &Map, name: &str) {
        let empty = Map::default();
        let source = map.get("source").and_then(Node::as_map).unwrap_or(&empty);
        let text = |key: &str| source.get(key).and_then(text_of);
        match (text("type").as_deref(), text("url"), text("mcid"), text("sha256")) {
            (Some("git"), Some(url), ..) => {
                let reference = text("ref").unwrap_or_else(|| "main".to_owned());
                self.note("bc_gitops built this with mix, rebar3 or make, whichever it found: correct `build` and `command`");
                self.line("source:");
                self.line("  type: git");
                self.line(&format!("  url: {}", quoted(&url)));
                self.line(&format!("  ref: {}", quoted(&reference)));
                self.line("  build: [make]");
                self.line(&format!("command: [bin/{name}]"));
            }
            (Some("mesh"), _, Some(mcid), _) => {
                self.line(&format!("source: {{ type: mesh, mcid: {} }}", quoted(&mcid)));
                self.line(&format!("command: [bin/{name}]"));
            }
            (Some("release"), Some(url), _, Some(sha256)) => {
                self.line(&format!(
                    "source: {{ type: release, url: {}, sha256: {} }}",
                    quoted(&url),
                    quoted(&sha256)
                ));
                self.line(&format!("command: [bin/{name}]"));
            }
            (kind, url, ..) => {
                let kind = kind.unwrap_or("hex").to_owned();
                self.note(&format!(
                    "the source was `{}`: name a release to run in its place, then remove `suspend`",
                    remark(&crate::names::shown(&kind))
                ));
                let url = url.map_or_else(|| "https://…".to_owned(), |url| remark(&url));
                self.line(&format!(
                    "# source: {{ type: release, url: \"{url}\", sha256: \"…\" }}"
                ));
                self.line(&format!("command: [bin/{name}]"));
                self.line("suspend: true");
            }
        }
    }

    fn isolation(&mut self, map: &Map) {
        let was_vm = map
            .get("isolation")
            .and_then(text_of)
            .is_some_and(|word| word == "vm");
        if !was_vm {
            self.note("it ran inside bc_gitops' own virtual machine; here it is a process of its own");
        }
        self.line("isolation: process");
    }

    fn limits(&mut self, map: &Map) {
        let Some(config) = map.get("vm_config").and_then(Node::as_map) else {
            return;
        };
        let number = |key: &str| match config.get(key).map(|node| &node.value) {
            Some(Value::Number(number)) if number.bytes().all(|b| b.is_ascii_digit()) => Some(number.clone()),
            _ => None,
        };
        let memory = number("memory_limit").map(|megabytes| format!("memory: {megabytes}MiB"));
        let cpus = number("scheduler_limit").map(|schedulers| format!("cpus: {schedulers}"));
        let limits: Vec<String> = memory.into_iter().chain(cpus).collect();
        if !limits.is_empty() {
            self.line("# These were not enforced before.");
            self.line(&format!("limits: {{ {} }}", limits.join(", ")));
        }
        for key in ["node_prefix", "extra_args"] {
            if let Some(node) = config.get(key) {
                self.note(&format!(
                    "vm_config.{key} has no equivalent: {}",
                    remark(&flow(node))
                ));
            }
        }
    }

    /// Keys that Osier does not have are kept under a name that it leaves alone.
    fn rest(&mut self, map: &Map) {
        const KNOWN: &[&str] = &[
            "name",
            "version",
            "description",
            "icon",
            "source",
            "env",
            "health",
            "depends_on",
            "isolation",
            "vm_config",
        ];
        for (key, entry) in map.0.iter().filter(|(key, _)| !KNOWN.contains(&key.as_str())) {
            if self.is_writable(key) {
                let value = flow(&self.adapted(&entry.node));
                self.line(&format!("{}: {value}", quoted(&format!("x-{key}"))));
            }
        }
    }

    /// The same value with each `${` written so that it stays one (nothing was expanded there), and without keys that
    /// YAML cannot have.
    fn adapted(&mut self, node: &Node) -> Node {
        let value = match &node.value {
            Value::Text(text) => Value::Text(text.replace("${", "$${")),
            Value::Atom(text) => Value::Atom(text.replace("${", "$${")),
            Value::List(items) => Value::List(items.iter().map(|item| self.adapted(item)).collect()),
            Value::Map(map) => {
                let mut adapted = Map::default();
                for (key, entry) in &map.0 {
                    if self.is_writable(key) {
                        let node = self.adapted(&entry.node);
                        adapted.0.insert(
                            key.clone(),
                            Entry {
                                key_at: entry.key_at,
                                node,
                            },
                        );
                    }
                }
                Value::Map(adapted)
            }
            other => other.clone(),
        };
        Node { value, at: node.at }
    }

    /// YAML takes keys of up to 1,024 characters, escapes counted.
    fn is_writable(&mut self, key: &str) -> bool {
        const KEY_CHARS_MAX: usize = 1_000;
        let is_writable = quoted(key).chars().count() <= KEY_CHARS_MAX;
        if !is_writable {
            self.note(&format!(
                "the key `{}` is too long and left out",
                crate::names::shown(key)
            ));
        }
        is_writable
    }
}

fn text_of(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) | Value::Atom(text) => Some(text.clone()),
        _ => None,
    }
}
