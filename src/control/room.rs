//! The places that a door has for its clients. One that says nothing gives way to one more; nobody keeps the others out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

/// A client that was sent away gives its place back within moments.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// So often somebody is asked to make room. In vain only if everybody is being served.
const TRIES_MAX: u32 = 10;

/// The places.
pub(super) struct Room {
    places: Arc<Semaphore>,
    silent: Arc<Silent>,
}

/// One client's place; given back when it is dropped.
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    silent: Arc<Silent>,
}

/// Those for whom nothing is being done, by how long they have been silent.
#[derive(Default)]
struct Silent(Mutex<(u64, BTreeMap<u64, oneshot::Sender<()>>)>);

impl Room {
    /// With so many places.
    pub fn new(places: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
            silent: Arc::default(),
        }
    }

    /// A place, if need be that of the client that has been silent for longest. None: all are being served.
    pub async fn place(&self) -> Option<Place> {
        for _ in 0..TRIES_MAX {
            if self.places.available_permits() == 0 {
                self.silent.send_oldest_away();
            }
            if let Ok(Ok(permit)) = timeout(LOOK_AGAIN, self.places.clone().acquire_owned()).await {
                return Some(Place {
                    _permit: permit,
                    silent: self.silent.clone(),
                });
            }
        }
        None
    }
}

impl Place {
    /// Resolves when this client has to make room. Dropped: it has said something meanwhile.
    pub async fn sent_away(&self) {
        let (sender, told) = oneshot::channel();
        let _waiting = Waiting {
            ticket: self.silent.add(sender),
            silent: &self.silent,
        };
        if told.await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Silent {
    fn add(&self, client: oneshot::Sender<()>) -> u64 {
        let mut silent = self.lock();
        let ticket = silent.0;
        silent.0 += 1;
        silent.1.insert(ticket, client);
        ticket
    }

    fn send_oldest_away(&self) {
        while let Some((_, client)) = self.lock().1.pop_first() {
            if client.send(()).is_ok() {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, (u64, BTreeMap<u64, oneshot::Sender<()>>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a client out of the silent ones however its waiting ends.
struct Waiting<'a> {
    ticket: u64,
    silent: &'a Silent,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.silent.lock().1.remove(&self.ticket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_one_that_has_been_silent_for_longest_makes_room_for_one_more() {
        let room = Room::new(2);
        let (first, second) = (room.place().await.unwrap(), room.place().await.unwrap());
        let second = tokio::spawn(async move { second.sent_away().await });
        let (gone, is_gone) = oneshot::channel();
        // It has said something in between, so it is silent for less long than the other.
        assert!(timeout(LOOK_AGAIN, first.sent_away()).await.is_err());
        tokio::spawn(async move {
            first.sent_away().await;
            let _ = gone.send(());
        });
        tokio::task::yield_now().await;
        let third = room.place().await.unwrap();
        second.await.unwrap();
        let fourth = room.place().await.unwrap();
        is_gone.await.unwrap();
        drop((third, fourth));
    }

    #[tokio::test]
    async fn nobody_who_is_being_served_is_sent_away() {
        let room = Room::new(1);
        let served = room.place().await.unwrap();
        assert!(room.place().await.is_none());
        drop(served);
        assert!(room.place().await.is_some());
        assert!(room.silent.lock().1.is_empty());
    }
}
