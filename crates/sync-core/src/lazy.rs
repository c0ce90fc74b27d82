//! Which members a client has been told of, where members load lazily.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How many members are remembered for a room. When there are more, all are forgotten, and sent again when needed.
pub const MOST_REMEMBERED: usize = 200;

/// The members of one room that a connection has been sent. Copies share them until one of them changes: most answers change
/// nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LazyMembers {
    /// Nothing where there are none, as in most rooms of most connections.
    sent: Option<Arc<Members>>,
}

type Members = BTreeSet<Box<str>>;

impl Serialize for LazyMembers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for LazyMembers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let sent = Members::deserialize(deserializer)?;
        Ok(Self { sent: (!sent.is_empty()).then(|| Arc::new(sent)) })
    }
}

impl LazyMembers {
    /// Whether the client knows this member, so that changes of theirs must be sent.
    #[must_use]
    pub fn knows(&self, user_id: &str) -> bool {
        self.sent.as_ref().is_some_and(|sent| sent.contains(user_id))
    }

    /// Those whom the client knows.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.sent.iter().flat_map(|sent| sent.iter()).map(AsRef::as_ref)
    }

    /// Of the members that the timeline needs, those that the client does not know yet. They are remembered.
    pub fn need<'u>(&mut self, users: impl IntoIterator<Item = &'u str>) -> Vec<&'u str> {
        let mut missing = Vec::new();
        for user in users {
            if !self.knows(user) && !missing.contains(&user) {
                missing.push(user);
            }
        }
        if missing.is_empty() {
            return missing;
        }
        let sent = Arc::make_mut(self.sent.get_or_insert_default());
        if sent.len() + missing.len() > MOST_REMEMBERED {
            sent.clear();
        }
        sent.extend(missing.iter().take(MOST_REMEMBERED).map(|user| Box::from(*user)));
        missing
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{LazyMembers, MOST_REMEMBERED};

    #[test]
    fn a_member_is_needed_once_until_too_many_are_known() {
        let mut members = LazyMembers::default();
        assert_eq!(members.need(["a", "b", "a"]), ["a", "b"]);
        assert_eq!(members.need(["b", "c"]), ["c"]);
        assert!(members.knows("b"));
        let crowd: Vec<String> = (0..MOST_REMEMBERED).map(|n| n.to_string()).collect();
        assert_eq!(members.need(crowd.iter().map(String::as_str)).len(), MOST_REMEMBERED);
        assert!(!members.knows("b"), "forgotten, and so sent again when needed");
        assert_eq!(members.iter().count(), MOST_REMEMBERED);
    }

    #[test]
    fn copies_share_what_was_sent_until_one_of_them_changes() {
        let mut members = LazyMembers::default();
        members.need(["a"]);
        let mut copy = members.clone();
        assert_eq!(copy.need(["a"]), [""; 0]);
        assert!(
            members.sent.as_ref().zip(copy.sent.as_ref()).is_some_and(|(one, two)| Arc::ptr_eq(one, two))
        );
        copy.need(["b"]);
        assert!(copy.knows("b") && !members.knows("b"));
    }

    #[test]
    fn they_are_stored_as_a_list() {
        let mut members = LazyMembers::default();
        members.need(["b", "a"]);
        let stored = serde_json::to_string(&members).unwrap();
        assert_eq!(stored, r#"["a","b"]"#);
        assert_eq!(serde_json::from_str::<LazyMembers>(&stored).unwrap(), members);
        assert_eq!(serde_json::from_str::<LazyMembers>("[]").unwrap(), LazyMembers::default());
    }
}
