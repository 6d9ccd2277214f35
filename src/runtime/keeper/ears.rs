//! What apps say about themselves by `sd_notify`: a socket in each app's folder, its words kept for the daemon.
//!
//! The keeper hears, because a word is said once: `READY=1` that is sent while no daemon runs must not be lost. Whoever
//! speaks is known by what the kernel says of the sender, and counts only if it is of the app's own tree; so it has to
//! live on until it was heard (as `systemd-notify` does). A flood of words costs a bounded number of looks a second.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::cmsg_space;
use rustix::event::epoll::{self, EventFlags};
use rustix::fs::{AtFlags, FileType, Gid, Mode, Uid};
use rustix::io::{Errno, IoSliceMut};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SocketAddrUnix,
    SocketFlags, SocketType,
};

use super::apps::Key;
use super::ending::own_pid;
use super::launch::system;
use super::protocol::{NOTIFY_SOCKET, Push, Spawn, SpawnFault, SpawnStep};
use super::records::StartRecord;
use super::state::Keeper;
use super::tree;
use super::turn::Source;
use crate::names::AppName;
use crate::runtime::notice::{DATAGRAM_BYTES_MAX, Notice};

/// So many words are taken at once; then the ear rests.
const WORDS_AT_ONCE_MAX: usize = 16;
/// How long an ear rests after it heard something: with the above some hundreds of words a second and app.
const REST: Duration = Duration::from_millis(20);
/// Descriptors that come with a word are closed at once, which is what a sender waits for (`BARRIER=1`). The kernel
/// closes those beyond.
const DESCRIPTORS_MAX: usize = 4;

/// Where one app is heard.
#[derive(Debug)]
pub struct Ear {
    socket: OwnedFd,
    /// All that its run has said.
    pub notice: Notice,
}

impl Keeper {
    /// Opens the ear for a new run, or closes the one of the run before.
    pub(super) fn open_ear(&mut self, key: Key, spawn: &Spawn) -> Result<(), SpawnFault> {
        self.close_ear(key);
        if !spawn.notify {
            return Ok(());
        }
        let owner = spawn.user.as_ref().map(|user| (user.uid, user.gid));
        let path = format!("apps/{}/{NOTIFY_SOCKET}", spawn.app);
        self.place_ear(key, &spawn.app, owner)
            .map_err(|error| system(SpawnStep::Folders, &path, error))
    }

    /// For a run that an earlier keeper has started. What it said then, the daemon knows.
    pub(super) fn open_ear_again(&mut self, key: Key, record: &StartRecord) {
        let gid = super::proc::gid_of(record.pid).unwrap_or(record.uid);
        if let Err(error) = self.place_ear(key, &record.app, Some((record.uid, gid))) {
            super::log(format_args!("{} cannot be heard any more: {error}", record.app));
        }
    }

    fn place_ear(&mut self, key: Key, app: &AppName, owner: Option<(u32, u32)>) -> Result<(), Errno> {
        let socket = bind(self.handover.apps_folder(), app, owner)?;
        epoll::add(&self.epoll, &socket, Source::Ear(key).data(), EventFlags::IN)?;
        if let Some(slot) = self.apps.slot_mut(key) {
            slot.ear = Some(Ear {
                socket,
                notice: Notice::default(),
            });
        }
        Ok(())
    }

    /// Closes the ear of an app, and takes its socket away.
    pub(super) fn close_ear(&mut self, key: Key) {
        let Some(slot) = self.apps.slot_mut(key) else {
            return;
        };
        let app = slot.app.clone();
        if let Some(ear) = slot.ear.take() {
            self.unwatch(ear.socket.as_fd());
            self.resting_ears.retain(|(_, resting)| *resting != key);
            let _ = rustix::fs::unlinkat(self.handover.apps_folder(), path_of(&app), AtFlags::empty());
        }
    }

    /// Somebody says something to the ear of `key`.
    pub(super) fn hear(&mut self, key: Key) {
        let mut is_news = false;
        for _ in 0..WORDS_AT_ONCE_MAX {
            let ear = self.apps.slot(key).and_then(|slot| slot.ear.as_ref());
            let Some(word) = ear.and_then(|ear| receive(ear.socket.as_fd())) else {
                break;
            };
            if !self.is_of_the_tree(key, word.sender) {
                continue;
            }
            let ear = self.apps.slot_mut(key).and_then(|slot| slot.ear.as_mut());
            is_news |= ear.is_some_and(|ear| ear.notice.hear(word.text()));
        }
        self.rest(key);
        if is_news {
            self.tell_notice(key);
        }
    }

    fn tell_notice(&mut self, key: Key) {
        let Some(slot) = self.apps.slot(key) else { return };
        if let (Some(run), Some(ear)) = (&slot.run, &slot.ear) {
            let (instance, notice) = (run.instance().clone(), ear.notice.clone());
            self.push(Push::Noticed { instance, notice });
        }
    }

    /// Whether the process `pid` is of the tree that runs in the slot.
    fn is_of_the_tree(&self, key: Key, pid: i32) -> bool {
        let Some(slot) = self.apps.slot(key) else {
            return false;
        };
        let Some(run) = slot.run.as_ref().filter(|run| run.ended.is_none()) else {
            return false;
        };
        pid == run.pid()
            || slot
                .groups
                .members()
                .is_some_and(|members| members.contains(&pid))
            || tree::is_member(&run.root(), pid, own_pid(), self.apps.mains())
    }

    fn rest(&mut self, key: Key) {
        let Some(ear) = self.apps.slot(key).and_then(|slot| slot.ear.as_ref()) else {
            return;
        };
        self.unwatch(ear.socket.as_fd());
        self.resting_ears.push_back((Instant::now() + REST, key));
    }

    /// Ears that have rested listen again. When the next one has.
    pub(super) fn listen_again(&mut self, now: Instant) -> Option<Instant> {
        while let Some((until, key)) = self.resting_ears.front().copied() {
            if until > now {
                return Some(until);
            }
            self.resting_ears.pop_front();
            if let Some(ear) = self.apps.slot(key).and_then(|slot| slot.ear.as_ref()) {
                let data = Source::Ear(key).data();
                let _ = epoll::add(&self.epoll, &ear.socket, data, EventFlags::IN);
            }
        }
        None
    }
}

/// One datagram, and who sent it.
struct Word {
    bytes: [u8; DATAGRAM_BYTES_MAX],
    count: usize,
    sender: i32,
}

impl Word {
    fn text(&self) -> &[u8] {
        self.bytes.get(..self.count).unwrap_or_default()
    }
}

/// The next word; one that is too long, or of which nobody knows the sender, is an empty one of nobody.
fn receive(socket: BorrowedFd<'_>) -> Option<Word> {
    let mut word = Word {
        bytes: [0; DATAGRAM_BYTES_MAX],
        count: 0,
        sender: 0,
    };
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmCredentials(1), ScmRights(DESCRIPTORS_MAX))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let mut room = [IoSliceMut::new(&mut word.bytes)];
    let received = rustix::net::recvmsg(socket, &mut room, &mut beside, flags).ok()?;
    for message in beside.drain() {
        if let RecvAncillaryMessage::ScmCredentials(sender) = message {
            word.sender = sender.pid.as_raw_nonzero().get();
        }
    }
    if !received.flags.contains(ReturnFlags::TRUNC) {
        word.count = received.bytes;
    }
    Some(word)
}

/// The socket of `app`, in the place of the one before. Only its user may write to it.
fn bind(apps: BorrowedFd<'_>, app: &AppName, owner: Option<(u32, u32)>) -> Result<OwnedFd, Errno> {
    let path = path_of(app);
    match rustix::fs::statat(apps, path.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Socket => {
            rustix::fs::unlinkat(apps, path.as_str(), AtFlags::empty())?;
        }
        Ok(_) => return Err(Errno::EXIST),
        Err(Errno::NOENT) => {}
        Err(error) => return Err(error),
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
    rustix::net::sockopt::set_socket_passcred(&socket, true)?;
    // By descriptor: however long the data directory's own path is.
    let address = format!("/proc/thread-self/fd/{}/{path}", apps.as_raw_fd());
    rustix::net::bind(&socket, &SocketAddrUnix::new(address.as_str())?)?;
    rustix::fs::chmodat(apps, path.as_str(), Mode::RUSR | Mode::WUSR, AtFlags::empty())?;
    if let Some((uid, gid)) = owner {
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        rustix::fs::chownat(apps, path.as_str(), uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(socket)
}

fn path_of(app: &AppName) -> String {
    format!("{app}/{NOTIFY_SOCKET}")
}
