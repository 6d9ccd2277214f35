//! The keeper's callers: taken in, read, written to, and cut off.

use std::os::fd::AsFd;

use rustix::event::epoll::{self, EventFlags};

use super::apps::Key;
use super::connection::{Connection, Sent};
use super::protocol::{Message, Push, Role};
use super::sockets;
use super::state::{Ending, Keeper};
use super::turn::Source;

/// Callers at a time: a daemon, its successor, and people with `doctor`. One more takes the place of the oldest of these.
const CONNECTIONS_MAX: usize = 16;

impl Keeper {
    /// Takes in whoever waits at the door.
    pub(super) fn take_connections(&mut self) {
        while let Some(socket) = sockets::accept(self.listener.as_fd()) {
            if self.connections.len() >= CONNECTIONS_MAX && !self.make_room() {
                continue;
            }
            let key = self.next_connection;
            self.next_connection = self.next_connection.wrapping_add(1);
            let data = Source::Connection(key).data();
            if epoll::add(&self.epoll, &socket, data, EventFlags::IN).is_ok() {
                self.connections.insert(key, Connection::new(socket));
            }
        }
    }

    /// Sends the oldest caller away that is no daemon: whoever holds all places must not keep a daemon out.
    fn make_room(&mut self) -> bool {
        let mut others = self
            .connections
            .iter()
            .filter(|(_, caller)| caller.role != Some(Role::Daemon));
        let oldest = others.next().map(|(key, _)| *key);
        oldest.inspect(|key| self.close(*key)).is_some()
    }

    /// Reads what a caller sent, and carries it out.
    pub(super) fn take_calls(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(&key) else {
            return;
        };
        let is_open = connection.fill(&mut self.read_buffer);
        loop {
            let Some(connection) = self.connections.get_mut(&key) else {
                return;
            };
            match connection.next_call() {
                Ok(Some(call)) => self.answer(key, call),
                Ok(None) => break,
                Err(error) => {
                    super::log(format_args!("a connection is closed: {error}"));
                    return self.close(key);
                }
            }
        }
        if !is_open {
            self.close(key);
        }
    }

    fn close(&mut self, key: Key) {
        let Some(connection) = self.connections.remove(&key) else {
            return;
        };
        self.unwatch(connection.socket());
        if connection.role == Some(Role::Daemon) && self.options.tied && !self.has_daemon() {
            self.end(Ending::StopApps);
        }
    }

    /// Is a daemon connected?
    pub(super) fn has_daemon(&self) -> bool {
        self.connections
            .values()
            .any(|connection| connection.role == Some(Role::Daemon))
    }

    /// Notes that a daemon has said hello.
    pub(super) fn daemon_came(&mut self) {
        self.had_daemon = true;
    }

    /// Queues `message` for one caller.
    pub(super) fn reply(&mut self, key: Key, message: &Message) {
        if let Some(connection) = self.connections.get_mut(&key) {
            connection.queue(message);
        }
    }

    /// Queues `push` for every daemon.
    pub(super) fn push(&mut self, push: Push) {
        let message = Message::Push(push);
        for connection in self.connections.values_mut() {
            if connection.role == Some(Role::Daemon) {
                connection.queue(&message);
            }
        }
    }

    /// Sends what is queued.
    pub(super) fn flush(&mut self) {
        let mut broken = Vec::new();
        for (key, connection) in &mut self.connections {
            if !connection.has_unsent() && !connection.waits_for_room {
                continue;
            }
            let waits = match connection.send() {
                Sent::All => false,
                Sent::Part => true,
                Sent::Broken => {
                    broken.push(*key);
                    continue;
                }
            };
            if waits != connection.waits_for_room {
                let flags = if waits {
                    EventFlags::IN | EventFlags::OUT
                } else {
                    EventFlags::IN
                };
                let data = Source::Connection(*key).data();
                if epoll::modify(&self.epoll, connection.socket(), data, flags).is_err() {
                    broken.push(*key);
                }
                connection.waits_for_room = waits;
            }
        }
        for key in broken {
            self.close(key);
        }
    }
}
