//! The lines of several files from the last to the first, a block at a time.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::RAW_LINE_BYTES_MAX;

/// One read. A line spans several only if it is very long.
const BLOCK_BYTES: usize = 64 * 1024;

/// An iterator over raw lines, newest first.
#[derive(Debug)]
pub struct Backwards<'a> {
    files: &'a [File],
    /// The file that is read: the last `file` ones are done.
    file: usize,
    /// Everything from here on in that file has been given or is in `tail`; none: the file has not been begun.
    read_from: Option<u64>,
    /// Bytes from `read_from` to the beginning of the line that was given last.
    tail: Vec<u8>,
}

impl<'a> Backwards<'a> {
    /// Over `files`, which stand oldest first.
    pub fn new(files: &'a [File]) -> Self {
        Self {
            files,
            file: files.len(),
            read_from: None,
            tail: Vec::new(),
        }
    }

    /// Where the line that was given last begins: the index of its file and the offset.
    pub fn place(&self) -> (usize, u64) {
        (
            self.file.saturating_sub(1),
            self.read_from.unwrap_or(0) + self.tail.len() as u64,
        )
    }

    fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let Some(file) = self.file.checked_sub(1).and_then(|index| self.files.get(index)) else {
                return Ok(None);
            };
            let read_from = match self.read_from {
                Some(read_from) => read_from,
                None => file.metadata()?.len(),
            };
            self.read_from = Some(read_from);
            // The line before the end of `tail`: its own end is the last byte, if it has one.
            let content = self.tail.strip_suffix(b"\n").unwrap_or(&self.tail);
            if let Some(end_before) = content.iter().rposition(|byte| *byte == b'\n') {
                let line = content.get(end_before + 1..).unwrap_or_default().to_vec();
                self.tail.truncate(end_before + 1);
                return Ok(Some(line));
            }
            if read_from == 0 {
                let line = content.to_vec();
                let had_any = !self.tail.is_empty();
                self.tail.clear();
                if had_any {
                    return Ok(Some(line));
                }
                self.file -= 1;
                self.read_from = None;
                continue;
            }
            self.read_block(file, read_from)?;
        }
    }

    fn read_block(&mut self, file: &File, read_from: u64) -> io::Result<()> {
        let begin = read_from.saturating_sub(BLOCK_BYTES as u64);
        let bytes = usize::try_from(read_from - begin).unwrap_or(BLOCK_BYTES);
        let mut block = vec![0; bytes];
        file.read_exact_at(&mut block, begin)?;
        // A line longer than any of the keeper's: its end is let go.
        self.tail.truncate(RAW_LINE_BYTES_MAX.max(BLOCK_BYTES));
        block.append(&mut self.tail);
        self.tail = block;
        self.read_from = Some(begin);
        Ok(())
    }
}

impl Iterator for Backwards<'_> {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_line().transpose()
    }
}
