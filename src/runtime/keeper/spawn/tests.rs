//! Every way in which a child can be born, those that only an older kernel or a filter leaves included.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::birth::{bear_by_clone, bear_by_clone3};
use super::handover::Bear;
use super::*;
use crate::runtime::keeper::protocol::ExitHow;

fn handover(room: &Path) -> Handover {
    fs::create_dir(room.join("app")).unwrap();
    let apps = rustix::fs::open(room, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap();
    rustix::fs::mkfifoat(&apps, "app/output", Mode::RUSR | Mode::WUSR).unwrap();
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).unwrap();
    Handover::new(null, apps).unwrap()
}

fn program(script: &str) -> Program {
    let text = |text: &str| CString::new(text).unwrap();
    Program {
        paths: vec![text("/no/such/sh"), text("/bin/sh")],
        arguments: vec![text("sh"), text("-c"), text(script)],
        environment: vec![text("PATH=/bin:/usr/bin")],
        working_dir: text("/"),
        output: text("app/output"),
        open_files: (64, 64),
        user: None,
        umask: 0o022,
        no_new_privileges: false,
        sandbox: None,
        dies_with_keeper: true,
        resets_signals: true,
    }
}

/// Waits until the child has left our memory, and says what it reported.
fn report(born: &Born) -> Option<(SpawnStep, i32)> {
    let mut bytes = [0; 16];
    loop {
        let mut looked = [rustix::event::PollFd::new(
            &born.report,
            rustix::event::PollFlags::IN,
        )];
        rustix::event::poll(&mut looked, None).unwrap();
        match rustix::io::read(&born.report, &mut bytes) {
            Ok(count) => return read_report(&bytes[..count]),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

fn reaped(born: &Born) -> Reaped {
    let mut looked = [rustix::event::PollFd::new(
        &born.pidfd,
        rustix::event::PollFlags::IN,
    )];
    rustix::event::poll(&mut looked, None).unwrap();
    reap_child(born.pid.as_raw_nonzero().get()).unwrap()
}

const WAYS: [(&str, Bear); 2] = [
    ("clone3", bear_by_clone3),
    ("clone", |launching, _| bear_by_clone(launching)),
];

#[test]
fn a_child_is_born_by_every_call_and_with_its_keepers_descriptors_or_a_copy_of_them() {
    for (name, way) in WAYS {
        for shares_descriptors in [true, false] {
            let room = tempfile::tempdir().unwrap();
            let mut handover = handover(room.path());
            // The first only where the kernel can (5.9 or newer).
            handover.shares_descriptors &= shares_descriptors;
            handover.bear = way;
            let output = room.path().join("app/output");
            let mut output = fs::File::options().read(true).write(true).open(output).unwrap();
            let born = handover.bear(program("echo hello; exit 5"), None, &[]).unwrap();
            born.launching.tell(true);
            assert_eq!(report(&born), None, "{name} {shares_descriptors}");
            assert!(born.launching.came_to_exec());
            assert_eq!(reaped(&born).how, ExitHow::Code(5), "{name} {shares_descriptors}");
            let mut said = [0; 6];
            output.read_exact(&mut said).unwrap();
            assert_eq!(&said, b"hello\n", "{name} {shares_descriptors}");
            handover.take_back(born.launching);
        }
    }
}

#[test]
fn a_child_that_is_not_recorded_leaves_without_running_anything() {
    for (name, way) in WAYS {
        let room = tempfile::tempdir().unwrap();
        let mut handover = handover(room.path());
        handover.bear = way;
        let ran = room.path().join("ran");
        let born = handover
            .bear(program(&format!("touch {}", ran.display())), None, &[])
            .unwrap();
        born.launching.tell(false);
        let left = (SpawnStep::Record, libc::ECANCELED);
        assert_eq!(report(&born), Some(left), "{name}");
        assert_eq!(reaped(&born).how, ExitHow::Code(127), "{name}");
        assert!(!ran.exists());
        handover.take_back(born.launching);
    }
}

#[test]
fn a_child_that_is_killed_on_its_way_is_seen_not_to_have_come_to_exec() {
    let room = tempfile::tempdir().unwrap();
    let mut handover = handover(room.path());
    let born = handover.bear(program("true"), None, &[]).unwrap();
    rustix::process::pidfd_send_signal(&born.pidfd, rustix::process::Signal::KILL).unwrap();
    assert_eq!(report(&born), None);
    assert!(!born.launching.came_to_exec());
    assert_eq!(reaped(&born).how, ExitHow::Signal(libc::SIGKILL));
    handover.take_back(born.launching);
}

#[test]
fn a_kernel_that_cannot_bear_into_a_group_is_told_from_one_that_is_out_of_processes() {
    // Before 5.7: the argument is too long, or the flag unknown. A filter: no such call, or not permitted.
    for error in [Errno::TOOBIG, Errno::INVAL, Errno::NOSYS, Errno::PERM] {
        assert!(is_no_birth(error), "{error}");
    }
    assert!(!is_no_birth(Errno::AGAIN) && !is_no_birth(Errno::NOMEM));
}
