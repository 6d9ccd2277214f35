//! Reaching a keeper, and starting one where none answers.

use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::UnixStream;
use tokio::time::Instant;

use super::LinkOptions;
use crate::runtime::keeper::in_process::{self, Started};
use crate::runtime::keeper::{KeeperProgram, open_log, sockets};

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
    let thread = start(options)?;
    let deadline = Instant::now() + ANSWERS_WITHIN;
    let mut wait = FIRST_TRY_AFTER;
    loop {
        tokio::time::sleep(wait).await;
        match try_connect(options) {
            Err(error) if nobody_listens(&error) => {
                if let Some(why) = thread.as_ref().and_then(Started::failure) {
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
fn start(options: &LinkOptions) -> io::Result<Option<Started>> {
    let program = match &options.program {
        KeeperProgram::InProcess => return in_process::start(&options.keeper.data_dir).map(Some),
        KeeperProgram::Installed(program) => program.clone(),
        // What runs now, even if the file has been replaced since.
        KeeperProgram::ThisProgram => PathBuf::from("/proc/self/exe"),
    };
    let mut command = tokio::process::Command::new(&program);
    command.args(options.keeper.to_arguments());
    command.arg0("osier");
    command.env_clear();
    let log = open_log(&options.keeper.data_dir)?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let mut keeper = command.spawn().map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("{} is not started: {error}", program.display()),
        )
    })?;
    // Reaped when it ends before this process does.
    tokio::spawn(async move { keeper.wait().await });
    Ok(None)
}
