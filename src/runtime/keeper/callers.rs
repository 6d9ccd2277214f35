//! The keeper's callers: taken in, read, written to, and cut off.

use std::os::fd::AsFd;

use rustix::event::epoll::{self, EventFlags};

use super::apps::Key;
use super::connection::Connection;
use super::protocol::{Message, Push, Role, VERSION_OF_HEALTH, VERSION_OLDEST};
use super::sockets;
use super::state::{Ending, Keeper};
use super::turn::Source;

/// Callers at a time: a daemon, its successor, and people with `doctor`. One more takes the place of the oldest of these.
const CONNECTIONS_MAX: usize = 16;

impl Keeper {
    /// Makes the socket anew if the one in its place is not this keeper's: somebody has removed or replaced it, and no
    /// daemon finds the keeper any more. Callers that are connected stay so.
    pub(super) fn listen_anew(&mut self) {
        let place = sockets::place_of(self.data_folder.as_fd());
        if place.is_some() && place == self.listener_place {
            return;
        }
        let listened = sockets::listen(self.data_folder.as_fd(), &self.data_dir).and_then(|listener| {
            epoll::add(&self.epoll, &listener, Source::Listener.data(), EventFlags::IN)?;
            Ok(listener)
        });
        match listened {
            Ok(listener) => {
                self.unwatch(self.listener.as_fd());
                self.listener = listener;
                self.listener_place = sockets::place_of(self.data_folder.as_fd());
                super::log(format_args!("its socket was lost and is made anew"));
            }
            Err(error) => super::log(format_args!(
                "its socket was lost and cannot be made anew: {}: {error}",
                self.data_dir.join(sockets::SOCKET).display()
            )),
        }
    }

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

    /// Carries out what a caller asks, as far as it takes the answers: first the calls that were held up, then what it
    /// sent since.
    pub(super) fn take_calls(&mut self, key: Key) {
        let mut is_open = None;
        while self.may_ask(key) {
            let Some(connection) = self.connections.get_mut(&key) else {
                return;
            };
            match connection.next_call() {
                Ok(Some(call)) => self.answer(key, call),
                Ok(None) => match is_open {
                    None => is_open = Some(connection.fill(&mut self.read_buffer)),
                    Some(true) => return,
                    Some(false) => return self.close(key),
                },
                Err(error) => {
                    super::log(format_args!("a connection is closed: {error}"));
                    return self.close(key);
                }
            }
        }
    }

    /// Whether this caller's next call may be taken. If not, it comes up again when there is room for answers.
    fn may_ask(&mut self, key: Key) -> bool {
        let is_full = |keeper: &Self| keeper.connections.get(&key).is_some_and(Connection::is_full);
        if is_full(self) {
            self.flush();
        }
        let is_held_up = is_full(self);
        if let Some(connection) = self.connections.get_mut(&key) {
            connection.is_held_up = is_held_up;
        }
        !is_held_up
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
        let version = match &push {
            Push::Checked { .. } | Push::Noticed { .. } => VERSION_OF_HEALTH,
            Push::Spawned(_) | Push::SpawnFailed { .. } | Push::Exited(_) | Push::OutputDropped { .. } => {
                VERSION_OLDEST
            }
        };
        let message = Message::Push(push);
        for connection in self.connections.values_mut() {
            if connection.role == Some(Role::Daemon) && connection.version >= version {
                connection.queue(&message);
            }
        }
    }

    /// Sends what is queued.
    pub(super) fn flush(&mut self) {
        let mut broken = Vec::new();
        for (key, connection) in &mut self.connections {
            if connection.has_unsent() && !connection.send() {
                broken.push(*key);
                continue;
            }
            let wants = connection.wants();
            if wants != connection.watched_for {
                let data = Source::Connection(*key).data();
                if epoll::modify(&self.epoll, connection.socket(), data, wants).is_err() {
                    broken.push(*key);
                }
                connection.watched_for = wants;
            }
        }
        for key in broken {
            self.close(key);
        }
    }
}
