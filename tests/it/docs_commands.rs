//! The documents do what they say: the tutorial is carried out, commands are understood, configurations are read.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::fake_daemon::{Ran, osier, ran};

/// Documents whose commands somebody may type.
fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = vec![root.join("README.md")];
    for folder in ["docs/tutorial", "docs/how-to", "docs/explanation"] {
        let entries = std::fs::read_dir(root.join(folder)).unwrap();
        all.extend(entries.map(|entry| entry.unwrap().path()));
    }
    all.sort();
    all
}

/// What is indented as code.
fn typed(document: &str) -> impl Iterator<Item = &str> {
    document.lines().filter_map(|line| line.strip_prefix("    "))
}

fn shell(script: &str, folder: &Path) -> Ran {
    let binary = Path::new(env!("CARGO_BIN_EXE_osier")).parent().unwrap();
    let path = std::env::join_paths(
        [binary.to_owned()]
            .into_iter()
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let mut command = Command::new("bash");
    command
        .args(["-c", script])
        .current_dir(folder)
        .env_clear()
        .env("PATH", path.unwrap())
        .env("HOME", folder)
        .env("LANG", "C.UTF-8")
        .stdin(Stdio::null());
    for role in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{role}_NAME"), "Ada")
            .env(format!("GIT_{role}_EMAIL"), "ada@example.org");
    }
    ran(command)
}

/// One line of the tutorial as a script has it, where nobody looks at the clock or presses Ctrl-C.
fn as_script(line: &str) -> String {
    const SETTLE: &str = "osier reconcile --wait --timeout 60s >>settled.log 2>&1";
    let line = line.split(" #").next().unwrap_or(line).trim_end();
    let line = line.trim_end_matches(" &");
    if line.ends_with(" daemon") {
        return format!(
            "{line} >>daemon.log 2>&1 &\n\
             for try in $(seq 300); do osier --config osier.toml status -o name; [ $? -le 1 ] && break; sleep 0.1; done\n\
             osier --config osier.toml reconcile --wait"
        );
    }
    if line.starts_with("osier ") && line.contains(" -f") {
        return format!("timeout -s INT 3 {line}");
    }
    // A change is seen within the interval, an app that was killed comes back: both take a while.
    let changes = line.starts_with("git -C specs ") || line.starts_with("osier why ");
    if changes {
        format!("{line}\n{SETTLE}")
    } else {
        line.to_owned()
    }
}

#[test]
fn the_tutorial_can_be_typed_from_its_first_line_to_its_last() {
    let folder = tempfile::tempdir().unwrap();
    let tutorial = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/tutorial/first-node.md");
    let tutorial = std::fs::read_to_string(tutorial).unwrap();
    let script: Vec<_> = typed(&tutorial).map(as_script).collect();
    // Whatever happens, nothing goes on.
    let tidy = "trap 'if [ -e node/lock ]; then osier stop --all; kill $(cat node/lock); fi' EXIT";
    let script = format!("{tidy}\n{}", script.join("\n"));
    let ran = shell(&script, folder.path());
    for told in [
        "✓ no mistakes in 1 file",
        "✓ synced",
        "clock should run 1.0.0",
        "version: \"1.0.0\" → \"1.1.0\"",
        "upgraded clock 1.0.0 -> 1.1.0",
        "! degraded",
        "did you mean `command`?",
        "✓ stop clock",
    ] {
        assert!(ran.out.contains(told), "it never says {told:?}: {ran:?}");
    }
    assert!(!ran.err.contains("command not found"), "{ran:?}");
    assert!(
        !folder.path().join("node").exists(),
        "it is not cleaned up: {ran:?}"
    );
}

#[test]
fn every_command_in_the_documents_is_understood() {
    let folder = tempfile::tempdir().unwrap();
    let mut found = 0;
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        for line in typed(&text).filter(|line| line.starts_with("osier ")) {
            let runs_on = ["demo", "daemon", "keeper"]
                .iter()
                .any(|word| line.contains(word));
            if runs_on {
                continue;
            }
            found += 1;
            let ran = shell(
                &format!("export OSIER_SOCKET=/nonexistent/osier.sock\n{line}"),
                folder.path(),
            );
            assert!(
                !ran.err.contains("Usage:") && !ran.err.contains("--help"),
                "{}: {line}: {}",
                document.display(),
                ran.err
            );
        }
    }
    assert!(found > 10, "only {found} commands were found");
}

#[test]
fn every_configuration_in_the_documents_is_read_without_a_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let mut found = 0;
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        for block in text.split("```toml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            if block.contains("[dependencies]") {
                continue;
            }
            found += 1;
            let file = folder.path().join("osier.toml");
            std::fs::write(&file, block).unwrap();
            let mut command = osier(&["config", "show", "--config", file.to_str().unwrap()]);
            command
                .env("HOME", folder.path())
                .env("OSIER_REPO__URL", "https://git.example.com/specs.git");
            let ran = ran(command);
            assert_eq!(ran.code, Some(0), "{}: {block}{}", document.display(), ran.err);
        }
    }
    assert!(found > 2, "only {found} configurations were found");
}

#[test]
fn every_procedure_is_in_the_reference() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/procedures.md");
    let page = std::fs::read_to_string(page).unwrap();
    for name in osier::rpc::procedures::NAMES {
        assert!(page.contains(&format!("| `{name}` |")), "{name} is missing");
    }
}
