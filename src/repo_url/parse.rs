//! The grammar of repository addresses. Total: every text gives an address or the rule that it breaks.

use super::{Form, Parts, REPO_URL_BYTES_MAX, RepoScheme, RepoUrl};

/// The longest host name in the DNS.
const HOST_BYTES_MAX: usize = 253;

type Refusal = &'static str;

/// Takes an address apart and checks each part.
pub(super) fn parse(text: &str) -> Result<Parts, Refusal> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > REPO_URL_BYTES_MAX {
        return Err("it is longer than 2048 bytes");
    }
    if text.chars().any(is_unprintable) {
        return Err("a control or invisible character stands in it");
    }
    if text.starts_with('-') {
        return Err("it begins with a dash and would be taken for an option");
    }
    if text.starts_with('/') {
        return local(text.to_owned(), Form::LocalPath);
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        return by_scheme(scheme, rest);
    }
    let behind_login = text.split_once('@').map_or(text, |(_, rest)| rest);
    if names_helper(text) || names_helper(behind_login) {
        return Err(
            "`name::` asks git for a transport helper, which runs commands; use file, https, http, ssh or git",
        );
    }
    match scp_like(text)? {
        Some(parts) => Ok(parts),
        None => Err(
            "it is neither a URL nor an absolute path (a relative path depends on where the daemon was started)",
        ),
    }
}

/// As git finds one: what may be a scheme, and two colons.
fn names_helper(text: &str) -> bool {
    text.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "+-.".contains(c))
        .starts_with("::")
}

/// What is taken can be written down and taken again: encoding makes some addresses longer than they were given.
pub(super) fn within_bounds(url: RepoUrl) -> Result<RepoUrl, Refusal> {
    // One byte is left for the path that a proxy's address gets while it is parsed.
    if url.reveal().len() >= REPO_URL_BYTES_MAX {
        return Err("it is longer than 2047 bytes when its special characters are encoded");
    }
    Ok(url)
}

fn by_scheme(scheme: &str, rest: &str) -> Result<Parts, Refusal> {
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "file" => return file(rest),
        "https" => RepoScheme::Https,
        "http" => RepoScheme::Http,
        "ssh" | "git+ssh" | "ssh+git" => RepoScheme::Ssh,
        "git" => RepoScheme::Git,
        _ => return Err("its scheme is none of file, https, http, ssh and git"),
    };
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    if path.contains(['?', '#']) || authority.contains(['?', '#']) {
        return Err(
            "a query or fragment has no place in a repository's address (tokens belong into `auth.token_file`)",
        );
    }
    let (userinfo, host_and_port) = match authority.rsplit_once('@') {
        Some((userinfo, host)) => (Some(userinfo), host),
        None => (None, authority),
    };
    let (user, password) = userinfo.map_or(Ok((None, None)), |info| userinfo_of(scheme, info))?;
    let (host, port) = host_and_port_of(host_and_port)?;
    let path = remote_path(scheme, path)?;
    Ok(Parts {
        scheme,
        user,
        password,
        host: Some(host),
        port,
        path,
        form: Form::Url,
    })
}

/// As [`parse`], for a proxy: http or https, no path.
pub(super) fn parse_proxy(text: &str) -> Result<Parts, Refusal> {
    if text.trim_end_matches('/').matches('/').count() > 2 {
        return Err("a proxy's address has no path");
    }
    let parts = parse(&format!("{}/-", text.trim_end_matches('/')))?;
    if !matches!(parts.scheme, RepoScheme::Http | RepoScheme::Https) {
        return Err("a proxy is reached by http or https: http://proxy.example.com:3128");
    }
    Ok(Parts {
        path: "/".to_owned(),
        ..parts
    })
}

fn file(rest: &str) -> Result<Parts, Refusal> {
    let path = match rest.strip_prefix("localhost/") {
        Some(_) => rest.trim_start_matches("localhost"),
        None => rest,
    };
    if !path.starts_with('/') {
        return Err("a file URL has an absolute path and no host: file:///srv/specs.git");
    }
    local(percent_decode(path)?, Form::Url)
}

fn local(path: String, form: Form) -> Result<Parts, Refusal> {
    if path.chars().any(is_unprintable) {
        return Err("a control or invisible character stands in its path");
    }
    Ok(Parts {
        scheme: RepoScheme::File,
        user: None,
        password: None,
        host: None,
        port: None,
        path,
        form,
    })
}

/// `[user@]host:path`, which is ssh. `None` where the text has no such form.
fn scp_like(text: &str) -> Result<Option<Parts>, Refusal> {
    let (user, rest) = match text.split_once('@') {
        Some((user, rest)) if !user.contains(['/', ':']) => (Some(user), rest),
        Some(_) | None => (None, text),
    };
    let split = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once("]:"),
        None => rest.split_once(':'),
    };
    let Some((host, path)) = split.filter(|(host, _)| !host.contains('/')) else {
        return Ok(None);
    };
    if rest.starts_with('[') && !host.contains(':') {
        return Err("what stands in brackets is no IPv6 address");
    }
    let user = user.map(checked_ssh_user).transpose()?;
    let host = checked_host(host)?;
    if path.is_empty() {
        return Err("the path is missing");
    }
    if path.starts_with('-') {
        return Err("its path begins with a dash and would be taken for an option");
    }
    if path.contains('\\') {
        return Err("a backslash stands in its path");
    }
    if user.is_none() && path.contains('@') {
        return Err(
            "it looks like `user:password@host`; ssh takes no password in a URL, name a key in `auth.ssh_key`",
        );
    }
    Ok(Some(Parts {
        scheme: RepoScheme::Ssh,
        user,
        password: None,
        host: Some(host),
        port: None,
        path: path.to_owned(),
        form: Form::ScpLike,
    }))
}

fn userinfo_of(scheme: RepoScheme, info: &str) -> Result<(Option<String>, Option<String>), Refusal> {
    let (user, password) = match info.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (info, None),
    };
    match scheme {
        RepoScheme::Ssh if password.is_some() => {
            Err("ssh takes no password in a URL; name a key in `auth.ssh_key`")
        }
        RepoScheme::Ssh => Ok((Some(checked_ssh_user(user)?), None)),
        RepoScheme::Http | RepoScheme::Https => {
            let user = percent_decode(user)?;
            let password = password.map(percent_decode).transpose()?;
            if user.contains(':') || user.is_empty() && password.is_none() {
                return Err("its user is empty or holds a colon");
            }
            if user.starts_with('-') {
                return Err("its user begins with a dash");
            }
            if user
                .chars()
                .chain(password.iter().flat_map(|p| p.chars()))
                .any(is_unprintable)
            {
                return Err("a control or invisible character stands in its credentials");
            }
            Ok((Some(user), password))
        }
        RepoScheme::Git | RepoScheme::File => {
            Err("the git protocol knows no users; leave out what stands before `@`")
        }
    }
}

fn checked_ssh_user(user: &str) -> Result<String, Refusal> {
    if user.is_empty() {
        return Err("its user is empty");
    }
    if user.starts_with('-') {
        return Err("its user begins with a dash and would be taken for an option");
    }
    if user.len() > 64
        || !user
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._+-".contains(&b))
    {
        return Err("its user has more than 64 characters or others than letters, digits and `. _ + -`");
    }
    Ok(user.to_owned())
}

fn host_and_port_of(text: &str) -> Result<(String, Option<u16>), Refusal> {
    let (host, port) = match (text.strip_prefix('['), text.rsplit_once(':')) {
        (Some(rest), _) => {
            let (host, port) = rest
                .split_once(']')
                .ok_or("the bracket of its IPv6 address is not closed")?;
            match port.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if port.is_empty() => (host, None),
                None => return Err("something stands between its IPv6 address and the port"),
            }
        }
        (None, Some((host, port))) => (host, Some(port)),
        (None, None) => (text, None),
    };
    let host = checked_host(host)?;
    let port = match port {
        None | Some("") => None,
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => match port.parse::<u16>() {
            Ok(port) if port > 0 => Some(port),
            Ok(_) | Err(_) => return Err("its port is not between 1 and 65535"),
        },
        Some(_) => return Err("its port is not a number"),
    };
    Ok((host, port))
}

fn checked_host(host: &str) -> Result<String, Refusal> {
    if host.is_empty() {
        return Err("the host is missing");
    }
    if host.starts_with('-') {
        return Err("its host begins with a dash and would be taken for an option");
    }
    if host.len() > HOST_BYTES_MAX {
        return Err("its host is longer than 253 characters");
    }
    if host.contains(':') {
        return match host.parse::<std::net::Ipv6Addr>() {
            Ok(_) => Ok(host.to_ascii_lowercase()),
            Err(_) => Err("its host is not a valid IPv6 address"),
        };
    }
    if !host
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    {
        return Err(
            "its host has others than letters, digits and `. _ -` (write an international name in its xn-- form)",
        );
    }
    Ok(host.to_ascii_lowercase())
}

fn remote_path(scheme: RepoScheme, path: &str) -> Result<String, Refusal> {
    if path.len() < 2 {
        return Err("the path is missing");
    }
    if path.contains([' ', '\\', '"', '<', '>', '`']) {
        return Err(
            "a space, a backslash, a quote or an angle bracket stands in its path (encode it as %20 and so on)",
        );
    }
    let decoded = percent_decode(path)?;
    if decoded.chars().any(is_unprintable) {
        return Err("a control or invisible character stands in its path");
    }
    match scheme {
        RepoScheme::Ssh => Ok(decoded),
        RepoScheme::Http | RepoScheme::Https | RepoScheme::Git | RepoScheme::File => Ok(path.to_owned()),
    }
}

/// Control characters, and the invisible ones that make a terminal show another text than the one that is used.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn percent_decode(text: &str) -> Result<String, Refusal> {
    const BROKEN: Refusal = "a `%` in it is not followed by two hex digits";
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = rest.next().and_then(hex_value).ok_or(BROKEN)?;
            let low = rest.next().and_then(hex_value).ok_or(BROKEN)?;
            bytes.push(high * 16 + low);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).map_err(|_| "its percent-encoding is not valid UTF-8")
}

fn hex_value(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

/// Everything but letters, digits and `-._~` as `%XX`.
pub(super) fn percent_encode(text: &str) -> String {
    encode_except(text, b"-._~")
}

/// As [`percent_encode`], slashes and `~` kept.
pub(super) fn percent_encode_path(text: &str) -> String {
    encode_except(text, b"-._~/+@:,=")
}

fn encode_except(text: &str, kept: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Any text, shown without what could be credentials: userinfo before the last `@` and everything from `?` or `#` on.
pub(super) fn redact(text: &str) -> String {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), text),
    };
    let (authority, tail) = match rest.rfind('@') {
        Some(at) => ("***", rest.split_at(at).1),
        None => ("", rest),
    };
    let tail = tail.find(['?', '#']).map_or(tail, |at| tail.split_at(at).0);
    crate::names::shown(&format!("{scheme}{authority}{tail}"))
}
