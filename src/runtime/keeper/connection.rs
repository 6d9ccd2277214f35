//! One caller of the keeper: bytes in, bytes out, both bounded.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use super::frame::{FrameBuffer, FrameError, write_frame};
use super::protocol::{Call, Message, Role};

/// A caller that reads nothing while this much waits for it is cut off; exits are remembered for the next.
const UNSENT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Reads in one turn, so that no caller keeps the others waiting.
const READS_IN_A_TURN_MAX: usize = 8;
const KEPT_BYTES_MAX: usize = 16 * 1024;

/// A connection.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
    incoming: FrameBuffer,
    outgoing: Vec<u8>,
    sent: usize,
    /// Who it is, once it said hello.
    pub role: Option<Role>,
    /// Whether the loop waits for room to send.
    pub waits_for_room: bool,
}

/// What became of sending.
#[derive(Debug, PartialEq, Eq)]
pub enum Sent {
    /// All of it.
    All,
    /// The socket is full.
    Part,
    /// The caller is gone, or reads nothing.
    Broken,
}

impl Connection {
    /// Over a connected socket that does not wait.
    #[must_use]
    pub fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            incoming: FrameBuffer::default(),
            outgoing: Vec::new(),
            sent: 0,
            role: None,
            waits_for_room: false,
        }
    }

    /// The socket, to wait for.
    #[must_use]
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Reads what came into the buffer. False when the caller is gone.
    pub fn fill(&mut self, scratch: &mut [u8]) -> bool {
        for _ in 0..READS_IN_A_TURN_MAX {
            match rustix::io::read(&self.socket, &mut *scratch) {
                Ok(0) => return false,
                Ok(count) => {
                    self.incoming.extend(scratch.get(..count).unwrap_or_default());
                    if count < scratch.len() {
                        return true;
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return true,
                Err(_) => return false,
            }
        }
        true
    }

    /// The next whole call.
    ///
    /// # Errors
    /// When what came is none; the connection is then to be closed.
    pub fn next_call(&mut self) -> Result<Option<Call>, FrameError> {
        self.incoming.next_message()
    }

    /// Queues `message`; [`Self::send`] sends it.
    pub fn queue(&mut self, message: &Message) {
        // A message too long for a frame (a list of very many apps) is better missed than torn: the caller times out.
        let _ = write_frame(message, &mut self.outgoing);
    }

    /// Whether anything waits to be sent.
    #[must_use]
    pub fn has_unsent(&self) -> bool {
        self.sent < self.outgoing.len()
    }

    /// Sends what the socket takes.
    pub fn send(&mut self) -> Sent {
        while let Some(rest) = self.outgoing.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match rustix::io::write(&self.socket, rest) {
                Ok(count) => self.sent += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if rest.len() > UNSENT_BYTES_MAX => return Sent::Broken,
                Err(Errno::AGAIN) => return Sent::Part,
                Err(_) => return Sent::Broken,
            }
        }
        self.outgoing.clear();
        self.outgoing.shrink_to(KEPT_BYTES_MAX);
        self.sent = 0;
        Sent::All
    }
}
