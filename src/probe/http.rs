//! Does the app's web server answer, and well?
//!
//! One request on a connection of its own: one that is kept open would still be answered when nobody else can connect any
//! more. It is written and read by hand, because of the answer only its status counts; a whole client with its pool costs
//! several times as much, and a node may ask hundreds of times a second. Only this machine is asked: a redirect that
//! leads elsewhere is told and not followed.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{readable, tcp};

/// An answer's status line and headers. A longer head is none that a server sends.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// An answer's headers.
const HEADERS_MAX: usize = 100;
/// Redirects that are followed, one after the other.
const REDIRECTS_MAX: usize = 5;
/// Answers that announce the real one (`103 Early Hints`).
const INTERIM_MAX: usize = 5;

/// Asks for `path` on `port` of this machine: every status from 200 to 299 is well.
///
/// # Errors
/// With a reason in words, when it is not.
pub async fn ask(port: u16, path: &str) -> Result<(), String> {
    let mut path = path.to_owned();
    for _ in 0..=REDIRECTS_MAX {
        let answer = request(port, &path).await?;
        let url = url(port, &path);
        match answer.status {
            200..=299 => return Ok(()),
            301 | 302 | 303 | 307 | 308 => match answer.location {
                Some(to) => {
                    let next = followed(port, &path, &to);
                    path = next.ok_or_else(|| leads_away(answer.status, &url, &to))?;
                }
                None => {
                    return Err(format!(
                        "http {} from {url}, which says not where to",
                        answer.status
                    ));
                }
            },
            status if answer.excerpt.is_empty() => return Err(format!("http {status} from {url}")),
            status => return Err(format!("http {status} from {url}: {}", answer.excerpt)),
        }
    }
    Err(format!(
        "more than {REDIRECTS_MAX} redirects from {}",
        url(port, &path)
    ))
}

/// The address as a person writes it.
#[must_use]
pub fn url(port: u16, path: &str) -> String {
    format!("http://127.0.0.1:{port}{path}")
}

fn leads_away(status: u16, url: &str, to: &str) -> String {
    format!(
        "http {status} from {url} leads away from this app, to {}",
        readable(to.as_bytes())
    )
}

/// What of an answer counts.
struct Answer {
    status: u16,
    location: Option<String>,
    excerpt: String,
}

async fn request(port: u16, path: &str) -> Result<Answer, String> {
    let mut stream = tcp::connect(port).await?;
    let broken = |error: std::io::Error| format!("{} does not answer: {error}", url(port, path));
    // In one write, and no waiting for more.
    let _ = stream.set_nodelay(true);
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: osier/{}\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    );
    stream.write_all(request.as_bytes()).await.map_err(broken)?;
    let mut bytes = Vec::with_capacity(1024);
    let mut interim_count = 0;
    loop {
        if let Some((answer, head_bytes)) =
            parse(&bytes).map_err(|why| format!("{}: {why}", url(port, path)))?
        {
            if !(100..200).contains(&answer.status) {
                return Ok(with_excerpt(answer, &mut stream, bytes.split_off(head_bytes)).await);
            }
            bytes.drain(..head_bytes);
            interim_count += 1;
            if interim_count > INTERIM_MAX {
                return Err(format!("{} announces answers and gives none", url(port, path)));
            }
            continue;
        }
        if bytes.len() >= HEAD_BYTES_MAX {
            return Err(format!(
                "{}: its answer has a head of more than 16 KiB",
                url(port, path)
            ));
        }
        let room = HEAD_BYTES_MAX - bytes.len();
        let read = (&mut stream).take(room as u64).read_buf(&mut bytes).await;
        if read.map_err(broken)? == 0 {
            let what = if bytes.is_empty() {
                "closes the connection without an answer"
            } else {
                "breaks its answer off"
            };
            return Err(format!("{} {what}", url(port, path)));
        }
    }
}

/// The head of an answer and its length, once it is whole.
fn parse(bytes: &[u8]) -> Result<Option<(Answer, usize)>, String> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let head = response
        .parse(bytes)
        .map_err(|error| format!("no answer by HTTP: {error}"))?;
    let httparse::Status::Complete(head_bytes) = head else {
        return Ok(None);
    };
    let location = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("location"))
        .and_then(|header| std::str::from_utf8(header.value).ok());
    let answer = Answer {
        status: response.code.unwrap_or_default(),
        location: location.map(str::to_owned),
        excerpt: String::new(),
    };
    Ok(Some((answer, head_bytes)))
}

/// What the server says about why it is not well, if it says it soon.
async fn with_excerpt(answer: Answer, stream: &mut TcpStream, mut body: Vec<u8>) -> Answer {
    const SOON: std::time::Duration = std::time::Duration::from_millis(100);
    const BYTES_MAX: u64 = 512;
    if answer.status < 400 {
        return answer;
    }
    if body.is_empty() {
        let mut few = stream.take(BYTES_MAX);
        // Its status has come; without a word beside it that is enough.
        let _ = tokio::time::timeout(SOON, few.read_buf(&mut body)).await;
    }
    Answer {
        excerpt: readable(&body),
        ..answer
    }
}

/// The path that a redirect leads to, if it is the same server's.
fn followed(port: u16, from: &str, location: &str) -> Option<String> {
    let location = location.split('#').next().unwrap_or_default();
    let path = if let Some(rest) = location.strip_prefix("http://") {
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let hosts = ["127.0.0.1", "localhost", "[::1]"];
        let is_same =
            |host: &&str| authority == format!("{host}:{port}") || (port == 80 && authority == *host);
        hosts.iter().find(|host| is_same(host))?;
        if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/{path}")
        }
    } else if location.starts_with("//") || location.split(['/', '?']).next()?.contains(':') {
        return None;
    } else if location.starts_with('/') {
        location.to_owned()
    } else {
        let folder = from.split('?').next()?;
        format!("{}{location}", folder.get(..=folder.rfind('/')?)?)
    };
    let is_a_path = !path.chars().any(|c| c.is_control() || c.is_whitespace());
    (is_a_path && path.len() <= HEAD_BYTES_MAX).then_some(path)
}

#[cfg(test)]
mod tests;
