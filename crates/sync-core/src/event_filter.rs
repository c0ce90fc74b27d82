//! Filters of events (client-server API, "Filtering"), for sync, pages of events and search.

use serde::Deserialize;

/// A filter of events as clients write it: an `EventFilter`, a `RoomEventFilter` or a `StateFilter`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct EventFilterBody {
    /// The most events.
    pub limit: Option<u64>,
    types: Option<Vec<String>>,
    not_types: Option<Vec<String>>,
    senders: Option<Vec<String>>,
    not_senders: Option<Vec<String>>,
    contains_url: Option<bool>,
    rel_types: Option<Vec<String>>,
    not_rel_types: Option<Vec<String>>,
    #[serde(rename = "org.matrix.msc3874.rel_types")]
    unstable_rel_types: Option<Vec<String>>,
    #[serde(rename = "org.matrix.msc3874.not_rel_types")]
    unstable_not_rel_types: Option<Vec<String>>,
    /// Only events of these rooms, where given.
    pub rooms: Option<Vec<String>>,
    /// No events of these rooms; stronger than `rooms`.
    pub not_rooms: Option<Vec<String>>,
    /// Of members, only those who sent the events.
    pub lazy_load_members: Option<bool>,
    /// Unread counts by thread.
    pub unread_thread_notifications: Option<bool>,
}

impl From<EventFilterBody> for EventFilter {
    fn from(body: EventFilterBody) -> Self {
        Self {
            types: body.types,
            not_types: body.not_types.unwrap_or_default(),
            senders: body.senders,
            not_senders: body.not_senders.unwrap_or_default(),
            contains_url: body.contains_url,
            rel_types: body.rel_types.or(body.unstable_rel_types),
            not_rel_types: body.not_rel_types.or(body.unstable_not_rel_types).unwrap_or_default(),
        }
    }
}

/// Which events of a kind of section an answer shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only these types, where given; `*` stands for any text.
    pub types: Option<Vec<String>>,
    /// None of these types; stronger than `types`.
    pub not_types: Vec<String>,
    /// Only these senders, where given.
    pub senders: Option<Vec<String>>,
    /// None of these senders.
    pub not_senders: Vec<String>,
    /// Only events whose content has a `url`, or only those without.
    pub contains_url: Option<bool>,
    /// Only events that relate to another by one of these types, where given (MSC3874).
    pub rel_types: Option<Vec<String>>,
    /// None that relate to another by one of these types; stronger than `rel_types`.
    pub not_rel_types: Vec<String>,
}

impl EventFilter {
    /// Whether every event passes.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }

    /// Whether no event can pass, so that nothing needs to be read.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let is_empty = |list: &Option<Vec<String>>| list.as_ref().is_some_and(Vec::is_empty);
        is_empty(&self.types) || is_empty(&self.senders) || is_empty(&self.rel_types)
    }

    /// Whether events of this type pass, from whomever.
    #[must_use]
    pub fn allows_type(&self, kind: &str) -> bool {
        let named = |patterns: &[String]| patterns.iter().any(|pattern| pattern_matches(pattern, kind));
        self.types.as_deref().is_none_or(named) && !named(&self.not_types)
    }

    /// Whether an event passes, as far as its type and sender tell.
    #[must_use]
    pub fn allows(&self, kind: &str, sender: &str) -> bool {
        let named = |senders: &[String]| senders.iter().any(|named| named == sender);
        self.allows_type(kind) && self.senders.as_deref().is_none_or(named) && !named(&self.not_senders)
    }

    /// Whether it matters by what events relate to others.
    #[must_use]
    pub fn asks_relations(&self) -> bool {
        self.rel_types.is_some() || !self.not_rel_types.is_empty()
    }

    /// Whether an event passes that relates to another by this type, or to none.
    #[must_use]
    pub fn allows_relation(&self, rel_type: Option<&str>) -> bool {
        let named = |types: &[String]| rel_type.is_some_and(|own| types.iter().any(|named| named == own));
        self.rel_types.as_deref().is_none_or(named) && !named(&self.not_rel_types)
    }

    /// Whether an event passes whose content has, or lacks, a `url`.
    #[must_use]
    pub fn allows_url(&self, has_url: bool) -> bool {
        self.contains_url.is_none_or(|wanted| wanted == has_url)
    }
}

/// Whether the text is the pattern, where `*` in the pattern stands for any text. Linear in the text for each star.
#[must_use]
pub fn pattern_matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return text.ends_with(part);
        }
        // The first place where a part fits leaves the most for those after it.
        let Some((_, after)) = text.split_once(part) else { return false };
        text = after;
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{EventFilter, pattern_matches};

    /// The definition, slow.
    fn matches(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|skip| matches(rest, &text[skip..])),
            Some((first, rest)) => {
                text.split_first().is_some_and(|(t, text)| t == first && matches(rest, text))
            }
        }
    }

    proptest! {
        #[test]
        fn stars_mean_any_text(pattern in "[ab*]{0,6}", text in "[ab]{0,8}") {
            prop_assert_eq!(pattern_matches(&pattern, &text), matches(pattern.as_bytes(), text.as_bytes()));
        }
    }

    #[test]
    fn exclusion_is_stronger_and_an_empty_list_closes() {
        let filter = EventFilter {
            types: Some(vec!["m.room.*".to_owned()]),
            not_types: vec!["m.room.member".to_owned()],
            not_senders: vec!["@spam:x".to_owned()],
            ..EventFilter::default()
        };
        assert!(filter.allows("m.room.message", "@a:x"));
        assert!(!filter.allows("m.room.member", "@a:x"));
        assert!(!filter.allows("m.reaction", "@a:x"));
        assert!(!filter.allows("m.room.message", "@spam:x"));
        assert!(EventFilter { types: Some(Vec::new()), ..EventFilter::default() }.is_closed());
    }

    #[test]
    fn events_without_a_relation_pass_unless_some_is_asked_for() {
        let list = |types: &[&str]| types.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let only =
            EventFilter { rel_types: Some(list(&["m.thread", "m.replace"])), ..EventFilter::default() };
        let but = EventFilter { not_rel_types: list(&["m.thread"]), ..EventFilter::default() };
        let both = EventFilter { not_rel_types: list(&["m.thread"]), ..only.clone() };
        let passes = |filter: &EventFilter| {
            [None, Some("m.thread"), Some("m.replace")].map(|rel_type| filter.allows_relation(rel_type))
        };
        assert_eq!(passes(&only), [false, true, true]);
        assert_eq!(passes(&but), [true, false, true]);
        assert_eq!(passes(&both), [false, false, true]);
        assert!(only.asks_relations() && but.asks_relations() && !EventFilter::default().asks_relations());
    }
}
