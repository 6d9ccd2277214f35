//! Reaching a keeper, and starting one where none answers.

use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::UnixStream;
use tokio::time::Instant;

use super::LinkOptions;
use crate::runtime::keeper::in_process::{self, Started};
use crate::runtime::keeper::{CANNOT_START, HELD, KeeperProgram, open_log, sockets};

/// How long a started keeper may take to answer; it has to look at every recorded app first.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
const FIRST_TRY_AFTER: Duration = Duration::from_millis(1);
const TRY_EVERY_MAX: Duration = Duration::from_millis(20);

/// Connects to the keeper of the data directory, starting one if none answers.
pub async fn connect(options: &LinkOptions) -> io::Result<UnixStream> {
    match try_connect(options) {
        Err(error) if nobody_listens(&error) => {}
        done => return done,
    }
    let started = start(options)?;
    let deadline = Instant::now() + ANSWERS_WITHIN;
    let mut wait = FIRST_TRY_AFTER;
    loop {
        tokio::time::sleep(wait).await;
        match try_connect(options) {
            Err(error) if nobody_listens(&error) => {
                if let Some(why) = started.failure() {
                    return Err(io::Error::new(error.kind(), why));
                }
                if Instant::now() >= deadline {
                    let log = options.keeper.data_dir.join("keeper.log");
                    let why = format!("a keeper was started and does not answer; see {}", log.display());
                    return Err(io::Error::new(error.kind(), why));
                }
            }
            done => return done,
        }
        wait = (wait * 2).min(TRY_EVERY_MAX);
    }
}

fn try_connect(options: &LinkOptions) -> io::Result<UnixStream> {
    let socket = sockets::connect(&options.keeper.data_dir)?;
    if options.program == KeeperProgram::InProcess {
        // Apps of another one would not end with this process. One that keeps nothing leaves by itself.
        let keeper = rustix::net::sockopt::socket_peercred(&socket)?.pid;
        if keeper != rustix::process::getpid() {
            return Err(io::Error::other(format!(
                "the keeper in process {keeper} still keeps apps of this data directory"
            )));
        }
    }
    UnixStream::from_std(socket.into())
}

fn nobody_listens(error: &io::Error) -> bool {
    let nobody = [Errno::NOENT, Errno::CONNREFUSED, Errno::AGAIN];
    Errno::from_io_error(error).is_some_and(|error| nobody.contains(&error))
}

/// Starts a keeper. A process gets nothing of this one's environment, descriptors or folder, and takes a session of its
/// own.
fn start(options: &LinkOptions) -> io::Result<Started> {
    let data_dir = &options.keeper.data_dir;
    let program = match &options.program {
        KeeperProgram::InProcess => return in_process::start(data_dir),
        KeeperProgram::Installed(program) => program.clone(),
        // What runs now, even if the file has been replaced since.
        KeeperProgram::ThisProgram => PathBuf::from("/proc/self/exe"),
    };
    let mut command = tokio::process::Command::new(&program);
    command.args(options.keeper.to_arguments());
    command.arg0("osier");
    command.env_clear();
    // As with a thread: without a log is worse than nothing, and better than no keeper.
    let log = open_log(data_dir).map_or_else(|_| Stdio::null(), Stdio::from);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let path = data_dir.join("keeper.log");
    let said_before = std::fs::metadata(&path).map_or(0, |log| log.len());
    let mut keeper = command.spawn().map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("{} is not started: {error}", program.display()),
        )
    })?;
    let started = Started::default();
    let told = started.clone();
    // Reaped when it ends before this process does.
    tokio::spawn(async move {
        if let Ok(status) = keeper.wait().await {
            told.failed(last_words(&path, said_before, status));
        }
    });
    Ok(started)
}

/// Why a keeper that has ended did not come up, as it says in its log behind `from`.
fn last_words(log: &Path, from: u64, status: ExitStatus) -> String {
    const BYTES_MAX: u64 = 4096;
    let mut said = Vec::new();
    let read = std::fs::File::open(log).and_then(|mut log| {
        log.seek(SeekFrom::Start(from))?;
        log.take(BYTES_MAX).read_to_end(&mut said)
    });
    let said = String::from_utf8_lossy(read.map_or(&[], |_| said.as_slice()));
    let reasons = [CANNOT_START, HELD];
    let reason = said
        .lines()
        .rev()
        .find_map(|line| reasons.iter().find_map(|reason| line.get(line.find(reason)?..)));
    match reason {
        Some(HELD) => format!("{HELD} and does not listen"),
        Some(reason) => reason.to_owned(),
        None => format!("the keeper ended with {status}; see {}", log.display()),
    }
}
