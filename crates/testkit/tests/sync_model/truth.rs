//! What each user must see, found out slowly: by reading a room's whole log and the rules of the specification.

use std::collections::BTreeMap;

use serde_json::Value;

use super::picture::{Key, state_key, text};

/// A room as it is.
pub(crate) struct Truth {
    log: Vec<Event>,
    pub(crate) state: BTreeMap<Key, String>,
}

struct Event {
    id: String,
    sender: String,
    key: Option<Key>,
    membership: String,
    visibility: String,
}

/// A room as a user must see it.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) membership: String,
    /// The event by which they have it.
    pub(crate) own: Option<String>,
    /// The events they may see, oldest first.
    pub(crate) visible: Vec<String>,
    /// They were in the room once, and others made them leave it.
    pub(crate) was_removed: bool,
}

impl Truth {
    pub(crate) fn new(log: &[Value]) -> Self {
        let read = |event: &Value| Event {
            id: text(event, "event_id"),
            sender: text(event, "sender"),
            key: state_key(event),
            membership: text(&event["content"], "membership"),
            visibility: text(&event["content"], "history_visibility"),
        };
        let log: Vec<Event> = log.iter().map(read).collect();
        let set = log.iter().filter_map(|event| Some((event.key.clone()?, event.id.clone())));
        let state = set.collect();
        Self { log, state }
    }

    /// How many users have a membership.
    pub(crate) fn count(&self, membership: &str) -> i64 {
        let members = self.state.iter().filter(|((kind, _), _)| kind == "m.room.member");
        let is_such =
            |id: &String| self.log.iter().any(|event| event.id == *id && event.membership == membership);
        i64::try_from(members.filter(|(_, id)| is_such(id)).count()).unwrap_or(i64::MAX)
    }

    pub(crate) fn view(&self, user_id: &str) -> View {
        let own = ("m.room.member".to_owned(), user_id.to_owned());
        let is_own = |event: &Event| event.key.as_ref() == Some(&own);
        let joins: Vec<usize> = (0..self.log.len())
            .filter(|place| is_own(&self.log[*place]) && self.log[*place].membership == "join")
            .collect();
        let last = self.log.iter().rposition(is_own);
        let (mut membership, mut visibility) = (String::from("leave"), String::from("shared"));
        let mut visible = Vec::new();
        for (place, event) in self.log.iter().enumerate() {
            let (mut memberships, mut visibilities) = (vec![membership.clone()], vec![visibility.clone()]);
            if is_own(event) {
                membership.clone_from(&event.membership);
                memberships.push(membership.clone());
            }
            if event.key.as_ref().is_some_and(|(kind, _)| kind == "m.room.history_visibility") {
                visibility.clone_from(&event.visibility);
                visibilities.push(visibility.clone());
            }
            let joins_later = joins.iter().any(|join| *join > place);
            let may = |visibility: &String| match visibility.as_str() {
                "world_readable" => true,
                "shared" => joins_later,
                "invited" => memberships.iter().any(|membership| membership == "invite"),
                _ => false,
            };
            let is_in = memberships.iter().any(|membership| membership == "join");
            let is_past = membership != "join" && last.is_some_and(|last| place > last);
            // One's own memberships are one's to know.
            if !is_past && (is_in || is_own(event) || visibilities.iter().any(may)) {
                visible.push(event.id.clone());
            }
        }
        let last = last.map(|place| &self.log[place]);
        let was_removed = matches!(membership.as_str(), "leave" | "ban")
            && !joins.is_empty()
            && last.is_some_and(|event| event.sender != user_id);
        View { membership, own: last.map(|event| event.id.clone()), visible, was_removed }
    }
}
