//! One connection to a keeper, and what passes through it.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::Instant;

use super::CALL_DEADLINE;
use crate::runtime::keeper::frame::{FrameBuffer, write_frame};
use crate::runtime::keeper::protocol::{Call, Message};

const READ_BYTES: usize = 64 * 1024;
/// A keeper that has said nothing for so long is asked whether it is there. Rarely: an idle node is to stay idle.
const ASK_AFTER: Duration = Duration::from_secs(10);
/// How long it has for the answer: with the above, a keeper that hangs is noticed within 15 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// A connection and what passes through it.
pub struct Wire {
    stream: UnixStream,
    incoming: FrameBuffer,
    outgoing: Vec<u8>,
    sent: usize,
    /// Calls without an answer, oldest first, and when each was made.
    owed: VecDeque<(u64, Instant)>,
    /// When the keeper said something last.
    heard_at: Instant,
    /// When it was asked whether it is there, having said nothing since.
    asked_at: Option<Instant>,
    buffer: Vec<u8>,
}

/// What a wire on which nothing comes is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// The keeper is to be asked whether it is there.
    Ask,
    /// An answer is overdue.
    Silent,
}

/// Why a task stops serving a connection.
pub enum Lost {
    /// Every handle is gone.
    Unwanted,
    /// The keeper is there and says nothing.
    Silent,
    /// The connection is of no use.
    Broken(String),
}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

impl Wire {
    pub fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            incoming: FrameBuffer::default(),
            outgoing: Vec::new(),
            sent: 0,
            owed: VecDeque::new(),
            heard_at: Instant::now(),
            asked_at: None,
            buffer: vec![0; READ_BYTES],
        }
    }

    /// What is to be done when nothing comes until then.
    pub fn due(&self) -> (Instant, Due) {
        let owed = self.owed.front().map(|(_, sent_at)| *sent_at + CALL_DEADLINE);
        let asked = self.asked_at.map(|asked_at| asked_at + ANSWER_WITHIN);
        let silent = owed.into_iter().chain(asked).min().map(|at| (at, Due::Silent));
        let ask = (self.heard_at + ASK_AFTER, Due::Ask);
        match (silent, self.asked_at) {
            (Some(silent), None) if silent.0 > ask.0 => ask,
            (Some(silent), _) => silent,
            (None, _) => ask,
        }
    }

    /// Notes that the keeper is asked now whether it is there.
    pub fn asked(&mut self) {
        self.asked_at = Some(Instant::now());
    }

    /// To be sent with the next [`Self::write`].
    pub fn queue(&mut self, call: &Call) -> Result<(), Lost> {
        self.owed.push_back((call.id, Instant::now()));
        write_frame(call, &mut self.outgoing).map_err(|error| Lost::Broken(error.to_string()))
    }

    /// Waits until something came or could be sent. May be dropped at any time.
    pub async fn pass(&mut self) -> Result<(), Lost> {
        let interest = if self.sent < self.outgoing.len() {
            tokio::io::Interest::READABLE | tokio::io::Interest::WRITABLE
        } else {
            tokio::io::Interest::READABLE
        };
        let ready = self.stream.ready(interest).await?;
        if ready.is_writable() {
            self.write()?;
        }
        if ready.is_readable() || ready.is_read_closed() {
            match self.stream.try_read(&mut self.buffer) {
                Ok(0) => return Err(Lost::Broken("the keeper closed the connection".into())),
                Ok(count) => {
                    self.heard_at = Instant::now();
                    self.asked_at = None;
                    self.incoming.extend(self.buffer.get(..count).unwrap_or_default());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    pub fn write(&mut self) -> Result<(), Lost> {
        while let Some(rest) = self.outgoing.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match self.stream.try_write(rest) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        self.outgoing.clear();
        self.outgoing.shrink_to(READ_BYTES);
        self.sent = 0;
        Ok(())
    }

    pub fn next_message(&mut self) -> Result<Option<Message>, Lost> {
        let message = self.incoming.next_message();
        let message =
            message.map_err(|error| Lost::Broken(format!("the keeper speaks otherwise: {error}")))?;
        if let Some(Message::Reply { id, .. }) = &message {
            // It answers in order: what it passed over will not come.
            while self.owed.front().is_some_and(|(owed, _)| owed <= id) {
                self.owed.pop_front();
            }
        }
        Ok(message)
    }
}
