//! What a room's topic says in plain text.

use serde_json::{Map, Value};

/// The first plain-text representation in the content of `m.room.topic` (client-server API, "m.room.topic": its `m.topic`
/// content block), if it has any.
#[must_use]
pub fn plain_topic(content: &Map<String, Value>) -> Option<&str> {
    let is_plain =
        |part: &&Value| part.get("mimetype").is_none_or(|kind| kind.as_str() == Some("text/plain"));
    let parts = content.get("m.topic")?.get("m.text")?.as_array()?;
    parts.iter().find(is_plain)?.get("body")?.as_str()
}
