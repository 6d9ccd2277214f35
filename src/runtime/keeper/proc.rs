//! What `/proc` says about processes, read by number and therefore only believed together with a pidfd.

use std::fs;

use rustix::fs::{Mode, OFlags};

/// The fields of `/proc/PID/stat` that tell who a process is and what it uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcStat {
    /// Process id.
    pub pid: i32,
    /// `Z` is a zombie.
    pub state: u8,
    /// Parent's process id.
    pub parent: i32,
    /// Session id.
    pub session: i32,
    /// CPU time in clock ticks, its waited-for children's included.
    pub cpu_ticks: u64,
    /// Start in clock ticks since boot.
    pub start_ticks: u64,
    /// Resident pages.
    pub resident_pages: u64,
}

impl ProcStat {
    /// Of the process `pid`; none when there is none.
    #[must_use]
    pub fn of(pid: i32) -> Option<Self> {
        read_short(&format!("/proc/{pid}/stat"), Self::parse)?
    }

    /// Out of the file's content. The name in it may hold anything, so the fields begin after its last parenthesis.
    #[must_use]
    pub fn parse(stat: &[u8]) -> Option<Self> {
        let open = stat.iter().position(|byte| *byte == b'(')?;
        let close = stat.iter().rposition(|byte| *byte == b')')?;
        let pid = std::str::from_utf8(stat.get(..open)?).ok()?.trim().parse().ok()?;
        let rest = std::str::from_utf8(stat.get(close + 1..)?).ok()?;
        // Numbered as in proc(5): the state is field 3.
        const FIELDS_MAX: usize = 24;
        let mut fields = [""; FIELDS_MAX];
        for (place, field) in fields.iter_mut().zip(rest.split_ascii_whitespace()) {
            *place = field;
        }
        let field = |number: usize| fields.get(number - 3).copied().filter(|field| !field.is_empty());
        let number = |at: usize| field(at)?.parse::<u64>().ok();
        let cpu_ticks = number(14)? + number(15)? + number(16)? + number(17)?;
        Some(Self {
            pid,
            state: *field(3)?.as_bytes().first()?,
            parent: field(4)?.parse().ok()?,
            session: field(6)?.parse().ok()?,
            cpu_ticks,
            start_ticks: number(22)?,
            resident_pages: number(24)?,
        })
    }

    /// Whether it has ended and only waits to be reaped.
    #[must_use]
    pub fn is_zombie(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }
}

/// What `reader` makes of a file of the kernel's that is known to be short: one read, nothing allocated for it.
pub fn read_short<T>(path: &str, reader: impl FnOnce(&[u8]) -> T) -> Option<T> {
    /// The longest is `/proc/PID/stat` with some 350 bytes.
    const BYTES_MAX: usize = 1024;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty()).ok()?;
    let mut bytes = [0; BYTES_MAX];
    let count = rustix::io::read(&file, &mut bytes).ok()?;
    bytes.get(..count).map(reader)
}

/// Every process that this one can see.
#[must_use]
pub fn all_processes() -> Vec<ProcStat> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(ProcStat::of)
        .collect()
}

/// The children of this process, which has one thread; none where the kernel does not tell.
#[must_use]
pub fn own_children() -> Option<Vec<i32>> {
    let pid = std::process::id();
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    Some(
        text.split_ascii_whitespace()
            .filter_map(|child| child.parse().ok())
            .collect(),
    )
}

/// The value of `OSIER_INSTANCE` in a process's environment. A program may erase it and anybody may forge it: alone it
/// proves nothing.
#[must_use]
pub fn mark_of(pid: i32) -> Option<String> {
    const MARK: &[u8] = b"OSIER_INSTANCE=";
    let environ = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let value = environ
        .split(|byte| *byte == 0)
        .find_map(|entry| entry.strip_prefix(MARK))?;
    String::from_utf8(value.to_vec()).ok()
}

/// The real user id of a process.
#[must_use]
pub fn uid_of(pid: i32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// The real group id of a process.
#[must_use]
pub fn gid_of(pid: i32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Gid:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// How many descriptors a process has open.
#[must_use]
pub fn open_files_of(pid: i32) -> u32 {
    fs::read_dir(format!("/proc/{pid}/fd"))
        .map_or(0, |entries| u32::try_from(entries.count()).unwrap_or(u32::MAX))
}

/// Which boot this is; process ids and start times of another mean nothing.
#[must_use]
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_| "unknown".to_owned(), |id| id.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_spaces_and_newlines_does_not_confuse_the_fields() {
        let mut fields: Vec<String> = (3..=52).map(|number| (number * 10).to_string()).collect();
        fields[0] = "S".into();
        let stat = format!("77 (a) 1 (\n) Z x) {}\n", fields.join(" "));
        let read = ProcStat::parse(stat.as_bytes()).unwrap();
        assert_eq!(
            (read.pid, read.state, read.parent, read.session),
            (77, b'S', 40, 60)
        );
        assert_eq!(
            (read.cpu_ticks, read.start_ticks, read.resident_pages),
            (140 + 150 + 160 + 170, 220, 240)
        );
    }

    #[test]
    fn anything_else_is_no_stat() {
        for text in ["", "1", "1 (", "1 ()", "x (a) S 1 1 1", "1 (a) S 1 1 1", ")("] {
            assert_eq!(ProcStat::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn this_process_is_found_and_its_children_are_read() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(all_processes().iter().any(|process| process.pid == own));
        assert_eq!(uid_of(own), Some(rustix::process::getuid().as_raw()));
        assert!(open_files_of(own) > 2);
    }
}
