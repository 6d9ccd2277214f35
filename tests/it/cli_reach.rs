//! How the command line finds a daemon, and what it says when it does not, or when a name is wrong.

use serde_json::json;

use crate::fake_daemon::{FakeNode, nobody, osier, ran};

#[test]
fn nobody_answers() {
    let folder = tempfile::tempdir().unwrap();
    let gone = nobody(folder.path());
    drop(std::os::unix::net::UnixListener::bind(&gone).unwrap());
    for (socket, why) in [
        ("/nonexistent/osier.sock", "no such socket"),
        (gone.to_str().unwrap(), "nobody listens"),
    ] {
        let ran = ran(osier(&["status", "-o", "json", "--socket", socket]));
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
        assert!(
            ran.err.starts_with("error: no daemon answers\n")
                && ran.err.contains(socket)
                && ran.err.contains(why),
            "{}",
            ran.err
        );
        assert!(
            ran.err.contains("  help   start one: `osier daemon`"),
            "{}",
            ran.err
        );
    }
}

#[test]
fn a_socket_with_a_long_path_is_reached() {
    let daemon = FakeNode::healthy().serve();
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("x".repeat(120));
    std::fs::create_dir(&deep).unwrap();
    let link = deep.join("osier.sock");
    std::os::unix::fs::symlink(&daemon.socket, &link).unwrap();
    let ran = ran(osier(&["status", "--socket", link.to_str().unwrap()]));
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[test]
fn garbage_from_the_socket_is_an_error_that_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = nobody(folder.path());
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let garbage = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let ran = ran(osier(&["status", "--socket", path.to_str().unwrap()]));
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(
        ran.err.contains("the daemon's answer cannot be read"),
        "{}",
        ran.err
    );
    garbage.join().unwrap();
}

#[test]
fn a_wrong_command_is_answered_with_the_nearest_right_one() {
    let daemon = FakeNode::healthy().serve();
    let ran = daemon.osier(&["stauts"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("'status'"), "{}", ran.err);
    let ran = daemon.osier(&["logs", "No Such Name"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("lower-case"), "{}", ran.err);
}

#[test]
fn other_nodes_are_not_supported_yet() {
    for arguments in [&["status", "-n", "lab-b"][..], &["-A", "apps"]] {
        let ran = FakeNode::healthy().serve().osier(arguments);
        assert_eq!(ran.code, Some(2));
        assert!(ran.err.contains("not supported yet"), "{}", ran.err);
    }
}

#[test]
fn version_works_without_a_daemon() {
    let daemon = FakeNode::healthy().serve();
    assert_eq!(
        daemon.osier(&["version", "-o", "json"]).json(),
        json!({"client": env!("CARGO_PKG_VERSION"), "daemon": "0.1.0"})
    );
    let alone = ran(osier(&["version", "-o", "json", "--socket", "/nonexistent"]));
    assert_eq!(
        (alone.code, alone.json()["daemon"].clone()),
        (Some(0), json!(null))
    );
}
