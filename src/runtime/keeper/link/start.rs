//! Reaching a keeper, and starting one where none answers.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::UnixStream;
use tokio::time::Instant;

use super::LinkOptions;
use crate::runtime::keeper::sockets;

/// How long a started keeper may take to answer; it has to look at every recorded app first.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
const FIRST_TRY_AFTER: Duration = Duration::from_millis(1);
const TRY_EVERY_MAX: Duration = Duration::from_millis(20);
/// The keeper's own log is set aside at this size.
const LOG_BYTES_MAX: u64 = 1024 * 1024;

/// Connects to the keeper of the data directory, starting one if none answers.
pub async fn connect(options: &LinkOptions) -> io::Result<UnixStream> {
    let data_dir = &options.keeper.data_dir;
    match try_connect(data_dir) {
        Err(error) if nobody_listens(&error) => {}
        done => return done,
    }
    start(options)?;
    let deadline = Instant::now() + ANSWERS_WITHIN;
    let mut wait = FIRST_TRY_AFTER;
    loop {
        tokio::time::sleep(wait).await;
        match try_connect(data_dir) {
            Err(error) if nobody_listens(&error) && Instant::now() < deadline => {}
            Err(error) if nobody_listens(&error) => {
                let log = data_dir.join("keeper.log");
                return Err(io::Error::new(
                    error.kind(),
                    format!("a keeper was started and does not answer; see {}", log.display()),
                ));
            }
            done => return done,
        }
        wait = (wait * 2).min(TRY_EVERY_MAX);
    }
}

fn try_connect(data_dir: &Path) -> io::Result<UnixStream> {
    let socket = sockets::connect(data_dir)?;
    UnixStream::from_std(socket.into())
}

fn nobody_listens(error: &io::Error) -> bool {
    let nobody = [Errno::NOENT, Errno::CONNREFUSED, Errno::AGAIN];
    Errno::from_io_error(error).is_some_and(|error| nobody.contains(&error))
}

/// Starts a keeper: nothing of this process's environment, descriptors or folder; it takes a session of its own.
fn start(options: &LinkOptions) -> io::Result<()> {
    let log = open_log(&options.keeper.data_dir.join("keeper.log"))?;
    // What runs now, even if the file has been replaced since.
    let program = options
        .program
        .clone()
        .unwrap_or_else(|| PathBuf::from("/proc/self/exe"));
    let mut command = tokio::process::Command::new(&program);
    command.args(options.keeper.to_arguments());
    command.arg0("osier");
    command.env_clear();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let mut keeper = command.spawn().map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("{} is not started: {error}", program.display()),
        )
    })?;
    // Reaped when it ends before this process does.
    tokio::spawn(async move { keeper.wait().await });
    Ok(())
}

fn open_log(path: &Path) -> io::Result<std::fs::File> {
    if std::fs::metadata(path).is_ok_and(|log| log.len() > LOG_BYTES_MAX) {
        let mut aside = path.as_os_str().to_owned();
        aside.push(".1");
        // If it stays, it grows on: worse than nothing, better than no keeper.
        let _ = std::fs::rename(path, aside);
    }
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}
