//! What an app may use and touch: limits and sandbox.

use super::fields::{Decoder, Fields, Key};
use crate::names::shown;
use crate::specs::app_spec::{AppSpec, Isolation, Limits, Sandbox, WRITABLE_MAX};
use crate::specs::mistake::codes;
use crate::specs::node::{Node, Value};
use crate::specs::values::ByteSize;

/// As many cores as nobody has.
const CPUS_MAX: f64 = 65_536.0;
/// Linux's own highest `pid_max`.
const PIDS_MAX: u64 = 4_194_304;
/// Linux's own highest `nr_open`.
const OPEN_FILES_MAX: u64 = 1_073_741_816;

/// What the keeper keeps in an app's folder, beside the app's own.
const KEEPERS_OWN: [&str; 2] = ["logs", "output"];

const SIZE_HELP: &str = "write a size such as 512MiB or 2GiB; a number alone is bytes";

impl Decoder<'_> {
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
        let sandbox = Sandbox {
            user: inner.get("user").and_then(|node| self.user(node)),
            no_new_privileges: inner
                .get("no_new_privileges")
                .and_then(|node| self.boolean(node, &"sandbox.no_new_privileges")),
            read_only: inner
                .get("read_only")
                .and_then(|node| self.boolean(node, &"sandbox.read_only")),
            writable: inner.get("writable").and_then(|node| self.writable(node)),
        };
        if sandbox.writable.is_some() && inner.get("read_only").is_none() {
            self.mistake(
                inner.key_at("writable"),
                codes::COMBINATION,
                "`sandbox.writable` without `sandbox.read_only` confines nothing",
                "add `read_only: true`, or remove `writable`",
            );
        }
        sandbox
    }

    fn writable(&mut self, node: &Node) -> Option<Vec<String>> {
        const KEY: Key<'_> = &"sandbox.writable";
        let items = self.list(node, KEY)?;
        if items.len() > WRITABLE_MAX {
            let why = format!("it lists more than {WRITABLE_MAX} folders");
            self.bad_value(node, KEY, why, "list the folder that holds them");
            return None;
        }
        let folders = items.iter().filter_map(|item| self.writable_folder(item));
        Some(folders.collect())
    }

    /// A folder of the app's; what lies beside is the keeper's, which writes the app's log there.
    fn writable_folder(&mut self, item: &Node) -> Option<String> {
        const KEY: Key<'_> = &"sandbox.writable";
        const HELP: &str =
            "list folders such as `data` or `data/uploads`; they are made where they are missing";
        let path = self.relative_path(item, KEY)?;
        let first = path.split('/').find(|part| !part.is_empty() && *part != ".");
        let why = match first {
            None => "it is the app's whole folder, with the log in it".to_owned(),
            Some(first) if KEEPERS_OWN.contains(&first) => {
                format!("`{first}` is where the app's output goes")
            }
            Some(_) => return Some(path),
        };
        self.bad_value(item, KEY, why, HELP);
        None
    }

    /// An app inside the node's own process has no files of its own to be confined to.
    pub(super) fn check_sandbox(&mut self, fields: &Fields<'_>, spec: &AppSpec) {
        if spec.isolation() == Isolation::Embedded
            && (spec.sandbox.is_read_only() || spec.sandbox.gains_no_privileges())
        {
            self.mistake(
                fields.key_at("sandbox"),
                codes::COMBINATION,
                "an `embedded` app runs inside the node's process, which cannot be confined for it alone",
                "remove `read_only` and `no_new_privileges`, or run it with `isolation: process`",
            );
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
}
