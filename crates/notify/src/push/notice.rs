//! One notification as a gateway gets it (push gateway API, `POST /_matrix/push/v1/notify`).

use bytes::Bytes;
use myelin_model::EventNid;
use myelin_store::schema::erasure::Expiry;
use myelin_store::schema::notify::{LiveEnd, Pusher, unread};
use myelin_store::schema::rooms::{Event, Member, Membership, Room, RoomHead, RoomSummary};
use myelin_store::{ReadError, Reader, Scan, Snapshot};
use myelin_timeline::{InviteVerdict, ignored_users, invite_rules};
use ruma::UserId;
use ruma::push::Action;
use serde_json::{Map, Value, json};

use crate::Notify;
use crate::are_read::are_read;
use crate::judge::{Asker, Says, Subject};
use crate::subjects::subjects;
use crate::threads::subscribed;

/// In how many rooms a count looks for what is unread.
const MAX_ROOMS: usize = 10_000;

impl Notify {
    /// The notification of an event for a pusher; none if the user is not to be told of it, or no longer: they read
    /// it, left the room, ignore its sender, want no such invite, or it was redacted or is past its retention.
    pub(super) async fn notice(
        &self,
        snapshot: &dyn Snapshot,
        pusher: &Pusher,
        event: EventNid,
    ) -> Result<Option<Bytes>, ReadError> {
        let Some(event) = snapshot.get::<Event>(&(event,)).await? else { return Ok(None) };
        let user_id = &pusher.user_id;
        let Some(member) = snapshot.get::<Member>(&(event.room, user_id.clone())).await? else {
            return Ok(None);
        };
        let is_read = are_read(snapshot, user_id, &[&event]).await? == [true];
        let is_there = member.membership == Membership::Join || member.event == event.event;
        let is_expired = Expiry::read(snapshot, &[event.room], self.now()).await?.has_taken(&event);
        if is_read || is_expired || !is_there || event.redacted_by.is_some() || event.sender == *user_id {
            return Ok(None);
        }
        let subject = subjects(snapshot, std::slice::from_ref(&event)).await?.pop().flatten();
        let Some(subject) = subject else { return Ok(None) };
        let rules = self.all_rules(snapshot, std::slice::from_ref(user_id)).await?;
        let Some(rules) = rules.get(user_id) else { return Ok(None) };
        let subscribed = subscribed(snapshot, user_id, std::slice::from_ref(&event)).await?.pop().flatten();
        let asker = Asker { display_name: member.display_name.as_deref(), subscribed };
        let actions = rules.actions(&subject, &asker);
        if !Says::of(actions).notifies || !wants(snapshot, user_id, &event).await? {
            return Ok(None);
        }
        let notification = Self::write(snapshot, pusher, &event, subject, actions).await?;
        Ok(Some(Bytes::from(json!({ "notification": notification }).to_string())))
    }

    async fn write(
        snapshot: &dyn Snapshot,
        pusher: &Pusher,
        event: &Event,
        subject: Subject,
        actions: &[Action],
    ) -> Result<Map<String, Value>, ReadError> {
        let tweaks = tweaks(actions);
        // What makes no sound and highlights nothing can wait for the device to wake. Of what is encrypted nobody knows.
        let is_urgent = event.kind == "m.room.encrypted"
            || tweaks.contains_key("sound")
            || tweaks.get("highlight") == Some(&Value::Bool(true));
        let mut data: Map<String, Value> = serde_json::from_slice(&pusher.data).unwrap_or_default();
        data.remove("url");
        let only_ids = data.get("format").and_then(Value::as_str) == Some("event_id_only");
        let device = json!({
            "app_id": pusher.app_id, "pushkey": pusher.pushkey, "pushkey_ts": pusher.set_at / 1_000,
            "data": data, "tweaks": tweaks,
        });
        let room = snapshot.get::<Room>(&(event.room,)).await?;
        let mut notification = Map::new();
        let mut add = |key: &str, value: Value| notification.insert(key.to_owned(), value);
        add("event_id", json!(event.event_id));
        add("room_id", json!(room.map(|room| room.room_id)));
        add("prio", json!(if is_urgent { "high" } else { "low" }));
        add("counts", counts(snapshot, &pusher.user_id).await?);
        add("devices", json!([device]));
        if only_ids {
            return Ok(notification);
        }
        add("type", json!(event.kind));
        add("sender", json!(event.sender));
        let Subject { event: mut json, .. } = subject;
        if let Some(content) = json.get_mut("content") {
            add("content", content.take());
        }
        if event.kind == "m.room.member" {
            add("user_is_target", json!(event.state_key.as_deref() == Some(pusher.user_id.as_str())));
        }
        let sender = snapshot.get::<Member>(&(event.room, event.sender.clone())).await?;
        let summary = snapshot.get::<RoomSummary>(&(event.room,)).await?;
        let (name, alias) =
            summary.map(|summary| (summary.name, summary.canonical_alias)).unwrap_or_default();
        let texts = [
            ("sender_display_name", sender.and_then(|sender| sender.display_name)),
            ("room_name", name),
            ("room_alias", alias),
        ];
        for (key, text) in texts {
            if let Some(text) = text {
                add(key, Value::from(text));
            }
        }
        Ok(notification)
    }
}

/// Whether the user wants to be told of what this sender does.
async fn wants(snapshot: &dyn Snapshot, user_id: &UserId, event: &Event) -> Result<bool, ReadError> {
    let invites = event.kind == "m.room.member" && event.state_key.as_deref() == Some(user_id.as_str());
    if invites {
        return Ok(invite_rules(snapshot, user_id).await?.judge(&event.sender) == InviteVerdict::Allow);
    }
    Ok(!ignored_users(snapshot, user_id).await?.contains(&event.sender))
}

/// The tweaks among the actions, by name.
fn tweaks(actions: &[Action]) -> Map<String, Value> {
    let each = actions.iter().filter_map(|action| match action {
        Action::SetTweak(tweak) => {
            let value = tweak.value().and_then(|value| serde_json::from_str(value.get()).ok());
            Some((tweak.set_tweak().to_owned(), value.unwrap_or(Value::Bool(true))))
        }
        _ => None,
    });
    each.collect()
}

/// `counts`: what the user has not read in the rooms they are in. Zero is left out.
async fn counts(snapshot: &dyn Snapshot, user_id: &UserId) -> Result<Value, ReadError> {
    let scan = Scan::index::<Member>(Member::BY_USER, (user_id.to_owned(),), MAX_ROOMS);
    let members = snapshot.scan::<Member>(scan).await?;
    let joined = members.iter().filter(|member| member.membership == Membership::Join);
    let keys: Vec<_> = joined.map(|member| (member.room,)).collect();
    let heads = snapshot.get_all::<RoomHead>(&keys).await?;
    let rooms: Vec<_> = heads.iter().flatten().map(LiveEnd::from).collect();
    let unread = unread(snapshot, user_id, &rooms).await?;
    let sum: u64 = unread.iter().map(|unread| unread.total().notifications).sum();
    Ok(if sum > 0 { json!({ "unread": sum }) } else { json!({}) })
}
