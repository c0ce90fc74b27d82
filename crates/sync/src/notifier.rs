//! Who is woken when something is committed: the users in that room who wait, and nobody else.
//!
//! A request subscribes to its user's signal before it reads, so that a commit between reading and waiting is never
//! missed. Which users are in which room is known from the room lists of those users that are in memory; users who
//! wait always are.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use myelin_model::{RoomNid, Topic};
use myelin_runtime::Tasks;
use myelin_store::{CommitNotice, Engine};
use ruma::UserId;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

use crate::crowds::{CROWD, Crowds};
use crate::ports::Typing;
use crate::presence::Change;

/// The most rooms whose last activity is remembered.
const MOST_ROOMS: usize = 200_000;

/// Wakes waiting requests.
#[derive(Default)]
pub(crate) struct Notifier {
    state: Mutex<State>,
    pub(crate) crowds: Crowds,
}

#[derive(Default)]
struct State {
    /// By user: their signal. Present while a request holds it or their rooms are in memory.
    users: HashMap<Arc<str>, Listener>,
    /// The users in memory who are in the room, or asked into it.
    interest: HashMap<RoomNid, HashSet<Arc<str>>>,
    activity: Activity,
}

/// A user who listens, or whose rooms are in memory.
struct Listener {
    signal: watch::Sender<u64>,
    /// Everything of the user's own that was committed after this position is known.
    since: i64,
    /// The position of the last commit that was about the user.
    last: i64,
}

/// When something last happened in each room.
#[derive(Default)]
struct Activity {
    last: HashMap<RoomNid, i64>,
    by_position: BTreeSet<(i64, RoomNid)>,
    /// Nothing is known of what happened up to this position.
    floor: i64,
    /// Everything that happened up to this position is known.
    until: i64,
}

impl Notifier {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows the engine's commits, and typing, until the server stops.
    pub(crate) fn run(self: &Arc<Self>, engine: &dyn Engine, typing: &dyn Typing, tasks: &Tasks) {
        let (notices, typing) = (engine.notices(), typing.changes());
        self.lock().activity.restart(engine.positions().borrow().get());
        let (notifier, stopping) = (Arc::clone(self), tasks.stopping());
        tasks.spawn("sync.notifier", async move {
            tokio::select! {
                () = notifier.follow(notices, typing) => {}
                () = stopping => {}
            }
        });
        let (notifier, stopping) = (Arc::clone(self), tasks.stopping());
        tasks.spawn("sync.crowds", async move {
            tokio::select! {
                () = notifier.wake_crowds() => {}
                () = stopping => {}
            }
        });
    }

    async fn follow(
        &self,
        mut notices: broadcast::Receiver<Arc<CommitNotice>>,
        mut typing: broadcast::Receiver<RoomNid>,
    ) {
        let mut typing_lives = true;
        loop {
            tokio::select! {
                notice = notices.recv() => match notice {
                    Ok(notice) => self.committed(&notice),
                    Err(RecvError::Lagged(_)) => self.wake_everyone(),
                    Err(RecvError::Closed) => return,
                },
                room = typing.recv(), if typing_lives => match room {
                    Ok(room) => self.wake_room(room),
                    Err(RecvError::Lagged(_)) => self.wake_everyone(),
                    Err(RecvError::Closed) => typing_lives = false,
                },
            }
        }
    }

    /// Takes up a commit.
    pub(crate) fn committed(&self, notice: &CommitNotice) {
        let mut state = self.lock();
        for topic in &notice.topics {
            match topic {
                Topic::Room(room) => {
                    state.activity.note(*room, notice.position.get());
                    state.wake_room(*room, &self.crowds);
                }
                Topic::User(user) => state.wake_user(user, notice.position.get()),
            }
        }
        state.activity.until = state.activity.until.max(notice.position.get());
    }

    fn wake_room(&self, room: RoomNid) {
        self.lock().wake_room(room, &self.crowds);
    }

    /// The users in memory who have to do with the room.
    pub(crate) fn interested(&self, room: RoomNid) -> Vec<Arc<str>> {
        self.lock().interest.get(&room).into_iter().flatten().cloned().collect()
    }

    /// Wakes these users; says how many requests wait for them.
    pub(crate) fn wake_users(&self, users: &[Arc<str>]) -> usize {
        let state = self.lock();
        let mut requests = 0;
        for user in users.iter().filter_map(|user| state.users.get(user)) {
            requests += user.signal.receiver_count();
            user.signal.send_modify(|count| *count += 1);
        }
        requests
    }

    /// Wakes those who share a room with a user whose presence changed; says how many. Who changed it knows.
    pub(crate) fn wake_sharing<'c>(&self, changes: impl Iterator<Item = &'c Change>) -> usize {
        let state = self.lock();
        let mut woken: HashSet<&Arc<str>> = HashSet::new();
        for change in changes {
            let sharing = change.rooms.iter().filter_map(|room| state.interest.get(room)).flatten();
            woken.extend(sharing.filter(|user| ***user != *change.user_id.as_str()));
        }
        for user in woken.iter().filter_map(|user| state.users.get(*user)) {
            user.signal.send_modify(|count| *count += 1);
        }
        woken.len()
    }

    /// Commits were missed: everyone looks for themselves, and activity counts from here.
    pub(crate) fn wake_everyone(&self) {
        let mut state = self.lock();
        let until = state.activity.until;
        state.activity.restart(until);
        // What was missed is not known to end anywhere: the next notice says where it did.
        state.activity.floor = i64::MAX;
        for user in state.users.values() {
            user.signal.send_modify(|count| *count += 1);
        }
    }

    /// The user's signal. To be taken before reading, and to be waited on after.
    pub(crate) fn subscribe(&self, user_id: &UserId) -> watch::Receiver<u64> {
        let mut state = self.lock();
        if let Some(user) = state.users.get(user_id.as_str()) {
            return user.signal.subscribe();
        }
        let (signal, receiver) = watch::channel(0);
        let since = state.activity.until;
        state.users.insert(user_id.as_str().into(), Listener { signal, since, last: since });
        receiver
    }

    /// Notes that the user has to do with these rooms now, and no longer with those.
    pub(crate) fn interest(&self, user_id: &UserId, came: &[RoomNid], went: &[RoomNid]) {
        if came.is_empty() && went.is_empty() {
            return;
        }
        let mut state = self.lock();
        let user: Arc<str> = match state.users.get_key_value(user_id.as_str()) {
            Some((user, _)) => Arc::clone(user),
            None => user_id.as_str().into(),
        };
        for room in came {
            state.interest.entry(*room).or_default().insert(Arc::clone(&user));
        }
        for room in went {
            if let Some(users) = state.interest.get_mut(room) {
                users.remove(&user);
                if users.is_empty() {
                    state.interest.remove(room);
                }
            }
        }
    }

    /// Whether a request of this user waits, or is about to.
    pub(crate) fn is_waiting(&self, user_id: &UserId) -> bool {
        self.lock().users.get(user_id.as_str()).is_some_and(|user| user.signal.receiver_count() > 0)
    }

    /// Forgets the signals of users that nobody waits for.
    pub(crate) fn sweep(&self, known: impl Fn(&str) -> bool) {
        self.lock().users.retain(|user, listener| listener.signal.receiver_count() > 0 || known(user));
    }

    /// Whether everything is known that happened up to this position, from some earlier one on.
    pub(crate) fn knows(&self, position: i64) -> bool {
        let state = self.lock();
        state.activity.until >= position && state.activity.floor <= position
    }

    /// All rooms where something happened in `(since, until]`; `None` where that is not known. At most as many as the
    /// caller is ready to look at.
    pub(crate) fn recent(&self, since: i64, until: i64, most: usize) -> Option<Vec<RoomNid>> {
        let state = self.lock();
        let activity = &state.activity;
        let known = activity.until >= until && since >= activity.floor;
        let after = (since.saturating_add(1), RoomNid(i64::MIN))..;
        let rooms: Vec<RoomNid> =
            activity.by_position.range(after).map(|(_, room)| *room).take(most + 1).collect();
        (known && rooms.len() <= most).then_some(rooms)
    }

    /// Of these rooms, those to which something may have been committed in their span `(from, to]`.
    pub(crate) fn not_quiet(&self, spans: &[(RoomNid, i64, i64)]) -> Vec<RoomNid> {
        if spans.is_empty() {
            return Vec::new();
        }
        let state = self.lock();
        let activity = &state.activity;
        let is_quiet = |(room, from, to): &&(RoomNid, i64, i64)| {
            let known = *from >= activity.floor && activity.until >= *to;
            from == to || (known && activity.last.get(room).is_none_or(|last| last <= from))
        };
        spans.iter().filter(|span| !is_quiet(span)).map(|(room, ..)| *room).collect()
    }

    /// Whether certainly nothing of the user's own was committed in `(from, to]`.
    pub(crate) fn is_user_quiet(&self, user_id: &UserId, from: i64, to: i64) -> bool {
        let state = self.lock();
        let known = from >= state.activity.floor && state.activity.until >= to;
        let quiet = |user: &Listener| from >= user.since && user.last <= from;
        known && state.users.get(user_id.as_str()).is_some_and(quiet)
    }

    /// Of these rooms, those where something may have happened in `(since, until]`.
    pub(crate) fn active<R: Copy>(
        &self,
        rooms: impl Iterator<Item = (RoomNid, i64, R)>,
        until: i64,
    ) -> Vec<(RoomNid, i64, R)> {
        let state = self.lock();
        let known = state.activity.until >= until;
        let may = |(room, since, _): &(RoomNid, i64, R)| {
            !known
                || *since < state.activity.floor
                || state.activity.last.get(room).is_some_and(|last| last > since)
        };
        rooms.filter(may).collect()
    }
}

impl State {
    fn wake_room(&mut self, room: RoomNid, crowds: &Crowds) {
        let Some(users) = self.interest.get(&room) else { return };
        if users.len() > CROWD {
            crowds.wake(room);
            return;
        }
        for user in users.iter().filter_map(|user| self.users.get(user)) {
            user.signal.send_modify(|count| *count += 1);
        }
    }

    fn wake_user(&mut self, user: &str, position: i64) {
        if let Some(user) = self.users.get_mut(user) {
            user.last = user.last.max(position);
            user.signal.send_modify(|count| *count += 1);
        }
    }
}

impl Activity {
    fn restart(&mut self, position: i64) {
        self.last.clear();
        self.by_position.clear();
        self.floor = position;
        self.until = self.until.max(position);
    }

    fn note(&mut self, room: RoomNid, position: i64) {
        if self.floor == i64::MAX {
            // After missed notices: what this one says is where knowledge begins again.
            self.floor = position;
        }
        if self.last.len() >= MOST_ROOMS && !self.last.contains_key(&room) {
            self.restart(position);
        }
        if let Some(before) = self.last.insert(room, position) {
            self.by_position.remove(&(before, room));
        }
        self.by_position.insert((position, room));
    }
}
