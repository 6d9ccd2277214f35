//! The demo's specs repository: a bare one that the node follows, and a clone to work in.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::super::super::outcome::Trouble;

/// The apps, in the order in which they are told.
pub(super) const APPS: [&str; 4] = ["clock", "moody", "web", "worker"];

/// Makes both. The greeter listens on `port`.
pub(super) fn make(bare: &Path, work: &Path, port: u16) -> Result<(), Trouble> {
    let program =
        std::env::current_exe().map_err(|error| Trouble::new("this program cannot be found").cause(error))?;
    let program = program.to_string_lossy();
    git(&["init", "--quiet", "--bare", &bare.to_string_lossy()])?;
    git(&[
        "-C",
        &bare.to_string_lossy(),
        "symbolic-ref",
        "HEAD",
        "refs/heads/main",
    ])?;
    git(&["init", "--quiet", &work.to_string_lossy()])?;
    for app in APPS {
        write(
            &work.join("apps").join(app).join("app.yaml"),
            &spec(app, &program, port),
        )?;
    }
    write(&work.join("README.md"), README)?;
    let inside = |arguments: &[&str]| {
        let folder = work.to_string_lossy();
        git(&[&["-C", &*folder], arguments].concat())
    };
    for (key, value) in [
        ("user.name", "Demo"),
        ("user.email", "demo@localhost"),
        ("commit.gpgsign", "false"),
        ("push.default", "current"),
        ("core.hooksPath", "/dev/null"),
    ] {
        inside(&["config", key, value])?;
    }
    inside(&["symbolic-ref", "HEAD", "refs/heads/main"])?;
    inside(&["add", "."])?;
    inside(&["commit", "--quiet", "--message", "Four apps to look at"])?;
    inside(&["remote", "add", "origin", &bare.to_string_lossy()])?;
    inside(&["push", "--quiet", "--set-upstream", "origin", "main"])
}

fn write(path: &Path, text: &str) -> Result<(), Trouble> {
    let folder = path.parent().unwrap_or(path);
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(path, text));
    written.map_err(|error| {
        Trouble::new("cannot write")
            .place(path.display().to_string())
            .cause(error)
    })
}

/// Runs git as if nobody had configured it, and not for a repository that the caller happens to stand in.
fn git(arguments: &[&str]) -> Result<(), Trouble> {
    let mut command = Command::new("git");
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.envs([
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("HOME", "/nonexistent"),
    ]);
    command.args(arguments).stdin(Stdio::null());
    let output = command.output().map_err(|error| {
        Trouble::new("git cannot be run")
            .cause(error)
            .help("install git: a node needs it for repositories by file://, and the demo's is one")
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Trouble::new(format!("git {} failed", arguments.join(" "))).cause(said))
}

const README: &str = "\
# What the demo's node runs

Each folder in `apps/` is one app. Change one, commit, push: the node follows within a second.
";

fn spec(app: &str, program: &str, port: u16) -> String {
    // JSON strings are YAML strings; a `$` of the path must not be expanded.
    let program = serde_json::Value::from(program.replace("${", "$${")).to_string();
    let (about, rest) = match app {
        "clock" => ("Tells the time", String::new()),
        "web" => (
            "Greets over HTTP",
            format!("env:\n  PORT: {port}\n  GREETING: hello\n"),
        ),
        "worker" => (
            "Asks the greeter again and again",
            format!("env:\n  PORT: {port}\ndepends_on: [web]\n"),
        ),
        _ => (
            "Crashes now and then",
            "restart:\n  backoff: { initial: 2s }\n".to_owned(),
        ),
    };
    format!(
        "name: {app}\nversion: 1.0.0\ndescription: {about}\ncommand: [{program}, toy, {app}]\n{rest}stop: {{ timeout: 2s }}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::specs::NodeFacts;
    use crate::specs::app_file::read_app;

    #[test]
    fn every_spec_of_the_demo_is_one_without_a_warning() {
        for app in APPS {
            let text = spec(app, "/opt/${odd} \"place\"/osier", 8080);
            let read = read_app(
                &format!("apps/{app}/app.yaml"),
                text.as_bytes(),
                app,
                &NodeFacts::of_nobody(),
            );
            assert!(
                read.errors.is_empty() && read.warnings.is_empty(),
                "{read:?}\n{text}"
            );
            assert_eq!(read.spec.unwrap().command[0], "/opt/${odd} \"place\"/osier");
        }
    }
}
