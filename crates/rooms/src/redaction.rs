//! Events that lose their content: what must be known first, and what goes with it.

use std::collections::HashMap;

use myelin_model::{EventNid, Pos, RoomNid};
use myelin_pdu::{Pdu, RoomRules};
use myelin_room_core::key::StateKey;
use myelin_store::schema::rooms::{Event, Member, Relation, RoomSummary, State};
use myelin_store::{Batch, ReadError, Reader, Scan, Snapshot};
use myelin_timeline::THREAD;
use ruma::{EventId, OwnedEventId, OwnedUserId};
use serde_json::{Map, Value};

use crate::load;
use crate::overlay::Overlay;
use crate::threads::ThreadLoss;
use crate::{Refusal, SendError, retention, rows, summary};

/// How many bytes of redacted content one group of targets has, but for the last event.
const BYTES: usize = 192 * 1_024;

/// Events that are about to be redacted, with what hangs on them.
#[derive(Debug)]
pub(crate) struct Targets {
    /// The latest first.
    events: Vec<Target>,
    threads: Vec<ThreadLoss>,
}

#[derive(Debug)]
struct Target {
    header: Event,
    redacted: Pdu,
    /// Its own relation to another event, which ends with its content.
    relation: Option<Relation>,
    /// Whether it is part of the current state.
    is_current: bool,
    member: Option<Member>,
}

impl Targets {
    /// Reads the event that a redaction names.
    ///
    /// # Errors
    /// [`Refusal::NoSuchEvent`] where the room has none of that id.
    pub(crate) async fn named(
        snapshot: &dyn Snapshot,
        overlay: &Overlay,
        room: RoomNid,
        rules: &'static RoomRules,
        event_id: &EventId,
    ) -> Result<Self, SendError> {
        let header = event_by_id(snapshot, room, event_id).await?.ok_or(Refusal::NoSuchEvent)?;
        let targets = Self::read(snapshot, overlay, room, rules, &[header.event]).await?;
        if targets.events.is_empty() { Err(Refusal::NoSuchEvent.into()) } else { Ok(targets) }
    }

    /// Reads these events; those whose content is gone are left out, and so are the earliest where there are too many bytes
    /// ([`Targets::earliest`]).
    pub(crate) async fn read(
        snapshot: &dyn Snapshot,
        overlay: &Overlay,
        room: RoomNid,
        rules: &'static RoomRules,
        events: &[EventNid],
    ) -> Result<Self, SendError> {
        let mut stored: Vec<_> = load::events(snapshot, rules, events).await?.into_values().collect();
        stored.sort_unstable_by_key(|stored| std::cmp::Reverse(stored.header.order));
        let (mut events, mut bytes) = (Vec::with_capacity(stored.len()), 0);
        for stored in stored {
            let redacted = stored.pdu.redacted().map_err(|error| Refusal::NoEvent(error.to_string()))?;
            if bytes > BYTES {
                break;
            }
            bytes += redacted.raw().len();
            let header = stored.header;
            events.push(Target { header, redacted, relation: None, is_current: false, member: None });
        }
        let mut targets = Self { events, threads: Vec::new() };
        targets.read_relations(snapshot, overlay, room).await?;
        targets.read_state(snapshot, overlay, room).await?;
        Ok(targets)
    }

    async fn read_relations(
        &mut self,
        snapshot: &dyn Snapshot,
        overlay: &Overlay,
        room: RoomNid,
    ) -> Result<(), ReadError> {
        // What a redaction that is still under way takes can't be taken twice.
        let mut left: Vec<&mut Target> =
            self.events.iter_mut().filter(|target| !overlay.is_taken(target.header.event)).collect();
        let scan =
            |target: &&mut Target| Scan::index::<Relation>(Relation::BY_EVENT, (target.header.event,), 1);
        let found = snapshot.scan_all::<Relation>(left.iter().map(scan).collect()).await?;
        for (target, mut found) in left.iter_mut().zip(found) {
            target.relation = found.pop();
        }
        let relations = self.events.iter().filter_map(|target| target.relation.as_ref());
        let replies: Vec<&Relation> = relations.filter(|relation| relation.rel_type == THREAD).collect();
        self.threads = ThreadLoss::read(snapshot, overlay, room, &replies).await?;
        Ok(())
    }

    async fn read_state(
        &mut self,
        snapshot: &dyn Snapshot,
        overlay: &Overlay,
        room: RoomNid,
    ) -> Result<(), ReadError> {
        let mut keys = Vec::new();
        for target in &mut self.events {
            let Some(state_key) = &target.header.state_key else { continue };
            let key = StateKey::new(&target.header.kind, state_key);
            match overlay.find(|layer| layer.state.get(&key)) {
                Some(event) => target.is_current = *event == target.header.event,
                None => keys.push(load::state_key(room, &key)),
            }
        }
        let current: HashMap<EventNid, State> = snapshot
            .get_all::<State>(&keys)
            .await?
            .into_iter()
            .flatten()
            .map(|row| (row.event, row))
            .collect();
        let is_member = |target: &Target| target.is_current && target.header.kind == "m.room.member";
        let mut users: Vec<(RoomNid, OwnedUserId)> = Vec::new();
        for target in &mut self.events {
            target.is_current |= current.contains_key(&target.header.event);
            let user = target.header.state_key.as_deref().and_then(|user| user.try_into().ok());
            users.extend(user.filter(|_| is_member(target)).map(|user| (room, user)));
        }
        let members = snapshot.get_all::<Member>(&users).await?.into_iter().flatten();
        let mut members: HashMap<EventNid, Member> = members.map(|member| (member.event, member)).collect();
        for target in &mut self.events {
            target.member = members.remove(&target.header.event);
        }
        Ok(())
    }

    /// Who sent them.
    pub(crate) fn senders(&self) -> impl Iterator<Item = &OwnedUserId> {
        self.events.iter().map(|target| &target.header.sender)
    }

    /// Their numbers.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = EventNid> {
        self.events.iter().map(|target| target.header.event)
    }

    /// The order of the earliest one.
    pub(crate) fn earliest(&self) -> Option<i64> {
        self.events.last().and_then(|target| target.header.order)
    }

    /// Takes the contents, and what was derived from them. What the authorisation rules look at survives redaction, so the
    /// room's machine need not be told.
    pub(crate) fn write(
        self,
        overlay: &mut Overlay,
        summary: &mut RoomSummary,
        batch: &mut Batch,
        (by, pos): (EventNid, Pos),
    ) {
        for thread in self.threads {
            thread.write(overlay, batch);
        }
        for target in self.events {
            target.write(overlay, summary, batch, (by, pos));
        }
    }
}

impl Target {
    fn write(
        self,
        overlay: &mut Overlay,
        summary: &mut RoomSummary,
        batch: &mut Batch,
        (by, pos): (EventNid, Pos),
    ) {
        let header = &self.header;
        overlay.next.taken.insert(header.event);
        rows::write_redacted(batch, header, self.redacted.raw().clone(), by);
        if let Some(relation) = &self.relation {
            batch.delete::<Relation>(&(relation.target.clone(), relation.order, relation.event));
        }
        let Some(state_key) = header.state_key.as_deref().filter(|_| self.is_current) else { return };
        if let Some(member) = self.member {
            let member = Member { display_name: None, avatar_url: None, ..member };
            batch.put(&member);
            overlay.next.members.insert(member.user_id.clone(), member);
        }
        let content: Map<String, Value> = self.redacted.content_as().unwrap_or_default();
        if summary::apply(summary, &header.kind, state_key, &content) {
            summary.changed = pos;
            batch.put(summary);
        }
        retention::apply(batch, header.room, &header.kind, state_key, &content);
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
