//! The JSON of an event for clients, and the passages of stored JSON that it is made of.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use myelin_pdu::STICKY_KEYS;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::{RawValue, to_raw_value};

#[derive(Serialize)]
pub(crate) struct ClientEvent<'a> {
    pub(crate) content: Cow<'a, RawValue>,
    pub(crate) event_id: &'a str,
    pub(crate) origin_server_ts: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) redacts: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) room_id: Option<&'a str>,
    pub(crate) sender: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state_key: Option<&'a str>,
    #[serde(rename = "type")]
    pub(crate) kind: &'a str,
    /// What makes it sticky (MSC4354), under one of its names.
    #[serde(rename = "msc4354_sticky", skip_serializing_if = "Option::is_none")]
    pub(crate) unstable_sticky: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sticky: Option<&'a RawValue>,
    pub(crate) unsigned: Unsigned<'a>,
}

#[derive(Serialize)]
pub(crate) struct Unsigned<'a> {
    pub(crate) age: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) transaction_id: Option<&'a str>,
    /// Of an event that was sent with a delay (MSC4140).
    #[serde(rename = "org.matrix.msc4140.delay_id", skip_serializing_if = "Option::is_none")]
    pub(crate) delay_id: Option<&'a str>,
    /// For how many milliseconds it is still sticky (MSC4354), under one of its names.
    #[serde(rename = "msc4354_sticky_duration_ttl_ms", skip_serializing_if = "Option::is_none")]
    pub(crate) unstable_sticky_ttl: Option<i64>,
    #[serde(rename = "sticky_duration_ttl_ms", skip_serializing_if = "Option::is_none")]
    pub(crate) sticky_ttl: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) membership: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prev_content: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) replaces_state: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) redacted_because: Option<Box<RawValue>>,
    #[serde(rename = "m.relations", skip_serializing_if = "Option::is_none")]
    pub(crate) relations: Option<Relations<'a>>,
}

#[derive(Serialize)]
pub(crate) struct Relations<'a> {
    #[serde(rename = "m.replace", skip_serializing_if = "Option::is_none")]
    pub(crate) replace: Option<Box<RawValue>>,
    #[serde(rename = "m.thread", skip_serializing_if = "Option::is_none")]
    pub(crate) thread: Option<ThreadRelation>,
    #[serde(rename = "m.reference", skip_serializing_if = "Option::is_none")]
    pub(crate) reference: Option<Reference<'a>>,
}

#[derive(Serialize)]
pub(crate) struct ThreadRelation {
    pub(crate) count: i64,
    pub(crate) current_user_participated: bool,
    pub(crate) latest_event: Box<RawValue>,
}

#[derive(Serialize)]
pub(crate) struct Reference<'a> {
    pub(crate) chunk: Vec<EventRef<'a>>,
}

#[derive(Serialize)]
pub(crate) struct EventRef<'a> {
    pub(crate) event_id: &'a str,
}

/// Adds an edit to the client form of the event that it replaces.
pub(crate) fn with_edit(event: &RawValue, edit: Box<RawValue>) -> Option<Box<RawValue>> {
    let mut fields: BTreeMap<&str, Cow<'_, RawValue>> = serde_json::from_str(event.get()).ok()?;
    let unsigned = fields.get("unsigned").cloned();
    let mut unsigned: BTreeMap<&str, Cow<'_, RawValue>> = match &unsigned {
        Some(unsigned) => serde_json::from_str(unsigned.get()).ok()?,
        None => BTreeMap::new(),
    };
    let relations = to_raw_value(&Relations { replace: Some(edit), thread: None, reference: None }).ok()?;
    unsigned.insert("m.relations", Cow::Owned(relations));
    fields.insert("unsigned", Cow::Owned(to_raw_value(&unsigned).ok()?));
    to_raw_value(&fields).ok()
}

/// An empty object.
pub(crate) fn empty<'a>() -> &'a RawValue {
    serde_json::from_str("{}").unwrap_or(RawValue::NULL)
}

/// The `content` of a stored event. Reads no further than that: in canonical JSON most of an event, such as its
/// signatures, comes behind it.
pub(crate) fn content(json: &[u8]) -> &RawValue {
    passage(json, "content").unwrap_or_else(empty)
}

/// What makes a stored event sticky, by whichever of its names.
pub(crate) fn sticky(json: &[u8]) -> Option<&RawValue> {
    STICKY_KEYS.iter().find_map(|key| passage(json, key))
}

/// The value of a key of a stored event.
fn passage<'j>(json: &'j [u8], key: &str) -> Option<&'j RawValue> {
    let mut found = None;
    let mut json = serde_json::Deserializer::from_slice(json);
    // Stopping at the value counts as an error for the parser. What is not an event has no values.
    drop(json.deserialize_map(UpTo { key, found: &mut found }));
    found
}

/// Reads an object up to one of its keys.
struct UpTo<'k, 'f, 'de> {
    key: &'k str,
    found: &'f mut Option<&'de RawValue>,
}

impl<'de> Visitor<'de> for UpTo<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(is_it) = map.next_key_seed(Is(self.key))? {
            if is_it {
                *self.found = Some(map.next_value()?);
                return Err(A::Error::custom("found"));
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// Whether a key is this one.
struct Is<'k>(&'k str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

/// The passages of a stored redaction that go out.
#[derive(Deserialize)]
pub(crate) struct Stored<'a> {
    #[serde(borrow, default = "empty")]
    content: &'a RawValue,
    #[serde(borrow, default)]
    redacts: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Redacts {
    redacts: Option<String>,
}

impl<'a> Stored<'a> {
    /// The content of a redaction and the event it is about, from either place: top level before room version 11,
    /// content since. The content says it in every room version ("m.room.redaction").
    pub(crate) fn of_redaction(json: &'a [u8]) -> (Cow<'a, RawValue>, Option<String>) {
        let stored = serde_json::from_slice(json).unwrap_or(Stored { content: empty(), redacts: None });
        let Some(top) = stored.redacts else {
            let redacts = serde_json::from_str::<Redacts>(stored.content.get()).ok();
            return (Cow::Borrowed(stored.content), redacts.and_then(|content| content.redacts));
        };
        let Ok(redacts) = serde_json::from_str::<String>(top.get()) else {
            return (Cow::Borrowed(stored.content), None);
        };
        let mut content: BTreeMap<String, &RawValue> =
            serde_json::from_str(stored.content.get()).unwrap_or_default();
        content.insert("redacts".to_owned(), top);
        let content = to_raw_value(&content).map_or(Cow::Borrowed(stored.content), Cow::Owned);
        (content, Some(redacts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_is_found_whatever_stands_around_it() {
        let found = |json: &str| content(json.as_bytes()).get().to_owned();
        assert_eq!(
            found(r#"{"auth_events":["$a",{"content":1}],"content":{"a":[1]},"depth":1}"#),
            r#"{"a":[1]}"#
        );
        assert_eq!(found(r#"{"content":{"b":"\u00e9\""}}"#), r#"{"b":"\u00e9\""}"#);
        assert_eq!(found(r#" { "a\u0062" : {} , "content" : {} }"#), "{}");
        assert_eq!(found(r#"{"sender":"@a:b"}"#), "{}", "an event without content");
        assert_eq!(found("[1]"), "{}");
        assert_eq!(found(""), "{}");
    }
}
