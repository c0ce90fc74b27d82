//! What of an event is searched (client-server API, "Server Side Search": `room_events`).

use myelin_model::EventNid;
use myelin_store::schema::rooms::{Event, EventStatus, Relation};
use myelin_store::schema::search::SearchDocument;
use myelin_store::{ReadError, Reader, Scan, Snapshot};
use myelin_timeline::{contents, load, plain_topic};
use ruma::OwnedEventId;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::HashMap;

use crate::words::Words;

/// The type of events whose edits replace what is searched.
pub(crate) const MESSAGE: &str = "m.room.message";
/// The type of a room's name.
pub(crate) const NAME: &str = "m.room.name";
/// The type of a room's topic.
pub(crate) const TOPIC: &str = "m.room.topic";
/// The type of redactions.
pub(crate) const REDACTION: &str = "m.room.redaction";
/// How many of the newest edits of one event are looked at, as where they are bundled.
const MOST_EDITS: usize = 64;

/// The stored JSON of an event, as far as it is looked at. Encrypted content has none of it.
#[derive(Default, Deserialize)]
pub(crate) struct Stored {
    #[serde(default)]
    content: Map<String, Value>,
    /// Where a redaction names its target before room version 11.
    redacts: Option<Value>,
}

impl Stored {
    /// Reads stored JSON; what has no readable form has nothing to search.
    pub(crate) fn parse(json: &[u8]) -> Self {
        serde_json::from_slice(json).unwrap_or_default()
    }

    /// The event that this one, if it is an edit, edits.
    pub(crate) fn edits(&self) -> Option<OwnedEventId> {
        let relation = self.content.get("m.relates_to")?;
        if relation.get("rel_type").and_then(Value::as_str) != Some("m.replace") {
            return None;
        }
        event_id(relation.get("event_id")?)
    }

    /// The event that this one, if it is a redaction, redacts.
    pub(crate) fn redacts(&self) -> Option<OwnedEventId> {
        event_id(self.content.get("redacts").or(self.redacts.as_ref())?)
    }

    /// What is searched of an event of this type.
    fn text(&self, kind: &str) -> Option<String> {
        let text = |content: &Map<String, Value>, key: &str| {
            content.get(key).and_then(Value::as_str).map(str::to_owned)
        };
        match kind {
            MESSAGE => text(&self.content, "body"),
            NAME => text(&self.content, "name"),
            TOPIC => match (text(&self.content, "topic"), plain_topic(&self.content).map(str::to_owned)) {
                (Some(topic), Some(plain)) if topic != plain => Some(format!("{topic}\n{plain}")),
                (topic, plain) => topic.or(plain),
            },
            _ => None,
        }
    }

    /// What an edit puts in the place of a message's body.
    fn new_body(&self) -> Option<String> {
        self.content.get("m.new_content")?.get("body")?.as_str().map(str::to_owned)
    }
}

fn event_id(value: &Value) -> Option<OwnedEventId> {
    OwnedEventId::try_from(value.as_str()?).ok()
}

/// Whether events of this type and state key are searched at all.
pub(crate) fn is_searched(kind: &str, state_key: Option<&str>) -> bool {
    match kind {
        MESSAGE => state_key.is_none(),
        NAME | TOPIC => state_key == Some(""),
        _ => false,
    }
}

/// Whether the event's own content counts: it is part of the room, and nobody took it back.
pub(crate) fn stands(event: &Event) -> bool {
    event.redacted_by.is_none()
        && event.order.is_some()
        && matches!(event.status, EventStatus::Accepted | EventStatus::Partial)
}

/// What the index has to say of each event; nothing of those that are not searched, edits included.
pub(crate) async fn documents(
    snapshot: &dyn Snapshot,
    events: &[Event],
) -> Result<Vec<Option<SearchDocument>>, ReadError> {
    let searched = |event: &&Event| is_searched(&event.kind, event.state_key.as_deref()) && stands(event);
    let nids: Vec<EventNid> = events.iter().filter(searched).map(|event| event.event).collect();
    let originals = contents(snapshot, &nids).await?;
    let edits = edits(snapshot, events).await?;
    let mut documents = Vec::with_capacity(events.len());
    for event in events {
        let stored = originals.get(&event.event).map(|json| Stored::parse(json));
        documents.push(stored.and_then(|stored| document(event, &stored, edits.get(&event.event))));
    }
    Ok(documents)
}

fn document(event: &Event, stored: &Stored, edit: Option<&Edit>) -> Option<SearchDocument> {
    if event.kind == MESSAGE && stored.edits().is_some() {
        return None;
    }
    let source = edit.map_or(event.event, |edit| edit.event);
    let body = edit.and_then(|edit| edit.body.clone());
    let words = Words::of(&body.or_else(|| stored.text(&event.kind)).unwrap_or_default());
    // Without a word there is nothing to find; but which edit took them must be known should it be redacted.
    if words.length == 0 && source == event.event {
        return None;
    }
    Some(SearchDocument {
        event: event.event,
        room: event.room,
        pos: event.pos,
        source,
        length: i64::from(words.length),
        words: serde_json::to_string(&words.counts).ok()?,
    })
}

/// An edit that counts, and what it puts in the place of the message's body.
struct Edit {
    event: EventNid,
    body: Option<String>,
}

/// The edit that counts of each message that has one ("Server-side aggregation of m.replace").
async fn edits(snapshot: &dyn Snapshot, events: &[Event]) -> Result<HashMap<EventNid, Edit>, ReadError> {
    let messages: Vec<&Event> =
        events.iter().filter(|event| event.kind == MESSAGE && event.state_key.is_none()).collect();
    let scan = |event: &&Event| {
        let prefix = (event.event_id.clone(), "m.replace".to_owned());
        Scan::index::<Relation>(Relation::BY_TYPE, prefix, MOST_EDITS).backward()
    };
    let relations = snapshot.scan_all::<Relation>(messages.iter().map(scan).collect()).await?;
    let valid = |event: &Event, row: &Relation| {
        row.sender == event.sender && row.kind == event.kind && row.room == event.room
    };
    let mut wanted: Vec<EventNid> = Vec::new();
    for (event, rows) in messages.iter().zip(&relations) {
        wanted.extend(rows.iter().filter(|row| valid(event, row)).map(|row| row.event));
    }
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    let loaded = load(snapshot, &wanted).await?;
    let loaded: HashMap<EventNid, &Event> =
        loaded.iter().filter(|edit| stands(edit)).map(|edit| (edit.event, edit)).collect();
    let mut newest = Vec::new();
    for (event, rows) in messages.iter().zip(&relations) {
        let edits = rows.iter().filter(|row| valid(event, row)).filter_map(|row| loaded.get(&row.event));
        if let Some(edit) = edits.max_by_key(|edit| (edit.origin_server_ts, &edit.event_id)) {
            newest.push((event.event, edit.event));
        }
    }
    let bodies: Vec<EventNid> = newest.iter().map(|(_, edit)| *edit).collect();
    let bodies = contents(snapshot, &bodies).await?;
    let body = |edit| Stored::parse(bodies.get(&edit)?).new_body();
    Ok(newest.into_iter().map(|(event, edit)| (event, Edit { event: edit, body: body(edit) })).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Stored;

    fn text(kind: &str, content: &serde_json::Value) -> Option<String> {
        Stored::parse(json!({ "content": content }).to_string().as_bytes()).text(kind)
    }

    #[test]
    fn the_keys_of_the_specification_are_searched_and_no_others() {
        assert_eq!(text("m.room.message", &json!({ "body": "a", "name": "b" })).as_deref(), Some("a"));
        assert_eq!(text("m.room.name", &json!({ "body": "a", "name": "b" })).as_deref(), Some("b"));
        let plain = json!({ "m.text": [{ "body": "<b>", "mimetype": "text/html" }, { "body": "p" }] });
        assert_eq!(text("m.room.topic", &json!({ "topic": "t", "m.topic": plain })).as_deref(), Some("t\np"));
        assert_eq!(text("m.room.topic", &json!({ "m.topic": plain })).as_deref(), Some("p"));
        assert_eq!(text("m.room.message", &json!({ "body": 3 })), None);
        assert_eq!(text("m.room.encrypted", &json!({ "body": "a" })), None);
    }

    #[test]
    fn what_is_no_event_has_nothing_to_search() {
        for garbage in ["", "[]", "{\"content\":3}", "{\"redacts\":{}}"] {
            let stored = Stored::parse(garbage.as_bytes());
            assert!(stored.edits().is_none() && stored.redacts().is_none(), "{garbage}");
            assert!(stored.text("m.room.message").is_none() && stored.new_body().is_none(), "{garbage}");
        }
    }
}
