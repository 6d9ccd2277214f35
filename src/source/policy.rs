//! Which addresses artefacts may come from: `[sources]` of the configuration, applied before every request. Pure.

use std::net::IpAddr;

use reqwest::Url;

use crate::config::values::{Network, UrlPrefix};

/// What a node allows. The default: any URL, and no link-local address (behind which clouds keep their metadata).
#[derive(Debug, Clone)]
pub struct SourcePolicy {
    /// What a URL must begin with; none: anything will do.
    pub allow: Vec<UrlPrefix>,
    /// Networks that are never asked.
    pub deny: Vec<Network>,
}

/// Link-local addresses, behind which clouds keep their metadata (CLI.md, `[sources] deny`).
const DENIED_BY_DEFAULT: [&str; 2] = ["169.254.0.0/16", "fe80::/10"];

impl Default for SourcePolicy {
    fn default() -> Self {
        let deny = DENIED_BY_DEFAULT
            .iter()
            .filter_map(|network| network.parse().ok());
        Self {
            allow: Vec::new(),
            deny: deny.collect(),
        }
    }
}

/// Why an address is not asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Only the web is fetched from.
    #[error("{url} is neither https nor http")]
    Scheme {
        /// The address as it may be shown.
        url: String,
    },
    /// The operator's list does not have it.
    #[error("{url} is not below an address that `[sources] allow` names ({allowed})")]
    NotAllowed {
        /// The address as it may be shown.
        url: String,
        /// What would be.
        allowed: String,
    },
    /// The operator forbids the network.
    #[error("{host} is {address}, which lies in {network} of `[sources] deny`")]
    Denied {
        /// As the URL names it.
        host: String,
        /// What it is.
        address: IpAddr,
        /// Where that lies.
        network: Network,
    },
    /// A redirect changes the scheme.
    #[error(
        "{from} redirects to {to}: another scheme is not followed; write the final address into the spec"
    )]
    OtherScheme {
        /// Where it came from.
        from: String,
        /// Where it leads.
        to: String,
    },
    /// A redirect leads from the internet into a private network.
    #[error("{from} redirects to {to}, a private address: it is not followed from a public one")]
    IntoPrivate {
        /// Where it came from.
        from: String,
        /// Where it leads.
        to: String,
    },
}

impl SourcePolicy {
    /// May `url` be asked, as far as its text says?
    ///
    /// # Errors
    /// The scheme is another than https or http, or `allow` has no prefix of it.
    pub fn check_url(&self, url: &Url) -> Result<(), Refusal> {
        if !matches!(url.scheme(), "https" | "http") {
            return Err(Refusal::Scheme { url: shown(url) });
        }
        if self.allow.is_empty() || self.allow.iter().any(|prefix| is_below(url, prefix.as_str())) {
            return Ok(());
        }
        let allowed: Vec<&str> = self.allow.iter().map(UrlPrefix::as_str).collect();
        Err(Refusal::NotAllowed {
            url: shown(url),
            allowed: allowed.join(", "),
        })
    }

    /// May the addresses of `host` be asked? One that may not forbids them all: the next answer of the name server might
    /// have it first.
    ///
    /// # Errors
    /// One of them is in a network of `deny`.
    pub fn check_addresses(&self, host: &str, addresses: &[IpAddr]) -> Result<(), Refusal> {
        for address in addresses {
            if let Some(network) = self.deny.iter().find(|network| network.contains(*address)) {
                return Err(Refusal::Denied {
                    host: host.to_owned(),
                    address: *address,
                    network: *network,
                });
            }
        }
        Ok(())
    }
}

/// May a redirect be followed from one address to another?
///
/// # Errors
/// It changes the scheme, or leads from the internet into a private network.
pub fn check_redirect(from: (&Url, &[IpAddr]), to: (&Url, &[IpAddr])) -> Result<(), Refusal> {
    let ends = || (shown(from.0), shown(to.0));
    if from.0.scheme() != to.0.scheme() {
        let (from, to) = ends();
        return Err(Refusal::OtherScheme { from, to });
    }
    let is_public = |addresses: &[IpAddr]| !addresses.iter().any(|address| is_private(*address));
    if is_public(from.1) && !is_public(to.1) {
        let (from, to) = ends();
        return Err(Refusal::IntoPrivate { from, to });
    }
    Ok(())
}

/// A URL as it may be told: without its user, its password and its query, which may hold a signature.
#[must_use]
pub fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Both can only fail for URLs without a host, which have no user either.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

/// Compared part by part: `https://example.org` is no prefix of `https://example.org.evil.net`.
fn is_below(url: &Url, prefix: &str) -> bool {
    let Ok(prefix) = Url::parse(prefix) else {
        return false;
    };
    let is_same_server = url.scheme() == prefix.scheme()
        && url.host() == prefix.host()
        && url.port_or_known_default() == prefix.port_or_known_default();
    let rest = url.path().strip_prefix(prefix.path());
    let is_whole_step = |rest: &str| prefix.path().ends_with('/') || rest.is_empty() || rest.starts_with('/');
    // The text of a path must mean on the server what it seems to mean here.
    let path = url.path().to_ascii_lowercase();
    let is_plain = !path.contains("%2e%2e") && !path.contains("%2f");
    is_same_server && is_plain && rest.is_some_and(is_whole_step)
}

/// Loopback, link-local, private and the like: what no stranger's redirect should reach.
fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, ..] = address.octets();
            address.is_loopback()
                || address.is_private()
                || address.is_link_local()
                || address.is_unspecified()
                || address.is_broadcast()
                // Carrier-grade NAT (RFC 6598).
                || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(address) => {
            address.is_loopback()
                || address.is_unspecified()
                || address.is_unique_local()
                || address.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    fn allowing(prefixes: &[&str]) -> SourcePolicy {
        SourcePolicy {
            allow: prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect(),
            deny: vec!["169.254.0.0/16".parse().unwrap(), "fe80::/10".parse().unwrap()],
        }
    }

    #[test]
    fn a_url_is_allowed_by_whole_host_and_whole_step_of_its_path() {
        let policy = allowing(&["https://dl.example.org/team", "http://cache.example.org:8080/"]);
        for (text, is_allowed) in [
            ("https://dl.example.org/team/a.tar.gz", true),
            ("https://dl.example.org/team", true),
            ("https://dl.example.org:443/team/a", true),
            ("https://DL.example.org/team/a", true),
            ("http://cache.example.org:8080/x", true),
            ("https://dl.example.org/teams/a", false),
            ("https://dl.example.org.evil.net/team/a", false),
            ("https://dl.example.org@evil.net/team/a", false),
            ("http://dl.example.org/team/a", false),
            ("https://dl.example.org:444/team/a", false),
            ("https://dl.example.org/team/../other/a", false),
            ("https://dl.example.org/team/%2e%2e/other/a", false),
            ("https://dl.example.org/team/..%2fother/a", false),
            ("https://dl.example.org/team/..%2Fother/a", false),
            ("http://cache.example.org/x", false),
        ] {
            assert_eq!(policy.check_url(&url(text)).is_ok(), is_allowed, "{text}");
        }
    }

    #[test]
    fn without_a_list_the_web_is_allowed_and_nothing_else() {
        let policy = allowing(&[]);
        for (text, is_allowed) in [
            ("https://example.org/a", true),
            ("http://10.0.0.1/a", true),
            ("file:///etc/passwd", false),
            ("ftp://example.org/a", false),
            ("gopher://example.org/", false),
        ] {
            assert_eq!(policy.check_url(&url(text)).is_ok(), is_allowed, "{text}");
        }
    }

    #[test]
    fn by_default_metadata_is_out_of_reach() {
        let policy = SourcePolicy::default();
        assert!(
            policy
                .check_addresses("meta", &["169.254.169.254".parse().unwrap()])
                .is_err()
        );
        assert!(
            policy
                .check_addresses("meta", &["fe80::1".parse().unwrap()])
                .is_err()
        );
    }

    #[test]
    fn one_denied_address_forbids_a_host() {
        let policy = allowing(&[]);
        let check = |addresses: &[&str]| {
            let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
            policy.check_addresses("meta", &addresses).is_ok()
        };
        assert!(check(&["192.0.2.1", "10.0.0.1", "127.0.0.1"]));
        assert!(!check(&["192.0.2.1", "169.254.169.254"]));
        assert!(!check(&["::ffff:169.254.169.254"]));
        assert!(!check(&["fe80::1"]));
    }

    #[test]
    fn a_redirect_neither_changes_the_scheme_nor_enters_a_private_network() {
        let check = |from: (&str, &str), to: (&str, &str)| {
            let ends = [from, to].map(|(text, address)| (url(text), [address.parse().unwrap()]));
            check_redirect((&ends[0].0, &ends[0].1), (&ends[1].0, &ends[1].1)).is_ok()
        };
        let public = ("https://a/", "192.0.2.1");
        assert!(check(public, ("https://b/", "192.0.2.2")));
        assert!(!check(public, ("http://b/", "192.0.2.2")));
        assert!(!check(("http://a/", "192.0.2.1"), ("https://b/", "192.0.2.2")));
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "192.168.0.1",
            "172.16.0.1",
            "100.64.0.1",
            "169.254.1.1",
            "::1",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(!check(public, ("https://b/", private)), "{private}");
            assert!(
                check(("https://a/", private), ("https://b/", private)),
                "{private}"
            );
        }
    }

    #[test]
    fn what_may_be_secret_in_a_url_is_not_shown() {
        let text = "https://me:secret@example.org/a.tar?X-Signature=abc#frag";
        assert_eq!(shown(&url(text)), "https://example.org/a.tar");
    }
}
