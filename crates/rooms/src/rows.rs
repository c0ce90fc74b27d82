//! The rows of one event: what its commit writes.

use bytes::Bytes;
use myelin_model::{EventNid, Pos, RoomNid, Topic};
use myelin_pdu::Pdu;
use myelin_store::Batch;
use myelin_store::schema::rooms::{
    Event, EventContent, EventStatus, Member, Membership, State, StateVersion, Transaction,
};
use ruma::{OwnedUserId, UserId};
use serde_json::{Map, Value};

use crate::{TransactionKey, members, sticky};

/// An event with its place.
pub(crate) struct Placed<'a> {
    pub(crate) room: RoomNid,
    pub(crate) event: EventNid,
    pub(crate) pdu: &'a Pdu,
    pub(crate) order: i64,
    pub(crate) pos: Pos,
    /// The room's notification counter after it.
    pub(crate) counter: i64,
    /// The event whose state it replaces.
    pub(crate) replaces: Option<EventNid>,
    pub(crate) transaction: Option<&'a TransactionKey>,
    /// When it stops being sticky, if it is.
    pub(crate) sticky_until: Option<i64>,
}

/// The main line of a room's state history.
pub(crate) const MAIN_BRANCH: i64 = 0;

impl Placed<'_> {
    /// Header and content.
    pub(crate) fn write_event(&self, batch: &mut Batch) {
        batch.put(&Event {
            event: self.event,
            event_id: self.pdu.event_id().to_owned(),
            room: self.room,
            order: Some(self.order),
            pos: self.pos,
            status: EventStatus::Accepted,
            kind: self.pdu.event_type().to_owned(),
            state_key: self.pdu.state_key().map(str::to_owned),
            sender: self.pdu.sender().to_owned(),
            origin_server_ts: self.pdu.origin_server_ts(),
            depth: self.pdu.depth(),
            counter: self.counter,
            replaces: self.replaces,
            redacted_by: None,
            session: self.transaction.map(|key| key.session),
            txn_id: self.transaction.map(TransactionKey::shown),
            sticky_until: self.sticky_until,
        });
        batch.put(&EventContent { event: self.event, json: self.pdu.raw().clone() });
        batch.wake(Topic::Room(self.room));
    }

    /// The transaction that made it, so that its repetition finds it.
    pub(crate) fn write_transaction(&self, batch: &mut Batch, now: i64) {
        if let Some(key) = self.transaction {
            batch.put(&Transaction {
                session: key.session,
                scope: key.scope.clone(),
                txn_id: key.txn_id.clone(),
                event_id: self.pdu.event_id().to_owned(),
                at: now,
            });
        }
    }

    /// Current state and its history, for a state event.
    pub(crate) fn write_state(&self, batch: &mut Batch) {
        let Some(state_key) = self.pdu.state_key() else { return };
        let (kind, state_key) = (self.pdu.event_type().to_owned(), state_key.to_owned());
        batch.put(&StateVersion {
            room: self.room,
            branch: MAIN_BRANCH,
            kind: kind.clone(),
            state_key: state_key.clone(),
            version: self.order,
            event: self.event,
        });
        batch.put(&State {
            room: self.room,
            kind,
            state_key,
            event: self.event,
            order: self.order,
            changed: self.pos,
        });
    }

    /// The membership that a membership event makes of the one before.
    pub(crate) fn member(&self, before: Option<&Member>) -> Option<Member> {
        let user_id: OwnedUserId = UserId::parse(self.pdu.state_key()?).ok()?;
        // Other servers write what they like here; what is no text counts as absent.
        let content: Map<String, Value> = self.pdu.content_as().ok()?;
        let text = |key| content.get(key).and_then(Value::as_str);
        let membership = members::parse(text("membership")?);
        let was_joined = before.is_some_and(|member| member.membership == Membership::Join);
        let joined_before = before.and_then(|member| member.joined_at);
        let joins = membership == Membership::Join && !was_joined;
        let is_direct = match membership {
            Membership::Invite => content.get("is_direct") == Some(&Value::Bool(true)),
            Membership::Join => before.is_some_and(|member| member.is_direct),
            _ => false,
        };
        Some(Member {
            room: self.room,
            user_id,
            membership,
            event: self.event,
            order: self.order,
            changed: self.pos,
            sender: self.pdu.sender().to_owned(),
            display_name: text("displayname").map(str::to_owned),
            avatar_url: text("avatar_url").map(str::to_owned),
            joined_at: if joins { Some(self.order) } else { joined_before },
            is_direct,
            // Coming back, or being asked back, undoes forgetting; being banned or kicked does not.
            forgotten: before.is_some_and(|member| member.forgotten)
                && matches!(membership, Membership::Leave | Membership::Ban),
        })
    }
}

/// What a redaction leaves of an event: the header says by whom, the content is what may stay.
pub(crate) fn write_redacted(batch: &mut Batch, header: &Event, redacted: Bytes, by: EventNid) {
    sticky::forget(batch, header);
    batch.put(&Event { redacted_by: Some(by), sticky_until: None, ..header.clone() });
    batch.put(&EventContent { event: header.event, json: redacted });
}
