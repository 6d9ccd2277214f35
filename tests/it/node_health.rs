//! Health as a user meets it: the real binary, real servers, real processes.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use osier::node::{Git, Node, ProcessSettings};
use osier::prelude::{EmbeddedContext, Factories, HealthContext};
use osier::status::{HealthState, RunState};
use rustix::process::Signal;
use serde_json::Value as Json;

use crate::node_life::wait;
use crate::real_daemon::{Followed, sleeper};
use crate::specs_repository::Specs;

/// A web server of the test's own that answers each request with the status that it is told to; 0: it never answers.
struct Server {
    port: u16,
    status: Arc<AtomicU32>,
    /// Connections so far, open ones, and how many were open at once at most.
    counts: Arc<[AtomicU32; 3]>,
}

impl Server {
    fn start(status: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            status: Arc::new(AtomicU32::new(status)),
            counts: Arc::default(),
        };
        let (status, counts) = (Arc::clone(&server.status), Arc::clone(&server.counts));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (status, counts) = (Arc::clone(&status), Arc::clone(&counts));
                thread::spawn(move || serve(stream, &status, &counts));
            }
        });
        server
    }

    fn answer(&self, status: u32) {
        self.status.store(status, Ordering::SeqCst);
    }

    fn at_once_max(&self) -> u32 {
        self.counts[2].load(Ordering::SeqCst)
    }

    fn asked_count(&self) -> u32 {
        self.counts[0].load(Ordering::SeqCst)
    }
}

fn serve(mut stream: TcpStream, status: &AtomicU32, counts: &[AtomicU32; 3]) {
    counts[0].fetch_add(1, Ordering::SeqCst);
    let open = counts[1].fetch_add(1, Ordering::SeqCst) + 1;
    counts[2].fetch_max(open, Ordering::SeqCst);
    let mut request = [0; 1024];
    let _ = stream.read(&mut request);
    match status.load(Ordering::SeqCst) {
        // Until the other side gives up.
        0 => drop(stream.read(&mut request)),
        status => {
            let _ = stream.write_all(format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n").as_bytes());
        }
    }
    counts[1].fetch_sub(1, Ordering::SeqCst);
}

fn http(port: u16, more: &str) -> String {
    format!("health: {{ type: http, port: {port}, path: /health, interval: 200ms, timeout: 300ms{more} }}\n")
}

fn is_healthy(state: &Json) -> bool {
    state["health"] == "healthy" && state["status"] == "running"
}

fn node(apps: &[(&str, String)]) -> Followed {
    let specs = Specs::new();
    for (app, spec) in apps {
        specs.put(&format!("apps/{app}/app.yaml"), spec);
    }
    specs.commit("apps");
    Followed::start(specs, &[])
}

const QUICK: &str = "restart: { intensity: 100, backoff: { initial: 100ms, max: 100ms } }\n";

#[test]
fn an_app_that_answers_badly_is_shown_restarted_and_well_again() {
    let server = Server::start(200);
    let spec = sleeper(&(http(server.port, "") + QUICK));
    let daemon = node(&[("web", spec), ("other", sleeper(""))]);
    daemon.wait("healthy", |daemon| is_healthy(&daemon.app("web")));
    let (before, other) = (daemon.app_pid("web").unwrap(), daemon.app_pid("other"));
    server.answer(503);
    daemon.wait("restarted", |daemon| {
        let state = daemon.app("web");
        state["restarts"].as_u64() >= Some(1) && state["os_pid"].as_u64().is_some_and(|pid| pid != before)
    });
    let restart = &daemon.events("app.restart")[0];
    assert_eq!(
        (&restart["metadata"]["exit"], &restart["metadata"]["app"]),
        (&"unhealthy".into(), &"web".into())
    );
    let reason = format!(
        "unhealthy: http 503 from http://127.0.0.1:{}/health, 3 times in a row",
        server.port
    );
    let told = daemon.events("health.changed");
    let ill = told
        .iter()
        .find(|event| event["metadata"]["to"] == "unhealthy")
        .expect("it was told");
    assert_eq!(ill["metadata"]["reason"], reason.as_str());
    daemon.wait("why it is so", |daemon| {
        let why = daemon.osier(&["why", "web"]).out;
        why.contains("http 503 from http://127.0.0.1")
    });
    let show = daemon.does(&["show", "app/web"]).out;
    assert!(show.contains("unhealthy (signal 15)"), "{show}");
    server.answer(200);
    daemon.wait("well again", |daemon| is_healthy(&daemon.app("web")));
    assert_eq!(daemon.app_pid("other"), other, "its neighbour never noticed");
    assert_eq!(daemon.app("other")["restarts"], 0);
    let state = daemon.app("web");
    assert_eq!(
        (&state["checks"]["type"], &state["checks"]["failures"]),
        (&"http".into(), &0.into())
    );
    assert_eq!(state["last_error"], Json::Null);
}

#[test]
fn a_server_that_hangs_is_asked_by_one_probe_at_a_time_and_given_up_within_the_budget() {
    let (hangs, good) = (Server::start(0), Server::start(200));
    let budget = "restart: { intensity: 1, period: 10m, backoff: { initial: 100ms, max: 100ms } }\n";
    let daemon = node(&[
        ("hangs", sleeper(&(http(hangs.port, "") + budget))),
        ("good", sleeper(&http(good.port, ""))),
    ]);
    daemon.wait("it gave up", |daemon| daemon.app("hangs")["status"] == "failed");
    let state = daemon.app("hangs");
    assert_eq!(
        (&state["restarts"], &state["health"]),
        (&1.into(), &"unhealthy".into())
    );
    let error = state["last_error"]["message"].as_str().unwrap();
    assert!(
        error.contains("no answer from") && error.ends_with("3 times in a row"),
        "{error}"
    );
    assert_eq!(hangs.at_once_max(), 1);
    assert_eq!(hangs.asked_count(), 6, "three for each of two instances");
    assert!(is_healthy(&daemon.app("good")));
    assert_eq!(daemon.app("good")["restarts"], 0);
    let status = daemon.status();
    assert_eq!(status["status"], "degraded");
}

#[test]
fn dependants_wait_until_the_app_is_healthy_by_its_checks() {
    let server = Server::start(503);
    let daemon = node(&[
        ("db", sleeper(&http(server.port, ", failure_threshold: 10000"))),
        ("web", sleeper("depends_on: [db]\n")),
    ]);
    daemon.wait("db runs", |daemon| daemon.app("db")["status"] == "running");
    daemon.wait("web waits", |daemon| daemon.app("web")["status"] == "waiting");
    let asked = server.asked_count();
    daemon.wait("it is asked again and again", |_| {
        server.asked_count() > asked + 5
    });
    assert_eq!(daemon.app("web")["status"], "waiting");
    server.answer(200);
    daemon.wait("web runs", |daemon| daemon.app("web")["status"] == "running");
    let told = daemon.events("health.changed");
    let healthy = told
        .iter()
        .find(|event| event["metadata"]["app"] == "db")
        .unwrap();
    let deployed = daemon.events("deploy.stop");
    let web = deployed
        .iter()
        .find(|event| event["metadata"]["app"] == "web")
        .unwrap();
    assert!(healthy["timestamp"].as_u64() <= web["timestamp"].as_u64());
}

#[test]
fn a_daemon_that_comes_back_calls_nobody_ill_and_checks_at_once() {
    let server = Server::start(200);
    let health = format!("health: {{ port: {}, interval: 1h, timeout: 1s }}\n", server.port);
    let mut daemon = node(&[("web", sleeper(&health))]);
    daemon.wait("healthy", |daemon| is_healthy(&daemon.app("web")));
    let pid = daemon.app_pid("web");
    // What an operator asks for is on the disk before it is answered, and with it all that was known before.
    daemon.does(&["reconcile", "--wait"]);
    server.answer(503);
    daemon.kill();
    let asked = server.asked_count();
    daemon.start();
    daemon.wait("checked at once", |daemon| {
        daemon.app("web")["checks"]["failures"] == 1
    });
    assert_eq!(server.asked_count(), asked + 1);
    let state = daemon.app("web");
    assert!(is_healthy(&state), "{state}");
    assert_eq!(daemon.app_pid("web"), pid);
    let why = daemon.does(&["why", "web"]).out;
    assert!(
        why.contains("is healthy, though its checks fail: http 503"),
        "{why}"
    );
    let ill = daemon.events("health.changed");
    assert!(
        ill.iter().all(|event| event["metadata"]["to"] == "healthy"),
        "{ill:?}"
    );
}

/// Waits for a file in its data folder before it says that it is ready; then says that it lives as long as another is there.
const NOTIFIER: &str = r#"
use Socket;
socket(my $ear, PF_UNIX, SOCK_DGRAM, 0);
my $to = pack_sockaddr_un($ENV{NOTIFY_SOCKET});
die "no watchdog" unless $ENV{WATCHDOG_USEC} == 3000000;
select(undef, undef, undef, 0.02) until -e "ready";
send($ear, "READY=1\nSTATUS=open for business", 0, $to);
open(my $said, ">", "said");
while (1) {
    send($ear, "WATCHDOG=1", 0, $to) unless -e "silent";
    select(undef, undef, undef, 0.1);
}
"#;

#[test]
fn ready_is_heard_while_the_daemon_is_away_and_silence_is_answered() {
    let program: String = NOTIFIER.lines().map(|line| format!("    {line}\n")).collect();
    let spec = format!(
        "version: 1\ncommand:\n- perl\n- -e\n- |\n{program}health: {{ type: notify, interval: 1h, watchdog: 3s }}\n{QUICK}"
    );
    let mut daemon = node(&[("web", spec)]);
    daemon.wait("it runs", |daemon| daemon.app("web")["status"] == "running");
    assert_eq!(daemon.app("web")["health"], "unknown");
    let pid = daemon.app_pid("web").unwrap();
    daemon.kill();
    let data = daemon.app_dir("web").join("data");
    std::fs::write(data.join("ready"), "").unwrap();
    // Said while nobody but the keeper listens.
    crate::poll::until_blocking("the word was said", || data.join("said").exists());
    daemon.start();
    daemon.wait("healthy", |daemon| is_healthy(&daemon.app("web")));
    assert_eq!(daemon.app_pid("web"), Some(pid));
    let show = daemon.does(&["show", "app/web"]).out;
    assert!(show.contains("it says: open for business"), "{show}");
    std::fs::write(data.join("silent"), "").unwrap();
    daemon.wait("restarted", |daemon| {
        daemon.app("web")["restarts"].as_u64() >= Some(1)
    });
    let told = daemon.events("health.changed");
    let ill = told
        .iter()
        .find(|event| event["metadata"]["to"] == "unhealthy")
        .expect("it was told");
    assert_eq!(
        ill["metadata"]["reason"],
        "unhealthy: it has not said WATCHDOG=1 for 3s"
    );
}

#[test]
fn a_command_is_run_as_the_app_is_and_its_words_are_the_reason() {
    let command = r#"health: { type: command, command: [sh, -c, "test -e well || { echo not well: $OSIER_APP in $PWD; exit 7; }"], interval: 200ms, timeout: 5s, failure_threshold: 10000 }
"#;
    let daemon = node(&[("web", sleeper(command))]);
    daemon.wait("checked", |daemon| {
        daemon.app("web")["checks"]["failures"].as_u64() >= Some(2)
    });
    let data = daemon.app_dir("web").join("data");
    let reason = daemon.app("web")["checks"]["reasons"][0]["reason"].clone();
    assert_eq!(
        reason,
        format!("sh: exit 7: not well: web in {}", data.display()).as_str()
    );
    let show = daemon.does(&["show", "app/web"]).out;
    assert!(
        show.contains("Failed checks") && show.contains("not well: web"),
        "{show}"
    );
    std::fs::write(data.join("well"), "").unwrap();
    daemon.wait("healthy", |daemon| is_healthy(&daemon.app("web")));
    let tree = daemon.does(&["tree"]).out;
    assert!(
        tree.contains("health") && tree.contains("command, healthy"),
        "{tree}"
    );
    // The actor that checks may be killed, as any other.
    daemon.does(&["tree", "kill", "core/apps/web/health"]);
    std::fs::remove_file(data.join("well")).unwrap();
    daemon.wait("another one checks", |daemon| {
        daemon.app("web")["checks"]["failures"].as_u64() >= Some(2)
    });
    assert_eq!(daemon.app("web")["health"], "healthy");
}

#[test]
fn a_port_that_nobody_listens_on_is_ill_and_one_that_is_open_is_well() {
    let server = Server::start(200);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let free = closed.local_addr().unwrap().port();
    drop(closed);
    let tcp = |port: u16| {
        format!("health: {{ type: tcp, port: {port}, interval: 200ms }}\nrestart: {{ type: temporary }}\n")
    };
    let daemon = node(&[
        ("open", sleeper(&tcp(server.port))),
        ("closed", sleeper(&tcp(free))),
    ]);
    daemon.wait("both are known", |daemon| {
        is_healthy(&daemon.app("open")) && daemon.app("closed")["health"] == "unhealthy"
    });
    let state = daemon.app("closed");
    assert_eq!(state["status"], "running", "a temporary app is not restarted");
    let why = daemon.does(&["why", "closed"]).out;
    assert!(
        why.contains(&format!("is not healthy: nobody listens on 127.0.0.1:{free}")),
        "{why}"
    );
    let status = daemon.osier(&["status"]);
    assert_eq!(status.code, Some(1));
    assert!(status.out.contains("1 app unhealthy: closed"), "{}", status.out);
    daemon.signal(Signal::TERM);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_says_how_its_apps_fare() {
    let specs = Specs::new();
    let health =
        "health: { type: custom, module: queue, interval: 100ms, timeout: 200ms, failure_threshold: 2 }\n";
    specs.put(
        "apps/ticker/app.yaml",
        &format!("version: 1\nisolation: embedded\n{health}restart: {{ backoff: {{ initial: 10ms, max: 10ms }}, intensity: 1000 }}\n"),
    );
    specs.put(
        "apps/unknown/app.yaml",
        "version: 1\ncommand: [sleep, '1000']\nhealth: { type: custom, module: other }\n",
    );
    specs.commit("an embedded app");
    let folder = tempfile::tempdir().unwrap();
    let factories = Factories::new().future("ticker", |mut context: EmbeddedContext| async move {
        context.stop.wait().await;
        Ok::<(), std::io::Error>(())
    });
    let mood = Arc::new(AtomicU32::new(0));
    let felt = Arc::clone(&mood);
    let node = Node::builder(Git::new(specs.url()))
        .name("n1")
        .data_dir(folder.path())
        .interval(Duration::from_secs(1))
        .embedded(factories)
        .processes(ProcessSettings::installed(env!("CARGO_BIN_EXE_osier")).ending_with_node())
        .health_check("queue", move |app: HealthContext| {
            let mood = felt.load(Ordering::SeqCst);
            async move {
                assert_eq!(app.spec.name.as_str(), "ticker");
                match mood {
                    0 => Ok(()),
                    1 => Err(std::io::Error::other("the queue is full")),
                    _ => std::future::pending().await,
                }
            }
        });
    let node = node.start().await.unwrap();
    wait(&node, "healthy", |_, apps| {
        apps.get("ticker")
            .is_some_and(|app| app.health == HealthState::Healthy)
            && apps.contains_key("unknown")
    })
    .await;
    let unknown = node.app("unknown").unwrap();
    assert_eq!(unknown.status, RunState::Invalid);
    let error = unknown.last_error.unwrap().message;
    assert!(error.contains("no health function `other`"), "{error}");
    for (bad, reason) in [
        (1, "the queue is full"),
        (2, "no answer from the host's function within 200ms"),
    ] {
        let before = node.app("ticker").unwrap().restarts;
        mood.store(bad, Ordering::SeqCst);
        wait(&node, reason, |_, apps| {
            let ticker = &apps["ticker"];
            let error = ticker.last_error.as_ref();
            ticker.restarts > before && error.is_some_and(|error| error.message.contains(reason))
        })
        .await;
    }
    mood.store(0, Ordering::SeqCst);
    wait(&node, "well again", |_, apps| {
        apps["ticker"].health == HealthState::Healthy
    })
    .await;
    node.shutdown().await;
}
