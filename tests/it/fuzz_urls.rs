//! Seeded mutation of addresses and references: no panic; what is taken can be no option, no command and no control
//! sequence; what is shown, taken or refused, holds no credential; what is written down reads as the same.

use osier::names::{BranchName, CommitId};
use osier::repo_url::{ProxyUrl, RepoScheme, RepoUrl};

use crate::mutate;

/// What could steer a terminal or hide a part of a text.
fn is_unfit(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
}

/// What must hold of everything that may become a word of a command line.
fn check_word(word: &str) {
    assert!(!word.starts_with('-'), "{word:?} would be an option");
    assert!(!word.chars().any(is_unfit), "{word:?} would steer a terminal");
}

fn check_url(url: &RepoUrl) {
    let shown = url.to_string();
    for word in [url.host(), url.user(), Some(url.path())].into_iter().flatten() {
        check_word(word);
    }
    for text in [&shown, &url.reveal(), &url.without_credentials()] {
        check_word(text);
        // As git finds one: a scheme and two colons.
        let rest = text.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "+-.".contains(c));
        assert!(!rest.starts_with("::"), "{text:?} would be a transport helper");
    }

    let again: RepoUrl = url.reveal().parse().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(&again, &again.reveal().parse::<RepoUrl>().unwrap());
    assert_eq!(
        (
            again.scheme(),
            again.host(),
            again.port(),
            again.path(),
            again.user(),
            again.password()
        ),
        (
            url.scheme(),
            url.host(),
            url.port(),
            url.path(),
            url.user(),
            url.password()
        )
    );
    // Without the login, `user@host:path@x` would read as a login again; it is for the eye and for digests alone.
    if url.scheme() != RepoScheme::Ssh {
        let plain: RepoUrl = url.without_credentials().parse().unwrap();
        assert_eq!((plain.host(), plain.path()), (url.host(), url.path()));
    }

    // A login name of ssh is no secret; everything else before the host is.
    let logins = match (url.scheme(), url.user()) {
        (_, None) => String::new(),
        (RepoScheme::Ssh, Some(user)) => format!("{user}@"),
        (_, Some(_)) => "***@".to_owned(),
    };
    assert_eq!(shown.replacen(&logins, "", 1), url.without_credentials());
    assert_eq!(format!("{url:?}"), format!("{shown:?}"));
    if url.user().is_none() {
        assert_eq!(
            &shown.parse::<RepoUrl>().unwrap(),
            url,
            "what is shown reads as the same"
        );
    }
}

fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match text.parse::<RepoUrl>() {
        Ok(url) => check_url(&url),
        Err(error) => {
            let said = error.to_string();
            assert!(!said.chars().any(char::is_control), "{said:?}");
            assert!(said.len() < 1_000, "{} bytes", said.len());
        }
    }
    if let Ok(proxy) = text.parse::<ProxyUrl>() {
        let again: ProxyUrl = proxy.reveal().parse().unwrap();
        assert_eq!(again, proxy);
        assert!(matches!(
            proxy.reveal().split_once("://"),
            Some(("http" | "https", _))
        ));
    }
    if let Ok(branch) = text.parse::<BranchName>() {
        assert!(!branch.as_str().starts_with('-') && !branch.as_str().chars().any(char::is_control));
        assert!(
            !branch.as_str().contains("..") && !branch.as_str().contains(':'),
            "{branch} would be more than a branch"
        );
    }
    if let Ok(commit) = text.parse::<CommitId>() {
        assert!(commit.as_str().bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}

#[test]
fn fuzz_repo_url() {
    mutate::run("repo_url", check);
}

/// The same texts with a secret where people put theirs: whatever becomes of it, it is not shown.
#[test]
fn no_mutation_makes_an_address_show_its_credentials() {
    const SECRET: &str = "S3cr3tT0k3n";
    let seeds: Vec<Vec<u8>> = mutate::corpus("repo_url")
        .into_iter()
        .filter(|seed| seed.windows(3).any(|part| part == b"://"))
        .collect();
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..20_000 {
        let text = String::from_utf8_lossy(&mutate::mutated(&seeds, &mut random)).replace(SECRET, "");
        let Some((scheme, rest)) = text.split_once("://") else {
            continue;
        };
        for text in [
            format!("{scheme}://u:{SECRET}@{rest}"),
            format!("{scheme}://{SECRET}@{rest}"),
            format!("{scheme}://{SECRET}:x@{rest}"),
        ] {
            let said = match text.parse::<RepoUrl>() {
                // The name that somebody logs in with by ssh is shown, and so is a folder of this machine.
                Ok(url) if matches!(url.scheme(), RepoScheme::Ssh | RepoScheme::File) => continue,
                Ok(url) => format!("{url} {url:?} {}", serde_json::to_string(&url).unwrap()),
                Err(error) => format!("{error} {error:?}"),
            };
            assert!(!said.contains(SECRET), "{text:?}: {said}");
        }
    }
}
