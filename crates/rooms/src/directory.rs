//! The directory of published rooms
//! (<https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3publicrooms>).

use myelin_model::RoomNid;
use myelin_store::schema::rooms::{DirectoryEntry, RoomById, RoomHead};
use myelin_store::{ReadError, Reader, Scan};
use ruma::RoomId;

use crate::Rooms;
use crate::preview::{Preview, previews};

/// The most rooms of the directory that are looked at: those listed first beyond it are not found.
const MOST_LISTED: usize = 20_000;
/// The most rooms one page holds.
const MOST_ROOMS: usize = 100;

/// Which rooms to list.
#[derive(Clone, Debug, Default)]
pub struct DirectoryRequest {
    /// Only rooms with this in their name, topic or alias, in any case.
    pub search: Option<String>,
    /// Only rooms of these types; `None` in it are rooms without one.
    pub room_types: Option<Vec<Option<String>>>,
    /// How many rooms to pass over.
    pub offset: usize,
    /// How many to list.
    pub limit: Option<usize>,
}

/// A page of the directory.
#[derive(Clone, Debug)]
pub struct DirectoryPage {
    /// The rooms, the ones with most members first.
    pub rooms: Vec<Preview>,
    /// How many there are before them, and in all.
    pub offset: usize,
    /// How many rooms fit the request.
    pub total: usize,
}

impl Rooms {
    /// A page of this server's directory.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn directory(&self, request: &DirectoryRequest) -> Result<DirectoryPage, ReadError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let rows = snapshot.scan::<DirectoryEntry>(Scan::prefix::<DirectoryEntry>((), MOST_LISTED)).await?;
        let keys: Vec<(RoomNid,)> = rows.iter().map(|row| (row.room,)).collect();
        let heads = snapshot.get_all::<RoomHead>(&keys).await?;
        let mut sized: Vec<(i64, RoomNid)> =
            heads.into_iter().flatten().map(|head| (head.joined, head.room)).collect();
        sized.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        let rooms: Vec<RoomNid> = sized.into_iter().map(|(_, room)| room).collect();
        let limit = request.limit.unwrap_or(MOST_ROOMS).min(MOST_ROOMS);
        let policy = &self.deps.policy;
        let everything = request.search.is_none() && request.room_types.is_none() && !policy.refuses_rooms();
        if everything {
            let page: Vec<RoomNid> = rooms.iter().skip(request.offset).take(limit).copied().collect();
            let rooms_shown = previews(&*snapshot, &page).await?;
            return Ok(DirectoryPage { rooms: rooms_shown, offset: request.offset, total: rooms.len() });
        }
        let search = request.search.as_deref().map(str::to_lowercase);
        let mut found = previews(&*snapshot, &rooms).await?;
        found.retain(|room| !policy.refuses_room(room.room_id.as_str()));
        found.retain(|room| matches(room, search.as_deref(), request.room_types.as_deref()));
        let total = found.len();
        let rooms = found.into_iter().skip(request.offset).take(limit).collect();
        Ok(DirectoryPage { rooms, offset: request.offset, total })
    }
}

impl Rooms {
    /// The rooms that this server knows, in the order of their ids, with whether each is blocked.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn all_rooms(
        &self,
        after: Option<&RoomId>,
        limit: usize,
    ) -> Result<Vec<(Preview, bool)>, ReadError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let scan = Scan::prefix::<RoomById>((), limit.min(MOST_ROOMS));
        let scan = match after {
            Some(after) => scan.after((after.to_owned(),)),
            None => scan,
        };
        let rows = snapshot.scan::<RoomById>(scan).await?;
        let rooms: Vec<RoomNid> = rows.into_iter().map(|row| row.room).collect();
        let found = previews(&*snapshot, &rooms).await?.into_iter();
        let is_blocked = |room: &Preview| self.deps.policy.refuses_room(room.room_id.as_str());
        Ok(found
            .map(|room| {
                let blocked = is_blocked(&room);
                (room, blocked)
            })
            .collect())
    }
}

fn matches(room: &Preview, search: Option<&str>, types: Option<&[Option<String>]>) -> bool {
    let contains = |search: &str| {
        let texts = [&room.name, &room.topic, &room.canonical_alias];
        texts.into_iter().flatten().any(|text| text.to_lowercase().contains(search))
    };
    search.is_none_or(contains) && types.is_none_or(|types| types.contains(&room.room_type))
}
