//! Names of the event types that affect authorisation, and the key of one entry of a room's state.

use std::{borrow::Cow, fmt};

/// `m.room.aliases`: the aliases that a server knows of a room, before room version 6.
pub const ALIASES: &str = "m.room.aliases";
/// `m.room.create`: the first event of a room.
pub const CREATE: &str = "m.room.create";
/// `m.room.join_rules`: who may join, and how.
pub const JOIN_RULES: &str = "m.room.join_rules";
/// `m.room.member`: the membership of the user named by the state key.
pub const MEMBER: &str = "m.room.member";
/// `m.room.redaction`: takes the content of another event.
pub const REDACTION: &str = "m.room.redaction";
/// `m.room.power_levels`: levels of users and levels that actions require.
pub const POWER_LEVELS: &str = "m.room.power_levels";
/// `m.room.third_party_invite`: an invite that waits for its invitee to get a Matrix account.
pub const THIRD_PARTY_INVITE: &str = "m.room.third_party_invite";

/// Types which nearly every room has, so that their names are never copied.
const WELL_KNOWN: &[&str] = &[
    MEMBER,
    POWER_LEVELS,
    CREATE,
    JOIN_RULES,
    THIRD_PARTY_INVITE,
    "m.room.message",
    "m.room.encrypted",
    "m.room.encryption",
    "m.room.history_visibility",
    "m.room.guest_access",
    "m.room.name",
    "m.room.topic",
    "m.room.avatar",
    "m.room.canonical_alias",
    "m.room.redaction",
    "m.reaction",
    "m.space.child",
    "m.space.parent",
];

/// The `type` of an event. Well-known types share one static string; comparing and hashing go by the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventType(Cow<'static, str>);

impl EventType {
    /// The type as it stands in events.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for EventType {
    fn from(name: &str) -> Self {
        let known = WELL_KNOWN.iter().find(|known| **known == name);
        Self(known.map_or_else(|| Cow::Owned(name.to_owned()), |known| Cow::Borrowed(*known)))
    }
}

impl fmt::Debug for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The key of one entry of a room's state: (event type, state key).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateKey {
    /// The event's `type`.
    pub event_type: EventType,
    /// The event's `state_key`, often empty.
    pub state_key: Box<str>,
}

impl StateKey {
    /// The key of the entry with this `type` and `state_key`.
    pub fn new(event_type: &str, state_key: &str) -> Self {
        Self { event_type: EventType::from(event_type), state_key: state_key.into() }
    }

    /// The key of a user's `m.room.member` event.
    pub fn member(user_id: &str) -> Self {
        Self::new(MEMBER, user_id)
    }

    /// The same key, borrowed.
    pub fn as_ref(&self) -> StateKeyRef<'_> {
        StateKeyRef { event_type: self.event_type.as_str(), state_key: &self.state_key }
    }
}

impl fmt::Debug for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_ref(), f)
    }
}

impl fmt::Display for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_ref(), f)
    }
}

/// A borrowed [`StateKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateKeyRef<'a> {
    /// The event's `type`.
    pub event_type: &'a str,
    /// The event's `state_key`, often empty.
    pub state_key: &'a str,
}

impl StateKeyRef<'_> {
    /// A copy that owns its strings.
    pub fn to_key(self) -> StateKey {
        StateKey::new(self.event_type, self.state_key)
    }
}

impl fmt::Display for StateKeyRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}, {:?})", self.event_type, self.state_key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_well_known_type_equals_the_same_text_read_from_an_event() {
        let read = String::from("m.room.member");
        assert_eq!(EventType::from(read.as_str()), EventType::from(MEMBER));
        assert!(matches!(EventType::from(read.as_str()).0, Cow::Borrowed(_)));
        assert!(matches!(EventType::from("org.example.rare").0, Cow::Owned(_)));
    }

    #[test]
    fn a_key_prints_its_type_and_state_key() {
        assert_eq!(StateKey::member("@a:x").to_string(), r#"(m.room.member, "@a:x")"#);
    }
}
