//! Settings that name a place on a network.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use super::{ValueError, checked_text, text_setting, wrong};

/// The longest URL of a setting, in bytes.
const URL_BYTES_MAX: usize = 2048;

/// An address to listen on, or nowhere (`""`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen(Option<SocketAddr>);

impl Listen {
    /// Nowhere.
    pub const OFF: Self = Self(None);

    /// The address; none: nowhere.
    #[must_use]
    pub const fn get(self) -> Option<SocketAddr> {
        self.0
    }

    /// Is it turned off?
    #[must_use]
    pub const fn is_off(self) -> bool {
        self.0.is_none()
    }
}

impl FromStr for Listen {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text.is_empty() {
            return Ok(Self::OFF);
        }
        let named = text
            .strip_prefix("localhost:")
            .map(|port| format!("127.0.0.1:{port}"));
        let address = named.as_deref().unwrap_or(text).parse();
        let expected = "an address with a port, as in `127.0.0.1:7420` or `[::1]:7420`; `\"\"` turns it off";
        address
            .map(|address| Self(Some(address)))
            .map_err(|_| wrong("listening address", text, expected))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |address| address.fmt(f))
    }
}

text_setting!(
    Listen,
    "an address with a port such as `127.0.0.1:7420`; empty: off"
);

/// A network: an address and how many of its bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Does `address` belong to it? IPv4 addresses in IPv6 clothes (`::ffff:169.254.1.1`) do as well.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(one)) => same_prefix(&net.octets(), &one.octets(), self.bits),
            (IpAddr::V6(net), IpAddr::V6(one)) => same_prefix(&net.octets(), &one.octets(), self.bits),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// Are the first `bits` bits of both alike?
fn same_prefix(a: &[u8], b: &[u8], bits: u8) -> bool {
    let mut left = u32::from(bits);
    for (x, y) in a.iter().zip(b) {
        let count = left.min(8);
        let mask = u8::try_from(0xff00_u32 >> count & 0xff).unwrap_or(0xff);
        if (x ^ y) & mask != 0 {
            return false;
        }
        left -= count;
    }
    true
}

impl FromStr for Network {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let error = || {
            wrong(
                "network",
                text,
                "an address with the number of its leading bits, as in `10.0.0.0/8`",
            )
        };
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| error())?;
        let widest = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(widest), |bits| bits.parse::<u8>().map_err(|_| error()))?;
        if bits > widest {
            Err(error())
        } else {
            Ok(Self { address, bits })
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

text_setting!(Network, "a network such as `10.0.0.0/8`");

/// Is it a URL with one of `schemes`, a host, and nothing that could not stand in one?
fn is_url(text: &str, schemes: &[&str]) -> bool {
    let rest = text
        .split_once("://")
        .filter(|(scheme, _)| schemes.contains(scheme))
        .map(|(_, rest)| rest);
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
    let has_host = host.is_some_and(|host| !host.is_empty() && !host.starts_with(['-', ':', '@']));
    has_host && text.len() <= URL_BYTES_MAX && text.chars().all(|c| c.is_ascii_graphic())
}

/// A URL whose path may be as secret as a password (as with chat webhooks): only scheme and host are ever shown.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpUrl(String);

impl HttpUrl {
    /// All of it, for the request alone.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl FromStr for HttpUrl {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if is_url(text, &["http", "https"]) {
            Ok(Self(text.to_owned()))
        } else {
            Err(wrong(
                "URL",
                &host_only(text),
                "an http or https URL, as in `https://hooks.example.org/osier`",
            ))
        }
    }
}

/// `https://host/…`, without user, password, path and query.
fn host_only(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return "…".to_owned();
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}/…")
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&host_only(&self.0))
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

text_setting!(HttpUrl, "an http or https URL");

checked_text! {
    /// What the URL of an artefact must begin with.
    UrlPrefix, "what a URL must begin with", |text| {
        if is_url(text, &["http", "https", "file", "ssh", "git", "oci"]) && !text.contains('@') {
            Ok(())
        } else {
            Err(("URL prefix", "a scheme and a host, without a user, as in `https://releases.example.org/`"))
        }
    }
}

checked_text! {
    /// An address in the mesh: a multiaddr.
    MeshAddress, "a multiaddr", |text| {
        if text.starts_with('/') && text.len() <= 512 && text.chars().all(|c| c.is_ascii_graphic()) {
            Ok(())
        } else {
            Err(("mesh address", "a multiaddr, as in `/ip4/0.0.0.0/udp/7421/quic-v1`"))
        }
    }
}

checked_text! {
    /// A node to ask first: a multiaddr or `host[:port]`.
    BootstrapNode, "a multiaddr, or `host[:port]`", |text| {
        let is_plain = (1..=512).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic());
        let is_host = !text.contains("://") && !text.starts_with(['-', ':']) && !text.contains('@');
        if is_plain && (text.starts_with('/') || is_host && !text.contains('/')) {
            Ok(())
        } else {
            Err(("bootstrap node", "a multiaddr, or `host` or `host:port`, as in `boot.example.org:7421`"))
        }
    }
}
