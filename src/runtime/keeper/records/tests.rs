use std::os::fd::AsFd;

use super::*;
use crate::runtime::keeper::protocol::ExitHow;

fn start(app: &str) -> StartRecord {
    StartRecord {
        app: app.parse().unwrap(),
        instance: InstanceId::random(),
        pid: 4711,
        start_ticks: 99,
        boot_id: "b".into(),
        uid: 0,
        started_at_ms: 1,
        stop_signal: 15,
        stop_grace_ms: 10_000,
        logs: LogLimits::default(),
        not_in_force: Vec::new(),
        label: "l".into(),
        notify: false,
    }
}

fn end_of(start: &StartRecord) -> Exit {
    Exit {
        app: start.app.clone(),
        instance: start.instance.clone(),
        pid: 4711,
        how: ExitHow::Code(3),
        oom: false,
        asked: false,
        killed: false,
        leftovers_count: 0,
        survivors_count: 0,
        started_at_ms: 1,
        at_ms: 2,
        cpu_ms: Some(5),
        label: "l".into(),
    }
}

fn folder() -> (tempfile::TempDir, OwnedFd) {
    let path = tempfile::tempdir().unwrap();
    let fd = rustix::fs::open(path.path(), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
    (path, fd)
}

fn none() -> Vec<Record> {
    Vec::new()
}

#[test]
fn starts_without_end_and_ends_without_acknowledgement_come_back_in_order() {
    let (_keep, folder) = folder();
    let (runs, ended, told) = (start("runs"), start("ended"), start("told"));
    {
        let (mut records, found) = Records::open(folder.as_fd()).unwrap();
        assert_eq!(found, Recovered::default());
        for begun in [&told, &ended, &runs] {
            records.append(&[Record::Start(begun.clone())], none).unwrap();
        }
        records
            .append(&[Record::End(end_of(&told)), Record::End(end_of(&ended))], none)
            .unwrap();
        let instance = told.instance.clone();
        records
            .append(&[Record::Acknowledged { instance }], none)
            .unwrap();
    }
    let (_, found) = Records::open(folder.as_fd()).unwrap();
    assert_eq!(found.starts, [runs]);
    assert_eq!(found.exits, [end_of(&ended)]);
    assert_eq!(found.torn_count, 0);
}

#[test]
fn a_torn_line_costs_itself_alone() {
    let (path, folder) = folder();
    let (first, second, third) = (start("a"), start("b"), start("c"));
    {
        let (mut records, _) = Records::open(folder.as_fd()).unwrap();
        records
            .append(&[Record::Start(first.clone()), Record::Start(second)], none)
            .unwrap();
    }
    let file = path.path().join(FILE);
    let content = std::fs::read(&file).unwrap();
    std::fs::write(&file, &content[..content.len() - 20]).unwrap();
    {
        let (mut records, found) = Records::open(folder.as_fd()).unwrap();
        assert_eq!(
            (found.starts.as_slice(), found.torn_count),
            ([first.clone()].as_slice(), 1)
        );
        records.append(&[Record::Start(third.clone())], none).unwrap();
    }
    let (_, found) = Records::open(folder.as_fd()).unwrap();
    assert_eq!(found.starts, [first, third]);
}

#[test]
fn any_bytes_are_survived() {
    let mut random = fastrand::Rng::with_seed(11);
    let good = lines(&[Record::Start(start("a")), Record::End(end_of(&start("b")))]);
    for _ in 0..2_000 {
        let mut bytes = good.clone();
        for _ in 0..random.usize(1..8) {
            let at = random.usize(..bytes.len());
            bytes[at] = random.u8(..);
        }
        let _ = Recovered::from_bytes(&bytes);
    }
    assert_eq!(Recovered::from_bytes(b"\0\xff\n\n{}\n[]\n").torn_count, 3);
}

#[test]
fn a_file_that_was_cut_or_replaced_is_written_anew_from_memory() {
    let (path, folder) = folder();
    let (before, after) = (start("before"), start("after"));
    let (mut records, _) = Records::open(folder.as_fd()).unwrap();
    records.append(&[Record::Start(before.clone())], none).unwrap();
    for spoil in [
        |file: &std::path::Path| std::fs::write(file, "").unwrap(),
        |file: &std::path::Path| std::fs::remove_file(file).unwrap(),
    ] {
        spoil(&path.path().join(FILE));
        records
            .append(&[Record::Start(after.clone())], || {
                vec![Record::Start(before.clone())]
            })
            .unwrap();
        let content = std::fs::read(path.path().join(FILE)).unwrap();
        assert_eq!(
            Recovered::from_bytes(&content).starts,
            [before.clone(), after.clone()]
        );
    }
}

#[test]
fn a_file_full_of_the_past_is_written_anew() {
    let (path, folder) = folder();
    let (mut records, _) = Records::open(folder.as_fd()).unwrap();
    let lives = start("lives");
    for _ in 0..4_000 {
        let gone = start("gone");
        let instance = gone.instance.clone();
        records
            .append(&[Record::Start(gone), Record::Acknowledged { instance }], || {
                vec![Record::Start(lives.clone())]
            })
            .unwrap();
    }
    let bytes = std::fs::metadata(path.path().join(FILE)).unwrap().len();
    assert!(bytes < 2 * COMPACT_FROM_BYTES, "{bytes}");
    let (_, found) = Records::open(folder.as_fd()).unwrap();
    assert_eq!(found.starts, [lives]);
}
