//! Redactions: what must be known to allow one, and what it takes.

use myelin_model::{EventNid, Pos, RoomNid};
use myelin_pdu::{Pdu, RoomRules};
use myelin_room_core::key::StateKey;
use myelin_store::schema::rooms::{Event, Member, Relation, RoomSummary, State};
use myelin_store::{Batch, ReadError, Reader, Scan, Snapshot};
use ruma::{EventId, OwnedEventId};
use serde_json::{Map, Value};

use crate::load::{self, Stored};
use crate::overlay::Overlay;
use crate::relations::THREAD;
use crate::threads::{self, ThreadBefore};
use crate::{Refusal, SendError, rows, summary};

/// An event that is about to be redacted, with what hangs on it.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) stored: Stored,
    redacted: Pdu,
    /// Its own relation to another event, which ends with its content.
    relation: Option<Relation>,
    thread: Option<(ThreadBefore, Option<(EventNid, i64)>)>,
    /// Whether it is part of the current state.
    is_current: bool,
    member: Option<Member>,
}

impl Target {
    /// Reads the event that a redaction names.
    ///
    /// # Errors
    /// [`Refusal::NoSuchEvent`] where the room has none of that id.
    pub(crate) async fn read(
        snapshot: &dyn Snapshot,
        overlay: &Overlay,
        room: RoomNid,
        rules: &'static RoomRules,
        event_id: &EventId,
    ) -> Result<Self, SendError> {
        let header = event_by_id(snapshot, room, event_id).await?.ok_or(Refusal::NoSuchEvent)?;
        let mut stored = load::events(snapshot, rules, &[header.event]).await?;
        let stored = stored.remove(&header.event).ok_or(Refusal::NoSuchEvent)?;
        let redacted = stored.pdu.redacted().map_err(|error| Refusal::NoEvent(error.to_string()))?;
        let relation = relation_of(snapshot, stored.header.event).await?;
        let thread = match relation.as_ref().filter(|relation| relation.rel_type == THREAD) {
            Some(relation) => {
                let (root, sender) = (&relation.target, &stored.header.sender);
                let before = ThreadBefore::read(snapshot, overlay, room, root, sender).await?;
                Some((before, threads::newest_but(snapshot, root, relation.event).await?))
            }
            None => None,
        };
        let is_current = is_current_state(snapshot, overlay, &stored.header).await?;
        let member = match (&stored.header.state_key, is_current && stored.header.kind == "m.room.member") {
            (Some(user), true) => match user.as_str().try_into() {
                Ok(user) => snapshot.get::<Member>(&(room, user)).await?,
                Err(_) => None,
            },
            _ => None,
        };
        Ok(Self { redacted, stored, relation, thread, is_current, member })
    }

    /// Takes the content, and what was derived from it. What the authorisation rules look at survives redaction, so the
    /// room's machine need not be told.
    pub(crate) fn write(
        self,
        overlay: &mut Overlay,
        summary: &mut RoomSummary,
        batch: &mut Batch,
        (by, pos): (EventNid, Pos),
    ) {
        let header = &self.stored.header;
        rows::write_redacted(batch, header, self.redacted.raw().clone(), by);
        if let Some(relation) = &self.relation {
            batch.delete::<Relation>(&(relation.target.clone(), relation.order, relation.event));
        }
        if let Some((before, latest)) = self.thread {
            before.write_redacted_reply(overlay, batch, header.room, latest);
        }
        let Some(state_key) = header.state_key.as_deref().filter(|_| self.is_current) else { return };
        if let Some(member) = self.member.filter(|member| member.event == header.event) {
            let member = Member { display_name: None, avatar_url: None, ..member };
            batch.put(&member);
            overlay.next.members.insert(member.user_id.clone(), member);
        }
        let content: Map<String, Value> = self.redacted.content_as().unwrap_or_default();
        if summary::apply(summary, &header.kind, state_key, &content) {
            summary.changed = pos;
            batch.put(summary);
        }
    }
}

/// The header of an event of this room.
pub(crate) async fn event_by_id(
    snapshot: &dyn Snapshot,
    room: RoomNid,
    event_id: &EventId,
) -> Result<Option<Event>, ReadError> {
    let key: (OwnedEventId,) = (event_id.to_owned(),);
    let found = snapshot.scan::<Event>(Scan::index::<Event>(Event::BY_ID, key, 4)).await?;
    Ok(found.into_iter().find(|event| event.room == room))
}

async fn relation_of(snapshot: &dyn Snapshot, event: EventNid) -> Result<Option<Relation>, ReadError> {
    let scan = Scan::index::<Relation>(Relation::BY_EVENT, (event,), 1);
    Ok(snapshot.scan::<Relation>(scan).await?.pop())
}

async fn is_current_state(
    snapshot: &dyn Snapshot,
    overlay: &Overlay,
    header: &Event,
) -> Result<bool, ReadError> {
    let Some(state_key) = &header.state_key else { return Ok(false) };
    let key = StateKey::new(&header.kind, state_key);
    if let Some(event) = overlay.find(|layer| layer.state.get(&key)) {
        return Ok(*event == header.event);
    }
    let row = snapshot.get::<State>(&load::state_key(header.room, &key)).await?;
    Ok(row.is_some_and(|row| row.event == header.event))
}
