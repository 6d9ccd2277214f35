//! The child's way from birth to exec.
//!
//! It runs in the keeper's memory while the keeper runs on. It calls nothing but the kernel, writes nothing but its own
//! stack and the status of its [`Launching`], allocates nothing and never unwinds.

use std::sync::atomic::Ordering;

use super::{BORN, CHILD_FDS_MAX, EXECS, GO, Launching, NO_GO, READY, REPORT_BYTES, confine, raw};
use crate::runtime::keeper::protocol::SpawnStep;

/// `CLOSE_RANGE_UNSHARE`.
pub const UNSHARE: usize = 2;

/// Which step failed, and the error number.
pub type Failed = (SpawnStep, i32);

/// Where the child begins.
///
/// # Safety
/// `launching` must be valid until the child has left, and the stack nobody else's.
pub unsafe extern "C" fn begin(launching: *const Launching) -> ! {
    // SAFETY: the caller's promise; the keeper reads it too, and both write only the atomic status.
    let launching = unsafe { &*launching };
    // SAFETY: each call below is about this process alone, its descriptors, or memory that `launching` keeps.
    let (step, errno) = unsafe {
        if launching.shares_descriptors {
            call(
                libc::SYS_close_range,
                [CHILD_FDS_MAX as usize, u32::MAX as usize, UNSHARE, 0, 0],
            );
        }
        let armed = die_with_keeper(launching);
        launching.status.store(READY, Ordering::Release);
        wake(launching);
        match armed.and_then(|()| prepare(launching)) {
            Err(failed) => failed,
            Ok(()) if !told_to_go(launching) => (SpawnStep::Record, libc::ECANCELED),
            Ok(()) => {
                launching.status.store(EXECS, Ordering::Release);
                (SpawnStep::Exec, exec(launching))
            }
        }
    };
    report(launching, step, errno)
}

fn report(launching: &Launching, step: SpawnStep, errno: i32) -> ! {
    let [a, b, c, d] = errno.to_le_bytes();
    let report: [u8; REPORT_BYTES] = [step as u8, 0, 0, 0, a, b, c, d];
    // SAFETY: the buffer is valid for its length; if the write fails there is nobody left to tell.
    unsafe {
        call(
            libc::SYS_write,
            [
                launching.report as usize,
                report.as_ptr() as usize,
                REPORT_BYTES,
                0,
                0,
            ],
        );
        loop {
            call(libc::SYS_exit_group, [127, 0, 0, 0, 0]);
        }
    }
}

/// # Safety
/// As the call itself asks.
#[inline(always)]
pub unsafe fn call(number: i64, arguments: [usize; 5]) -> isize {
    // SAFETY: handed on to the caller.
    unsafe { raw::call(number, arguments) }
}

/// # Safety
/// As the call itself asks.
pub unsafe fn try_call(step: SpawnStep, number: i64, arguments: [usize; 5]) -> Result<usize, Failed> {
    // SAFETY: handed on to the caller.
    let result = unsafe { call(number, arguments) };
    if result < 0 {
        Err((step, -result as i32))
    } else {
        Ok(result as usize)
    }
}

/// The kernel kills this child when the keeper dies. It forgets that when the user changes.
unsafe fn die_with_keeper(launching: &Launching) -> Result<(), Failed> {
    let kill = libc::SIGKILL as usize;
    // SAFETY: about this process alone.
    unsafe {
        try_call(
            SpawnStep::Session,
            libc::SYS_prctl,
            [libc::PR_SET_PDEATHSIG as usize, kill, 0, 0, 0],
        )?;
        let parent = try_call(SpawnStep::Session, libc::SYS_getppid, [0; 5])?;
        if parent == launching.keeper as usize {
            Ok(())
        } else {
            Err((SpawnStep::Record, libc::ECANCELED))
        }
    }
}

unsafe fn wake(launching: &Launching) {
    let word = launching.status.as_ptr() as usize;
    // SAFETY: the word is live and aligned.
    unsafe { call(libc::SYS_futex, [word, libc::FUTEX_WAKE as usize, 1, 0, 0]) };
}

/// Everything before the go. Order matters: groups before limits, the pipe is opened while still the keeper's user, the
/// sandbox entered while that user may still mount, the working directory entered as the app's.
unsafe fn prepare(launching: &Launching) -> Result<(), Failed> {
    let program = &launching.program;
    // SAFETY: plain calls on descriptors that this process owns and on memory that `launching` keeps alive.
    unsafe {
        try_call(SpawnStep::Session, libc::SYS_setsid, [0; 5])?;
        for group in &launching.groups {
            let zero = c"0".as_ptr() as usize;
            try_call(
                SpawnStep::Groups,
                libc::SYS_write,
                [*group as usize, zero, 1, 0, 0],
            )?;
        }
        let open_files = [program.open_files.0, program.open_files.1];
        let limit = [
            0,
            libc::RLIMIT_NOFILE as usize,
            open_files.as_ptr() as usize,
            0,
            0,
        ];
        try_call(SpawnStep::OpenFiles, libc::SYS_prlimit64, limit)?;
        streams(launching)?;
        if program.no_new_privileges {
            let arguments = [libc::PR_SET_NO_NEW_PRIVS as usize, 1, 0, 0, 0];
            try_call(SpawnStep::Privileges, libc::SYS_prctl, arguments)?;
        }
        if let Some(sandbox) = &program.sandbox {
            confine::enter(sandbox, launching.ruleset)?;
            die_with_keeper(launching)?;
        }
        call(libc::SYS_umask, [program.umask as usize, 0, 0, 0, 0]);
        if let Some((uid, gid, groups)) = &program.user {
            let (uid, gid) = (*uid as usize, *gid as usize);
            let list = [groups.len(), groups.as_ptr() as usize, 0, 0, 0];
            try_call(SpawnStep::User, libc::SYS_setgroups, list)?;
            try_call(SpawnStep::User, libc::SYS_setresgid, [gid, gid, gid, 0, 0])?;
            try_call(SpawnStep::User, libc::SYS_setresuid, [uid, uid, uid, 0, 0])?;
            die_with_keeper(launching)?;
        }
        let folder = program.working_dir.as_ptr() as usize;
        try_call(SpawnStep::WorkingDir, libc::SYS_chdir, [folder, 0, 0, 0, 0])?;
        clean_signals(program.resets_signals)
    }
}

/// 0 is the null device; 1 and 2 the output pipe, open both ways, so that the app never meets SIGPIPE or a pipe without
/// reader when the keeper dies.
unsafe fn streams(launching: &Launching) -> Result<(), Failed> {
    let step = SpawnStep::Streams;
    let path = launching.program.output.as_ptr() as usize;
    let flags = (libc::O_RDWR | libc::O_CLOEXEC) as usize;
    // SAFETY: as in `prepare`.
    unsafe {
        let pipe = try_call(
            step,
            libc::SYS_openat,
            [launching.apps_folder as usize, path, flags, 0, 0],
        )?;
        for (from, to) in [(launching.dev_null as usize, 0), (pipe, 1), (pipe, 2)] {
            try_call(step, libc::SYS_dup3, [from, to, 0, 0, 0])?;
        }
    }
    Ok(())
}

/// Ignored signals and the mask would live on through exec. A keeper of its own ignores but one; a host may ignore any,
/// and have handlers, which must be gone before the mask is lifted: this process still shares its memory.
unsafe fn clean_signals(resets_all: bool) -> Result<(), Failed> {
    const SET_BYTES: usize = size_of::<u64>();
    /// The kernel's count, whatever the C library keeps for itself.
    const SIGNALS_COUNT: usize = 64;
    // The kernel's `sigaction` for SIG_DFL, and the empty set.
    let zero = [0u64; 4];
    let default = |signal: usize| [signal, zero.as_ptr() as usize, 0, SET_BYTES, 0];
    let mask = [
        libc::SIG_SETMASK as usize,
        zero.as_ptr() as usize,
        0,
        SET_BYTES,
        0,
    ];
    // SAFETY: as in `prepare`; dispositions and mask are this process's own.
    unsafe {
        if resets_all {
            let mut signal = 1;
            while signal <= SIGNALS_COUNT {
                // KILL and STOP refuse, which is as good.
                call(libc::SYS_rt_sigaction, default(signal));
                signal += 1;
            }
        } else {
            let step = SpawnStep::Session;
            try_call(step, libc::SYS_rt_sigaction, default(libc::SIGPIPE as usize))?;
        }
        try_call(SpawnStep::Session, libc::SYS_rt_sigprocmask, mask)?;
    }
    Ok(())
}

/// Waits for the keeper's word.
unsafe fn told_to_go(launching: &Launching) -> bool {
    let word = launching.status.as_ptr() as usize;
    loop {
        match launching.status.load(Ordering::Acquire) {
            GO => break,
            NO_GO => return false,
            waiting => {
                debug_assert!(waiting != BORN);
                // SAFETY: the word is live and aligned. If the keeper dies now, so does this process.
                unsafe {
                    call(
                        libc::SYS_futex,
                        [word, libc::FUTEX_WAIT as usize, waiting as usize, 0, 0],
                    )
                };
            }
        }
    }
    if !launching.program.dies_with_keeper {
        // Recorded: from here on it may outlive the keeper.
        // SAFETY: about this process alone.
        unsafe { call(libc::SYS_prctl, [libc::PR_SET_PDEATHSIG as usize, 0, 0, 0, 0]) };
    }
    true
}

/// Returns only the error, chosen as `execvp` chooses it: what was found but may not be run before "not found".
unsafe fn exec(launching: &Launching) -> i32 {
    let mut errno = libc::ENOENT;
    let arguments = launching.arguments.pointers.as_ptr() as usize;
    let environment = launching.environment.pointers.as_ptr() as usize;
    for path in launching.paths.pointers.iter().filter(|path| !path.is_null()) {
        // SAFETY: the path is a C string, both arrays end with null, and all of them outlive the call.
        let failed = unsafe { call(libc::SYS_execve, [*path as usize, arguments, environment, 0, 0]) };
        match -failed as i32 {
            libc::ENOENT | libc::ENOTDIR => {}
            libc::EACCES => errno = libc::EACCES,
            other => return other,
        }
    }
    errno
}
