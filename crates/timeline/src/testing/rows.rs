//! The rows that an event leaves behind besides its own.

use std::collections::HashMap;

use myelin_model::{EventNid, Pos, Topic};
use myelin_store::Batch;
use myelin_store::schema::rooms::{
    Event, Member, Membership, Relation, RoomHead, RoomSummary, State, StateVersion, Thread,
    ThreadParticipant,
};
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId};
use serde_json::Value;

/// What the writer remembers of a room.
#[derive(Clone)]
pub(super) struct Live {
    pub(super) room_id: OwnedRoomId,
    pub(super) head: RoomHead,
    pub(super) summary: RoomSummary,
    pub(super) members: HashMap<OwnedUserId, Member>,
    pub(super) state: HashMap<(String, String), EventNid>,
    pub(super) threads: HashMap<OwnedEventId, Thread>,
}

impl Live {
    /// Replaces placeholders by the position that the commit gave.
    pub(super) fn resolve(&mut self, first: Pos) {
        let place = |pos: &mut Pos| {
            if pos.as_pending().is_some() {
                *pos = first;
            }
        };
        place(&mut self.head.last_pos);
        place(&mut self.head.bump_pos);
        place(&mut self.summary.changed);
        self.members.values_mut().for_each(|member| place(&mut member.changed));
    }
}

pub(super) fn write_state(
    batch: &mut Batch,
    live: &mut Live,
    event: &Event,
    state_key: &str,
    content: &Value,
) {
    let order = event.order.unwrap_or_default();
    let (room, kind, state_key) = (event.room, event.kind.clone(), state_key.to_owned());
    batch.put(&State {
        room,
        kind: kind.clone(),
        state_key: state_key.clone(),
        event: event.event,
        order,
        changed: event.pos,
    });
    let version = StateVersion { room, branch: 0, kind, state_key, version: order, event: event.event };
    batch.put(&version);
    let text = |field: &str| content.get(field).and_then(Value::as_str).map(str::to_owned);
    match event.kind.as_str() {
        "m.room.member" => return write_member(batch, live, event, &version.state_key, content),
        "m.room.name" => live.summary.name = text("name"),
        "m.room.avatar" => live.summary.avatar_url = text("url"),
        "m.room.encryption" => live.summary.encryption = text("algorithm"),
        "m.room.history_visibility" => live.summary.history_visibility = text("history_visibility"),
        _ => {}
    }
    live.summary.changed = event.pos;
    batch.put(&live.summary);
}

fn write_member(batch: &mut Batch, live: &mut Live, event: &Event, user_id: &str, content: &Value) {
    let text = |field: &str| content.get(field).and_then(Value::as_str).map(str::to_owned);
    let membership = match content["membership"].as_str() {
        Some("join") => Membership::Join,
        Some("invite") => Membership::Invite,
        Some("knock") => Membership::Knock,
        Some("ban") => Membership::Ban,
        _ => Membership::Leave,
    };
    let user_id = OwnedUserId::try_from(user_id).expect("a user id");
    let old = live.members.get(&user_id);
    let was = old.map(|member| member.membership);
    let joined_at = match (was, membership) {
        (Some(Membership::Join), Membership::Join) => old.and_then(|member| member.joined_at),
        (_, Membership::Join) => event.order,
        _ => old.and_then(|member| member.joined_at),
    };
    let count = |of| i64::from(membership == of) - i64::from(was == Some(of));
    live.head.joined += count(Membership::Join);
    live.head.invited += count(Membership::Invite);
    let member = Member {
        room: event.room,
        user_id: user_id.clone(),
        membership,
        event: event.event,
        order: event.order.unwrap_or_default(),
        changed: event.pos,
        sender: event.sender.clone(),
        display_name: text("displayname"),
        avatar_url: text("avatar_url"),
        joined_at,
        is_direct: content["is_direct"].as_bool().unwrap_or_default(),
        forgotten: false,
    };
    batch.put(&member);
    batch.wake(Topic::user(user_id.as_str()));
    live.members.insert(user_id, member);
}

pub(super) fn write_relation(batch: &mut Batch, live: &mut Live, event: &Event, content: &Value) {
    let relates = &content["m.relates_to"];
    let (Some(rel_type), Some(target)) = (relates["rel_type"].as_str(), relates["event_id"].as_str()) else {
        return;
    };
    let target = OwnedEventId::try_from(target).expect("an event id");
    let order = event.order.unwrap_or_default();
    batch.put(&Relation {
        target: target.clone(),
        order,
        event: event.event,
        room: event.room,
        rel_type: rel_type.to_owned(),
        kind: event.kind.clone(),
        sender: event.sender.clone(),
        aggregation_key: relates["key"].as_str().map(str::to_owned),
    });
    if rel_type == "m.thread" {
        let replies = live.threads.get(&target).map_or(0, |thread| thread.replies) + 1;
        let root = target.clone();
        let thread = Thread { room: event.room, root, replies, latest: event.event, latest_order: order };
        batch.put(&thread);
        let user_id = event.sender.clone();
        batch.put(&ThreadParticipant { room: event.room, root: target.clone(), user_id, replies: 1 });
        live.threads.insert(target, thread);
    }
}
