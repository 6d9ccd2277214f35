//! A repository behind another program: `git upload-pack` for a folder of this machine, `ssh` for another one.
//!
//! The program gets its own process group, an environment of its own (nothing of the user's git configuration), and
//! dies with the transport. What it says on stderr is read and turned into an error, never printed.

use std::any::Any;
use std::borrow::Cow;
use std::io::{self, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gix::bstr::BStr;
use gix::protocol::transport::Service;
use gix::protocol::transport::client::blocking_io::{RequestWriter, SetServiceResponse, Transport};
use gix::protocol::transport::client::git::ConnectMode;
use gix::protocol::transport::client::git::blocking_io::Connection;
use gix::protocol::transport::client::{Error, MessageKind, TransportWithoutIO, WriteMode};
use rustix::event::PollFlags;

use super::polled::{Polled, ready};
use super::{AnyTransport, PROTOCOL};
use crate::git::error::GitError;
use crate::git::foreign_text::said;
use crate::git::settings::GitSettings;
use crate::git::tool::Tool;
use crate::git::watch::Watch;
use crate::repo_url::RepoUrl;

/// How much of a program's stderr is read.
const STDERR_BYTES_MAX: u64 = 8 * 1024;

/// How long a program that closed its output may take to say why and to end.
const EXIT_WAIT: Duration = Duration::from_secs(1);

/// Which program it is: they word their errors differently.
#[derive(Debug, Clone, Copy)]
pub(super) enum Speaker {
    UploadPack,
    Ssh,
}

/// `git upload-pack` on a folder of this machine.
pub(super) fn upload_pack(settings: &GitSettings, watch: &Arc<Watch>) -> Result<AnyTransport, GitError> {
    let mut command = Command::new("git");
    // The operator named this folder in the configuration, whoever owns it: git's check for folders that one happens
    // to stand in has nothing to find here. upload-pack runs no hooks and takes `packObjectsHook` from nowhere.
    command.args(["-c", "safe.directory=*"]);
    // Between two processes of one machine, deflating and searching for deltas cost more than they save.
    command.args(["-c", "pack.window=0", "-c", "pack.compression=1"]);
    command.arg("upload-pack").arg(settings.url.path());
    isolate(&mut command);
    // For each loose object git allocates and frees a deflate state of 268 kB; glibc gives the memory back to the kernel
    // each time, which costs two thirds of the time that a pack of 2,000 loose objects takes. (Other C libraries do not
    // look at these.)
    command.env("MALLOC_TRIM_THRESHOLD_", "1073741824");
    command.env("MALLOC_TOP_PAD_", "4194304");
    command.env("MALLOC_MMAP_THRESHOLD_", "4194304");
    command.env("GIT_PROTOCOL", "version=2");
    ProcessTransport::spawn(command, Speaker::UploadPack, &settings.url, watch)
}

/// Only what a program needs to be found and to speak English; none of `GIT_*`, no configuration but our own.
pub(super) fn isolate(command: &mut Command) {
    command.env_clear();
    for kept in ["PATH", "TMPDIR"] {
        if let Some(value) = std::env::var_os(kept) {
            command.env(kept, value);
        }
    }
    command
        .env("LC_ALL", "C")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .current_dir("/")
        .process_group(0);
}

/// A connection over the standard input and output of a program.
pub(super) struct ProcessTransport {
    connection: Connection<ProgramOutput, Polled<ChildStdin>>,
}

impl ProcessTransport {
    pub(super) fn spawn(
        mut command: Command,
        speaker: Speaker,
        url: &RepoUrl,
        watch: &Arc<Watch>,
    ) -> Result<AnyTransport, GitError> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|error| speaker.cannot_start(url, &error))?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(GitError::Broken {
                url: url.clone(),
                reason: "no pipes to the program".to_owned(),
            });
        };
        let program = Program {
            child,
            stderr,
            speaker,
            watch: watch.clone(),
        };
        let cannot_poll = |error: io::Error| GitError::Broken {
            url: url.clone(),
            reason: error.to_string(),
        };
        let writer = Polled::new(stdin, watch.clone()).map_err(cannot_poll)?;
        let reader = ProgramOutput {
            stdout: Polled::new(stdout, watch.clone()).map_err(cannot_poll)?,
            program,
        };
        Ok(Box::new(Self {
            connection: Connection::new(
                reader,
                writer,
                PROTOCOL,
                url.path(),
                None::<(&str, Option<u16>)>,
                ConnectMode::Process,
                false,
            )
            .custom_url(Some(url.without_credentials().into())),
        }))
    }
}

impl TransportWithoutIO for ProcessTransport {
    fn to_url(&self) -> Cow<'_, BStr> {
        self.connection.to_url()
    }

    fn connection_persists_across_multiple_requests(&self) -> bool {
        true
    }

    fn configure(&mut self, _config: &dyn Any) -> Result<(), gix::Error> {
        Ok(())
    }
}

impl Transport for ProcessTransport {
    fn handshake<'a>(
        &mut self,
        service: Service,
        extra_parameters: &'a [(&'a str, Option<&'a str>)],
    ) -> Result<SetServiceResponse<'_>, Error> {
        self.connection.handshake(service, extra_parameters)
    }

    fn request(
        &mut self,
        write_mode: WriteMode,
        on_into_read: MessageKind,
        trace: bool,
    ) -> Result<RequestWriter<'_>, Error> {
        self.connection.request(write_mode, on_into_read, trace)
    }
}

/// What the program writes; where it ends too early, the reason is looked for.
struct ProgramOutput {
    stdout: Polled<ChildStdout>,
    program: Program,
}

impl Read for ProgramOutput {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stdout.read(buffer)?;
        if count == 0 && !buffer.is_empty() {
            self.program.explain_end()?;
        }
        Ok(count)
    }
}

/// A running program; killed with its group when dropped.
struct Program {
    child: Child,
    stderr: ChildStderr,
    speaker: Speaker,
    watch: Arc<Watch>,
}

impl Program {
    /// The program closed its output: an error, unless it ended well.
    fn explain_end(&mut self) -> io::Result<()> {
        let text = self.read_stderr();
        let until = Instant::now() + EXIT_WAIT;
        let has_ended_well = loop {
            match self.ended_well()? {
                Some(ended_well) => break ended_well,
                None if Instant::now() >= until => break false,
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        };
        if has_ended_well {
            Ok(())
        } else {
            Err(self.watch.fail(self.speaker.explain(&self.watch.url, &text)))
        }
    }

    /// How it ended, if it has. It is not reaped before it is dropped: until then its number, by which its group is
    /// killed, is nobody else's.
    fn ended_well(&self) -> io::Result<Option<bool>> {
        use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or(io::ErrorKind::InvalidInput)?;
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let ended = waitid(WaitId::Pid(pid), options)?;
        Ok(ended.map(|status| status.exit_status() == Some(0)))
    }

    fn read_stderr(&mut self) -> String {
        let mut bytes = Vec::new();
        let _ = rustix::io::ioctl_fionbio(&self.stderr, true);
        let until = Instant::now() + EXIT_WAIT;
        loop {
            let mut part = [0; 1024];
            match self.stderr.read(&mut part) {
                Ok(0) => break,
                Ok(count) => bytes.extend_from_slice(part.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let left = until.saturating_duration_since(Instant::now());
                    if !matches!(ready(&self.stderr, PollFlags::IN, &self.watch, left), Ok(true)) {
                        break;
                    }
                }
                Err(_) => break,
            }
            if bytes.len() as u64 >= STDERR_BYTES_MAX || Instant::now() >= until {
                break;
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Nobody has reaped the child, so its id is still its own; its group has the same number.
        if let Some(group) = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

impl Speaker {
    fn cannot_start(self, url: &RepoUrl, error: &io::Error) -> GitError {
        let tool = match self {
            Self::UploadPack => Tool::GIT,
            Self::Ssh => Tool::SSH,
        };
        if error.kind() == io::ErrorKind::NotFound {
            return GitError::ToolMissing {
                url: url.clone(),
                tool,
            };
        }
        GitError::io("start", std::path::Path::new(tool.name), error)
    }

    /// What a program's last words mean. OpenSSH's and git's are stable and, with `LC_ALL=C`, English.
    fn explain(self, url: &RepoUrl, stderr: &str) -> GitError {
        let url = url.clone();
        let reason = last_words(stderr);
        let lower = stderr.to_ascii_lowercase();
        let has = |texts: &[&str]| texts.iter().any(|text| lower.contains(text));
        if let Self::Ssh = self {
            if has(&[
                "host key verification failed",
                "identification has changed",
                "host key is known",
            ]) {
                return GitError::HostKey {
                    url,
                    reason: format!(
                        "{reason} (trusted keys belong into the file that `repo.auth.known_hosts` names)"
                    ),
                };
            }
            if has(&[
                "permission denied (",
                "too many authentication failures",
                "no such identity",
            ]) {
                return GitError::Unauthorized { url, reason };
            }
            if has(UNREACHABLE) {
                return GitError::Unreachable { url, reason };
            }
        }
        if has(NOT_FOUND) {
            return GitError::NotFound { url, reason };
        }
        match self {
            Self::UploadPack if has(&["permission denied", "dubious ownership"]) => {
                GitError::Unauthorized { url, reason }
            }
            Self::UploadPack => GitError::Broken { url, reason },
            Self::Ssh => GitError::Server { url, reason },
        }
    }
}

const UNREACHABLE: &[&str] = &[
    "could not resolve hostname",
    "connection refused",
    "connection timed out",
    "operation timed out",
    "no route to host",
    "network is unreachable",
    "connection closed by",
    "connection reset",
    "kex_exchange_identification",
];

const NOT_FOUND: &[&str] = &[
    "does not appear to be a git repository",
    "not a git repository",
    "no such file or directory",
    "repository not found",
    "could not be found",
];

/// What was said on stderr in one line, without decoration.
fn last_words(stderr: &str) -> String {
    let lines: Vec<&str> = stderr
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('@'))
        .collect();
    if lines.is_empty() {
        "it ended without a word".to_owned()
    } else {
        said(&lines.join("; "))
    }
}
