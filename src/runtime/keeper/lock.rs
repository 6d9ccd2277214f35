//! `keeper.lock`: one keeper for a data directory, and how another one tells it that its socket cannot be found.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};

use super::proc::{self, ProcStat};

/// Its name in the data directory.
pub(super) const LOCK: &str = "keeper.lock";
/// How long a new keeper waits for one that is just leaving.
const LOCK_WAIT: Duration = Duration::from_secs(2);
const LOCK_POLL: Duration = Duration::from_millis(5);
/// Who holds it takes two numbers and a UUID.
const HOLDER_BYTES_MAX: usize = 256;

/// Locks the data directory for one keeper and writes down who that is if it `may_be_told`: if it takes signals as data.
/// None: another one holds it, and was told that nobody finds its socket. A record lock: children do not inherit it, so
/// it ends with the keeper.
pub(super) fn take(folder: BorrowedFd<'_>, may_be_told: bool) -> Result<Option<OwnedFd>, Errno> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let lock = rustix::fs::openat(folder, LOCK, flags, Mode::RUSR | Mode::WUSR)?;
    let deadline = Instant::now() + LOCK_WAIT;
    let mut is_told = false;
    loop {
        match rustix::fs::fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                // A full disk must not keep a keeper away; it then cannot be told.
                let _ = write_holder(&lock, may_be_told);
                return Ok(Some(lock));
            }
            Err(Errno::AGAIN | Errno::ACCESS) if Instant::now() < deadline => {
                is_told = is_told || tell_holder(&lock).is_some();
                std::thread::sleep(LOCK_POLL);
            }
            Err(Errno::AGAIN | Errno::ACCESS) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

fn write_holder(lock: &OwnedFd, may_be_told: bool) -> Result<(), Errno> {
    rustix::fs::ftruncate(lock, 0)?;
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    match ProcStat::of(own) {
        Some(stat) if may_be_told => {
            let holder = format!("{own} {} {}\n", stat.start_ticks, proc::boot_id());
            rustix::io::pwrite(lock, holder.as_bytes(), 0).map(drop)
        }
        _ => Ok(()),
    }
}

/// Tells the holder to look after its socket. None: nobody is known to take the signal. A process that merely has its
/// number is not signalled: who it is was asked after the descriptor had been opened.
fn tell_holder(lock: &OwnedFd) -> Option<()> {
    let mut bytes = [0; HOLDER_BYTES_MAX];
    let count = rustix::io::pread(lock, &mut bytes, 0).ok()?;
    let text = std::str::from_utf8(bytes.get(..count)?).ok()?;
    let mut words = text.split_ascii_whitespace();
    let pid: i32 = words.next()?.parse().ok()?;
    let start_ticks: u64 = words.next()?.parse().ok()?;
    if words.next()? != proc::boot_id() {
        return None;
    }
    let numbered = Some(pid).filter(|pid| *pid > 0).and_then(Pid::from_raw)?;
    let pidfd = rustix::process::pidfd_open(numbered, PidfdFlags::empty()).ok()?;
    let is_same = ProcStat::of(pid).is_some_and(|stat| stat.start_ticks == start_ticks);
    let is_ours = proc::uid_of(pid) == Some(rustix::process::getuid().as_raw());
    if !is_same || !is_ours {
        return None;
    }
    rustix::process::pidfd_send_signal(&pidfd, Signal::HUP).ok()
}
