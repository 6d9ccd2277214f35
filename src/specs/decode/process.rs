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

<<<<<<< HEAD
=======
    pub(super) fn limits(&mut self, fields: &Fields<'_>) -> Limits {
        let mut limits = Limits::default();
        if let Some(inner) = self.group(fields, "limits", &["memory", "cpus", "pids", "open_files"]) {
            limits.memory = inner
                .get("memory")
                .and_then(|node| self.measured(node, &"limits.memory", SIZE_HELP));
            limits.cpus = inner.get("cpus").and_then(|node| self.cpus(node, &"limits.cpus"));
            limits.pids = inner
                .get("pids")
                .and_then(|node| self.whole(node, &"limits.pids", 1..=PIDS_MAX));
            limits.open_files = inner
                .get("open_files")
                .and_then(|node| self.whole(node, &"limits.open_files", 1..=OPEN_FILES_MAX));
            if limits.memory.is_some_and(|memory| memory.bytes() == 0) {
                self.mistake(
                    inner.key_at("memory"),
                    codes::BAD_VALUE,
                    "`limits.memory` is 0",
                    SIZE_HELP,
                );
            }
        }
        self.vm_config(fields, &mut limits);
        limits
    }

    fn cpus(&mut self, node: &Node, key: Key<'_>) -> Option<f64> {
        let Value::Number(number) = &node.value else {
            self.wrong_type(
                node,
                key,
                "a number",
                "write a number of cores such as 2 or 0.5, without quotes",
            );
            return None;
        };
        let cpus = number
            .parse()
            .ok()
            .filter(|cpus| *cpus > 0.0 && *cpus <= CPUS_MAX);
        if cpus.is_none() {
            self.bad_value(
                node,
                key,
                "it is out of range",
                "write a number of cores such as 2 or 0.5",
            );
        }
        cpus
    }

    /// The original's limits: `memory_limit` in MB, `scheduler_limit` in cores. What `limits` says wins.
    fn vm_config(&mut self, fields: &Fields<'_>, limits: &mut Limits) {
        const KEYS: &[&str] = &["memory_limit", "scheduler_limit", "node_prefix", "extra_args"];
        const MEMORY_MB_MAX: u64 = 1 << 30;
        const SCHEDULERS_MAX: u64 = 1024;
        let Some(inner) = self.group(fields, "vm_config", KEYS) else {
            return;
        };
        let memory = inner
            .get("memory_limit")
            .and_then(|node| self.whole(node, &"vm_config.memory_limit", 1..=MEMORY_MB_MAX));
        let memory = memory.map(|megabytes| ByteSize::from_bytes(megabytes << 20));
        limits.memory = limits.memory.or(memory);
        let cpus = inner
            .get("scheduler_limit")
            .and_then(|node| self.small(node, &"vm_config.scheduler_limit", 1..=SCHEDULERS_MAX as u32));
        limits.cpus = limits.cpus.or(cpus.map(f64::from));
        for (key, help) in [
            (
                "node_prefix",
                "remove it: an app here is a process, not an Erlang node",
            ),
            (
                "extra_args",
                "remove it, and put the app's arguments into `command`",
            ),
        ] {
            if inner.get(key).is_some() {
                let message = format!("`vm_config.{key}` has no equivalent");
                self.mistake(inner.key_at(key), codes::UNSUPPORTED, message, help);
            }
        }
    }

    pub(super) fn sandbox(&mut self, fields: &Fields<'_>) -> Sandbox {
        const KEYS: &[&str] = &["user", "no_new_privileges", "read_only", "writable"];
        let Some(inner) = self.group(fields, "sandbox", KEYS) else {
            return Sandbox::default();
        };
        let writable = inner
            .get("writable")
            .and_then(|node| self.list(node, &"sandbox.writable"))
            .unwrap_or_default();
        Sandbox {
            user: inner.get("user").and_then(|node| self.user(node)),
            no_new_privileges: inner
                .get("no_new_privileges")
                .and_then(|node| self.boolean(node, &"sandbox.no_new_privileges")),
            read_only: inner
                .get("read_only")
                .and_then(|node| self.boolean(node, &"sandbox.read_only")),
            writable: writable
                .iter()
                .filter_map(|item| self.relative_path(item, &"sandbox.writable"))
                .collect(),
        }
    }

    /// A user's name as useradd takes it.
    fn user(&mut self, node: &Node) -> Option<String> {
        const USER_BYTES_MAX: usize = 32;
        let user = self.text(node, &"sandbox.user")?;
        let is_valid = user.len() <= USER_BYTES_MAX
            && user.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && user
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
        if !is_valid {
            let why = format!("`{}` is not a user's name", shown(&user));
            self.bad_value(
                node,
                &"sandbox.user",
                why,
                "letters, digits, `_`, `-` and `.`, beginning with a letter",
            );
        }
        is_valid.then_some(user)
    }

    pub(super) fn restart(&mut self, fields: &Fields<'_>) -> Restart {
        const KINDS: &[(&str, RestartType)] = &[
            ("permanent", RestartType::Permanent),
            ("transient", RestartType::Transient),
            ("temporary", RestartType::Temporary),
        ];
        const INTENSITY_MAX: u32 = 1_000_000;
        let Some(inner) = self.group(fields, "restart", &["type", "intensity", "period", "backoff"]) else {
            return Restart::default();
        };
        let restart = Restart {
            kind: inner
                .get("type")
                .and_then(|node| self.choice(node, &"restart.type", KINDS)),
            intensity: inner
                .get("intensity")
                .and_then(|node| self.small(node, &"restart.intensity", 0..=INTENSITY_MAX)),
            period: inner
                .get("period")
                .and_then(|node| self.measured(node, &"restart.period", SPAN_HELP)),
            backoff: self.backoff(&inner),
        };
        if restart.period.is_some_and(|period| period.get().is_zero()) {
            self.mistake(
                inner.key_at("period"),
                codes::BAD_VALUE,
                "`restart.period` is 0",
                SPAN_HELP,
            );
        }
        let policy = restart.policy();
        if restart.backoff != Backoff::default() && policy.backoff_initial > policy.backoff_max {
            self.mistake(
                inner.key_at("backoff"),
                codes::COMBINATION,
                "`restart.backoff.initial` is longer than `restart.backoff.max`",
                "the first wait is at most the longest one; defaults are 1s and 5m",
            );
        }
        restart
    }

    fn backoff(&mut self, restart: &Fields<'_>) -> Backoff {
        let Some(node) = restart.get("backoff") else {
            return Backoff::default();
        };
        let Some(inner) = self.fields(
            node,
            restart.key_at("backoff"),
            &"restart.backoff",
            &["initial", "max"],
        ) else {
            return Backoff::default();
        };
        Backoff {
            initial: inner
                .get("initial")
                .and_then(|node| self.measured(node, &"restart.backoff.initial", SPAN_HELP)),
            max: inner
                .get("max")
                .and_then(|node| self.measured(node, &"restart.backoff.max", SPAN_HELP)),
        }
    }

    pub(super) fn stop(&mut self, fields: &Fields<'_>) -> Stop {
        const SIGNALS: &str = "one of HUP, INT, QUIT, KILL, USR1, USR2, TERM, WINCH";
        let Some(inner) = self.group(fields, "stop", &["signal", "timeout"]) else {
            return Stop::default();
        };
        Stop {
            signal: inner
                .get("signal")
                .and_then(|node| self.parsed::<Signal>(node, &"stop.signal", SIGNALS)),
            timeout: inner
                .get("timeout")
                .and_then(|node| self.measured::<Span>(node, &"stop.timeout", SPAN_HELP)),
        }
    }

    pub(super) fn upgrade(&mut self, fields: &Fields<'_>) -> Upgrade {
        const STRATEGIES: &[(&str, UpgradeStrategy)] = &[
            ("restart", UpgradeStrategy::Restart),
            ("handover", UpgradeStrategy::Handover),
        ];
        const FAILURES: &[(&str, UpgradeFailure)] = &[
            ("rollback", UpgradeFailure::Rollback),
            ("halt", UpgradeFailure::Halt),
        ];
        let Some(inner) = self.group(fields, "upgrade", &["strategy", "health_timeout", "on_failure"]) else {
            return Upgrade::default();
        };
        Upgrade {
            strategy: inner
                .get("strategy")
                .and_then(|node| self.choice(node, &"upgrade.strategy", STRATEGIES)),
            health_timeout: inner
                .get("health_timeout")
                .and_then(|node| self.measured(node, &"upgrade.health_timeout", SPAN_HELP)),
            on_failure: inner
                .get("on_failure")
                .and_then(|node| self.choice(node, &"upgrade.on_failure", FAILURES)),
        }
    }

    /// A candidate and the running instance must be told apart by where they listen.
    pub(super) fn check_handover(&mut self, fields: &Fields<'_>, spec: &AppSpec) {
        if spec.upgrade.strategy != Some(UpgradeStrategy::Handover) {
            return;
        }
        let at = fields.key_at("upgrade");
        if spec.sockets.is_empty() {
            self.mistake(
                at,
                codes::COMBINATION,
                "upgrade strategy `handover` needs `sockets`",
                "add for example `sockets: [\"127.0.0.1:8080\"]`, or use `restart`",
            );
        }
        let checks_by_command = spec
            .health
            .as_ref()
            .is_some_and(|health| health.kind == Some(HealthKind::Command));
        if checks_by_command {
            self.mistake(
                at,
                codes::COMBINATION,
                "upgrade strategy `handover` cannot use a `command` health check: it cannot tell the two instances apart",
                "use an http, tcp or notify check",
            );
        }
    }

>>>>>>> df39902 (Hold every field's rule and every hostile file to a test)
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
