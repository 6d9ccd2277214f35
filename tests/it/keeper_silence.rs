//! A keeper that lives and does not answer.

use std::future::Future;
use std::time::Duration;

use osier::runtime::Runtime as _;
use osier::runtime::keeper::link::{KeeperError, LinkEvent};
use osier::runtime::keeper::protocol::{ExitHow, Request, Role};

use crate::keeper_rig::{Caller, Rig, app, connected, is_alive, kill, wait_until};
use crate::keeper_runtime::runtime;

/// Lets the time pass at once that `waits` waits for.
async fn at_once<T>(waits: impl Future<Output = T>) -> T {
    tokio::time::pause();
    let result = waits.await;
    tokio::time::resume();
    result
}

#[tokio::test]
async fn a_silent_keeper_is_left_for_another_connection_and_its_apps_are_not_touched() {
    for tied in [false, true] {
        let mut rig = Rig::start_as(tied).await;
        let web = rig.run("web", &["sleep", "1000"]).await;
        kill(rig.hello.pid, libc::SIGSTOP);
        let answer = at_once(rig.link.capabilities()).await;
        assert!(
            matches!(answer, Err(KeeperError::Unreachable { .. })),
            "{answer:?}"
        );
        let event = rig.events.recv().await;
        assert!(
            matches!(event, Some(LinkEvent::Disconnected { .. })),
            "tied: {tied}, {event:?}"
        );
        kill(rig.hello.pid, libc::SIGCONT);
        let hello = connected(&mut rig.events).await;
        assert_eq!(hello.pid, rig.hello.pid);
        let list = rig.link.list().await.unwrap();
        assert_eq!(list.running.len(), 1, "tied: {tied}");
        assert!(is_alive(web.pid) && !list.running[0].stopping);
    }
}

#[tokio::test]
async fn a_keeper_that_hangs_is_noticed_without_traffic_and_forgiven_when_it_goes_on() {
    let rig = Rig::start().await;
    let web = rig.run("web", &["sleep", "1000"]).await;
    let mut trouble = rig.link.trouble();
    assert_eq!(*trouble.borrow_and_update(), None);
    kill(rig.hello.pid, libc::SIGSTOP);
    let passed = at_once(async {
        let begun = tokio::time::Instant::now();
        trouble.changed().await.unwrap();
        begun.elapsed()
    });
    let passed = passed.await;
    assert!(passed <= Duration::from_secs(16), "{passed:?}");
    assert!(trouble.borrow_and_update().is_some());
    kill(web.pid, libc::SIGKILL);
    kill(rig.hello.pid, libc::SIGCONT);
    assert_eq!(rig.exit(&web).await.how, ExitHow::Signal(9));
    wait_until("it is forgiven", || trouble.borrow().is_none()).await;
}

#[tokio::test]
async fn a_look_does_not_deny_a_start_that_waits() {
    let rig = Rig::start().await;
    let runtime = runtime(&rig);
    // An app that no keeper ever had is not asked for.
    rig.exit(&rig.run("web", &["true"]).await).await;
    let mut caller = Caller::connect(&rig.data_dir).unwrap();
    caller.say_hello_as(Role::Daemon);
    kill(rig.hello.pid, libc::SIGSTOP);
    let spawns = vec![rig.spawn_of("web", &["sleep", "1000"])];
    caller.send(Request::Spawn { spawns });
    let go_on = async {
        // All of this is one thread: whoever has something to do does it, and the question is on the socket.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        kill(rig.hello.pid, libc::SIGCONT);
    };
    let web = app("web");
    let (found, ()) = tokio::join!(runtime.adopt(&web), go_on);
    assert!(found.is_err(), "{found:?}");
}
