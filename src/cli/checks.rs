//! What `osier doctor` looks at by itself, without a daemon.

use std::path::Path;
use std::process::{Command, Stdio};

use super::args::Globals;
use super::outcome::Trouble;
use crate::config::{Config, ConfigError, Layers, NodeConfig, Surroundings};
use crate::git::Tool;
use crate::rpc::procedures::{Check, CheckState};

/// The oldest kernel that has everything (pidfd_open came with 5.3, waiting on one with 5.4).
const KERNEL_MIN: (u32, u32) = (5, 4);

/// Fewer open files than this are soon used up: each app takes a handful.
const OPEN_FILES_MIN: u64 = 4_096;

/// Everything that can be looked at from here. `unanswered`: why no daemon could be asked; one that answers tells of its
/// own configuration and data, so that those a new one would have are left out.
pub(crate) fn all(globals: &Globals, unanswered: Option<&Trouble>) -> Vec<Check> {
    let surroundings = Surroundings::of_this_process();
    let layers = Layers::load(surroundings.clone(), globals.config.as_deref(), Vec::new());
    let node = layers.as_ref().ok().and_then(Layers::node);
    // Where there is no configuration at all, nobody asks for a daemon here.
    let is_asked_for = layers.as_ref().map_or(true, Layers::say_something);
    let config = layers.and_then(|layers| layers.read());
    let needed = config
        .as_ref()
        .ok()
        .and_then(|config| Tool::needed_for(&config.repo.url));
    let mut checks = vec![
        daemon(unanswered),
        kernel(),
        program(Tool::GIT, &["--version"], needed, "repositories by file://"),
        program(Tool::SSH, &["-V"], needed, "repositories by ssh://"),
        unwinding(),
        open_files(),
    ];
    // Of a section that cannot be read the defaults are not what will be used: nothing is said of them.
    checks.extend(node.as_ref().map(|node| user(&surroundings, node)));
    if unanswered.is_some() {
        checks.extend(node.map(|node| data_folder(node.data_dir.as_path())));
        checks.push(configured(&config, is_asked_for));
    }
    checks
}

fn daemon(unanswered: Option<&Trouble>) -> Check {
    match unanswered {
        None => Check::new("daemon", CheckState::Good, "answers", None),
        Some(trouble) => {
            let places = trouble.place.as_deref().unwrap_or_default().replace('\n', "; ");
            Check::new(
                "daemon",
                CheckState::Warning,
                format!("{}: {places}", trouble.what),
                trouble.help.as_deref(),
            )
        }
    }
}

/// One with which a daemon refuses to start is in the way, unless nobody gave any.
fn configured(config: &Result<Config, ConfigError>, is_asked_for: bool) -> Check {
    match config {
        Ok(config) => Check::new(
            "configuration",
            CheckState::Good,
            format!("follows {}", config.repo.url),
            None,
        ),
        Err(error) => {
            let text = error.to_string().replace('\n', "; ");
            let state = if is_asked_for {
                CheckState::Bad
            } else {
                CheckState::Warning
            };
            Check::new(
                "configuration",
                state,
                text,
                Some("see `osier config show --origin`"),
            )
        }
    }
}

fn kernel() -> Check {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let numbers: Vec<u32> = release
        .split(['.', '-'])
        .map_while(|part| part.parse().ok())
        .collect();
    let is_new_enough = matches!(numbers.as_slice(), [major, minor, ..] if (*major, *minor) >= KERNEL_MIN);
    if !cfg!(target_os = "linux") {
        return Check::new(
            "kernel",
            CheckState::Bad,
            format!("{} {release}", std::env::consts::OS),
            Some("apps as processes run on Linux only"),
        );
    }
    if is_new_enough {
        Check::new("kernel", CheckState::Good, format!("Linux {release}"), None)
    } else {
        Check::new(
            "kernel",
            CheckState::Bad,
            format!("Linux {release} is older than 5.4"),
            Some("run a newer kernel"),
        )
    }
}

fn program(tool: Tool, question: &[&str], needed: Option<Tool>, needed_for: &str) -> Check {
    let mut command = Command::new(tool.name);
    command.args(question).stdin(Stdio::null());
    match command.output() {
        Ok(output) => {
            // `ssh -V` answers on standard error.
            let said = [output.stdout, output.stderr].concat();
            let first = String::from_utf8_lossy(&said)
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned();
            Check::new(tool.name, CheckState::Good, first, None)
        }
        Err(error) => {
            let state = if needed == Some(tool) {
                CheckState::Bad
            } else {
                CheckState::Warning
            };
            let found = format!("cannot be run ({error}); it is needed for {needed_for}");
            Check::new(tool.name, state, found, Some(&tool.remedy()))
        }
    }
}

fn user(surroundings: &Surroundings, node: &NodeConfig) -> Check {
    let has_user = node.app_user.is_some();
    match (surroundings.is_root, has_user) {
        (true, false) => Check::new(
            "app user",
            CheckState::Warning,
            "root: apps that name no user run as root",
            Some("set `node.app_user`, or `sandbox.user` in each spec"),
        ),
        (true, true) => Check::new(
            "app user",
            CheckState::Good,
            "root, apps run as `node.app_user`",
            None,
        ),
        (false, _) => Check::new(
            "app user",
            CheckState::Good,
            "an ordinary user; apps run as the same",
            None,
        ),
    }
}

/// Supervision catches panics; with `panic = "abort"` one actor's panic would end them all.
fn unwinding() -> Check {
    if cfg!(panic = "unwind") {
        Check::new("panics", CheckState::Good, "are caught by supervisors", None)
    } else {
        Check::new(
            "panics",
            CheckState::Bad,
            "this program was built with panic = \"abort\"",
            Some("build it with panic = \"unwind\""),
        )
    }
}

fn open_files() -> Check {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let found = limit.map_or_else(|| "no limit".to_owned(), |limit| format!("at most {limit}"));
    if limit.is_some_and(|limit| limit < OPEN_FILES_MIN) {
        Check::new(
            "open files",
            CheckState::Warning,
            found,
            Some("raise it: `ulimit -n 65536`, or LimitNOFILE= of the unit"),
        )
    } else {
        Check::new("open files", CheckState::Good, found, None)
    }
}

fn data_folder(path: &Path) -> Check {
    let name = "data directory";
    let shown = path.display();
    let existing = path.ancestors().find(|folder| folder.exists()).unwrap_or(path);
    if !existing.is_dir() {
        return Check::new(
            name,
            CheckState::Bad,
            format!("{} is no folder", existing.display()),
            Some("set `node.data_dir`"),
        );
    }
    if rustix::fs::access(existing, rustix::fs::Access::WRITE_OK).is_err() {
        let found = format!("{} cannot be written by this user", existing.display());
        return Check::new(
            name,
            CheckState::Warning,
            found,
            Some("run the daemon as another user, or set `node.data_dir`"),
        );
    }
    let free = rustix::fs::statvfs(existing).map(|fs| fs.f_bavail.saturating_mul(fs.f_frsize));
    let free = free.map_or_else(
        |_| String::new(),
        |bytes| format!(", {} free", super::words::size(bytes)),
    );
    let there = if existing == path { "" } else { " (will be made)" };
    Check::new(name, CheckState::Good, format!("{shown}{there}{free}"), None)
}
