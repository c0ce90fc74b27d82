//! One answer of sliding sync, from one snapshot.

use std::collections::HashMap;
use std::sync::Arc;

use myelin_model::RoomNid;
use myelin_store::schema::rooms::Membership;
use myelin_sync_core::connection::{Connection, Progress};
use myelin_sync_core::rooms::RoomKey;
use myelin_sync_core::window::{ListSet, Lists};
use myelin_timeline::Viewer;
use serde::{Serialize, Serializer};

use crate::Sync;
use crate::connections::LiveState;
use crate::devices::KeyCounts;
use crate::sliding::extensions::MakingExtensions;
use crate::sliding::merged::{Form, NamedExtensions, RoomsOfAnswer};
use crate::sliding::pick::Picked;
use crate::sliding::pick::Picking;
use crate::sliding::room::{Manner, WrittenRoom, write_rooms};
use crate::sliding::{Asked, SlidingError};
use crate::users::Reading;

/// The answer's JSON, but for its `pos`.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    pos: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    txn_id: Option<String>,
    lists: ListsAnswer,
    rooms: RoomsOfAnswer,
    extensions: NamedExtensions,
}

impl Answer {
    pub(crate) fn set_pos(&mut self, pos: String) {
        self.pos = pos;
    }
}

/// How many rooms each list has.
#[derive(Debug)]
struct ListsAnswer {
    lists: Arc<Lists>,
    counts: Vec<usize>,
}

impl Serialize for ListsAnswer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct ListAnswer {
            count: usize,
        }
        let names = self.lists.iter().map(|(name, _)| name);
        serializer.collect_map(names.zip(self.counts.iter().map(|count| ListAnswer { count: *count })))
    }
}

/// An answer, and what the connection remembers if it is sent.
pub(crate) struct Made {
    /// In a place of its own: it is handed on several times.
    pub(crate) answer: Box<Answer>,
    pub(crate) progress: Progress,
    pub(crate) counts: Option<KeyCounts>,
    /// There is something in it to wake a client for.
    pub(crate) is_news: bool,
}

pub(crate) struct Making<'a> {
    pub(crate) sync: &'a Sync,
    pub(crate) asked: &'a Asked<'a>,
    pub(crate) state: &'a mut LiveState,
}

impl Making<'_> {
    pub(crate) async fn make(self, reading: Reading<'_>) -> Result<Made, SlidingError> {
        let Self { sync, asked, state } = self;
        let Reading { snapshot, mut rooms, .. } = reading;
        let snapshot = &*snapshot;
        let LiveState { connection, extensions, counts: told, typing_missed, .. } = state;
        let connection = connection.get_or_insert_with(|| Connection::new(0));
        let now = i64::try_from(sync.env.clock.now()).unwrap_or(i64::MAX);
        let (cache, recents) = (&sync.users.cache, &sync.users.recents);
        let picking = Picking { snapshot, asked, cache, recents, now };
        let mut picked = picking.pick(connection, extensions, &mut rooms).await?;
        // From here on the snapshot is enough; other requests of the user may go on.
        drop(rooms);

        let session = Some(asked.requester.session);
        let viewer = Viewer { user_id: asked.requester.user_id.clone(), session, now };
        let live_since = (!connection.is_new()).then_some(connection.seen().position);
        let manner = Manner { live_since, stable_sticky: extensions.sticky_events.is_on() };
        let written = write_rooms(snapshot, &viewer, &mut picked.due, manner).await?;
        let mut progress = connection.begin(snapshot.position().get(), picked.left_after);
        for room in &written {
            if let Some(due) = picked.due.iter().find(|due| due.due.room == RoomKey(room.room.0)) {
                connection.sent(&mut progress, &due.due, room.timeline, room.lazy.clone());
            }
        }
        let sticky = picked.sticky.take();
        let mut making =
            MakingExtensions { sync, asked, snapshot, connection, progress, said: extensions, typing_missed };
        let mut answers = making.all(&picked, &written).await?;
        let progress = making.progress;
        if let Some(sticky) = sticky {
            let sticky = sticky.read(snapshot, &viewer, manner, &written).await?;
            answers.set_sticky(sticky, manner.stable_sticky);
        }
        let counts = answers.e2ee.as_ref().map(|e2ee| e2ee.counts.clone());
        let counts_changed = told.is_some() && counts.is_some() && *told != counts;
        let is_news = !written.is_empty() || answers.is_news() || counts_changed;
        let rooms = rooms_of_answer(asked, &picked, written);
        let lists = ListsAnswer { lists: Arc::clone(&asked.wanted.lists), counts: picked.window.counts };
        let answer = Box::new(Answer {
            pos: String::new(),
            txn_id: asked.txn_id.clone(),
            lists,
            rooms,
            extensions: NamedExtensions { answer: answers, form: asked.form.clone() },
        });
        Ok(Made { answer, progress, counts, is_news })
    }
}

fn rooms_of_answer(asked: &Asked<'_>, picked: &Picked, written: Vec<WrittenRoom>) -> RoomsOfAnswer {
    if asked.form == Form::Live {
        return RoomsOfAnswer::Live(written.into_iter().map(|room| (room.room_id, room.answer)).collect());
    }
    let names: Vec<&String> = asked.wanted.lists.iter().map(|(name, _)| name).collect();
    let wanted: HashMap<RoomKey, ListSet> =
        picked.window.rooms.iter().map(|room| (room.room, room.lists)).collect();
    let memberships: HashMap<RoomNid, Membership> =
        picked.due.iter().map(|due| (due.facts.member.room, due.facts.member.membership)).collect();
    let merged = written.into_iter().map(|room| {
        let lists = wanted.get(&RoomKey(room.room.0)).copied().unwrap_or_default();
        let lists = names.iter().enumerate().filter(|(number, _)| lists.has(*number));
        let lists = lists.map(|(_, name)| (*name).clone()).collect();
        let membership = memberships.get(&room.room).map_or("leave", |membership| membership.as_str());
        (room.room_id, room.answer.merged(membership, lists))
    });
    RoomsOfAnswer::Merged(merged.collect())
}
