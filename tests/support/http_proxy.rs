//! A forward proxy on loopback: CONNECT for https, whole addresses for http. Every name leads to 127.0.0.1, so that only
//! who uses it gets anywhere by a name that nobody resolves.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

pub struct HttpProxy {
    pub port: u16,
    seen: Arc<Mutex<Vec<String>>>,
}

impl HttpProxy {
    /// A proxy that wants this `Proxy-Authorization`, if any.
    pub fn start(login: Option<&str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            seen: Arc::default(),
        };
        let (seen, login) = (proxy.seen.clone(), login.map(str::to_owned));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, login) = (seen.clone(), login.clone());
                std::thread::spawn(move || serve(stream, &seen, login.as_deref()));
            }
        });
        proxy
    }

    /// The first lines of the requests so far.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

/// One connection; `None`: it ended before it said what it wants.
fn serve(stream: TcpStream, seen: &Mutex<Vec<String>>, login: Option<&str>) -> Option<()> {
    let mut client = BufReader::new(stream);
    let mut head = Vec::new();
    while head
        .last()
        .is_none_or(|line: &String| !line.trim_end().is_empty())
    {
        let mut line = String::new();
        (client.read_line(&mut line).ok()? > 0).then_some(())?;
        head.push(line);
    }
    seen.lock().unwrap().push(head[0].trim_end().to_owned());
    let given = head
        .iter()
        .find(|line| line.to_ascii_lowercase().starts_with("proxy-authorization:"))
        .and_then(|line| line.split_once(": "))
        .map(|(_, value)| value.trim_end());
    if login.is_some() && given != login {
        let refusal = b"HTTP/1.1 407 X\r\nProxy-Authenticate: Basic realm=\"p\"\r\nContent-Length: 0\r\n\r\n";
        return client.get_mut().write_all(refusal).ok();
    }
    let mut words = head[0].split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let address = target.strip_prefix("http://").unwrap_or(target);
    let port = address
        .split('/')
        .next()?
        .rsplit(':')
        .next()?
        .parse::<u16>()
        .ok()?;
    let mut server = TcpStream::connect(("127.0.0.1", port)).ok()?;
    if method == "CONNECT" {
        client
            .get_mut()
            .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
            .ok()?;
    } else {
        server.write_all(head.concat().as_bytes()).ok()?;
    }
    let (mut answers, mut to_client) = (server.try_clone().ok()?, client.get_ref().try_clone().ok()?);
    std::thread::spawn(move || {
        copy(&mut answers, &mut to_client);
    });
    copy(&mut client, &mut server);
    Some(())
}

fn copy(from: &mut impl Read, to: &mut TcpStream) {
    let _ = std::io::copy(from, to);
    let _ = to.shutdown(Shutdown::Write);
}
