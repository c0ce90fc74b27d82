//! The summary of a room, from its state.

use myelin_store::schema::rooms::RoomSummary;
use myelin_timeline::plain_topic;
use serde_json::{Map, Value};

/// The longest text a summary keeps, in bytes; what is longer is cut. (A name may be 64 KiB; a list need not show it.)
const LONGEST: usize = 2_048;

/// Takes a state event into the summary. Answers whether that changed it.
pub(crate) fn apply(
    summary: &mut RoomSummary,
    kind: &str,
    state_key: &str,
    content: &Map<String, Value>,
) -> bool {
    if !state_key.is_empty() {
        return false;
    }
    let in_predecessor = content.get("predecessor").and_then(Value::as_object);
    let content = if kind == "m.room.create" { in_predecessor } else { Some(content) };
    let (field, key) = match kind {
        "m.room.create" => (&mut summary.predecessor, "room_id"),
        "m.room.name" => (&mut summary.name, "name"),
        "m.room.canonical_alias" => (&mut summary.canonical_alias, "alias"),
        "m.room.avatar" => (&mut summary.avatar_url, "url"),
        "m.room.topic" => (&mut summary.topic, "topic"),
        "m.room.join_rules" => (&mut summary.join_rule, "join_rule"),
        "m.room.history_visibility" => (&mut summary.history_visibility, "history_visibility"),
        "m.room.guest_access" => (&mut summary.guest_access, "guest_access"),
        "m.room.encryption" => (&mut summary.encryption, "algorithm"),
        "m.room.tombstone" => (&mut summary.replacement, "replacement_room"),
        _ => return false,
    };
    let plain = content.filter(|_| kind == "m.room.topic").and_then(plain_topic);
    let text = plain.or_else(|| content?.get(key)?.as_str()).filter(|text| !text.is_empty());
    let text = text.map(|text| text[..text.floor_char_boundary(LONGEST)].to_owned());
    let changed = *field != text;
    *field = text;
    changed
}

#[cfg(test)]
mod tests {
    use myelin_model::RoomNid;
    use serde_json::json;

    use myelin_store::schema::rooms::RoomSummary;

    use super::apply;

    #[test]
    fn a_summary_follows_the_state_and_an_empty_name_is_none() {
        let mut summary = RoomSummary::empty(RoomNid(1));
        let mut take = |kind, content: serde_json::Value| {
            apply(&mut summary, kind, "", content.as_object().unwrap());
            summary.clone()
        };
        assert_eq!(take("m.room.name", json!({"name": "Tea"})).name.as_deref(), Some("Tea"));
        assert_eq!(take("m.room.name", json!({"name": ""})).name, None);
        assert_eq!(take("m.room.name", json!({"name": 3})).name, None);
        let create = json!({"room_id": "!no", "predecessor": {"room_id": "!old"}});
        assert_eq!(take("m.room.create", create).predecessor.as_deref(), Some("!old"));
        let long = "ü".repeat(3_000);
        assert_eq!(take("m.room.topic", json!({"topic": long})).topic.unwrap().len(), 2_048);
    }
}
