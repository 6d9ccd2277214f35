//! System calls without the C library: its `errno` is shared memory between keeper and child.

use std::os::fd::RawFd;

use super::Launching;
use super::birth::CloneArgs;

/// Where a child begins; it never returns.
pub type Begin = unsafe extern "C" fn(*const Launching) -> !;

/// A system call with up to five arguments. Negative results are error numbers.
///
/// # Safety
/// As the call itself asks.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub unsafe fn call(number: i64, arguments: [usize; 5]) -> isize {
    let [a, b, c, d, e] = arguments;
    let result: isize;
    // SAFETY: the kernel changes but rax, rcx and r11 (which are named) and the memory that the call is about.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// A system call with up to five arguments. Negative results are error numbers.
///
/// # Safety
/// As the call itself asks.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub unsafe fn call(number: i64, arguments: [usize; 5]) -> isize {
    let [a, b, c, d, e] = arguments;
    let result: isize;
    // SAFETY: the kernel changes but x0 and the memory that the call is about.
    unsafe {
        std::arch::asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e,
            options(nostack),
        );
    }
    result
}

/// A call that returns twice: here with the child's id or an error, and on another stack in `begin`.
///
/// # Safety
/// The arguments must give the child a stack of its own (and not this one), and `launching` must outlive it.
#[cfg(target_arch = "x86_64")]
unsafe fn fork_like(number: i64, arguments: [usize; 5], launching: *const Launching, begin: Begin) -> isize {
    let [a, b, c, d, e] = arguments;
    let result: isize;
    // SAFETY: the child finds its registers as they are here, its stack empty and aligned, and leaves by `begin`. In
    // the parent this is a plain system call.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") number as isize => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e,
            in("r12") launching, in("r13") begin,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// A call that returns twice: here with the child's id or an error, and on another stack in `begin`.
///
/// # Safety
/// The arguments must give the child a stack of its own (and not this one), and `launching` must outlive it.
#[cfg(target_arch = "aarch64")]
unsafe fn fork_like(number: i64, arguments: [usize; 5], launching: *const Launching, begin: Begin) -> isize {
    let [a, b, c, d, e] = arguments;
    let result: isize;
    // SAFETY: the child finds its registers as they are here, its stack empty and aligned, and leaves by `begin`. In
    // the parent this is a plain system call.
    unsafe {
        std::arch::asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x30, xzr",
            "mov x0, x20",
            "blr x21",
            "brk #1",
            "2:",
            in("x8") number,
            inlateout("x0") a => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e,
            in("x20") launching, in("x21") begin,
            options(nostack),
        );
    }
    result
}

/// `clone3`, whose child begins in `begin`.
///
/// # Safety
/// `args` must be valid for `bytes` and give the child a stack of its own; `launching` must outlive the child.
pub unsafe fn clone3(args: *mut CloneArgs, bytes: usize, launching: *const Launching, begin: Begin) -> isize {
    let arguments = [args as usize, bytes, 0, 0, 0];
    // SAFETY: handed on to the caller.
    unsafe { fork_like(libc::SYS_clone3, arguments, launching, begin) }
}

/// `clone`, whose child begins in `begin` on the stack below `top`.
///
/// # Safety
/// As [`clone3`]; `pidfd` must be valid for writing.
pub unsafe fn clone(
    flags: u64,
    top: u64,
    pidfd: *mut RawFd,
    launching: *const Launching,
    begin: Begin,
) -> isize {
    let arguments = [flags as usize, top as usize, pidfd as usize, 0, 0];
    // SAFETY: handed on to the caller.
    unsafe { fork_like(libc::SYS_clone, arguments, launching, begin) }
}
