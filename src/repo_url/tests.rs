use proptest::prelude::*;

use super::*;

fn url(text: &str) -> RepoUrl {
    text.parse().unwrap()
}

#[test]
fn every_allowed_form_is_understood() {
    for (text, scheme, host, port, path) in [
        (
            "/srv/git/specs.git",
            RepoScheme::File,
            None,
            None,
            "/srv/git/specs.git",
        ),
        ("/srv/my specs", RepoScheme::File, None, None, "/srv/my specs"),
        ("file:///srv/specs", RepoScheme::File, None, None, "/srv/specs"),
        (
            "file:///srv/my%20specs",
            RepoScheme::File,
            None,
            None,
            "/srv/my specs",
        ),
        (
            "file://localhost/srv/specs",
            RepoScheme::File,
            None,
            None,
            "/srv/specs",
        ),
        (
            "https://example.com/a/b.git",
            RepoScheme::Https,
            Some("example.com"),
            Some(443),
            "/a/b.git",
        ),
        (
            "HTTPS://Example.COM:8443/a",
            RepoScheme::Https,
            Some("example.com"),
            Some(8443),
            "/a",
        ),
        (
            "http://[::1]:8080/a",
            RepoScheme::Http,
            Some("::1"),
            Some(8080),
            "/a",
        ),
        (
            "ssh://git@example.com/a/b",
            RepoScheme::Ssh,
            Some("example.com"),
            Some(22),
            "/a/b",
        ),
        (
            "ssh://git@[2001:db8::1]:2222/~/b",
            RepoScheme::Ssh,
            Some("2001:db8::1"),
            Some(2222),
            "/~/b",
        ),
        (
            "git@example.com:a/b.git",
            RepoScheme::Ssh,
            Some("example.com"),
            Some(22),
            "a/b.git",
        ),
        ("forge:a", RepoScheme::Ssh, Some("forge"), Some(22), "a"),
        ("git@[::1]:a", RepoScheme::Ssh, Some("::1"), Some(22), "a"),
        ("[::1]:a", RepoScheme::Ssh, Some("::1"), Some(22), "a"),
        (
            "git://127.0.0.1:9999/x",
            RepoScheme::Git,
            Some("127.0.0.1"),
            Some(9999),
            "/x",
        ),
    ] {
        let url = url(text);
        assert_eq!(url.scheme(), scheme, "{text}");
        assert_eq!(url.host(), host, "{text}");
        assert_eq!(url.port(), port, "{text}");
        assert_eq!(url.path(), path, "{text}");
    }
}

#[test]
fn everything_that_could_reach_a_command_line_is_refused() {
    for text in [
        "",
        "-oProxyCommand=x",
        "--upload-pack=x",
        "ext::sh -c id",
        "ext::sh -c 'touch /tmp/x' //",
        "fd::17",
        "testgit::/srv/x",
        "git@ext::sh -c id",
        "ext]::sh -c id",
        "[ext]::sh -c id",
        "[::1:a",
        "ssh://-oProxyCommand=x/y",
        "ssh://-o@host/y",
        "ssh://git@-host/y",
        "git@-oProxyCommand=x:y",
        "-git@host:y",
        "git@host:-y",
        "git@host:",
        "git:hunter2@host:y",
        "ssh://git:secret@host/y",
        "ssh://git@host",
        "ssh://git@ho$st/y",
        "ssh://gi`t`@host/y",
        "git://user@host/y",
        "https://host/a b",
        "https://host/a\nb",
        "https://host/%0ab",
        "https://host/a%00b",
        "https://host/%zz",
        "https://host:0/a",
        "https://host:65536/a",
        "https://host:8a/a",
        "https://hóst/a",
        "https:///a",
        "https://host/a?token=x",
        "https://host/a#x",
        "https://user%0a:x@host/a",
        "file://server/share",
        "file://relative",
        "relative/path",
        "./x",
        "C:\\specs",
        "ftp://host/x",
        "javascript://x/y",
        "/srv/\u{202e}gpj",
        "/srv/x\u{0}",
        "/srv/x\u{1b}[31m",
    ] {
        assert!(text.parse::<RepoUrl>().is_err(), "{text:?}");
    }
    assert!(format!("/{}", "x".repeat(3000)).parse::<RepoUrl>().is_err());
}

#[test]
fn credentials_are_revealed_on_request_and_never_shown() {
    for (text, shown) in [
        ("https://user:hunter2@example.com/a", "https://***@example.com/a"),
        ("https://hunter2@example.com/a", "https://***@example.com/a"),
        (
            "http://x%40y:hunter2%2F@example.com:81/a",
            "http://***@example.com:81/a",
        ),
    ] {
        let url = url(text);
        assert_eq!(url.to_string(), shown);
        assert_eq!(format!("{url:?}"), format!("{shown:?}"));
        assert_eq!(serde_json::to_string(&url).unwrap(), format!("{shown:?}"));
        assert_eq!(url.reveal(), text);
        assert_eq!(url.without_credentials(), shown.replace("***@", ""));
    }
    assert_eq!(url("git@example.com:a/b").to_string(), "git@example.com:a/b");
    assert_eq!(
        url("ssh://git@example.com:2222/a/b").to_string(),
        "ssh://git@example.com:2222/a/b"
    );
}

#[test]
fn a_refusal_does_not_show_credentials_either() {
    for text in [
        "https://user:hunter2@exa mple.com/a",
        "https://example.com/a?token=hunter2",
        "ssh://git:hunter2@host/a",
        "ftp://hunter2@host/a",
        "https://user:hunter2@host:99999999/a",
        "https://user:hun@ter2@host:99999999/a",
    ] {
        let error = text.parse::<RepoUrl>().unwrap_err();
        let said = format!("{error} {error:?}");
        assert!(!said.contains("hunter2") && !said.contains("ter2@"), "{said}");
    }
}

#[test]
fn a_proxy_is_http_without_a_path_and_hides_its_password() {
    let proxy: ProxyUrl = "http://me:hunter2@proxy:3128".parse().unwrap();
    assert_eq!(proxy.to_string(), "http://***@proxy:3128");
    assert_eq!(proxy.reveal(), "http://me:hunter2@proxy:3128/");
    assert!(!format!("{proxy:?}").contains("hunter2"));
    assert_eq!(
        "https://proxy/".parse::<ProxyUrl>().unwrap().to_string(),
        "https://proxy"
    );
    for bad in [
        "",
        "proxy:3128",
        "/srv",
        "ssh://proxy",
        "http://proxy/x",
        "socks5://proxy",
        "http://",
        "-x",
    ] {
        assert!(bad.parse::<ProxyUrl>().is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn parsing_is_total_and_what_it_gives_parses_again(text in "\\PC{0,80}|[a-z+]{1,8}://[ -~]{0,60}|[ -~]{0,60}") {
        if let Ok(url) = text.parse::<RepoUrl>() {
            let again: RepoUrl = url.reveal().parse().unwrap();
            prop_assert_eq!(again.reveal(), url.reveal());
            for part in [url.host().unwrap_or(""), url.path()] {
                prop_assert!(!part.starts_with('-') && !part.chars().any(char::is_control));
            }
            // The user of an http URL goes into a header, never onto a command line; it is held to the same rule.
            prop_assert!(!url.user().unwrap_or("").starts_with('-'));
        }
    }

    #[test]
    fn a_password_never_shows(user in "[a-z]{1,5}", secret in "S3cr3t[A-Za-z0-9]{8}", rest in "[ -~]{0,20}") {
        for text in [format!("https://{user}:{secret}@{rest}"), format!("https://{secret}@{rest}")] {
            let said = match text.parse::<RepoUrl>() {
                Ok(url) => format!("{url} {url:?} {}", serde_json::to_string(&url).unwrap()),
                Err(error) => format!("{error} {error:?}"),
            };
            prop_assert!(!said.contains(&secret), "{}", said);
        }
    }
}
