//! Whose invites a user wants
//! (<https://spec.matrix.org/v1.19/client-server-api/#invite-permission>, MSC4155 and MSC4380).

use std::collections::HashMap;

use myelin_model::{GlobSet, NOTICE_SENDER};
use myelin_store::schema::users::{AccountData, GLOBAL};
use myelin_store::{ReadError, Reader, Snapshot};
use ruma::{OwnedUserId, UserId};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

/// The types of account data that say whose invites a user wants: who is ignored, then the permissions, under the name of
/// the specification and the two that were used before.
pub const INVITE_KINDS: [&str; 4] = [
    "m.ignored_user_list",
    "m.invite_permission_config",
    "org.matrix.msc4155.invite_permission_config",
    "org.matrix.msc4380.invite_permission_config",
];

/// What becomes of an invite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum InviteVerdict {
    /// The user is told.
    Allow,
    /// It stands, and the user is not told.
    Ignore,
    /// The inviter is refused.
    Block,
}

/// Whose invites one user wants. Nobody shuts out the notices of the server they are on.
#[derive(Clone, Debug)]
pub struct InviteRules {
    notices: String,
    ignored: Vec<OwnedUserId>,
    permissions: Vec<Permissions>,
}

/// One piece of account data. What a client writes under both proposals counts as both: the lists first, then the default.
#[derive(Clone, Debug, Default)]
struct Permissions {
    /// What is asked in turn; the first that matches decides (MSC4155).
    lists: Vec<(Subject, GlobSet, InviteVerdict)>,
    /// Invites that no list decides are blocked (MSC4380).
    blocks: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    User,
    Server,
}

/// The lists in the order of their evaluation.
const LISTS: [(&str, Subject, InviteVerdict); 6] = [
    ("allowed_users", Subject::User, InviteVerdict::Allow),
    ("ignored_users", Subject::User, InviteVerdict::Ignore),
    ("blocked_users", Subject::User, InviteVerdict::Block),
    ("allowed_servers", Subject::Server, InviteVerdict::Allow),
    ("ignored_servers", Subject::Server, InviteVerdict::Ignore),
    ("blocked_servers", Subject::Server, InviteVerdict::Block),
];

impl InviteRules {
    /// The rules of a user who has set nothing.
    #[must_use]
    pub fn new(user_id: &UserId) -> Self {
        let notices = format!("@{NOTICE_SENDER}:{}", user_id.server_name());
        Self { notices, ignored: Vec::new(), permissions: Vec::new() }
    }

    /// Takes up a piece of the user's global account data; other types than [`INVITE_KINDS`] are passed over. Call it once
    /// for each type.
    pub fn take(&mut self, kind: &str, content: &[u8]) {
        #[derive(Default, Deserialize)]
        struct Ignored {
            ignored_users: HashMap<OwnedUserId, IgnoredAny>,
        }
        if kind == INVITE_KINDS[0] {
            let content: Ignored = serde_json::from_slice(content).unwrap_or_default();
            self.ignored = content.ignored_users.into_keys().collect();
        } else if INVITE_KINDS.contains(&kind) {
            self.permissions.push(Permissions::parse(content));
        }
    }

    /// Whether the user ignores this one.
    #[must_use]
    pub fn ignores(&self, user_id: &UserId) -> bool {
        self.ignored.iter().any(|ignored| ignored == user_id)
    }

    /// What becomes of an invite by this user. Where several pieces of account data say something, the strictest holds.
    #[must_use]
    pub fn judge(&self, inviter: &UserId) -> InviteVerdict {
        if inviter == self.notices.as_str() {
            return InviteVerdict::Allow;
        }
        if self.ignores(inviter) {
            return InviteVerdict::Ignore;
        }
        let verdicts = self.permissions.iter().map(|permissions| permissions.judge(inviter));
        verdicts.max().unwrap_or(InviteVerdict::Allow)
    }
}

impl Permissions {
    fn parse(content: &[u8]) -> Self {
        let content: Map<String, Value> = serde_json::from_slice(content).unwrap_or_default();
        let enabled = content.get("enabled") != Some(&Value::Bool(false));
        let blocks = content.get("default_action").and_then(Value::as_str) == Some("block");
        // One list that is none makes all of them void.
        let lists = enabled.then(|| LISTS.iter().map(|list| parse_list(&content, list)).collect());
        Self { lists: lists.flatten().unwrap_or_default(), blocks }
    }

    fn judge(&self, inviter: &UserId) -> InviteVerdict {
        let (user, host) = (inviter.as_str(), inviter.server_name().host().to_ascii_lowercase());
        let decides = |(subject, globs, _): &&(Subject, GlobSet, InviteVerdict)| match subject {
            Subject::User => globs.matches(user),
            Subject::Server => globs.matches(&host),
        };
        let default = if self.blocks { InviteVerdict::Block } else { InviteVerdict::Allow };
        self.lists.iter().find(decides).map_or(default, |(_, _, verdict)| *verdict)
    }
}

/// A list; an empty one where it is absent, none where it is no array of strings.
fn parse_list(
    content: &Map<String, Value>,
    (name, subject, verdict): &(&str, Subject, InviteVerdict),
) -> Option<(Subject, GlobSet, InviteVerdict)> {
    let Some(list) = content.get(*name) else { return Some((*subject, GlobSet::default(), *verdict)) };
    let globs = list.as_array()?.iter().map(|glob| {
        let glob = glob.as_str()?;
        Some(if *subject == Subject::Server { glob.to_ascii_lowercase() } else { glob.to_owned() })
    });
    Some((*subject, globs.collect::<Option<GlobSet>>()?, *verdict))
}

/// Whose invites a user wants.
///
/// # Errors
/// When the store can't be read.
pub async fn invite_rules(snapshot: &dyn Snapshot, user_id: &UserId) -> Result<InviteRules, ReadError> {
    let keys = INVITE_KINDS.map(|kind| (user_id.to_owned(), GLOBAL, kind.to_owned()));
    let mut rules = InviteRules::new(user_id);
    for row in snapshot.get_all::<AccountData>(&keys).await?.into_iter().flatten() {
        rules.take(&row.kind, &row.content);
    }
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use ruma::{UserId, user_id};
    use serde_json::{Value, json};

    use super::InviteVerdict::{Allow, Block, Ignore};
    use super::{InviteRules, InviteVerdict};

    fn judge(datas: &[(&str, Value)], inviter: &str) -> InviteVerdict {
        let mut rules = InviteRules::new(user_id!("@me:hs"));
        for (kind, content) in datas {
            rules.take(kind, content.to_string().as_bytes());
        }
        rules.judge(<&UserId>::try_from(inviter).unwrap())
    }

    #[test]
    fn the_lists_are_asked_in_their_order_and_the_first_that_matches_decides() {
        let content = json!({
            "allowed_users": ["@good:bad.org"], "ignored_users": ["@dull*"], "blocked_users": ["@dull:hs", "@evil:hs"],
            "allowed_servers": ["fine.org"], "ignored_servers": ["shy.org"], "blocked_servers": ["*.org"],
        });
        for (inviter, verdict) in [
            ("@good:bad.org", Allow),
            ("@dull:hs", Ignore),
            ("@evil:hs", Block),
            ("@evil:fine.org", Allow),
            ("@x:shy.org:8448", Ignore),
            ("@x:BAD.org", Block),
            ("@x:hs", Allow),
        ] {
            for kind in ["m.invite_permission_config", "org.matrix.msc4155.invite_permission_config"] {
                assert_eq!(judge(&[(kind, content.clone())], inviter), verdict, "{inviter}");
            }
        }
    }

    #[test]
    fn a_default_action_blocks_everybody_and_a_list_that_is_none_makes_all_void() {
        let stable = "m.invite_permission_config";
        assert_eq!(judge(&[(stable, json!({ "default_action": "block" }))], "@a:hs"), Block);
        assert_eq!(judge(&[(stable, json!({ "default_action": "dance" }))], "@a:hs"), Allow);
        let unstable = "org.matrix.msc4380.invite_permission_config";
        assert_eq!(judge(&[(unstable, json!({ "default_action": "block" }))], "@a:hs"), Block);
        let odd = json!({ "blocked_users": ["*"], "ignored_users": [7] });
        assert_eq!(judge(&[(stable, odd)], "@a:hs"), Allow);
        let off = json!({ "blocked_users": ["*"], "enabled": false });
        assert_eq!(judge(&[(stable, off)], "@a:hs"), Allow);
    }

    #[test]
    fn who_is_ignored_is_not_told_and_else_the_strictest_piece_holds() {
        let ignored = ("m.ignored_user_list", json!({ "ignored_users": { "@a:hs": {} } }));
        let blocked = ("m.invite_permission_config", json!({ "default_action": "block" }));
        let shy = ("org.matrix.msc4155.invite_permission_config", json!({ "ignored_servers": ["*"] }));
        assert_eq!(judge(&[ignored.clone(), blocked.clone()], "@a:hs"), Ignore);
        assert_eq!(judge(&[ignored, shy.clone(), blocked.clone()], "@b:hs"), Block);
        assert_eq!(judge(&[blocked], "@_server:hs"), Allow);
        assert_eq!(judge(&[shy], "@b:hs"), Ignore);
    }
}
