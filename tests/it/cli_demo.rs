//! The demo from start to every kind of end: its apps, its keeper and its folder are gone.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::fake_daemon::{osier, ran};
use crate::poll::{found_blocking, until_blocking};

/// A running demo, in a temporary directory of its own.
struct Demo {
    child: Child,
    out: BufReader<ChildStdout>,
    told: Value,
}

impl Demo {
    fn begin(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        if line.is_empty() {
            let output = child.wait_with_output().unwrap();
            panic!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        Self {
            child,
            out,
            told: serde_json::from_str(&line).unwrap(),
        }
    }

    fn folder(&self) -> PathBuf {
        self.told["folder"].as_str().unwrap().into()
    }

    fn socket(&self) -> &str {
        self.told["socket"].as_str().unwrap()
    }

    /// Its apps and its keeper: every process that its folder or its toys give away.
    fn processes(&self) -> Vec<i32> {
        let mut pids: Vec<i32> = self.told["apps"]
            .as_object()
            .unwrap()
            .values()
            .map(|pid| i32::try_from(pid.as_i64().unwrap()).unwrap())
            .collect();
        let folder = self.folder().display().to_string();
        let me = i32::try_from(self.child.id()).unwrap();
        pids.extend(
            living()
                .into_iter()
                .filter(|(pid, line)| *pid != me && line.contains(&folder))
                .map(|(pid, _)| pid),
        );
        pids
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn end(mut self) -> ExitStatus {
        found_blocking("the demo ends", || self.child.try_wait().unwrap())
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // A test that failed leaves nothing behind; one that passed has waited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processes that are no zombies, with their command lines.
fn living() -> Vec<(i32, String)> {
    let numbers = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let with_line = |pid: i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        (!line.is_empty()).then(|| (pid, String::from_utf8_lossy(&line).replace('\0', " ")))
    };
    numbers.filter_map(with_line).collect()
}

fn all_gone(pids: &[i32]) -> bool {
    let living = living();
    pids.iter().all(|pid| {
        living
            .iter()
            .all(|(alive, line)| alive != pid || !line.contains("osier"))
    })
}

fn demo_in(folder: &Path) -> Command {
    let mut command = osier(&["demo", "-o", "jsonl"]);
    command.env("TMPDIR", folder);
    command
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

#[test]
fn four_apps_run_and_everything_is_gone_after_each_kind_of_end() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let temporary = tempfile::tempdir().unwrap();
        let mut demo = Demo::begin(demo_in(temporary.path()));
        let apps: Vec<_> = demo.told["apps"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(apps, ["clock", "moody", "web", "worker"]);
        let status = ran(osier(&["status", "--socket", demo.socket(), "-o", "json"])).json();
        assert_eq!(status["app_count"], 4, "{status}");
        let processes = demo.processes();
        assert!(processes.len() > 4, "four apps and a keeper: {processes:?}");
        if signal == Signal::HUP {
            // A closed terminal takes the output along.
            demo.out = BufReader::new(spare_output());
        }
        demo.signal(signal);
        let status = demo.end();
        assert_eq!(status.code(), Some(0), "{signal:?}");
        assert!(is_empty(temporary.path()), "{signal:?} left something");
        until_blocking("the apps and the keeper are gone", || all_gone(&processes));
    }
}

#[test]
fn a_demo_that_is_ended_as_soon_as_it_has_made_its_folder_removes_it() {
    let temporary = tempfile::tempdir().unwrap();
    let mut child = demo_in(temporary.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until_blocking("the folder is there", || !is_empty(temporary.path()));
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let status = found_blocking("the demo ends", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    assert!(is_empty(temporary.path()));
}

/// Some other output, so that the demo's own is closed.
fn spare_output() -> ChildStdout {
    let mut child = Command::new("true").stdout(Stdio::piped()).spawn().unwrap();
    child.wait().unwrap();
    child.stdout.take().unwrap()
}

#[test]
fn a_killed_demo_takes_its_apps_along_and_the_next_one_cleans_up() {
    let temporary = tempfile::tempdir().unwrap();
    let demo = Demo::begin(demo_in(temporary.path()));
    let (processes, folder) = (demo.processes(), demo.folder());
    demo.signal(Signal::KILL);
    demo.end();
    until_blocking("the apps and the keeper are gone", || all_gone(&processes));
    assert!(folder.exists());
    let next = Demo::begin(demo_in(temporary.path()));
    assert!(!folder.exists(), "what the killed one left is still there");
    let beside = Demo::begin(demo_in(temporary.path()));
    assert!(next.folder().exists(), "a living demo's folder was taken");
    for demo in [next, beside] {
        demo.signal(Signal::TERM);
        demo.end();
    }
    assert!(is_empty(temporary.path()));
}

#[test]
fn a_commit_is_followed_and_a_kept_folder_stays() {
    let temporary = tempfile::tempdir().unwrap();
    let kept = temporary.path().join("kept");
    let mut command = demo_in(temporary.path());
    command.arg("--keep").arg(&kept);
    let demo = Demo::begin(command);
    let (work, socket) = (kept.join("specs"), demo.socket().to_owned());
    let spec = work.join("apps/web/app.yaml");
    let text = std::fs::read_to_string(&spec)
        .unwrap()
        .replace("GREETING: hello", "GREETING: good day");
    std::fs::write(&spec, text).unwrap();
    let diff = ran(osier(&[
        "diff",
        "--repo",
        work.to_str().unwrap(),
        "--socket",
        &socket,
        "-o",
        "json",
    ]));
    assert_eq!(diff.code, Some(1), "{diff:?}");
    assert_eq!(diff.json()["actions"][0]["changes"][0]["path"], "env.GREETING");
    for arguments in [&["commit", "-qam", "Greet better"][..], &["push", "-q"]] {
        let git = Command::new("git")
            .arg("-C")
            .arg(&work)
            .args(arguments)
            .output()
            .unwrap();
        assert!(git.status.success(), "{git:?}");
    }
    let synced = ran(osier(&[
        "reconcile",
        "--wait",
        "--timeout",
        "30s",
        "--socket",
        &socket,
    ]));
    assert_eq!(synced.code, Some(0), "{synced:?}");
    let shown = ran(osier(&["show", "web", "--socket", &socket, "-o", "json"])).json();
    assert_eq!(shown["state"]["env"]["GREETING"], "good day");
    demo.signal(Signal::INT);
    assert_eq!(demo.end().code(), Some(0));
    assert!(spec.exists());
    let again = ran(osier(&["demo", "--keep", kept.to_str().unwrap()]));
    assert_eq!(again.code, Some(2));
    assert!(again.err.contains("not empty"), "{}", again.err);
}

#[test]
fn an_ordinary_user_can_have_a_demo() {
    const NOBODY: u32 = 65_534;
    if !rustix::process::geteuid().is_root() {
        return; // All other tests here ran as one.
    }
    let temporary = tempfile::tempdir().unwrap();
    let program = temporary.path().join("osier");
    std::fs::copy(env!("CARGO_BIN_EXE_osier"), &program).unwrap();
    chown(temporary.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    let mut command = Command::new(&program);
    command
        .args(["demo", "-o", "jsonl"])
        .env_clear()
        .env("TMPDIR", temporary.path());
    command
        .env("PATH", std::env::var_os("PATH").unwrap())
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY);
    let demo = Demo::begin(command);
    let processes = demo.processes();
    demo.signal(Signal::INT);
    assert_eq!(demo.end().code(), Some(0));
    until_blocking("the apps and the keeper are gone", || all_gone(&processes));
    let left: Vec<_> = std::fs::read_dir(temporary.path())
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(left, ["osier"]);
}

#[test]
fn what_a_demo_cannot_do_is_said() {
    let temporary = tempfile::tempdir().unwrap();
    let mut command = demo_in(temporary.path());
    command.env("PATH", "/nonexistent");
    let without_git = ran(command);
    assert_eq!(without_git.code, Some(2));
    assert!(
        without_git.err.contains("git cannot be run") && without_git.err.contains("install git"),
        "{}",
        without_git.err
    );
    assert!(is_empty(temporary.path()));
    let three = ran(osier(&["demo", "--nodes", "3"]));
    assert_eq!(three.code, Some(2));
    assert!(three.err.contains("not supported yet"), "{}", three.err);
}
