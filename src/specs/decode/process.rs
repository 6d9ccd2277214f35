//! How an app is run: command, folders, files, isolation, sockets.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::environment::{Variables, is_variable_name};
use super::fields::{Decoder, Fields, Key};
use crate::names::{AppName, shown};
use crate::specs::app_spec::{ConfigFile, Isolation, Reload, Secret};
use crate::specs::mistake::{codes, did_you_mean, nearest};
use crate::specs::node::{Node, Place, Value};

/// The most bytes of a command with its arguments.
const COMMAND_BYTES_MAX: usize = 1024 * 1024;
impl Decoder<'_> {
    pub(super) fn command(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        variables: &Variables<'_>,
    ) -> Vec<String> {
        let Some(node) = fields.get(key) else {
            return Vec::new();
        };
        if let Value::Text(line) = &node.value {
            let words: Vec<String> = line
                .split_whitespace()
                .map(|word| format!("\"{}\"", shown(word)))
                .collect();
            let help = format!("there is no shell in between: write [{}]", words.join(", "));
            self.wrong_type(node, &key, "a list of program and arguments", help);
            return Vec::new();
        }
        let items = self.list(node, &key).unwrap_or_default();
        let words: Vec<String> = items
            .iter()
            .filter_map(|item| variables.scalar(self, item, &key))
            .collect();
        if words.iter().map(String::len).sum::<usize>() > COMMAND_BYTES_MAX {
            let message = format!("`{key}` has more than {COMMAND_BYTES_MAX} bytes");
            self.mistake(
                node.at.first(),
                codes::LIMIT,
                message,
                "put data into a config file",
            );
        }
        let has_program = words.first().is_some_and(|program| !program.is_empty());
        if !has_program
            && items
                .first()
                .is_none_or(|item| matches!(&item.value, Value::Text(text) if text.is_empty()))
        {
            self.bad_value(
                node,
                &key,
                "no program is named",
                "write [\"program\", \"argument\", …], or remove it",
            );
        }
        words
    }

    pub(super) fn working_dir(&mut self, fields: &Fields<'_>) -> Option<String> {
        let node = fields.get("working_dir")?;
        self.relative_path(node, &"working_dir")
    }

    pub(super) fn secrets(&mut self, fields: &Fields<'_>) -> BTreeMap<String, Secret> {
        let Some(map) = fields.get("secrets").and_then(|node| self.map(node, &"secrets")) else {
            return BTreeMap::new();
        };
        let mut secrets = BTreeMap::new();
        for (name, entry) in map.0.iter().filter(|(_, entry)| entry.node.value != Value::Null) {
            let key = format_args!("secrets.{name}");
            if !is_variable_name(name) {
                let message = format!("`{}` is not a name for a variable", shown(name));
                self.mistake(entry.key_at, codes::BAD_VALUE, message, "letters, digits and `_`");
            }
            let secret = if entry.node.as_map().is_some() {
                self.secret_map(&entry.node, entry.key_at, &key)
            } else {
                self.relative_path(&entry.node, &key)
                    .map(|path| Secret { path, file: false })
            };
            secrets.extend(secret.map(|secret| (name.clone(), secret)));
        }
        secrets
    }

    fn secret_map(&mut self, node: &Node, at: Place, key: Key<'_>) -> Option<Secret> {
        let inner = self.fields(node, at, key, &["path", "file"])?;
        let path = self.required(
            &inner,
            "path",
            &format!("{key}.path"),
            "name an age file beside the spec",
        )?;
        let path = self.relative_path(path, &format_args!("{key}.path"))?;
        let file = inner
            .get("file")
            .and_then(|node| self.boolean(node, &format_args!("{key}.file")));
        Some(Secret {
            path,
            file: file.unwrap_or(false),
        })
    }

    pub(super) fn config_files(
        &mut self,
        fields: &Fields<'_>,
        variables: &Variables<'_>,
    ) -> BTreeMap<String, ConfigFile> {
        let Some(map) = fields
            .get("config_files")
            .and_then(|node| self.map(node, &"config_files"))
        else {
            return BTreeMap::new();
        };
        let mut files = BTreeMap::new();
        for (target, entry) in map.0.iter().filter(|(_, entry)| entry.node.value != Value::Null) {
            let key = format_args!("config_files.{target}");
            let target_node = Node {
                value: Value::Text(target.clone()),
                at: entry.key_at,
            };
            let target = self.relative_path(&target_node, &"config_files");
            let file = if entry.node.as_map().is_some() {
                self.config_file(&entry.node, entry.key_at, &key, variables)
            } else {
                self.config_path(&entry.node, &key, variables)
                    .map(|from| ConfigFile { from, reload: None })
            };
            files.extend(target.zip(file));
        }
        files
    }

    fn config_file(
        &mut self,
        node: &Node,
        at: Place,
        key: Key<'_>,
        variables: &Variables<'_>,
    ) -> Option<ConfigFile> {
        let inner = self.fields(node, at, key, &["from", "reload"])?;
        let from = self.required(
            &inner,
            "from",
            &format!("{key}.from"),
            "name a file beside the spec",
        )?;
        let from = self.config_path(from, &format_args!("{key}.from"), variables)?;
        let reload = inner
            .get("reload")
            .and_then(|node| self.choice(node, &format_args!("{key}.reload"), &[("signal", Reload::Signal)]));
        Some(ConfigFile { from, reload })
    }

    fn config_path(&mut self, node: &Node, key: Key<'_>, variables: &Variables<'_>) -> Option<String> {
        let path = variables.text(self, node, key)?;
        self.checked_path(node, key, path)
    }

    pub(super) fn isolation(&mut self, fields: &Fields<'_>, app: &AppName) -> Option<Isolation> {
        const BUILT_IN: &[&str] = &["process", "vm", "embedded", "container", "wasm"];
        let node = fields.get("isolation")?;
        let word = self.text(node, &"isolation")?;
        match word.as_str() {
            "process" | "vm" => Some(Isolation::Process),
            "container" => Some(Isolation::Container),
            "wasm" => Some(Isolation::Wasm),
            "embedded" => {
                if self.facts.is_known() && !self.facts.factories.contains(app.as_str()) {
                    let why = format!("this node's host has registered no factory for `{app}`");
                    self.bad_value(
                        node,
                        &"isolation",
                        why,
                        "register one in the host app, or use `process`",
                    );
                }
                Some(Isolation::Embedded)
            }
            custom if self.facts.runtimes.contains(custom) => Some(Isolation::Custom(word)),
            custom
                if !self.facts.is_known()
                    && is_runtime_name(custom)
                    && nearest(custom, BUILT_IN.iter().copied()).is_none() =>
            {
                let message = format!(
                    "`isolation`: `{custom}` runs only on nodes whose host has registered such a runtime"
                );
                self.warn(
                    node.at,
                    message,
                    "built in are process, embedded, container and wasm",
                );
                Some(Isolation::Custom(word))
            }
            unknown => {
                let why = format!("`{}` is no way to run an app on this node", shown(unknown));
                let known: Vec<&str> = BUILT_IN
                    .iter()
                    .copied()
                    .chain(self.facts.runtimes.iter().map(String::as_str))
                    .collect();
                self.bad_value(node, &"isolation", why, did_you_mean(unknown, &known));
                None
            }
        }
    }

    pub(super) fn sockets(&mut self, fields: &Fields<'_>) -> Vec<(String, Place)> {
        let items = fields
            .get("sockets")
            .and_then(|node| self.list(node, &"sockets"))
            .unwrap_or_default();
        let mut sockets: Vec<(String, Place)> = Vec::new();
        for item in items {
            let Some(text) = self.text(item, &"sockets") else {
                continue;
            };
            let is_address = text
                .parse::<SocketAddr>()
                .is_ok_and(|address| address.port() != 0);
            // 107 bytes: what fits into a sockaddr_un with its final NUL.
            let is_unix = text.strip_prefix("unix:").is_some_and(|path| {
                path.starts_with('/')
                    && path.len() <= 107
                    && !path.contains("..")
                    && !path.chars().any(char::is_control)
            });
            if !is_address && !is_unix {
                let why = format!("`{}` is not an address", shown(&text));
                self.bad_value(
                    item,
                    &"sockets",
                    why,
                    "write 127.0.0.1:8080, [::1]:8080 or unix:/run/app.sock",
                );
            } else if sockets.iter().any(|(before, _)| *before == text) {
                self.bad_value(
                    item,
                    &"sockets",
                    format!("`{text}` stands twice"),
                    "remove one of them",
                );
            } else {
                sockets.push((text, item.at));
            }
        }
        sockets
    }

    /// The map under `key`, checked against `known`.
    pub(super) fn group<'n>(&mut self, fields: &Fields<'n>, key: &str, known: &[&str]) -> Option<Fields<'n>> {
        let node = fields.get(key)?;
        self.fields(node, fields.key_at(key), &key, known)
    }
}

fn is_runtime_name(word: &str) -> bool {
    word.parse::<AppName>().is_ok()
}
