//! One caller of the keeper: bytes in, bytes out, both bounded.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;

use super::frame::{FrameBuffer, FrameError, MESSAGE_BYTES_MAX, write_frame};
use super::protocol::{Call, Message, Refusal, Role};

/// A caller for whom more than this waits is cut off; exits are remembered for the next. The longest answer, and pushes.
const UNSENT_BYTES_MAX: usize = MESSAGE_BYTES_MAX + 4 * 1024 * 1024;
/// While this much waits for a caller, no more of its calls are taken: a small call may have a large answer.
const UNTAKEN_BYTES_MAX: usize = 256 * 1024;
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
    /// Nothing more can be said to it.
    is_lost: bool,
    /// Who it is, once it said hello.
    pub role: Option<Role>,
    /// The version that both speak.
    pub version: u32,
    /// Some of its calls wait until it has taken the answers to those before.
    pub is_held_up: bool,
    /// What the loop waits for.
    pub watched_for: EventFlags,
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
            is_lost: false,
            role: None,
            version: 0,
            is_held_up: false,
            watched_for: EventFlags::IN,
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
        if self.is_lost {
            return;
        }
        let said = write_frame(message, &mut self.outgoing);
        let said = match (said, message) {
            (Err(_), Message::Reply { id, .. }) => write_frame(&too_long(*id), &mut self.outgoing),
            (said, _) => said,
        };
        // A daemon that missed a push would wait for ever; one that comes again is told everything.
        if said.is_err() || self.unsent_bytes() > UNSENT_BYTES_MAX {
            self.is_lost = true;
            self.outgoing = Vec::new();
            self.sent = 0;
        }
    }

    /// Whether there is anything to send, or to cut off.
    #[must_use]
    pub fn has_unsent(&self) -> bool {
        self.unsent_bytes() > 0 || self.is_lost
    }

    /// Whether so much waits for the caller that no call of its is to be taken.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.unsent_bytes() > UNTAKEN_BYTES_MAX || self.is_lost
    }

    /// What the loop is to wait for. One that is held up is not read: it comes up again once there is room to send.
    #[must_use]
    pub fn wants(&self) -> EventFlags {
        match (self.is_held_up, self.has_unsent()) {
            (true, _) => EventFlags::OUT,
            (false, true) => EventFlags::IN | EventFlags::OUT,
            (false, false) => EventFlags::IN,
        }
    }

    fn unsent_bytes(&self) -> usize {
        self.outgoing.len() - self.sent
    }

    /// Sends what the socket takes. False when the caller is gone, or takes nothing.
    pub fn send(&mut self) -> bool {
        if self.is_lost {
            return false;
        }
        while let Some(rest) = self.outgoing.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match rustix::io::write(&self.socket, rest) {
                Ok(count) => self.sent += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    self.let_go_of_sent();
                    return true;
                }
                Err(_) => return false,
            }
        }
        self.outgoing.clear();
        self.outgoing.shrink_to(KEPT_BYTES_MAX);
        self.sent = 0;
        true
    }

    /// What was sent takes no more room than what was not, however long the caller lags behind.
    fn let_go_of_sent(&mut self) {
        if self.sent > self.outgoing.len() / 2 {
            self.outgoing.drain(..self.sent);
            self.sent = 0;
        }
    }
}

/// The answer in the place of one that does not fit into a frame.
fn too_long(id: u64) -> Message {
    Message::Reply {
        id,
        result: Err(Refusal::System {
            what: "the answer is too long".into(),
            errno: Errno::MSGSIZE.raw_os_error(),
        }),
    }
}

#[cfg(test)]
mod tests;
