//! Which members a client has been told of, where members load lazily.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// How many members are remembered for a room. When there are more, all are forgotten, and sent again when needed.
pub const MOST_REMEMBERED: usize = 200;

/// The members of one room that a connection has been sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LazyMembers {
    sent: BTreeSet<Box<str>>,
}

impl LazyMembers {
    /// Whether the client knows this member, so that changes of theirs must be sent.
    #[must_use]
    pub fn knows(&self, user_id: &str) -> bool {
        self.sent.contains(user_id)
    }

    /// Those whom the client knows.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.sent.iter().map(AsRef::as_ref)
    }

    /// Of the members that the timeline needs, those that the client does not know yet. They are remembered.
    pub fn need<'u>(&mut self, users: impl IntoIterator<Item = &'u str>) -> Vec<&'u str> {
        let mut missing = Vec::new();
        for user in users {
            if !self.sent.contains(user) && !missing.contains(&user) {
                missing.push(user);
            }
        }
        if self.sent.len() + missing.len() > MOST_REMEMBERED {
            self.sent.clear();
        }
        self.sent.extend(missing.iter().take(MOST_REMEMBERED).map(|user| Box::from(*user)));
        missing
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(members.sent.len(), MOST_REMEMBERED);
    }
}
