//! From an app's output pipe into its log: lines marked with time and instance, bounded in length, rate and size.
//!
//! A log line is `TIME INSTANCE KIND TEXT`: the UTC time with milliseconds, the first eight digits of the instance, one
//! character of kind, a space, and the app's bytes as they came (readers escape them). Kinds: `|` begins a line of the
//! app's, `+` goes on with a line that was too long for one, `!` is the keeper's own remark. A line is written as it
//! comes, its end when that comes: the keeper holds no text back, so its memory does not depend on what apps write.
//!
//! Every app has a budget of bytes. What exceeds it is read and dropped, counted, and the log says so; the app is never
//! blocked by it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use super::log_file::LogFile;
use super::protocol::{LogLimits, OutputCounters};
use crate::names::{AppName, InstanceId};
use crate::runtime::logs::{LINE_BYTES_MAX, MARK_BYTES};

/// What an app may write in the long run: a full rotation (50 MiB) then lasts most of a minute.
pub const RATE_BYTES_PER_S: u64 = 1024 * 1024;
/// What it may write at once beyond that: a start that prints its whole configuration, a large stack trace.
pub const BURST_BYTES: u64 = 8 * 1024 * 1024;
/// After a flood, writing begins again when this much budget is back: a few long blocks instead of many single lines.
const RESUME_BYTES: u64 = 256 * 1024;
/// One read, and the kernel's default size of a pipe.
pub const READ_BYTES: usize = 64 * 1024;
/// `TIME INSTANCE KIND ` is 36 bytes.
const PREFIX_BYTES_MAX: usize = 48;
/// What one piece may add to the buffer: a whole line with its prefix and its end.
pub const PIECE_BYTES_MAX: usize = LINE_BYTES_MAX + PREFIX_BYTES_MAX + 1;

/// Buffers that all apps share: there is one thread.
#[derive(Debug)]
pub struct Scratch {
    read: Vec<u8>,
    lines: Vec<u8>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            read: vec![0; READ_BYTES],
            lines: Vec::with_capacity(READ_BYTES + PIECE_BYTES_MAX),
        }
    }
}

/// The output of one app, across its restarts.
#[derive(Debug)]
pub struct Output {
    pipe: OwnedFd,
    log: LogFile,
    writer: LineWriter,
    budget: Budget,
    /// Not yet told in the log.
    dropped: Dropped,
    is_dropping: bool,
    counters: OutputCounters,
}

#[derive(Debug, Clone, Copy, Default)]
struct Dropped {
    lines_count: u64,
    bytes_count: u64,
}

impl Output {
    /// Of `app`, whose `pipe` is open for reading without waiting; its log goes below the folder of all apps.
    #[must_use]
    pub fn new(app: &AppName, pipe: OwnedFd, limits: LogLimits) -> Self {
        Self {
            pipe,
            log: LogFile::new(app, limits),
            writer: LineWriter::default(),
            budget: Budget::full(),
            dropped: Dropped::default(),
            is_dropping: false,
            counters: OutputCounters::default(),
        }
    }

    /// The pipe, to wait for.
    #[must_use]
    pub fn pipe(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }

    /// What was written and dropped so far.
    #[must_use]
    pub fn counters(&self) -> OutputCounters {
        self.counters
    }

    /// From now on lines are `instance`'s, in a log of these bounds.
    pub fn begin(
        &mut self,
        instance: &InstanceId,
        limits: LogLimits,
        apps: BorrowedFd<'_>,
        scratch: &mut Scratch,
    ) {
        self.log.set_limits(limits);
        scratch.lines.clear();
        self.writer.end_line(&mut scratch.lines);
        self.flush(apps, scratch);
        self.writer.mark = mark(instance);
    }

    /// Takes what one read brings. Whether there may be more.
    pub fn pump(&mut self, apps: BorrowedFd<'_>, scratch: &mut Scratch) -> bool {
        let count = rustix::io::read(&self.pipe, &mut scratch.read).unwrap_or(0);
        if count == 0 {
            return false;
        }
        let read = std::mem::take(&mut scratch.read);
        self.take(read.get(..count).unwrap_or_default(), apps, scratch);
        scratch.read = read;
        count == READ_BYTES
    }

    /// Takes all that is in the pipe now; bounded, because somebody may go on writing.
    pub fn drain(&mut self, apps: BorrowedFd<'_>, scratch: &mut Scratch) {
        const READS_MAX: usize = 16; // 1 MiB, the largest a pipe can be made without privilege
        for _ in 0..READS_MAX {
            let count = rustix::io::read(&self.pipe, &mut scratch.read).unwrap_or(0);
            if count == 0 {
                break;
            }
            let read = std::mem::take(&mut scratch.read);
            self.take(read.get(..count).unwrap_or_default(), apps, scratch);
            scratch.read = read;
        }
    }

    fn take(&mut self, bytes: &[u8], apps: BorrowedFd<'_>, scratch: &mut Scratch) {
        let available = self.budget.available(Instant::now());
        let mut bytes = bytes;
        if self.is_dropping {
            if available < RESUME_BYTES {
                return self.drop_bytes(bytes);
            }
            let line_end = bytes.iter().position(|byte| *byte == b'\n');
            let (rest_of_line, next) = bytes.split_at(line_end.map_or(bytes.len(), |at| at + 1));
            self.drop_bytes(rest_of_line);
            if line_end.is_none() {
                return;
            }
            self.is_dropping = false;
            self.remark_dropped(apps, scratch);
            bytes = next;
        }
        if available < bytes.len() as u64 {
            self.is_dropping = true;
            scratch.lines.clear();
            self.writer.end_line(&mut scratch.lines);
            self.flush(apps, scratch);
            return self.drop_bytes(bytes);
        }
        self.budget.spend(bytes.len() as u64);
        self.write(bytes, apps, scratch);
    }

    fn write(&mut self, mut bytes: &[u8], apps: BorrowedFd<'_>, scratch: &mut Scratch) {
        self.writer.now();
        while !bytes.is_empty() {
            scratch.lines.clear();
            let room = self.log.room(apps);
            if room < PIECE_BYTES_MAX as u64 {
                self.writer.break_line(&mut scratch.lines);
                self.flush(apps, scratch);
                self.log.rotate(apps);
                continue;
            }
            let room = usize::try_from(room)
                .unwrap_or(usize::MAX)
                .min(READ_BYTES + PIECE_BYTES_MAX);
            let (taken, lines_count) = self.writer.push(bytes, room, &mut scratch.lines);
            let (now, rest) = bytes.split_at(taken);
            if self.log.append(apps, &scratch.lines) {
                self.counters.lines_count += lines_count;
                self.counters.bytes_count += now.len() as u64;
            } else {
                self.writer.abandon_line();
                self.drop_bytes(now);
            }
            bytes = rest;
        }
    }

    fn flush(&mut self, apps: BorrowedFd<'_>, scratch: &Scratch) {
        if !scratch.lines.is_empty() {
            self.log.append(apps, &scratch.lines);
        }
    }

    fn drop_bytes(&mut self, bytes: &[u8]) {
        let lines_count = bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.dropped.lines_count += lines_count;
        self.dropped.bytes_count += bytes.len() as u64;
        self.counters.dropped_lines_count += lines_count;
        self.counters.dropped_bytes_count += bytes.len() as u64;
    }

    /// Says in the log what was dropped since it last did. Whether there was anything.
    pub fn remark_dropped(&mut self, apps: BorrowedFd<'_>, scratch: &mut Scratch) -> bool {
        let Dropped {
            lines_count,
            bytes_count,
        } = std::mem::take(&mut self.dropped);
        if bytes_count == 0 {
            return false;
        }
        scratch.lines.clear();
        self.writer.now();
        let text = format!("{lines_count} lines ({bytes_count} bytes) dropped");
        self.writer.remark(&text, &mut scratch.lines);
        if self.log.room(apps) < scratch.lines.len() as u64 {
            self.log.rotate(apps);
        }
        self.flush(apps, scratch);
        true
    }
}

fn mark(instance: &InstanceId) -> [u8; MARK_BYTES] {
    instance
        .as_str()
        .as_bytes()
        .first_chunk()
        .copied()
        .unwrap_or([b'0'; MARK_BYTES])
}

/// Cuts bytes into log lines.
#[derive(Debug)]
struct LineWriter {
    mark: [u8; MARK_BYTES],
    time: String,
    /// Bytes of the app's in the line that is not ended yet; none: the next byte begins a line.
    open_bytes: Option<usize>,
    /// The next line goes on with the one before.
    continues: bool,
}

impl Default for LineWriter {
    fn default() -> Self {
        Self {
            mark: [b'0'; MARK_BYTES],
            time: String::new(),
            open_bytes: None,
            continues: false,
        }
    }
}

impl LineWriter {
    fn now(&mut self) {
        use std::fmt::Write;
        self.time.clear();
        let _ = write!(self.time, "{:.3}", jiff::Timestamp::now());
    }

    fn prefix(&self, kind: u8, out: &mut Vec<u8>) {
        out.extend_from_slice(self.time.as_bytes());
        out.push(b' ');
        out.extend_from_slice(&self.mark);
        out.extend_from_slice(&[b' ', kind, b' ']);
    }

    /// Adds lines to `out` until `bytes` or `room` (at least [`PIECE_BYTES_MAX`]) is used up. How many of `bytes` were
    /// taken, and how many lines ended.
    fn push(&mut self, bytes: &[u8], room: usize, out: &mut Vec<u8>) -> (usize, u64) {
        let (mut taken, mut lines_count) = (0, 0);
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            if out.len() + PIECE_BYTES_MAX > room {
                break;
            }
            if self.open_bytes.is_none() && std::mem::take(&mut self.continues) {
                if rest.first() == Some(&b'\n') {
                    // The line before was exactly as long as a line may be.
                    taken += 1;
                    continue;
                }
                self.prefix(b'+', out);
            } else if self.open_bytes.is_none() {
                self.prefix(b'|', out);
            }
            let open = self.open_bytes.unwrap_or(0);
            let window = rest.get(..LINE_BYTES_MAX - open).unwrap_or(rest);
            if let Some(end) = window.iter().position(|byte| *byte == b'\n') {
                out.extend_from_slice(window.get(..=end).unwrap_or_default());
                self.open_bytes = None;
                taken += end + 1;
                lines_count += 1;
            } else {
                out.extend_from_slice(window);
                self.open_bytes = Some(open + window.len());
                taken += window.len();
                if open + window.len() == LINE_BYTES_MAX {
                    self.break_line(out);
                    lines_count += 1;
                }
            }
        }
        (taken, lines_count)
    }

    /// Ends an open line; what follows goes on with it.
    fn break_line(&mut self, out: &mut Vec<u8>) {
        if self.open_bytes.take().is_some() {
            out.push(b'\n');
            self.continues = true;
        }
    }

    /// Ends an open line for good.
    fn end_line(&mut self, out: &mut Vec<u8>) {
        self.break_line(out);
        self.continues = false;
    }

    /// What was begun could not be written.
    fn abandon_line(&mut self) {
        self.open_bytes = None;
        self.continues = false;
    }

    fn remark(&mut self, text: &str, out: &mut Vec<u8>) {
        self.end_line(out);
        self.prefix(b'!', out);
        out.extend_from_slice(text.as_bytes());
        out.push(b'\n');
    }
}

/// A bucket of bytes that fills with time.
#[derive(Debug)]
struct Budget {
    bytes: u64,
    filled_at: Instant,
}

impl Budget {
    fn full() -> Self {
        Self {
            bytes: BURST_BYTES,
            filled_at: Instant::now(),
        }
    }

    fn available(&mut self, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(self.filled_at);
        let gained = u64::try_from(passed.as_micros())
            .unwrap_or(u64::MAX)
            .saturating_mul(RATE_BYTES_PER_S)
            / 1_000_000;
        if gained > 0 {
            self.bytes = self.bytes.saturating_add(gained).min(BURST_BYTES);
            self.filled_at = now;
        }
        self.bytes
    }

    fn spend(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests;
