//! Whom and what this server keeps out: blocks by its administrators, and the rules of the policy lists that they follow
//! (<https://spec.matrix.org/v1.19/client-server-api/#moderation-policy-lists>).
//!
//! What a block means, wherever it comes from:
//! - **A room**: no user of this server joins it, knocks, is invited or invites, or sends anything into it; leaving and
//!   taking others out go on. It is not listed, and an alias that is blocked can't be made. Its members read on until they
//!   are taken out of it ([`Rooms::shut_down`](crate::Rooms::shut_down)).
//! - **A user** (by id, or by a rule about their server): they make no rooms, join and knock at none, invite nobody and are
//!   not invited. What rooms they are in is left as it is: that is for the rooms' own moderators, or for locking or
//!   suspending the account.
//!
//! Everything is compiled into one value when it changes; an event costs look-ups in memory.

mod follow;

pub use follow::BlockError;

use std::sync::{Arc, PoisonError, RwLock};

use myelin_model::{GlobSet, NOTICE_SENDER};
use ruma::{RoomId, ServerName, UserId};

/// The longest glob of a rule, in bytes. Longer ones are passed over: no id is longer.
const LONGEST: usize = 512;

/// Compiled rules about rooms and users.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    rooms: GlobSet,
    users: GlobSet,
    servers: GlobSet,
}

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Room,
    User,
    Server,
}

impl Subject {
    /// The subject of a rule's event type, those of before the specification included.
    fn of(kind: &str) -> Option<Self> {
        match kind {
            "m.policy.rule.room" | "m.room.rule.room" | "org.matrix.mjolnir.rule.room" => Some(Self::Room),
            "m.policy.rule.user" | "m.room.rule.user" | "org.matrix.mjolnir.rule.user" => Some(Self::User),
            "m.policy.rule.server" | "m.room.rule.server" | "org.matrix.mjolnir.rule.server" => {
                Some(Self::Server)
            }
            _ => None,
        }
    }
}

/// The event types of rules.
const KINDS: [&str; 9] = [
    "m.policy.rule.room",
    "m.policy.rule.user",
    "m.policy.rule.server",
    "m.room.rule.room",
    "m.room.rule.user",
    "m.room.rule.server",
    "org.matrix.mjolnir.rule.room",
    "org.matrix.mjolnir.rule.user",
    "org.matrix.mjolnir.rule.server",
];

impl Rules {
    /// Adds a rule of a list. One that would shut out this server itself is passed over, as a mistake or worse; says whether
    /// it was taken.
    fn add(&mut self, subject: Subject, entity: &str, here: &ServerName) -> bool {
        if entity.is_empty() || entity.len() > LONGEST {
            return false;
        }
        let one: GlobSet = [entity.to_ascii_lowercase()].into_iter().collect();
        let own = match subject {
            Subject::Room => one.matches("!x") || one.matches(&format!("#x:{here}")),
            Subject::User => one.matches(&notices(here)),
            Subject::Server => one.matches(&here.host().to_ascii_lowercase()),
        };
        if own {
            return false;
        }
        match subject {
            Subject::Room => self.rooms.insert(entity),
            Subject::User => self.users.insert(entity),
            Subject::Server => self.servers.insert(&entity.to_ascii_lowercase()),
        }
        true
    }

    fn refuses_user(&self, user: &UserId) -> bool {
        self.users.matches(user.as_str())
            || (!self.servers.is_empty()
                && self.servers.matches(&user.server_name().host().to_ascii_lowercase()))
    }
}

/// The sender of server notices.
fn notices(here: &ServerName) -> String {
    format!("@{NOTICE_SENDER}:{here}")
}

/// What is in force.
#[derive(Debug, Default)]
struct InForce {
    /// By the administrators.
    blocks: Arc<Rules>,
    /// By the lists that they follow.
    lists: Arc<Rules>,
}

/// What is in force, for everybody who asks.
#[derive(Debug, Default)]
pub(crate) struct Policy(RwLock<InForce>);

impl Policy {
    fn rules(&self) -> [Arc<Rules>; 2] {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        [Arc::clone(&held.blocks), Arc::clone(&held.lists)]
    }

    /// Whether a room, by its id or one of its aliases, is kept out.
    pub(crate) fn refuses_room(&self, room: &str) -> bool {
        self.rules().iter().any(|rules| rules.rooms.matches(room))
    }

    /// Whether some room is kept out.
    pub(crate) fn refuses_rooms(&self) -> bool {
        self.rules().iter().any(|rules| !rules.rooms.is_empty())
    }

    /// Whether a user is kept out. The sender of server notices never is.
    pub(crate) fn refuses_user(&self, user: &UserId, here: &ServerName) -> bool {
        let refused = self.rules().iter().any(|rules| rules.refuses_user(user));
        refused && user != notices(here).as_str()
    }

    fn set_blocks(&self, rules: Rules) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).blocks = Arc::new(rules);
    }

    fn set_lists(&self, rules: Rules) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).lists = Arc::new(rules);
    }
}

/// A room that lists are read from: an id, or an alias of this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyList {
    /// By its id.
    Id(ruma::OwnedRoomId),
    /// By an alias.
    Alias(ruma::OwnedRoomAliasId),
}

impl std::str::FromStr for PolicyList {
    type Err = ruma::IdParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with('#') {
            return ruma::RoomAliasId::parse(text).map(Self::Alias);
        }
        RoomId::parse(text).map(Self::Id)
    }
}

#[cfg(test)]
mod tests {
    use ruma::{server_name, user_id};

    use super::{Policy, Rules, Subject};

    #[test]
    fn rules_keep_out_what_their_globs_match_and_never_the_server_itself() {
        let here = server_name!("here.org");
        let mut rules = Rules::default();
        for (subject, entity, taken) in [
            (Subject::User, "@spam*:*", true),
            (Subject::User, "@*:here.org", false),
            (Subject::User, "*", false),
            (Subject::Server, "*.evil.org", true),
            (Subject::Server, "here.*", false),
            (Subject::Server, "", false),
            (Subject::Room, "!bad", true),
            (Subject::Room, "#bad*:evil.org", true),
            (Subject::Room, "*", false),
        ] {
            assert_eq!(rules.add(subject, entity, here), taken, "{entity}");
        }
        let policy = Policy::default();
        policy.set_lists(rules);
        for (user, refused) in [
            (user_id!("@spam1:here.org"), true),
            (user_id!("@a:x.EVIL.org:8448"), true),
            (user_id!("@a:evil.org"), false),
            (user_id!("@a:here.org"), false),
        ] {
            assert_eq!(policy.refuses_user(user, here), refused, "{user}");
        }
        assert!(policy.refuses_room("!bad") && policy.refuses_room("#bad1:evil.org"));
        assert!(!policy.refuses_room("!good"));
    }
}
