use super::*;

struct Rig {
    _folder: tempfile::TempDir,
    log: AppLog,
    runs: [InstanceId; 3],
}

/// Three runs over three files: `first 0..`, `second 0..`, `third 0..`, 1,000 lines each, one a second.
fn rig() -> Rig {
    let folder = tempfile::tempdir().unwrap();
    let log = AppLog::new(folder.path(), &"web".parse().unwrap());
    std::fs::create_dir_all(&log.folder).unwrap();
    let runs = [1u128, 2, 3].map(|run| format!("{run}{:031x}", 0).parse().unwrap());
    for (age, (run, name)) in runs.iter().zip(["first", "second", "third"]).enumerate() {
        let lines: String = (0..1000)
            .map(|at| line(run, age * 1000 + at, &format!("{name} {at}")))
            .collect();
        std::fs::write(log.path_of(2 - u32::try_from(age).unwrap()), lines).unwrap();
    }
    Rig {
        _folder: folder,
        log,
        runs,
    }
}

fn line(run: &InstanceId, second: usize, text: &str) -> String {
    let at = jiff::Timestamp::from_second(i64::try_from(second).unwrap()).unwrap();
    format!("{at:.3} {} | {text}\n", mark_of(run))
}

fn texts(lines: impl IntoIterator<Item = LogLine>) -> Vec<String> {
    lines.into_iter().map(|line| line.shown()).collect()
}

impl Rig {
    fn read(&self, tail: Option<usize>, since_s: Option<i64>, run: RunChoice) -> Vec<String> {
        let since_ms = since_s.map(|since| since * 1000);
        let query = LogQuery { tail, since_ms, run };
        let lines: io::Result<Vec<LogLine>> = self.log.read(&query).unwrap().collect();
        texts(lines.unwrap())
    }
}

#[test]
fn the_whole_log_comes_in_order_across_files() {
    let rig = rig();
    let all = rig.read(None, None, RunChoice::All);
    assert_eq!(
        (all.len(), all[0].as_str(), all[2999].as_str()),
        (3000, "first 0", "third 999")
    );
    assert_eq!((all[999].as_str(), all[1000].as_str()), ("first 999", "second 0"));
}

#[test]
fn the_last_lines_are_found_from_the_end() {
    let rig = rig();
    assert_eq!(
        rig.read(Some(2), None, RunChoice::All),
        ["third 998", "third 999"]
    );
    let across = rig.read(Some(1001), None, RunChoice::All);
    assert_eq!(
        (across.len(), across[0].as_str(), across[1].as_str()),
        (1001, "second 999", "third 0")
    );
    assert_eq!(rig.read(Some(5000), None, RunChoice::All).len(), 3000);
    assert_eq!(rig.read(Some(0), None, RunChoice::All), Vec::<String>::new());
}

#[test]
fn lines_of_a_time_and_of_a_run_are_chosen() {
    let rig = rig();
    let [_, second, third] = rig.runs.clone();
    assert_eq!(
        rig.read(None, Some(2998), RunChoice::All),
        ["third 998", "third 999"]
    );
    assert_eq!(rig.read(Some(1), Some(2998), RunChoice::All), ["third 999"]);
    assert_eq!(
        rig.read(Some(9), Some(9999), RunChoice::All),
        Vec::<String>::new()
    );
    assert_eq!(rig.read(Some(1), None, RunChoice::Before(None)), ["second 999"]);
    assert_eq!(
        rig.read(Some(1), None, RunChoice::Before(Some(second.clone()))),
        ["third 999"]
    );
    assert_eq!(rig.read(None, None, RunChoice::Before(Some(third))).len(), 1000);
}

#[test]
fn foreign_and_endless_lines_are_survived() {
    let rig = rig();
    let path = rig.log.path_of(0);
    let mut content = std::fs::read(&path).unwrap();
    content.extend_from_slice(&vec![b'x'; 300_000]);
    content.extend_from_slice(b"\n\n\0\xff\n");
    content.extend_from_slice(line(&rig.runs[2], 3000, &"y".repeat(LINE_BYTES_MAX)).as_bytes());
    content.extend_from_slice(b"2026-11-23T20:03:11.120Z 30000000 | unfinished");
    std::fs::write(&path, content).unwrap();
    let last = rig.read(Some(3), None, RunChoice::All);
    assert_eq!(
        (last[0].as_str(), last[1].len(), last[2].as_str()),
        ("third 999", LINE_BYTES_MAX, "unfinished")
    );
    assert_eq!(rig.read(None, None, RunChoice::All).len(), 3002);
}

#[test]
fn there_need_not_be_a_log() {
    let folder = tempfile::tempdir().unwrap();
    let log = AppLog::new(folder.path(), &"web".parse().unwrap());
    assert_eq!(log.read(&LogQuery::default()).unwrap().count(), 0);
    assert_eq!(log.follow().unwrap().poll().unwrap(), []);
}

#[test]
fn a_follower_sees_every_line_once_through_rotations_and_only_whole_lines() {
    use std::io::Write;
    let rig = rig();
    let mut follower = rig.log.follow().unwrap();
    assert_eq!(follower.poll().unwrap(), []);
    let append = |text: &str| {
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(rig.log.path_of(0))
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    let rotate = || {
        for age in (0..4).rev() {
            let _ = std::fs::rename(rig.log.path_of(age), rig.log.path_of(age + 1));
        }
    };
    let run = &rig.runs[2];
    append(&line(run, 1, "a"));
    let half = line(run, 2, "b");
    append(&half[..half.len() - 1]);
    assert_eq!(texts(follower.poll().unwrap()), ["a"]);
    append("\n");
    rotate();
    append(&line(run, 3, "c"));
    rotate();
    append(&line(run, 4, "d"));
    assert_eq!(texts(follower.poll().unwrap()), ["b", "c", "d"]);
    rotate();
    assert_eq!(follower.poll().unwrap(), []);
    append(&line(run, 5, "e"));
    assert_eq!(texts(follower.poll().unwrap()), ["e"]);
}
