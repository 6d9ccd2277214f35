//! An HTTP proxy and an own certificate authority between the real daemon and its repository.

use crate::git_http::tls;
use crate::git_server_http::HttpServer;
use crate::git_source::Source;
use crate::http_proxy::HttpProxy;
use crate::real_daemon::RealDaemon;

/// `me:hunter2`
const LOGIN: &str = "Basic bWU6aHVudGVyMg==";

const WEB: &str = "version: 1.0.0\ncommand: [/bin/sleep, '1000']\n";

fn proxy_line(port: u16, login: &str) -> String {
    format!("sources.proxy = \"http://{login}127.0.0.1:{port}\"")
}

#[test]
fn https_goes_through_the_proxy_by_connect_and_trusts_the_own_authority() {
    let source = Source::with(&[("apps/web/app.yaml", WEB)]);
    let (ca_file, config) = tls(source.room.path(), "specs.invalid");
    let server = HttpServer::start_tls(source.room.path(), config);
    let proxy = HttpProxy::start(Some(LOGIN));
    let url = format!("https://specs.invalid:{}/source", server.port);
    let ca_line = format!("sources.ca_file = \"{}\"", ca_file.display());
    let mut rig = RealDaemon::new(&url, &[&ca_line, &proxy_line(proxy.port, "me:hunter2@")]);
    rig.start();
    rig.wait_for_sync(source.head().as_str());
    let connect = format!("CONNECT specs.invalid:{} HTTP/1.1", server.port);
    assert!(proxy.seen().contains(&connect), "{:?}", proxy.seen());
    let config = rig.osier(&["config", "show", "--origin"]);
    assert!(config.out.contains("***@127.0.0.1"), "{}", config.out);
    for said in [
        rig.log(),
        config.out,
        rig.osier(&["status", "-o", "json"]).out,
        rig.osier(&["doctor"]).out,
    ] {
        assert!(!said.contains("hunter2"), "{said}");
    }

    // Without the authority the same way leads to a certificate that nobody vouches for.
    rig.leave();
    rig.configure(&url, &[&proxy_line(proxy.port, "me:hunter2@")]);
    rig.start();
    rig.wait_for_reason("certificate");
}

#[test]
fn http_goes_through_the_proxy_with_the_whole_address() {
    let source = Source::with(&[("apps/web/app.yaml", WEB)]);
    let server = HttpServer::start(source.room.path());
    let proxy = HttpProxy::start(None);
    let url = format!("http://specs.invalid:{}/source", server.port);
    let mut rig = RealDaemon::new(&url, &[&proxy_line(proxy.port, "")]);
    rig.start();
    rig.wait_for_sync(source.head().as_str());
    let begin = format!("GET {url}/info/refs?");
    assert!(
        proxy.seen().iter().any(|line| line.starts_with(&begin)),
        "{:?}",
        proxy.seen()
    );
}

#[test]
fn a_proxy_that_wants_another_login_or_is_not_there_is_told_apart_from_the_server() {
    let source = Source::with(&[("apps/web/app.yaml", WEB)]);
    let (ca_file, config) = tls(source.room.path(), "specs.invalid");
    let (plain, secret) = (
        HttpServer::start(source.room.path()),
        HttpServer::start_tls(source.room.path(), config),
    );
    let proxy = HttpProxy::start(Some(LOGIN));
    let ca_line = format!("sources.ca_file = \"{}\"", ca_file.display());
    let urls = [
        format!("https://specs.invalid:{}/source", secret.port),
        format!("http://specs.invalid:{}/source", plain.port),
    ];
    for url in &urls {
        let mut rig = RealDaemon::new(url, &[&ca_line, &proxy_line(proxy.port, "me:wrong-secret@")]);
        rig.start();
        let status = rig.wait_for_reason("see `sources.proxy`");
        assert!(!status.to_string().contains("wrong-secret") && !rig.log().contains("wrong-secret"));
    }
    let absent = unused_port();
    for url in &urls {
        let mut rig = RealDaemon::new(url, &[&ca_line, &proxy_line(absent, "me:wrong-secret@")]);
        rig.start();
        let status = rig.wait_for_reason("by the proxy http://***@127.0.0.1");
        assert!(!status.to_string().contains("wrong-secret") && !rig.log().contains("wrong-secret"));
    }
}

fn unused_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
