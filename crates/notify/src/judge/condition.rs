//! Conditions of push rules (client-server API, "Conditions"), made ready once.

use ruma::push::{ComparisonOperator, PushCondition, RoomMemberCountIs, ScalarJsonValue};
use serde_json::Value;

use super::pattern::Pattern;
use super::subject::{Asker, Subject};

/// One condition.
#[derive(Clone, Debug)]
pub(crate) enum Condition {
    EventMatch(Path, Pattern),
    PropertyIs(Path, ScalarJsonValue),
    PropertyContains(Path, ScalarJsonValue),
    /// The content's body names the user; deprecated, but rules may have it.
    ContainsDisplayName,
    MemberCount(RoomMemberCountIs),
    /// The sender may notify the whole room.
    MayNotifyRoom,
    /// The event is in a thread, which the user is (not) subscribed to (MSC4306).
    InThread {
        subscribed: bool,
    },
    /// The room of a room rule.
    Room(String),
    /// The sender of a sender rule.
    Sender(String),
    /// A condition that this server does not know matches nothing.
    Unknown,
}

/// A property of an event (appendices, "Dot-separated property paths").
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    keys: Vec<String>,
    is_body: bool,
}

impl Path {
    pub(crate) fn parse(path: &str) -> Self {
        let mut keys = vec![String::new()];
        let mut chars = path.chars().peekable();
        let mut key = String::new();
        while let Some(c) = chars.next() {
            match c {
                '.' => keys.push(String::new()),
                '\\' if matches!(chars.peek(), Some('.' | '\\')) => key.extend(chars.next()),
                other => key.push(other),
            }
            if let Some(last) = keys.last_mut() {
                last.push_str(&std::mem::take(&mut key));
            }
        }
        Self { keys, is_body: path == "content.body" }
    }

    fn find<'e>(&self, event: &'e Value) -> Option<&'e Value> {
        self.keys.iter().try_fold(event, |value, key| value.as_object()?.get(key))
    }
}

impl Condition {
    pub(crate) fn new(condition: &PushCondition) -> Self {
        match condition {
            PushCondition::EventMatch(data) => Self::event_match(&data.key, &data.pattern),
            PushCondition::EventPropertyIs(data) => {
                Self::PropertyIs(Path::parse(&data.key), data.value.clone())
            }
            PushCondition::EventPropertyContains(data) => {
                Self::PropertyContains(Path::parse(&data.key), data.value.clone())
            }
            PushCondition::RoomMemberCount(data) => Self::MemberCount(data.is),
            // Of the notification levels only this one is known.
            PushCondition::SenderNotificationPermission(data) if data.key.as_str() == "room" => {
                Self::MayNotifyRoom
            }
            PushCondition::ThreadSubscription(data) => Self::InThread { subscribed: data.subscribed },
            other if other.kind() == "contains_display_name" => Self::ContainsDisplayName,
            _ => Self::Unknown,
        }
    }

    pub(crate) fn event_match(key: &str, pattern: &str) -> Self {
        let path = Path::parse(key);
        let pattern = if path.is_body { Pattern::words(pattern) } else { Pattern::whole(pattern) };
        Self::EventMatch(path, pattern)
    }

    pub(crate) fn holds(&self, subject: &Subject, asker: &Asker<'_>) -> bool {
        match self {
            Self::EventMatch(path, pattern) => {
                if path.is_body {
                    return subject.body.as_deref().is_some_and(|body| pattern.matches(body));
                }
                let value = path.find(&subject.event).and_then(Value::as_str);
                value.is_some_and(|value| pattern.matches(&value.to_lowercase()))
            }
            Self::PropertyIs(path, wanted) => {
                path.find(&subject.event).is_some_and(|value| is_same(value, wanted))
            }
            Self::PropertyContains(path, wanted) => {
                let array = path.find(&subject.event).and_then(Value::as_array);
                array.is_some_and(|values| values.iter().any(|value| is_same(value, wanted)))
            }
            Self::ContainsDisplayName => asker.display_name.is_some_and(|name| {
                subject.body.as_deref().is_some_and(|body| Pattern::words(name).matches(body))
            }),
            Self::MemberCount(is) => counts(is, subject.joined),
            Self::MayNotifyRoom => subject.may_notify_room,
            Self::InThread { subscribed } => asker.subscribed == Some(*subscribed),
            Self::Room(room_id) => subject.event["room_id"] == room_id.as_str(),
            Self::Sender(sender) => subject.event["sender"] == sender.as_str(),
            Self::Unknown => false,
        }
    }
}

fn is_same(value: &Value, wanted: &ScalarJsonValue) -> bool {
    match wanted {
        ScalarJsonValue::Null => value.is_null(),
        ScalarJsonValue::Bool(wanted) => value.as_bool() == Some(*wanted),
        ScalarJsonValue::Integer(wanted) => value.as_i64() == Some(i64::from(*wanted)),
        ScalarJsonValue::String(wanted) => value.as_str() == Some(wanted),
    }
}

fn counts(is: &RoomMemberCountIs, joined: i64) -> bool {
    let count = i64::from(is.count);
    match is.prefix {
        ComparisonOperator::Eq => joined == count,
        ComparisonOperator::Lt => joined < count,
        ComparisonOperator::Gt => joined > count,
        ComparisonOperator::Ge => joined >= count,
        ComparisonOperator::Le => joined <= count,
    }
}

#[cfg(test)]
mod tests {
    use super::Path;

    #[test]
    fn dots_and_backslashes_are_escaped_in_paths() {
        let keys = |path: &str| Path::parse(path).keys;
        assert_eq!(keys("type"), ["type"]);
        assert_eq!(keys("content.m\\.mentions.room"), ["content", "m.mentions", "room"]);
        assert_eq!(keys("a\\\\.b\\x"), ["a\\", "b\\x"]);
        assert_eq!(keys(".a."), ["", "a", ""]);
    }
}
