//! Reading what apps have said: the keeper's log files, from the end, from a time, from the run before, and on.
//!
//! A log is read as a stream: no file is loaded as a whole, and no line is longer in memory than a log line may be.
//! Rotation does not disturb a reader: it holds its files open, and a follower goes through every file that came since.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::names::{AppName, InstanceId};

mod backwards;
mod line;

use backwards::Backwards;
pub use line::{LineKind, LogLine, shown};

/// The file that the keeper writes to; older ones are `output.log.1` and so on.
pub const CURRENT: &str = "output.log";
/// More files would make a rotation long.
pub const FILES_MAX: u32 = 100;
/// The longest line; a longer one is continued on the next.
pub const LINE_BYTES_MAX: usize = 16 * 1024;
/// The digits of an instance that stand in a line.
pub const MARK_BYTES: usize = 8;

/// How often a follower looks for more.
const FOLLOW_POLL: Duration = Duration::from_millis(100);
/// Lines that one call of a follower brings at most.
const FOLLOW_LINES_MAX: usize = 1000;
/// A line of the keeper's own making is never longer; what is was put there by somebody else and is cut.
const RAW_LINE_BYTES_MAX: usize = LINE_BYTES_MAX + 256;

/// Which lines are wanted; all that are set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// The last so many.
    pub tail: Option<usize>,
    /// From this time on, ms since the epoch.
    pub since_ms: Option<i64>,
    /// Of which run.
    pub run: RunChoice,
}

/// Whose lines are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RunChoice {
    /// Every run's.
    #[default]
    All,
    /// Those of the run before this one; none: before the one that spoke last.
    Before(Option<InstanceId>),
}

/// The log of one app.
#[derive(Debug, Clone)]
pub struct AppLog {
    folder: PathBuf,
}

impl AppLog {
    /// Of `app` in the data directory `data_dir`. There need not be one yet: it is then empty.
    #[must_use]
    pub fn new(data_dir: &Path, app: &AppName) -> Self {
        Self {
            folder: data_dir.join("apps").join(app.as_str()).join("logs"),
        }
    }

    /// The lines that `query` asks for, oldest first.
    ///
    /// # Errors
    /// When a file can be opened but not read.
    pub fn read(&self, query: &LogQuery) -> io::Result<LogLines> {
        let files = self.open_all()?;
        let mark = match &query.run {
            RunChoice::All => None,
            RunChoice::Before(instance) => match mark_before(&files, instance.as_ref())? {
                Some(mark) => Some(mark),
                None => return Ok(LogLines::none()),
            },
        };
        let wanted = Wanted {
            mark,
            since_ms: query.since_ms,
        };
        let mut lines = LogLines {
            files: files.into(),
            current: None,
            wanted,
            left: None,
        };
        if let Some(tail) = query.tail {
            lines.skip_to_last(tail)?;
        }
        Ok(lines)
    }

    /// Follows the log from its present end.
    ///
    /// # Errors
    /// When the present file cannot be read.
    pub fn follow(&self) -> io::Result<LogFollower> {
        let file = open(&self.folder.join(CURRENT))?;
        let current = match file {
            Some(mut file) => {
                file.seek(SeekFrom::End(0))?;
                Some(file)
            }
            None => None,
        };
        Ok(LogFollower {
            log: self.clone(),
            current,
            unfinished: Vec::new(),
        })
    }

    /// All files, oldest first. Opened from the newest: a rotation meanwhile shows a file twice, and none is missed.
    fn open_all(&self) -> io::Result<Vec<File>> {
        let mut files: Vec<(u64, File)> = Vec::new();
        for age in 0..FILES_MAX {
            let Some(file) = open(&self.path_of(age))? else {
                if age == 0 {
                    continue; // just rotated, or not begun
                }
                break;
            };
            let inode = file.metadata()?.ino();
            if files.iter().all(|(known, _)| *known != inode) {
                files.push((inode, file));
            }
        }
        Ok(files.into_iter().rev().map(|(_, file)| file).collect())
    }

    fn path_of(&self, age: u32) -> PathBuf {
        match age {
            0 => self.folder.join(CURRENT),
            age => self.folder.join(format!("{CURRENT}.{age}")),
        }
    }
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn mark_of(instance: &InstanceId) -> String {
    instance.as_str().chars().take(MARK_BYTES).collect()
}

/// The mark of the run that spoke before `instance`, or before the one that spoke last.
fn mark_before(files: &[File], instance: Option<&InstanceId>) -> io::Result<Option<String>> {
    let mut after = instance.map(mark_of);
    for line in Backwards::new(files) {
        let Some(line) = LogLine::parse(&line?) else {
            continue;
        };
        match &after {
            None => after = Some(line.run),
            Some(after) if *after != line.run => return Ok(Some(line.run)),
            Some(_) => {}
        }
    }
    Ok(None)
}

#[derive(Debug)]
struct Wanted {
    mark: Option<String>,
    since_ms: Option<i64>,
}

impl Wanted {
    fn admits(&self, line: &LogLine) -> bool {
        self.mark.as_ref().is_none_or(|mark| *mark == line.run)
            && self.since_ms.is_none_or(|since| line.at_ms >= since)
    }
}

/// Lines of a log, read as they are taken.
#[derive(Debug)]
pub struct LogLines {
    files: VecDeque<File>,
    current: Option<BufReader<File>>,
    wanted: Wanted,
    /// How many may still be given.
    left: Option<usize>,
}

impl LogLines {
    fn none() -> Self {
        Self {
            files: VecDeque::new(),
            current: None,
            wanted: Wanted {
                mark: None,
                since_ms: None,
            },
            left: Some(0),
        }
    }

    /// Places the stream before the last `count` lines that are wanted.
    fn skip_to_last(&mut self, count: usize) -> io::Result<()> {
        self.left = Some(count);
        let mut seen_count = 0;
        let mut place = None;
        let mut lines = Backwards::new(self.files.make_contiguous());
        while seen_count < count {
            let Some(line) = lines.next() else {
                break;
            };
            let Some(line) = LogLine::parse(&line?) else {
                continue;
            };
            if self.wanted.admits(&line) {
                seen_count += 1;
                place = Some(lines.place());
            } else if self.wanted.since_ms.is_some_and(|since| line.at_ms < since) {
                break;
            }
        }
        let Some((file, offset)) = place else {
            self.left = Some(0);
            return Ok(());
        };
        self.files.drain(..file);
        if let Some(mut first) = self.files.pop_front() {
            first.seek(SeekFrom::Start(offset))?;
            self.current = Some(BufReader::new(first));
        }
        Ok(())
    }

    fn next_raw(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let Some(current) = &mut self.current else {
                let Some(mut next) = self.files.pop_front() else {
                    return Ok(None);
                };
                next.seek(SeekFrom::Start(0))?;
                self.current = Some(BufReader::new(next));
                continue;
            };
            match read_line(current)? {
                Some(line) => return Ok(Some(line)),
                None => self.current = None,
            }
        }
    }
}

impl Iterator for LogLines {
    type Item = io::Result<LogLine>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.left != Some(0) {
            match self.next_raw() {
                Err(error) => {
                    self.left = Some(0);
                    return Some(Err(error));
                }
                Ok(None) => return None,
                Ok(Some(raw)) => {
                    if let Some(line) = LogLine::parse(&raw).filter(|line| self.wanted.admits(line)) {
                        self.left = self.left.map(|left| left - 1);
                        return Some(Ok(line));
                    }
                }
            }
        }
        None
    }
}

/// A line without its end, cut if it is too long; none at the end of the file.
fn read_line(file: &mut BufReader<File>) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let mut has_any = false;
    loop {
        let buffer = file.fill_buf()?;
        if buffer.is_empty() {
            return Ok(has_any.then_some(line));
        }
        has_any = true;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let piece = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or_default();
        let room = RAW_LINE_BYTES_MAX.saturating_sub(line.len());
        line.extend_from_slice(piece.get(..room).unwrap_or(piece));
        let used = piece.len() + usize::from(end.is_some());
        file.consume(used);
        if end.is_some() {
            return Ok(Some(line));
        }
    }
}

/// Reads a log as it grows.
#[derive(Debug)]
pub struct LogFollower {
    log: AppLog,
    current: Option<File>,
    /// The beginning of a line whose end has not come.
    unfinished: Vec<u8>,
}

impl LogFollower {
    /// The next lines, at least one, when they come. May be dropped at any time; what was not given comes again.
    ///
    /// # Errors
    /// When the log cannot be read any more.
    pub async fn next(&mut self) -> io::Result<Vec<LogLine>> {
        loop {
            let lines = self.poll()?;
            if !lines.is_empty() {
                return Ok(lines);
            }
            tokio::time::sleep(FOLLOW_POLL).await;
        }
    }

    /// What is there by now: at most a thousand lines, perhaps none.
    ///
    /// # Errors
    /// When the log cannot be read any more.
    pub fn poll(&mut self) -> io::Result<Vec<LogLine>> {
        let mut lines = Vec::new();
        while lines.len() < FOLLOW_LINES_MAX {
            if !self.read_piece(&mut lines)? && !self.go_on()? {
                break;
            }
        }
        Ok(lines)
    }

    /// Takes one piece of the current file. False at its end.
    fn read_piece(&mut self, lines: &mut Vec<LogLine>) -> io::Result<bool> {
        const PIECE_BYTES: usize = 16 * 1024;
        let Some(current) = &mut self.current else {
            return Ok(false);
        };
        let mut piece = [0; PIECE_BYTES];
        let count = current.read(&mut piece)?;
        for part in piece
            .get(..count)
            .unwrap_or_default()
            .split_inclusive(|byte| *byte == b'\n')
        {
            let (text, ends) = part
                .strip_suffix(b"\n")
                .map_or((part, false), |text| (text, true));
            let room = RAW_LINE_BYTES_MAX.saturating_sub(self.unfinished.len());
            self.unfinished
                .extend_from_slice(text.get(..room).unwrap_or(text));
            if ends {
                lines.extend(LogLine::parse(&self.unfinished));
                self.unfinished.clear();
            }
        }
        Ok(count > 0)
    }

    /// At the end of a file: whether another has taken its place, which is then the current one.
    fn go_on(&mut self) -> io::Result<bool> {
        let Some(current) = &self.current else {
            self.current = open(&self.log.path_of(0))?;
            return Ok(self.current.is_some());
        };
        let inode = current.metadata()?.ino();
        if std::fs::metadata(self.log.path_of(0)).is_ok_and(|now| now.ino() == inode) {
            return Ok(false);
        }
        let mut files = self.log.open_all()?;
        let own = files
            .iter()
            .position(|file| file.metadata().is_ok_and(|file| file.ino() == inode));
        // A file that is gone was rotated away by a flood: the oldest that is left comes next.
        let next = own.map_or(0, |own| own + 1);
        if next >= files.len() {
            return Ok(false);
        }
        self.current = Some(files.swap_remove(next));
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
