//! One request with its answer, as gix wants to read it: headers by line, body by chunk, each chunk with a deadline.

use std::io::{self, BufRead, Cursor, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{accept, broken, send};
use crate::git::watch::Watch;
use crate::web::innermost;

/// The most that we send in one request: ids of commits that we have.
const UPLOAD_BYTES_MAX: usize = 16 << 20;

/// One request and its answer. The request goes off when the answer is first looked at: until then its body grows.
pub(super) struct Exchange {
    client: Option<(reqwest::Client, reqwest::Request)>,
    upload: Vec<u8>,
    response: Option<reqwest::Response>,
    watch: Arc<Watch>,
}

pub(super) type SharedExchange = Arc<Mutex<Exchange>>;

impl Exchange {
    pub(super) fn answered(response: reqwest::Response, watch: Arc<Watch>) -> SharedExchange {
        Arc::new(Mutex::new(Self {
            client: None,
            upload: Vec::new(),
            response: Some(response),
            watch,
        }))
    }

    pub(super) fn unsent(
        client: reqwest::Client,
        request: reqwest::Request,
        watch: Arc<Watch>,
    ) -> SharedExchange {
        Arc::new(Mutex::new(Self {
            client: Some((client, request)),
            upload: Vec::new(),
            response: None,
            watch,
        }))
    }

    fn response(&mut self) -> io::Result<&mut reqwest::Response> {
        if let Some((client, mut request)) = self.client.take() {
            *request.body_mut() = Some(std::mem::take(&mut self.upload).into());
            let response = send(&client, request, &self.watch)?;
            if response.status().is_redirection() {
                return Err(broken(&self.watch, "it redirects in the middle of a fetch"));
            }
            self.response = Some(accept(response, &self.watch)?);
        }
        self.response
            .as_mut()
            .ok_or_else(|| io::Error::other("there is no answer"))
    }

    fn headers(&mut self) -> io::Result<Vec<u8>> {
        let mut lines = Vec::new();
        for (name, value) in self.response()?.headers() {
            lines.extend_from_slice(name.as_str().as_bytes());
            lines.extend_from_slice(b": ");
            lines.extend(value.to_str().unwrap_or_default().bytes());
            lines.push(b'\n');
        }
        Ok(lines)
    }

    /// The next part of the body; empty at its end.
    fn chunk(&mut self) -> io::Result<Vec<u8>> {
        let watch = self.watch.clone();
        let response = self.response()?;
        let chunk = watch.block_on(watch.idle_wait(), "no data came", response.chunk())?;
        match chunk {
            Ok(Some(chunk)) => {
                watch.received(chunk.len())?;
                Ok(chunk.to_vec())
            }
            Ok(None) => Ok(Vec::new()),
            Err(error) => Err(broken(
                &watch,
                &format!("the connection broke off: {}", innermost(&error)),
            )),
        }
    }
}

fn lock(exchange: &SharedExchange) -> MutexGuard<'_, Exchange> {
    exchange.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The body of a request, as gix writes it.
pub(super) struct Upload(pub(super) SharedExchange);

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut exchange = lock(&self.0);
        if exchange.upload.len() + bytes.len() > UPLOAD_BYTES_MAX {
            return Err(io::Error::other("the request grows too large"));
        }
        exchange.upload.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The answer's headers, line by line.
pub(super) struct AnswerHeaders {
    exchange: SharedExchange,
    lines: Option<Cursor<Vec<u8>>>,
}

impl AnswerHeaders {
    pub(super) fn of(exchange: &SharedExchange) -> Self {
        Self {
            exchange: exchange.clone(),
            lines: None,
        }
    }
}

impl BufRead for AnswerHeaders {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.lines.is_none() {
            self.lines = Some(Cursor::new(lock(&self.exchange).headers()?));
        }
        match &mut self.lines {
            Some(lines) => lines.fill_buf(),
            None => Ok(&[]),
        }
    }

    fn consume(&mut self, count: usize) {
        if let Some(lines) = &mut self.lines {
            lines.consume(count);
        }
    }
}

impl Read for AnswerHeaders {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

/// The answer's body.
pub(super) struct AnswerBody {
    exchange: SharedExchange,
    chunk: Cursor<Vec<u8>>,
}

impl AnswerBody {
    pub(super) fn of(exchange: &SharedExchange) -> Self {
        Self {
            exchange: exchange.clone(),
            chunk: Cursor::default(),
        }
    }
}

impl BufRead for AnswerBody {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.chunk.fill_buf()?.is_empty() {
            self.chunk = Cursor::new(lock(&self.exchange).chunk()?);
        }
        self.chunk.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.chunk.consume(count);
    }
}

impl Read for AnswerBody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}
