//! A web server in front of `git http-backend`, the real server side of git over HTTP, with ways to fail.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

/// How the server misbehaves.
#[derive(Clone, Default)]
pub enum Mood {
    #[default]
    Good,
    /// Every request gets this status.
    Status(u16),
    /// Requests without this `Authorization` header get 401.
    Login(String),
    /// Requests are read and never answered.
    Silent,
    /// Only so many bytes of each pack are sent, then nothing more.
    StallAfter(usize),
    /// Only so many bytes of each pack are sent, and the connection is closed.
    CutAfter(usize),
    /// Only so many bytes of each pack are sent, as if they were all.
    ShortenTo(usize),
    /// One byte of each pack is another one.
    Damage(usize),
    /// Packs never end.
    Endless,
    /// One byte a step, for ever.
    Drip,
    /// To this address, the rest of the path appended.
    Redirect(String),
    /// Targets that begin with the first are sent to the second.
    RedirectOnly(String, String),
    /// Something that is no git.
    Page,
    /// Sends so many references that nobody asked for.
    ManyRefs(usize),
}

/// What a request said.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub authorization: Option<String>,
    pub at: std::time::Instant,
}

pub struct HttpServer {
    pub port: u16,
    root: PathBuf,
    mood: Arc<Mutex<Mood>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// What one connection needs.
#[derive(Clone)]
struct Desk {
    root: PathBuf,
    mood: Arc<Mutex<Mood>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

impl HttpServer {
    /// Serves the repositories in `root` by http on a free port of 127.0.0.1.
    pub fn start(root: &Path) -> Self {
        Self::start_with(root, None)
    }

    /// Serves by https with this certificate.
    pub fn start_tls(root: &Path, tls: Arc<rustls::ServerConfig>) -> Self {
        Self::start_with(root, Some(tls))
    }

    fn start_with(root: &Path, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            root: root.to_owned(),
            mood: Arc::default(),
            seen: Arc::default(),
        };
        let desk = Desk {
            root: server.root.clone(),
            mood: server.mood.clone(),
            seen: server.seen.clone(),
        };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (desk, tls) = (desk.clone(), tls.clone());
                std::thread::spawn(move || desk.serve(with_tls(stream, tls)));
            }
        });
        server
    }

    pub fn url(&self, repository: &str) -> String {
        format!("http://127.0.0.1:{}/{repository}", self.port)
    }

    pub fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// The requests so far; the list begins anew.
    pub fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

fn with_tls(stream: TcpStream, tls: Option<Arc<rustls::ServerConfig>>) -> Box<dyn Stream> {
    stream.set_nodelay(true).unwrap();
    match tls {
        Some(config) => {
            let connection = rustls::ServerConnection::new(config).unwrap();
            Box::new(rustls::StreamOwned::new(connection, stream))
        }
        None => Box::new(stream),
    }
}

struct Request {
    seen: Seen,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

impl Desk {
    fn serve(&self, stream: Box<dyn Stream>) {
        let mut stream = BufReader::new(stream);
        while let Some(request) = read_request(&mut stream) {
            self.seen.lock().unwrap().push(request.seen.clone());
            let mood = self.mood.lock().unwrap().clone();
            if self.answer(&request, &mood, stream.get_mut()).is_none() {
                return;
            }
        }
    }

    /// `None`: the connection is to be closed.
    fn answer(&self, request: &Request, mood: &Mood, stream: &mut dyn Stream) -> Option<()> {
        match mood {
            Mood::Silent => hang(),
            Mood::Status(status) => return respond(stream, *status, "", b"no"),
            Mood::Login(wanted) if request.header("authorization") != Some(wanted) => {
                return respond(stream, 401, "WWW-Authenticate: Basic realm=\"git\"\r\n", b"");
            }
            Mood::Redirect(to) => {
                let to = format!("Location: {to}{}\r\n", tail(&request.seen.target));
                return respond(stream, 302, &to, b"");
            }
            Mood::RedirectOnly(from, to) if request.seen.target.starts_with(from) => {
                let to = format!("Location: {to}{}\r\n", tail(&request.seen.target));
                return respond(stream, 301, &to, b"");
            }
            Mood::Page => return respond(stream, 200, "Content-Type: text/html\r\n", b"<h1>It works!</h1>"),
            Mood::ManyRefs(count) if request.seen.method == "GET" => {
                return many_refs(stream, *count);
            }
            _ => {}
        }
        let (status, headers, mut body) = self.backend(request);
        if !headers.contains("git-upload-pack-result") || !body.windows(4).any(|part| part == b"PACK") {
            return respond(stream, status, &headers, &body);
        }
        match *mood {
            Mood::StallAfter(bytes) => {
                send_part(stream, &headers, &body, bytes);
                hang()
            }
            Mood::CutAfter(bytes) => {
                send_part(stream, &headers, &body, bytes);
                None
            }
            Mood::ShortenTo(bytes) => respond(stream, status, &headers, &body[..bytes.min(body.len())]),
            Mood::Damage(from_end) => {
                let at = body.len().saturating_sub(from_end + 1);
                body[at] ^= 0x55;
                respond(stream, status, &headers, &body)
            }
            Mood::Endless => endless(stream, &headers, &body),
            Mood::Drip => drip(stream, &headers, &body),
            _ => respond(stream, status, &headers, &body),
        }
    }

    /// Runs `git http-backend` as a web server does.
    fn backend(&self, request: &Request) -> (u16, String, Vec<u8>) {
        let (path, query) = request
            .seen
            .target
            .split_once('?')
            .unwrap_or((&request.seen.target, ""));
        let mut child = Command::new("git")
            .arg("http-backend")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "safe.directory")
            .env("GIT_CONFIG_VALUE_0", "*")
            .env("GIT_PROJECT_ROOT", &self.root)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("PATH_INFO", path)
            .env("QUERY_STRING", query)
            .env("REQUEST_METHOD", &request.seen.method)
            .env("CONTENT_TYPE", request.header("content-type").unwrap_or_default())
            .env("CONTENT_LENGTH", request.body.len().to_string())
            .env(
                "HTTP_CONTENT_ENCODING",
                request.header("content-encoding").unwrap_or_default(),
            )
            .env("GIT_PROTOCOL", request.header("git-protocol").unwrap_or_default())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("these tests need git (Debian package: git)");
        child.stdin.take().unwrap().write_all(&request.body).unwrap();
        let output = child.wait_with_output().unwrap().stdout;
        let end = output.windows(4).position(|part| part == b"\r\n\r\n").unwrap();
        let mut status = 200;
        let mut headers = String::new();
        for line in String::from_utf8_lossy(&output[..end]).lines() {
            match line.strip_prefix("Status: ") {
                Some(text) => status = text[..3].parse().unwrap(),
                None => headers.push_str(&format!("{line}\r\n")),
            }
        }
        (status, headers, output[end + 4..].to_vec())
    }
}

fn read_request(stream: &mut BufReader<Box<dyn Stream>>) -> Option<Request> {
    let first = read_line(stream)?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?);
    // A proxy is asked for whole addresses.
    let target = match target.strip_prefix("http://") {
        Some(rest) => rest[rest.find('/')?..].to_owned(),
        None => target.to_owned(),
    };
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut request = Request {
        seen: Seen {
            method,
            target,
            authorization: None,
            at: std::time::Instant::now(),
        },
        headers,
        body: Vec::new(),
    };
    request.seen.authorization = request.header("authorization").map(ToOwned::to_owned);
    let length = request
        .header("content-length")
        .map_or(0, |length| length.parse().unwrap());
    request.body.resize(length, 0);
    stream.read_exact(&mut request.body).ok()?;
    Some(request)
}

fn read_line(stream: &mut BufReader<Box<dyn Stream>>) -> Option<String> {
    let mut line = String::new();
    (stream.read_line(&mut line).ok()? > 0).then(|| line.trim_end().to_owned())
}

/// What stands behind the repository's name.
fn tail(target: &str) -> &str {
    target
        .find("/info/refs")
        .or_else(|| target.find("/git-upload-pack"))
        .map_or("", |at| &target[at..])
}

fn respond(stream: &mut dyn Stream, status: u16, headers: &str, body: &[u8]) -> Option<()> {
    let head = format!(
        "HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).ok()?;
    stream.flush().ok()
}

fn send_part(stream: &mut dyn Stream, headers: &str, body: &[u8], bytes: usize) {
    let head = format!(
        "HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    let part = &body[..bytes.min(body.len())];
    let _ = stream.write_all(&[head.as_bytes(), part].concat());
    let _ = stream.flush();
}

fn hang() -> ! {
    loop {
        std::thread::park();
    }
}

/// The head of the pack, then objects without end.
fn endless(stream: &mut dyn Stream, headers: &str, body: &[u8]) -> Option<()> {
    let head = format!("HTTP/1.1 200 OK\r\n{headers}Transfer-Encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    let start = body.windows(4).position(|part| part == b"PACK").unwrap();
    // Up to the packet that holds the pack; its own header is five bytes long.
    let before = &body[..start - 5];
    stream
        .write_all(format!("{:x}\r\n", before.len()).as_bytes())
        .ok()?;
    stream.write_all(&[before, b"\r\n"].concat()).ok()?;
    let mut pack = b"PACK\0\0\0\x02\0\x0f\x42\x40".to_vec();
    loop {
        // A blob of 50,000 bytes, deflated without compression.
        pack.extend_from_slice(&[0xb0 | 0x80, 0xb5, 0x18]);
        pack.extend_from_slice(&[0x78, 0x01, 0x01, 0x50, 0xc3, 0xaf, 0x3c]);
        pack.extend(std::iter::repeat_n(0u8, 50_000));
        pack.extend_from_slice(&[0xc3, 0x50, 0x00, 0x01]);
        let part: Vec<u8> = pack.drain(..pack.len().min(60_000)).collect();
        let packet = [format!("{:04x}", part.len() + 5).as_bytes(), &[1], &part[..]].concat();
        stream
            .write_all(format!("{:x}\r\n", packet.len()).as_bytes())
            .ok()?;
        stream.write_all(&[&packet[..], b"\r\n"].concat()).ok()?;
    }
}

/// One byte every 20 ms: never idle, never done.
fn drip(stream: &mut dyn Stream, headers: &str, body: &[u8]) -> Option<()> {
    send_part(stream, headers, body, 0);
    for byte in body {
        stream.write_all(&[*byte]).ok()?;
        stream.flush().ok()?;
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Some(())
}

/// An advertisement of the old protocol that names `count` branches.
fn many_refs(stream: &mut dyn Stream, count: usize) -> Option<()> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(b"001e# service=git-upload-pack\n0000").ok()?;
    let id = "1".repeat(40);
    for at in 0..count {
        let capabilities = if at == 0 {
            "\0side-band-64k ofs-delta shallow"
        } else {
            ""
        };
        let line = format!("{id} refs/heads/{at:0200}{capabilities}\n");
        stream
            .write_all(format!("{:04x}{line}", line.len() + 4).as_bytes())
            .ok()?;
    }
    stream.write_all(b"0000").ok()?;
    None
}
