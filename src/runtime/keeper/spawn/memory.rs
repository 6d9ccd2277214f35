//! Gives the system back what only a start needed.
//!
//! A keeper runs for months and does next to nothing, but it is made of a large program: what its start, or a burst of
//! starts, touched of that program's file stays mapped until somebody else needs the memory. What is in a file can be
//! dropped at any time and is read again when it is needed, which costs a quiet keeper some microseconds once.

use std::fs;
use std::ops::Range;

/// Drops the pages that are but copies of files, and the heap's free ones. Only in a process of one thread: another one
/// might be about to write into what is looked at here.
pub fn give_back() {
    if fs::read_dir("/proc/self/task").map_or(0, Iterator::count) != 1 {
        return;
    }
    let clean = fs::read_to_string("/proc/self/smaps").map_or_else(|_| Vec::new(), |smaps| clean(&smaps));
    for mapping in clean {
        let address = mapping.start as *mut libc::c_void;
        // SAFETY: a private mapping of a file without one page of our own, in a process of one thread: whoever reads it
        // next (children on their way to exec as well) gets the same bytes from the file.
        unsafe { libc::madvise(address, mapping.len(), libc::MADV_DONTNEED) };
    }
    #[cfg(target_env = "gnu")]
    // SAFETY: touches free memory only.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// The mappings of `smaps` that may not be written to and hold nothing but what is in their files.
fn clean(smaps: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut candidate = None;
    for line in smaps.lines() {
        if let Some(pages) = line.strip_prefix("Anonymous:") {
            // Relocated tables are read-only as well by now, and are not what the file holds.
            found.extend(candidate.take().filter(|_| pages.trim() == "0 kB"));
        } else if let Some(mapping) = read_only_file(line) {
            candidate = mapping;
        }
    }
    found
}

/// None: no line that begins a mapping. Else its range, if it is a private one of a file that is only read.
fn read_only_file(line: &str) -> Option<Option<Range<usize>>> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let address = |text| usize::from_str_radix(text, 16).ok();
    let range = address(start)?..address(end)?;
    let permissions = words.next()?;
    let is_file = words.nth(3).is_some_and(|path| path.starts_with('/'));
    Some((is_file && matches!(permissions, "r-xp" | "r--p")).then_some(range))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
55d0c0000000-55d0c0004000 r--p 00000000 fe:00 1234                       /usr/bin/osier
Rss:                  16 kB
Anonymous:             0 kB
AnonHugePages:         0 kB
VmFlags: rd mr mw me sd
55d0c0004000-55d0c0008000 r-xp 00004000 fe:00 1234                       /usr/bin/osier
Anonymous:             0 kB
55d0c0008000-55d0c000a000 r--p 00008000 fe:00 1234                       /usr/bin/osier
Anonymous:             8 kB
55d0c000a000-55d0c000b000 rw-p 0000a000 fe:00 1234                       /usr/bin/osier
Anonymous:             0 kB
55d0c1000000-55d0c1021000 rw-p 00000000 00:00 0                          [heap]
Anonymous:             0 kB
7f0000000000-7f0000001000 r--p 00000000 00:00 0
Anonymous:             0 kB
7f0000001000-7f0000002000 r--s 00000000 fe:00 77                         /usr/share/shared
Anonymous:             0 kB
7ffc00000000-7ffc00002000 r-xp 00000000 00:00 0                          [vdso]
Anonymous:             0 kB
";

    #[test]
    fn only_what_a_file_holds_and_nobody_changed_is_given_back() {
        let first = 0x55d0_c000_0000..0x55d0_c000_4000;
        let second = 0x55d0_c000_4000..0x55d0_c000_8000;
        assert_eq!(clean(SMAPS), [first, second]);
        assert!(clean("nonsense\nAnonymous: 0 kB\n").is_empty());
    }
}
