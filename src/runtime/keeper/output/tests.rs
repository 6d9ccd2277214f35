use super::*;

fn writer() -> LineWriter {
    LineWriter {
        time: "T".into(),
        mark: *b"01234567",
        ..LineWriter::default()
    }
}

/// All of `pieces` through one writer with plenty of room.
fn written(pieces: &[&[u8]]) -> String {
    let (mut writer, mut out) = (writer(), Vec::new());
    for piece in pieces {
        let (taken, _) = writer.push(piece, usize::MAX, &mut out);
        assert_eq!(taken, piece.len());
    }
    String::from_utf8_lossy(&out).replace("T 01234567 ", "")
}

#[test]
fn a_line_is_written_as_it_comes_and_marked_once() {
    assert_eq!(
        written(&[b"one\ntw", b"o", b"\n\nthree"]),
        "| one\n| two\n| \n| three"
    );
}

#[test]
fn a_line_that_is_too_long_is_continued() {
    let long = vec![b'x'; LINE_BYTES_MAX + 3];
    let expected = format!("| {}\n+ xxx\n| end\n", "x".repeat(LINE_BYTES_MAX));
    assert_eq!(written(&[&long, b"\nend\n"]), expected);
}

#[test]
fn a_line_of_just_the_greatest_length_is_not_continued() {
    let long = vec![b'x'; LINE_BYTES_MAX];
    let expected = format!("| {}\n| end\n", "x".repeat(LINE_BYTES_MAX));
    assert_eq!(written(&[&long, b"\nend\n"]), expected);
    let mut at_once = long.clone();
    at_once.extend_from_slice(b"\nend\n");
    assert_eq!(written(&[&at_once]), expected);
}

#[test]
fn the_cut_of_the_input_does_not_show() {
    let text: Vec<u8> = (0..40_000u32)
        .map(|at| {
            if at % 19_001 == 0 {
                b'\n'
            } else {
                b'a' + (at % 26) as u8
            }
        })
        .collect();
    let whole = written(&[&text]);
    for cut in [1, 7, 4096, LINE_BYTES_MAX - 1, LINE_BYTES_MAX, LINE_BYTES_MAX + 1] {
        let pieces: Vec<&[u8]> = text.chunks(cut).collect();
        assert!(written(&pieces) == whole, "cut every {cut} bytes");
    }
}

#[test]
fn no_more_is_added_than_there_is_room() {
    let (mut writer, mut out) = (writer(), Vec::new());
    let newlines = vec![b'\n'; READ_BYTES];
    let room = 2 * PIECE_BYTES_MAX;
    let (taken, lines_count) = writer.push(&newlines, room, &mut out);
    assert!(out.len() <= room && taken > 0 && taken < newlines.len());
    assert_eq!(lines_count, taken as u64);
}

#[test]
fn the_budget_refills_with_time_and_never_beyond_the_burst() {
    let mut budget = Budget::full();
    let start = budget.filled_at;
    assert_eq!(budget.available(start), BURST_BYTES);
    budget.spend(BURST_BYTES);
    assert_eq!(budget.available(start), 0);
    let second = std::time::Duration::from_secs(1);
    assert_eq!(budget.available(start + second), RATE_BYTES_PER_S);
    assert_eq!(budget.available(start + second * 3600), BURST_BYTES);
}

struct Rig {
    path: tempfile::TempDir,
    apps: OwnedFd,
    app_side: OwnedFd,
    output: Output,
    scratch: Scratch,
}

fn rig(limits: LogLimits) -> Rig {
    use rustix::fs::{Mode, OFlags};
    let path = tempfile::tempdir().unwrap();
    std::fs::create_dir(path.path().join("a")).unwrap();
    let apps = rustix::fs::open(path.path(), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
    let (read, app_side) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).unwrap();
    let output = Output::new(&"a".parse().unwrap(), read, limits);
    Rig {
        path,
        apps,
        app_side,
        output,
        scratch: Scratch::default(),
    }
}

impl Rig {
    fn write(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(READ_BYTES) {
            assert_eq!(rustix::io::write(&self.app_side, piece).unwrap(), piece.len());
            self.output.pump(self.apps.as_fd(), &mut self.scratch);
        }
    }

    fn log(&self, name: &str) -> Option<Vec<u8>> {
        std::fs::read(self.path.path().join("a/logs").join(name)).ok()
    }
}

#[test]
fn files_keep_to_their_number_and_size_and_lose_no_line_that_is_still_kept() {
    let limits = LogLimits {
        file_bytes_max: 128 * 1024,
        files_max: 3,
    };
    let mut rig = rig(limits);
    let line_count = 20_000;
    let text: String = (0..line_count).map(|at| format!("line {at}\n")).collect();
    rig.write(text.as_bytes());
    let names = ["output.log.2", "output.log.1", "output.log"];
    let mut seen = Vec::new();
    for name in names {
        let content = rig.log(name).unwrap();
        assert!(content.len() as u64 <= limits.file_bytes_max);
        seen.extend(
            String::from_utf8(content)
                .unwrap()
                .lines()
                .map(|line| line[36..].to_owned()),
        );
    }
    assert_eq!(rig.log("output.log.3"), None);
    let first = line_count - seen.len();
    let expected: Vec<String> = (first..line_count).map(|at| format!("line {at}")).collect();
    assert!(seen.len() > 5_000 && seen == expected);
}

#[test]
fn a_flood_is_dropped_counted_and_told() {
    let mut rig = rig(LogLimits::default());
    let chunk = [b"0123456789abcde\n".repeat(READ_BYTES / 16)].concat();
    let chunks_count = 400; // 25 MiB
    for _ in 0..chunks_count {
        rig.write(&chunk);
    }
    let counters = rig.output.counters();
    assert_eq!(
        counters.bytes_count + counters.dropped_bytes_count,
        (chunks_count * READ_BYTES) as u64
    );
    assert_eq!(
        counters.lines_count + counters.dropped_lines_count,
        (chunks_count * READ_BYTES / 16) as u64
    );
    assert!(
        counters.bytes_count >= BURST_BYTES && counters.dropped_bytes_count > 0,
        "{counters:?}"
    );
    rig.output.remark_dropped(rig.apps.as_fd(), &mut rig.scratch);
    let current = String::from_utf8(rig.log("output.log").unwrap()).unwrap();
    assert!(
        current.lines().last().unwrap().ends_with("dropped"),
        "{:?}",
        current.lines().last()
    );
}

#[test]
fn a_log_folder_that_was_removed_is_made_again() {
    let mut rig = rig(LogLimits::default());
    rig.write(b"one\n");
    std::fs::remove_dir_all(rig.path.path().join("a/logs")).unwrap();
    rig.write(b"two\n");
    assert!(rig.log("output.log").unwrap().ends_with(b"| two\n"));
}
