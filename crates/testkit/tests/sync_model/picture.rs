//! What a client has been told, put together as clients do.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::Value;

use super::ops::Wish;

pub(crate) type Key = (String, String);

/// A client's picture of a room.
#[derive(Clone, Debug, Default)]
pub(crate) struct Picture {
    pub(crate) timeline: Vec<String>,
    /// A gap is known before these events.
    pub(crate) gaps: BTreeSet<String>,
    /// A gap is known after the last of them.
    pub(crate) open: bool,
    pub(crate) state: BTreeMap<Key, String>,
    /// Those who sent what is in the timeline, as far as the client asked for them by that.
    pub(crate) senders: HashSet<String>,
    pub(crate) membership: String,
    /// What was wanted of it when it was last told of, where that was one thing.
    pub(crate) wish: Option<Wish>,
    pub(crate) members: (Option<i64>, Option<i64>),
    pub(crate) unread: Option<(i64, i64)>,
    pub(crate) notes: BTreeMap<String, Value>,
    /// By kind and user.
    pub(crate) receipts: HashMap<Key, String>,
}

/// A client's picture of everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pictures {
    pub(crate) rooms: HashMap<String, Picture>,
    pub(crate) notes: BTreeMap<String, Value>,
    /// How many rooms the list has.
    pub(crate) count: Option<u64>,
    /// What was redacted before it was last asked.
    pub(crate) redacted: HashSet<String>,
}

pub(crate) fn each(events: &Value) -> impl Iterator<Item = &Value> {
    events.as_array().into_iter().flatten()
}

pub(crate) fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

/// The state that an event sets.
pub(crate) fn state_key(event: &Value) -> Option<Key> {
    Some((text(event, "type"), event["state_key"].as_str()?.to_owned()))
}

impl Picture {
    /// Begins anew; what belongs to the user is kept.
    pub(crate) fn begin_again(&mut self) {
        let (notes, receipts) = (std::mem::take(&mut self.notes), std::mem::take(&mut self.receipts));
        *self = Self { notes, receipts, ..Self::default() };
    }

    pub(crate) fn take_timeline(
        &mut self,
        events: &Value,
        (limited, may_repeat, lazy): (bool, bool, bool),
        redacted: &HashSet<String>,
    ) -> Result<(), String> {
        let ids: Vec<String> = each(events).map(|event| text(event, "event_id")).collect();
        if limited || self.open {
            self.gaps.extend(ids.first().cloned());
        }
        self.open = ids.is_empty() && (limited || self.open);
        if may_repeat {
            self.timeline.retain(|known| !ids.contains(known));
        }
        for event in each(events) {
            let id = text(event, "event_id");
            if redacted.contains(&id) && event["content"].get("body").is_some() {
                return Err(format!("{id} is shown, though it was redacted"));
            }
            if self.timeline.contains(&id) {
                return Err(format!("{id} is shown twice"));
            }
            if lazy {
                self.senders.insert(text(event, "sender"));
            }
            self.timeline.push(id);
        }
        Ok(())
    }

    pub(crate) fn take_state(&mut self, events: &Value) {
        for event in each(events) {
            if let Some(key) = state_key(event) {
                self.state.insert(key, text(event, "event_id"));
            }
        }
    }

    pub(crate) fn take_notes(&mut self, events: &Value) {
        let notes = each(events).map(|event| (text(event, "type"), event["content"].clone()));
        self.notes.extend(notes);
    }

    /// Takes the content of a `m.receipt`.
    pub(crate) fn take_receipts(&mut self, content: &Value) {
        for (event, kinds) in content.as_object().into_iter().flatten() {
            for (kind, users) in kinds.as_object().into_iter().flatten() {
                for (user, _) in users.as_object().into_iter().flatten() {
                    self.receipts.insert((kind.clone(), user.clone()), event.clone());
                }
            }
        }
    }

    /// Takes the counts of a room of sliding sync.
    pub(crate) fn take_counts(&mut self, room: &Value) {
        self.members.0 = room["joined_count"].as_i64().or(self.members.0);
        self.members.1 = room["invited_count"].as_i64().or(self.members.1);
        self.unread = pair(room).or(self.unread);
    }

    /// Takes the counts of a room of `/v3/sync`.
    pub(crate) fn take_classic_counts(&mut self, room: &Value) {
        self.members.0 = room["summary"]["m.joined_member_count"].as_i64().or(self.members.0);
        self.members.1 = room["summary"]["m.invited_member_count"].as_i64().or(self.members.1);
        self.unread = pair(&room["unread_notifications"]).or(self.unread);
    }
}

impl Pictures {
    pub(crate) fn take_notes(&mut self, events: &Value) {
        let notes = each(events).map(|event| (text(event, "type"), event["content"].clone()));
        self.notes.extend(notes);
    }
}

fn pair(counts: &Value) -> Option<(i64, i64)> {
    Some((counts["notification_count"].as_i64()?, counts["highlight_count"].as_i64()?))
}
