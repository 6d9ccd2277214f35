//! What may be typed: the global flags and the list of commands. Each command's own flags stand beside the command.
//!
//! The texts here are the help, the man pages and `docs/reference/cli.md`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand};

use super::commands::{
    apps, configuration, daemon, demo, deploy, diff, doctor, events, history, init, logs, operate, reconcile,
    reference, show, status, suspend, toy, tree, validate, version,
};
use super::look::ColorChoice;
use super::screen::Format;
use crate::specs::app_spec::is_sha256;
use crate::specs::values::Span;

/// GitOps for nodes without Kubernetes: keep this machine running exactly what git says.
#[derive(Debug, Parser)]
#[command(
    name = "osier",
    version,
    propagate_version = false,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    max_term_width = 110
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags that every command takes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Globals {
    /// Print data as table, wide (more columns), json (one document), jsonl (one value a line), yaml or name.
    #[arg(
        hide_possible_values = true,
        short,
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        default_value_t,
        hide_default_value = true
    )]
    pub(crate) output: Format,

    /// Print again whenever something changes, until Ctrl-C.
    #[arg(short, long, global = true)]
    pub(crate) watch: bool,

    /// Print data and errors only.
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,

    /// Say more about what is done.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Answer every question with yes. No command asks without a terminal.
    #[arg(short, long, global = true)]
    pub(crate) yes: bool,

    /// Reach the daemon through this socket [env: OSIER_SOCKET].
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,

    /// Read this configuration [env: OSIER_CONFIG].
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Use colour: on a terminal, always or never.
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value_t,
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub(crate) color: ColorChoice,

    /// Ask another node of the mesh.
    #[arg(short, long, global = true, value_name = "NODE", hide = true)]
    pub(crate) node: Option<String>,

    /// Ask all nodes of the mesh.
    #[arg(short = 'A', long, global = true, hide = true)]
    pub(crate) all_nodes: bool,
}

/// The commands. Their order is that of the groups in the help.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(demo::DemoArgs),
    Init(init::InitArgs),
    Validate(validate::ValidateArgs),
    Diff(diff::DiffArgs),
    Status(status::StatusArgs),
    Apps(apps::AppsArgs),
    Show(show::ShowArgs),
    Why(show::WhyArgs),
    Logs(logs::LogsArgs),
    Events(events::EventsArgs),
    History(history::HistoryArgs),
    Tree(tree::TreeArgs),
    Reconcile(reconcile::ReconcileArgs),
    Deploy(deploy::DeployArgs),
    Upgrade(deploy::UpgradeArgs),
    Remove(deploy::RemoveArgs),
    Restart(operate::RestartArgs),
    Stop(operate::StopArgs),
    Start(operate::StartArgs),
    Rollback(deploy::RollbackArgs),
    Suspend(suspend::SuspendArgs),
    Resume(suspend::ResumeArgs),
    Daemon(daemon::DaemonArgs),
    Doctor(doctor::DoctorArgs),
    Config(configuration::ConfigArgs),
    Schema(reference::SchemaArgs),
    Completion(reference::CompletionArgs),
    Man(reference::ManArgs),
    Version(version::VersionArgs),
    #[command(hide = true)]
    Toy(toy::ToyArgs),
}

/// A sha256 as `sha256sum` prints it.
pub(crate) fn sha256(text: &str) -> Result<String, String> {
    if is_sha256(text) {
        return Ok(text.to_owned());
    }
    Err("give the 64 lower-case hex digits that `sha256sum FILE` prints".to_owned())
}

/// A commit's id, or the first digits of it.
pub(crate) fn commit_digits(text: &str) -> Result<String, String> {
    let is_id =
        (COMMIT_DIGITS_MIN..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id {
        return Ok(text.to_owned());
    }
    Err(format!(
        "give at least {COMMIT_DIGITS_MIN} hex digits of the commit's id"
    ))
}

/// Fewer digits of a commit's id name too many.
const COMMIT_DIGITS_MIN: usize = 7;

/// The groups of the help: what a person wants to do, and the commands for it.
const GROUPS: &[(&str, &[&str])] = &[
    ("Begin", &["demo", "init", "validate"]),
    (
        "Look",
        &[
            "status", "apps", "show", "why", "diff", "logs", "events", "history", "tree",
        ],
    ),
    (
        "Act",
        &["reconcile", "suspend", "resume", "restart", "stop", "start"],
    ),
    (
        "By hand, beside git",
        &["deploy", "upgrade", "remove", "rollback"],
    ),
    (
        "Run and help",
        &[
            "daemon",
            "doctor",
            "config",
            "schema",
            "completion",
            "man",
            "version",
        ],
    ),
];

/// What stands after the list of commands.
const EXIT_CODES: &str = "\
Exit codes:
  0    done, in sync, healthy, no difference
  1    the answer is no: differences, unhealthy, failed, mistakes in specs
  2    it could not be done: usage, not permitted, nobody answers, I/O
  124  --timeout ran out
  130  interrupted; what was started goes on";

/// The whole command line, its help grouped by purpose.
pub(crate) fn command() -> clap::Command {
    let command = <Cli as clap::CommandFactory>::command();
    let list = grouped(&command);
    command
        .help_template(format!(
            "{{about}}\n\n{{usage-heading}} {{usage}}\n\n{list}Global options:\n{{options}}{{after-help}}"
        ))
        .after_help(EXIT_CODES)
}

fn grouped(command: &clap::Command) -> String {
    let mut text = String::new();
    for (title, names) in GROUPS {
        text.push_str(title);
        text.push_str(":\n");
        for name in *names {
            let about = command.find_subcommand(name).and_then(clap::Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            text.push_str(&format!(
                "  {name:<11} {}\n",
                about.lines().next().unwrap_or_default()
            ));
        }
        text.push('\n');
    }
    text
}

/// A length of time on the command line: with its unit, so that nobody waits 5 ms who meant 5 s.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("give it a unit: `{text}s`, `{text}m` or `{text}h`"));
    }
    // `1h30m` is the sum of its parts.
    let mut total = Duration::ZERO;
    let mut part = String::new();
    let mut parts = Vec::new();
    for c in text.chars() {
        if c.is_ascii_digit() && part.ends_with(|last: char| last.is_ascii_alphabetic()) {
            parts.push(std::mem::take(&mut part));
        }
        part.push(c);
    }
    parts.push(part);
    for part in parts {
        total += part.parse::<Span>().map_err(|error| error.to_string())?.get();
    }
    Ok(total)
}

/// A point in time on the command line: how long ago (`10m`), or an RFC 3339 time. In milliseconds since the epoch.
pub(crate) fn since(text: &str) -> Result<i64, String> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(at.as_millisecond());
    }
    let ago = duration(text)
        .map_err(|_| "expected how long ago (`10m`) or a time as in 2026-01-31T12:00:00Z".to_owned())?;
    let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
    Ok(jiff::Timestamp::now().as_millisecond().saturating_sub(ago))
}

/// An app on the command line: `web`, or `app/web` as other commands print it.
pub(crate) fn app_name(text: &str) -> Result<String, String> {
    let name = text.strip_prefix("app/").unwrap_or(text);
    name.parse::<crate::names::AppName>()
        .map(|name| name.to_string())
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_every_visible_command_has_its_group() {
        let command = command();
        command.clone().debug_assert();
        let mut visible: Vec<_> = command
            .get_subcommands()
            .filter(|c| !c.is_hide_set())
            .map(|c| c.get_name().to_owned())
            .collect();
        let mut grouped: Vec<_> = GROUPS
            .iter()
            .flat_map(|(_, names)| names.iter().map(|n| (*n).to_owned()))
            .collect();
        visible.sort();
        grouped.sort();
        assert_eq!(visible, grouped);
    }

    #[test]
    fn every_visible_command_has_a_help_that_is_a_sentence_and_an_example() {
        for command in command().get_subcommands().filter(|c| !c.is_hide_set()) {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(about.len() > 10, "{} has no about", command.get_name());
            let after = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(after.contains("osier "), "{} has no example", command.get_name());
        }
    }

    #[test]
    fn a_duration_needs_its_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        for wrong in ["5", "", "m", "5x", "5m-"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn since_is_an_age_or_a_time() {
        assert_eq!(since("1970-01-01T00:00:01Z"), Ok(1000));
        let ten_minutes_ago = jiff::Timestamp::now().as_millisecond() - 600_000;
        assert!((since("10m").unwrap() - ten_minutes_ago).abs() < 60_000);
        assert!(since("yesterday").is_err());
    }
}
