//! What a child runs on while it shares the keeper's memory.

use rustix::io::Errno;

/// Ends a child that would run beyond its stack, before it writes into what is the keeper's. Whole pages on every
/// machine: aarch64 has pages of 4, 16 or 64 KiB.
const GUARD_BYTES: usize = 64 * 1024;
/// A child needs some hundred bytes, or thousands in a build without optimisation. Pages that it does not touch are not
/// there.
const STACK_BYTES: usize = 64 * 1024;
const MAPPED_BYTES: usize = GUARD_BYTES + STACK_BYTES;

/// A stack with a guard below it.
#[derive(Debug)]
pub struct Stack {
    mapped: usize,
}

impl Stack {
    /// Maps one.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn new() -> Result<Self, Errno> {
        let (read_write, flags) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        );
        // SAFETY: a new mapping where the kernel finds room: nobody else's memory changes.
        let mapped = unsafe { libc::mmap(std::ptr::null_mut(), MAPPED_BYTES, read_write, flags, -1, 0) };
        if mapped == libc::MAP_FAILED {
            return Err(Errno::NOMEM);
        }
        let stack = Self {
            mapped: mapped as usize,
        };
        // SAFETY: the lower part of the mapping that was just made.
        let guarded = unsafe { libc::mprotect(mapped, GUARD_BYTES, libc::PROT_NONE) };
        if guarded == 0 {
            Ok(stack)
        } else {
            Err(Errno::NOMEM)
        }
    }

    /// Its lowest address.
    pub fn bottom(&self) -> u64 {
        (self.mapped + GUARD_BYTES) as u64
    }

    /// Its length.
    pub fn bytes(&self) -> u64 {
        STACK_BYTES as u64
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: this mapping is this value's own, and whoever ran on it has left.
        unsafe { libc::munmap(self.mapped as *mut libc::c_void, MAPPED_BYTES) };
    }
}
