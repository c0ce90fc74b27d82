//! Rooms where so many wait that waking them all at once would keep everybody else waiting: they are woken a few at a time,
//! and who asks something meanwhile has their turn in between.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use myelin_model::RoomNid;
use tokio::sync::Notify;

use crate::notifier::Notifier;

/// A room with more users in memory is a crowd.
pub(crate) const CROWD: usize = 64;
/// How many users, and about how many of their requests, are woken before others have their turn.
const USERS: usize = 16;
const REQUESTS: usize = 64;

/// The rooms whose crowds are to be woken, each once.
#[derive(Default)]
pub(crate) struct Crowds {
    rooms: Mutex<VecDeque<RoomNid>>,
    came: Notify,
}

impl Crowds {
    fn lock(&self) -> MutexGuard<'_, VecDeque<RoomNid>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the room's crowd woken. One that is being woken is woken again from the start.
    pub(crate) fn wake(&self, room: RoomNid) {
        let mut rooms = self.lock();
        if !rooms.contains(&room) {
            rooms.push_back(room);
            self.came.notify_one();
        }
    }

    async fn next(&self) -> RoomNid {
        loop {
            if let Some(room) = self.lock().pop_front() {
                return room;
            }
            self.came.notified().await;
        }
    }
}

impl Notifier {
    /// Wakes crowds, one room after the other.
    pub(crate) async fn wake_crowds(&self) {
        loop {
            let room = self.crowds.next().await;
            let users: Vec<Arc<str>> = self.interested(room);
            for users in users.chunks(USERS) {
                let requests = self.wake_users(users);
                for _ in 0..requests.div_ceil(REQUESTS) {
                    tokio::task::yield_now().await;
                }
            }
        }
    }
}
