//! What a user may read of a room's state: the current one of a room they are in, the one they left of a room they
//! left.

use std::collections::HashMap;

use myelin_model::{EventNid, RoomNid};
use myelin_store::schema::rooms::{Event, Member, Membership, RoomById, RoomSummary, State, StateVersion};
use myelin_store::{ReadError, Reader, Scan, Snapshot};
use myelin_sync_core::token::PageToken;
use myelin_timeline::{ClientEvents, Format, Viewer, client_events, load};
use ruma::{EventId, OwnedUserId, RoomId, UserId};
use serde_json::value::RawValue;

use crate::paging::{order_of, second_order};
use crate::redaction::event_by_id;
use crate::rows::MAIN_BRANCH;
use crate::{Rooms, members};

/// The most entries of a room's state that one answer holds; rooms of a hundred thousand members have them.
pub(crate) const MOST_STATE: usize = 1_000_000;

/// Why a user may not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadingError {
    /// They are not in the room and were not, or there is none.
    #[error("you are not in this room")]
    NotInRoom,
    /// There is no such event or state, or they may not see it.
    #[error("there is no such event, or you may not see it")]
    NotFound,
    /// The token is not one of this server's for this endpoint.
    #[error("the token {0:?} is not one this server gave out")]
    BadToken(String),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Up to where a user sees a room's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// The current state.
    Now,
    /// The state right after the event of this order: they left with it.
    Order(i64),
}

/// A state event, in one of the two forms that clients may ask for.
#[derive(Debug)]
pub struct StateEvent {
    /// The event's content as stored.
    pub content: Box<RawValue>,
    /// The whole event in client form.
    pub event: Box<RawValue>,
}

/// Which members to list.
#[derive(Clone, Debug, Default)]
pub struct MemberFilter {
    /// Only this membership.
    pub membership: Option<Membership>,
    /// All but this membership.
    pub not_membership: Option<Membership>,
    /// As of this place in the timeline.
    pub at: Option<PageToken>,
}

impl Rooms {
    /// One entry of the room's state.
    ///
    /// # Errors
    /// See [`ReadingError`].
    pub async fn state_event(
        &self,
        viewer: &Viewer,
        room_id: &RoomId,
        kind: &str,
        state_key: &str,
    ) -> Result<StateEvent, ReadingError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let (room, until) = standing(&*snapshot, room_id, &viewer.user_id).await?;
        let event =
            state_at(&*snapshot, room, until, kind, state_key).await?.ok_or(ReadingError::NotFound)?;
        let headers = load(&*snapshot, &[event]).await?;
        let mut events = client_events(&*snapshot, viewer, Format::CLIENT, &headers).await?;
        let event = events.pop().ok_or(ReadingError::NotFound)?;
        Ok(StateEvent { content: content_of(&event).ok_or(ReadingError::NotFound)?, event })
    }

    /// The room's whole state.
    ///
    /// # Errors
    /// See [`ReadingError`].
    pub async fn state(
        &self,
        viewer: &Viewer,
        room_id: &RoomId,
    ) -> Result<ClientEvents<'static>, ReadingError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let (room, until) = standing(&*snapshot, room_id, &viewer.user_id).await?;
        let scan = Scan::prefix::<State>((room,), MOST_STATE);
        let events = whole_state(&*snapshot, room, until, scan).await?;
        let headers = load(&*snapshot, &events).await?;
        Ok(ClientEvents::read(&*snapshot, viewer, Format::STATE, headers).await?)
    }

    /// The room's membership events.
    ///
    /// # Errors
    /// See [`ReadingError`].
    pub async fn members(
        &self,
        viewer: &Viewer,
        room_id: &RoomId,
        filter: &MemberFilter,
    ) -> Result<ClientEvents<'static>, ReadingError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let (room, until) = standing(&*snapshot, room_id, &viewer.user_id).await?;
        let at = match filter.at {
            Some(token) => {
                let before = order_of(&*snapshot, room, token).await?.saturating_sub(1);
                // Before the room there was nobody; who asks for its very beginning means its creator, who joins it in
                // the second event.
                Some(before.max(second_order(&*snapshot, room).await?))
            }
            None => None,
        };
        let until = match (at, until) {
            (Some(at), Until::Order(left)) => Until::Order(at.min(left)),
            (Some(at), Until::Now) => Until::Order(at),
            (None, until) => until,
        };
        let wanted = |membership: Membership| {
            filter.membership.is_none_or(|only| membership == only)
                && filter.not_membership.is_none_or(|not| membership != not)
        };
        let mut events: Vec<EventNid> = if until == Until::Now {
            let rows = members::all(&*snapshot, room).await?;
            rows.iter().filter(|member| wanted(member.membership)).map(|member| member.event).collect()
        } else {
            let scan = Scan::prefix::<State>((room, "m.room.member".to_owned()), MOST_STATE);
            let then = whole_state(&*snapshot, room, until, scan).await?;
            members::with_membership(&*snapshot, then, wanted).await?
        };
        // In the order in which they were stored, which is how they lie on the pages of the store.
        events.sort_unstable();
        let headers = load(&*snapshot, &events).await?;
        Ok(ClientEvents::read(&*snapshot, viewer, Format::STATE, headers).await?)
    }

    /// The users in the room, with what they are called in it.
    ///
    /// # Errors
    /// See [`ReadingError`]; the spec wants the asker joined.
    pub async fn joined_members(&self, user: &UserId, room_id: &RoomId) -> Result<Vec<Member>, ReadingError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let (room, until) = standing(&*snapshot, room_id, user).await?;
        if until != Until::Now {
            return Err(ReadingError::NotInRoom);
        }
        let mut rows = members::all(&*snapshot, room).await?;
        rows.retain(|member| member.membership == Membership::Join);
        Ok(rows)
    }

    /// One event of the room.
    ///
    /// # Errors
    /// See [`ReadingError`].
    pub async fn event(
        &self,
        viewer: &Viewer,
        room_id: &RoomId,
        event_id: &EventId,
    ) -> Result<Box<RawValue>, ReadingError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let event = visible_event(&*snapshot, viewer, room_id, event_id).await?;
        let mut events = client_events(&*snapshot, viewer, Format::CLIENT, &[event]).await?;
        events.pop().ok_or(ReadingError::NotFound)
    }
}

impl Rooms {
    /// An event of a room that the viewer is in, as they see it.
    ///
    /// # Errors
    /// See [`ReadingError`].
    pub async fn event_of_joined(
        &self,
        viewer: &Viewer,
        room_id: &RoomId,
        event_id: &EventId,
    ) -> Result<Box<RawValue>, ReadingError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let key = (room_id.to_owned(),);
        let row = snapshot.get::<RoomById>(&key).await?.ok_or(ReadingError::NotInRoom)?;
        let member = snapshot.get::<Member>(&(row.room, viewer.user_id.clone())).await?;
        if member.is_none_or(|member| member.membership != Membership::Join) {
            return Err(ReadingError::NotInRoom);
        }
        let event = visible_event(&*snapshot, viewer, room_id, event_id).await?;
        let mut events = client_events(&*snapshot, viewer, Format::CLIENT, &[event]).await?;
        events.pop().ok_or(ReadingError::NotFound)
    }

    /// Who sent an event of the room that the viewer may see.
    ///
    /// # Errors
    /// See [`ReadingError`].
    pub async fn sender_of(
        &self,
        viewer: &Viewer,
        room_id: &RoomId,
        event_id: &EventId,
    ) -> Result<OwnedUserId, ReadingError> {
        let snapshot = self.deps.engine.snapshot().await?;
        Ok(visible_event(&*snapshot, viewer, room_id, event_id).await?.sender)
    }
}

/// An event of the room that the viewer may see.
pub(crate) async fn visible_event(
    snapshot: &dyn Snapshot,
    viewer: &Viewer,
    room_id: &RoomId,
    event_id: &EventId,
) -> Result<Event, ReadingError> {
    let key = (room_id.to_owned(),);
    let row = snapshot.get::<RoomById>(&key).await?.ok_or(ReadingError::NotFound)?;
    let event = event_by_id(snapshot, row.room, event_id).await?.ok_or(ReadingError::NotFound)?;
    let visible = myelin_timeline::visible(snapshot, viewer, std::slice::from_ref(&event)).await?;
    if visible == [true] { Ok(event) } else { Err(ReadingError::NotFound) }
}

/// How far the user sees the room's state.
pub(crate) async fn standing(
    snapshot: &dyn Snapshot,
    room_id: &RoomId,
    user: &UserId,
) -> Result<(RoomNid, Until), ReadingError> {
    let row = snapshot.get::<RoomById>(&(room_id.to_owned(),)).await?.ok_or(ReadingError::NotInRoom)?;
    let room = row.room;
    let member = snapshot.get::<Member>(&(room, user.to_owned())).await?;
    let membership = member.as_ref().map(|member| member.membership);
    if membership == Some(Membership::Join) {
        return Ok((room, Until::Now));
    }
    let summary = snapshot.get::<RoomSummary>(&(room,)).await?;
    if summary.and_then(|summary| summary.history_visibility).as_deref() == Some("world_readable") {
        return Ok((room, Until::Now));
    }
    match member {
        Some(member)
            if member.joined_at.is_some()
                && !member.forgotten
                && matches!(member.membership, Membership::Leave | Membership::Ban) =>
        {
            Ok((room, Until::Order(member.order)))
        }
        _ => Err(ReadingError::NotInRoom),
    }
}

/// The event in one entry of the state.
async fn state_at(
    snapshot: &dyn Snapshot,
    room: RoomNid,
    until: Until,
    kind: &str,
    state_key: &str,
) -> Result<Option<EventNid>, ReadError> {
    let key = (room, kind.to_owned(), state_key.to_owned());
    Ok(state_at_each(snapshot, until, vec![key]).await?.pop())
}

/// The events in these entries of the state; entries that it does not have are left out.
pub(crate) async fn state_at_each(
    snapshot: &dyn Snapshot,
    until: Until,
    keys: Vec<(RoomNid, String, String)>,
) -> Result<Vec<EventNid>, ReadError> {
    match until {
        Until::Now => {
            let rows = snapshot.get_all::<State>(&keys).await?;
            Ok(rows.into_iter().flatten().map(|row| row.event).collect())
        }
        Until::Order(order) => {
            let scans = keys.iter().map(|key| versions(key, order)).collect();
            let found = snapshot.scan_all::<StateVersion>(scans).await?;
            Ok(found.iter().filter_map(|found| found.first()).map(|version| version.event).collect())
        }
    }
}

/// The events in all entries of the state that `scan` covers.
pub(crate) async fn whole_state(
    snapshot: &dyn Snapshot,
    room: RoomNid,
    until: Until,
    scan: Scan,
) -> Result<Vec<EventNid>, ReadError> {
    let rows = snapshot.scan::<State>(scan).await?;
    let Until::Order(order) = until else { return Ok(rows.into_iter().map(|row| row.event).collect()) };
    // State is never taken away, so today's keys are all that ever were; what changed since is looked up.
    let (kept, changed): (Vec<State>, Vec<State>) = rows.into_iter().partition(|row| row.order <= order);
    let scans = changed.into_iter().map(|row| versions(&(room, row.kind, row.state_key), order)).collect();
    let before = snapshot.scan_all::<StateVersion>(scans).await?;
    let before = before.into_iter().filter_map(|found| found.first().map(|version| version.event));
    Ok(kept.into_iter().map(|row| row.event).chain(before).collect())
}

/// The newest version of an entry up to an order.
fn versions((room, kind, state_key): &(RoomNid, String, String), order: i64) -> Scan {
    Scan::prefix::<StateVersion>((*room, MAIN_BRANCH, kind.clone(), state_key.clone()), 1)
        .up_to((order,))
        .backward()
}

fn content_of(event: &RawValue) -> Option<Box<RawValue>> {
    let mut fields: HashMap<&str, &RawValue> = serde_json::from_str(event.get()).ok()?;
    fields.remove("content").map(ToOwned::to_owned)
}
