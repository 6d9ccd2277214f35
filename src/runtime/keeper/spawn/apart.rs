//! Setting one thread apart from its process: signals, descriptors, folder and mask of its own.
//!
//! A keeper that is a thread of a host needs what a keeper has that is a process: its children share its descriptors
//! for a moment and inherit its mask, and none of that may be the host's.

use std::fs;

use rustix::io::Errno;

use super::child;
use super::signals::last_errno;

/// Blocks every signal that can be blocked, for this thread: the host's handlers run on the host's threads, and never
/// in a child that still shares the host's memory. (The C library keeps the two that it needs for itself.)
///
/// # Errors
/// As the kernel says.
pub fn block_signals() -> Result<(), Errno> {
    // SAFETY: the set is initialised before use; the mask is this thread's alone.
    let failed = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut set);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut())
    };
    if failed == 0 {
        Ok(())
    } else {
        Err(Errno::from_raw_os_error(failed))
    }
}

/// Gives this thread a table of descriptors of its own with nothing in it but the first three. It must own no descriptor
/// and from then on touch none of the host's: their numbers mean something else here, or nothing.
///
/// # Errors
/// When neither `close_range` (Linux 5.9) nor `unshare` is allowed.
pub fn own_descriptors() -> Result<(), Errno> {
    // SAFETY: the new table is this thread's alone, and it owns none of what is closed in it.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, child::UNSHARE) };
    if closed == 0 {
        return Ok(());
    }
    own_descriptors_by_unshare()
}

/// The same without `close_range`. Some sandboxes allow the one call, some the other.
fn own_descriptors_by_unshare() -> Result<(), Errno> {
    // SAFETY: as above.
    if unsafe { libc::unshare(libc::CLONE_FILES) } < 0 {
        return Err(last_errno());
    }
    close_listed(3);
    Ok(())
}

/// Gives this thread a folder and a file mode mask of its own. False where sandboxes forbid it; then the host's hold.
#[must_use]
pub fn own_folder_and_mask() -> bool {
    // SAFETY: changes what this thread shares, no memory.
    unsafe { libc::unshare(libc::CLONE_FS) == 0 }
}

/// Closes what this thread has open from `first` on, one by one: before Linux 5.9.
pub fn close_listed(first: i32) {
    let listed = fs::read_dir("/proc/thread-self/fd").map(|entries| {
        let numbers = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers.collect::<Vec<i32>>()
    });
    // Without `/proc` as far as the usual limit goes.
    let open = listed.unwrap_or_else(|_| (first..4096).collect());
    for fd in open.into_iter().filter(|fd| *fd >= first) {
        // SAFETY: the callers own no descriptor from `first` on.
        unsafe { libc::close(fd) };
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read as _;
    use std::os::fd::AsRawFd as _;

    use super::*;

    fn listed() -> Vec<i32> {
        let entries = fs::read_dir("/proc/thread-self/fd").unwrap().flatten();
        let mut open: Vec<i32> = entries
            .map(|entry| entry.file_name().to_str().unwrap().parse().unwrap())
            .collect();
        open.sort_unstable();
        open
    }

    #[test]
    fn a_thread_gets_an_empty_table_of_descriptors_by_either_call_and_its_process_keeps_its_own() {
        for own in [own_descriptors, own_descriptors_by_unshare] {
            let mut file = File::open("/proc/self/stat").unwrap();
            let number = file.as_raw_fd();
            let open = std::thread::spawn(move || own().map(|()| listed()));
            let open = open.join().unwrap().unwrap();
            // The fourth is the folder that was listed.
            assert_eq!((open.len(), &open[..3]), (4, &[0, 1, 2][..]));
            assert!(listed().contains(&number));
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            assert!(!text.is_empty());
        }
    }

    #[test]
    fn a_thread_set_apart_changes_mask_and_folder_for_itself_alone() {
        let before = std::env::current_dir().unwrap();
        let folder = std::thread::spawn(|| {
            assert!(own_folder_and_mask());
            rustix::process::umask(rustix::fs::Mode::empty());
            rustix::process::chdir("/").unwrap();
            std::env::current_dir().unwrap()
        });
        assert_eq!(folder.join().unwrap(), std::path::Path::new("/"));
        assert_eq!(std::env::current_dir().unwrap(), before);
    }

    #[test]
    fn a_thread_set_apart_takes_no_signals() {
        let blocked = std::thread::spawn(|| {
            block_signals().unwrap();
            let status = fs::read_to_string("/proc/thread-self/status").unwrap();
            let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:\t"));
            u64::from_str_radix(mask.unwrap(), 16).unwrap()
        });
        let blocked = blocked.join().unwrap();
        for signal in [libc::SIGTERM, libc::SIGCHLD, libc::SIGHUP, libc::SIGUSR1] {
            assert!(blocked & (1 << (signal - 1)) != 0, "{signal}");
        }
    }
}
