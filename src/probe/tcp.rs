//! Can somebody connect?

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::TcpStream;

/// A connection to `port` of this machine, by IPv4, or by IPv6 where nobody listens there.
///
/// # Errors
/// With a reason in words.
pub async fn connect(port: u16) -> Result<TcpStream, String> {
    let v4 = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    let refused = match TcpStream::connect(v4).await {
        Ok(stream) => return Ok(stream),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => format!("nobody listens on {v4}"),
        Err(error) => return Err(format!("cannot connect to {v4}: {error}")),
    };
    let v6 = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), port);
    TcpStream::connect(v6).await.map_err(|_| refused)
}

/// Connects and leaves.
///
/// # Errors
/// With a reason in words.
pub async fn ask(port: u16) -> Result<(), String> {
    connect(port).await.map(drop)
}
