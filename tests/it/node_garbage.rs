//! Garbage on the sockets of a running node: whoever sends it loses their connection, everybody else is served.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use osier::control::wire;
use osier::rpc::frames::{ClientFrame, REPLY_BYTES_MAX, REQUEST_BYTES_MAX, ServerFrame};
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::keeper_rig::{Caller, status_kib};
use crate::real_daemon::{Followed, PATIENCE, sleeper};
use crate::specs_repository::Specs;

/// More than either socket has places for.
const CROWD: usize = 600;

fn node() -> Followed {
    // Each connection of the crowd is a descriptor of this test's.
    let limit = getrlimit(Resource::Nofile);
    let raised = rustix::process::Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    let specs = Specs::new();
    specs.put("apps/a/app.yaml", &sleeper(""));
    specs.commit("a");
    let daemon = Followed::start(specs, &[]);
    daemon.wait("a runs", |daemon| daemon.app_pid("a").is_some());
    daemon
}

fn connect(socket: &Path) -> UnixStream {
    let stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Bytes that no client sends, each with what is wrong with them.
fn garbage() -> Vec<(&'static str, Vec<u8>)> {
    let framed = |body: Vec<u8>| {
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        [length.to_vec(), body].concat()
    };
    let mut deep = vec![0x91; 100_000];
    deep.push(0xc0);
    vec![
        ("a length of four gigabytes", vec![0xff; 4]),
        (
            "a length just beyond what is allowed",
            (u32::try_from(64 << 20).unwrap() + 1).to_be_bytes().to_vec(),
        ),
        ("a frame of nothing", framed(Vec::new())),
        ("deep nesting", framed(deep)),
        (
            "an array that claims four billion items",
            framed(vec![0xdd, 0xff, 0xff, 0xff, 0xff]),
        ),
        (
            "a text that claims four gigabytes",
            framed(vec![0xdb, 0xff, 0xff, 0xff, 0xff]),
        ),
        ("another protocol", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("no MessagePack", framed(vec![0xc1; 64])),
    ]
}

/// Bytes after which more would have to come.
fn halves() -> Vec<(&'static str, Vec<u8>)> {
    let frame = wire::frame(&ClientFrame::Cancel { id: 1 }, REQUEST_BYTES_MAX).unwrap();
    vec![
        ("half a length", frame[..2].to_vec()),
        ("half a frame", frame[..frame.len() / 2].to_vec()),
        ("a length without its frame", (1_u32 << 20).to_be_bytes().to_vec()),
    ]
}

/// Sends `bytes` and reads until the other end closes.
fn is_cut_off(socket: &Path, bytes: &[u8]) -> bool {
    let mut stream = connect(socket);
    // It may be closed while we still write.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

fn call(id: u64, v: u8, procedure: &str) -> Vec<u8> {
    let frame = ClientFrame::Call {
        v,
        id,
        procedure: procedure.to_owned(),
        timeout_ms: None,
        body: vec![0x80],
    };
    wire::frame(&frame, REQUEST_BYTES_MAX).unwrap()
}

fn answer(stream: &mut UnixStream) -> ServerFrame {
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let length = u32::from_be_bytes(length) as usize;
    assert!(length <= REPLY_BYTES_MAX);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    wire::decode(&body).unwrap()
}

fn serves(daemon: &Followed, pid: Option<u64>) {
    let ran = daemon.osier(&["status"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(daemon.app_pid("a"), pid, "the app is untouched");
}

#[test]
fn garbage_on_the_control_socket_costs_its_sender_the_connection_and_nobody_else_anything() {
    let daemon = node();
    let pid = daemon.app_pid("a");
    for (what, bytes) in garbage() {
        assert!(is_cut_off(&daemon.socket(), &bytes), "{what}");
        serves(&daemon, pid);
    }
    let held: Vec<UnixStream> = halves()
        .into_iter()
        .map(|(_, bytes)| {
            let mut stream = connect(&daemon.socket());
            stream.write_all(&bytes).unwrap();
            stream
        })
        .collect();
    serves(&daemon, pid);
    drop(held);

    // Good frames with a wrong word are answered, on a connection that goes on.
    let mut stream = connect(&daemon.socket());
    stream.write_all(&call(1, 99, "bc_gitops.status")).unwrap();
    assert!(
        matches!(answer(&mut stream), ServerFrame::Failed { id: 1, error } if error.message.contains("version 99"))
    );
    stream.write_all(&call(2, 1, "bc_gitops.\u{1b}[31mnone")).unwrap();
    assert!(
        matches!(answer(&mut stream), ServerFrame::Failed { id: 2, error } if !error.message.contains('\u{1b}'))
    );
    stream.write_all(&call(3, 1, "bc_gitops.show")).unwrap();
    assert!(
        matches!(answer(&mut stream), ServerFrame::Failed { id: 3, .. }),
        "a body that is none"
    );
    stream.write_all(&call(4, 1, "bc_gitops.status")).unwrap();
    assert!(matches!(answer(&mut stream), ServerFrame::Done { id: 4, .. }));
}

#[test]
fn a_crowd_that_says_nothing_or_half_of_something_keeps_nobody_out() {
    let daemon = node();
    let pid = daemon.app_pid("a");
    let half = halves().swap_remove(1).1;
    let mut crowd = Vec::new();
    for number in 0..CROWD {
        let mut stream = connect(&daemon.socket());
        if number % 2 == 0 {
            // One that was sent away meanwhile is as good.
            let _ = stream.write_all(&half);
        }
        crowd.push(stream);
    }
    serves(&daemon, pid);
    // Byte by byte, for as long as it takes.
    for stream in &mut crowd {
        let _ = stream.write_all(&half[..1]);
    }
    serves(&daemon, pid);
    drop(crowd);
    for _ in 0..3_000 {
        drop(connect(&daemon.socket()));
    }
    serves(&daemon, pid);
}

#[test]
fn those_who_leave_in_the_middle_of_an_answer_or_never_read_it_hinder_nobody() {
    let daemon = node();
    let pid = daemon.app_pid("a");
    for _ in 0..50 {
        let mut stream = connect(&daemon.socket());
        stream.write_all(&call(1, 1, "bc_gitops.state")).unwrap();
        let mut some = [0; 8];
        stream.read_exact(&mut some).unwrap();
        drop(stream);
    }
    // These ask again and again and read nothing: their answers wait in bounded queues.
    let mut deaf = Vec::new();
    for _ in 0..20 {
        let mut stream = connect(&daemon.socket());
        stream.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
        let mut id = 1;
        while id < 5_000 && stream.write_all(&call(id, 1, "bc_gitops.state")).is_ok() {
            id += 1;
        }
        deaf.push(stream);
    }
    serves(&daemon, pid);
    drop(deaf);
    serves(&daemon, pid);
}

fn keeper_socket(daemon: &Followed) -> PathBuf {
    daemon.data_dir().join("keeper.sock")
}

#[test]
fn garbage_on_the_keepers_socket_hinders_neither_its_daemon_nor_the_next_one() {
    let mut daemon = node();
    let (pid, socket) = (daemon.app_pid("a"), keeper_socket(&daemon));
    let keeper = Caller::connect(&daemon.data_dir())
        .unwrap()
        .say_hello()
        .unwrap()
        .pid;
    for (what, bytes) in garbage() {
        assert!(is_cut_off(&socket, &bytes), "{what}");
    }
    serves(&daemon, pid);
    daemon.does(&["restart", "a"]);
    let pid = daemon.app_pid("a");

    // A crowd holds more places than there are, and says half of something.
    let mut crowd = Vec::new();
    for (_, bytes) in halves().iter().cycle().take(CROWD) {
        let mut stream = connect(&socket);
        let _ = stream.write_all(bytes);
        crowd.push(stream);
    }
    daemon.kill();
    daemon.start();
    daemon.wait("the next daemon has found the app", |daemon| {
        daemon.app_pid("a") == pid && pid.is_some()
    });
    drop(crowd);
    let rss = status_kib(keeper, "VmRSS");
    assert!(rss < 64 * 1024, "the keeper's memory is bounded: {rss} KiB");
    daemon.does(&["restart", "a"]);
}
