//! A room as somebody who is not in it sees it at first (client-server API, "Room Previews").

use bytes::Bytes;
use myelin_store::schema::rooms::{DirectoryEntry, Member, Membership, State};
use myelin_store::schema::users::AccountData;
use myelin_store::{Reader, Scan};
use myelin_timeline::{ClientEvents, Format, Viewer, load};
use ruma::RoomId;

use crate::paging::{Page, PageFilter, PageRequest, Towards, read_page};
use crate::reading::{MOST_STATE, ReadingError, standing, whole_state};
use crate::{Rooms, Visibility};

/// The most pieces of account data that are shown.
const MOST_ACCOUNT_DATA: usize = 1_000;

/// What a room has for somebody who looks at it.
pub struct InitialSync {
    /// How the user stands to it, if in any way.
    pub membership: Option<Membership>,
    /// The newest events that they may see, newest first.
    pub messages: Page,
    /// The state: as it is now, or as it was when they left.
    pub state: ClientEvents<'static>,
    /// Whether it is listed in the directory.
    pub visibility: Visibility,
    /// The user's account data for the room: types and contents.
    pub account_data: Vec<(String, Bytes)>,
}

impl Rooms {
    /// The room's newest `limit` events, its state, and what the user has about it, as of one moment.
    ///
    /// # Errors
    /// See [`ReadingError`].
    pub async fn initial_sync(
        &self,
        viewer: &Viewer,
        room_id: &RoomId,
        limit: usize,
    ) -> Result<InitialSync, ReadingError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let (room, until) = standing(&*snapshot, room_id, &viewer.user_id).await?;
        let member = snapshot.get::<Member>(&(room, viewer.user_id.clone())).await?;
        let filter = PageFilter::default();
        let request = PageRequest { from: None, to: None, towards: Towards::Past, limit, filter };
        let messages = read_page(&*snapshot, viewer, room, &request).await?;
        let scan = Scan::prefix::<State>((room,), MOST_STATE);
        let events = whole_state(&*snapshot, room, until, scan).await?;
        let headers = load(&*snapshot, &events).await?;
        let state = ClientEvents::read(&*snapshot, viewer, Format::STATE, headers).await?;
        let listed = snapshot.get::<DirectoryEntry>(&(room,)).await?.is_some();
        let own = Scan::prefix::<AccountData>((viewer.user_id.clone(), room), MOST_ACCOUNT_DATA);
        let own = snapshot.scan::<AccountData>(own).await?;
        Ok(InitialSync {
            membership: member.filter(|member| !member.forgotten).map(|member| member.membership),
            messages,
            state,
            visibility: if listed { Visibility::Public } else { Visibility::Private },
            // What is empty was deleted (MSC3391).
            account_data: own
                .into_iter()
                .filter(|row| &*row.content != b"{}")
                .map(|row| (row.kind, row.content))
                .collect(),
        })
    }
}
