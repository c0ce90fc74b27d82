//! What a new room contains: the events of `createRoom` in the order the spec gives them
//! (<https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom>).

use myelin_pdu::{CanonicalObject, CanonicalValue, CreatorRule, RoomRules};
use ruma::{OwnedRoomAliasId, OwnedUserId};

use crate::{CreateError, Creation, Draft, Preset, Visibility};

/// The content of the create event.
pub(crate) fn create_content(creation: &Creation, rules: &RoomRules) -> CanonicalObject {
    let mut content = creation.creation_content.clone();
    content.remove("creator");
    if rules.auth.creators == CreatorRule::ContentCreator {
        content.insert("creator", creation.creator.as_str());
    }
    content.insert("room_version", rules.version.as_str());
    if creation.preset() == Preset::TrustedPrivateChat && rules.auth.creators_are_privileged() {
        let mut creators: Vec<CanonicalValue> = content
            .get("additional_creators")
            .and_then(CanonicalValue::as_array)
            .unwrap_or_default()
            .to_vec();
        for invitee in &creation.invite {
            let invitee = CanonicalValue::from(invitee.as_str());
            if !creators.contains(&invitee) && *invitee.as_str().unwrap_or_default() != *creation.creator {
                creators.push(invitee);
            }
        }
        if !creators.is_empty() {
            content.insert("additional_creators", CanonicalValue::Array(creators));
        }
    }
    content
}

/// Every event after the create event and the creator's own join.
///
/// # Errors
/// When what the caller gave can't stand in such a room.
pub(crate) fn drafts(
    creation: &Creation,
    rules: &RoomRules,
    alias: Option<&OwnedRoomAliasId>,
) -> Result<Vec<Draft>, CreateError> {
    let mut drafts = Drafts { sender: &creation.creator, list: Vec::with_capacity(8) };
    drafts.state("m.room.power_levels", power_levels(creation, rules)?);
    if let Some(alias) = alias {
        drafts.state("m.room.canonical_alias", object([("alias", alias.as_str().into())]));
    }
    let preset = creation.preset();
    let join_rule = if preset == Preset::PublicChat { "public" } else { "invite" };
    let guests = if preset == Preset::PublicChat { "forbidden" } else { "can_join" };
    drafts.state("m.room.join_rules", object([("join_rule", join_rule.into())]));
    drafts.state("m.room.history_visibility", object([("history_visibility", "shared".into())]));
    drafts.state("m.room.guest_access", object([("guest_access", guests.into())]));
    for state in &creation.initial_state {
        if matches!(state.kind.as_str(), "m.room.create" | "m.room.member") {
            return Err(CreateError::InitialState(state.kind.clone()));
        }
        drafts.replace(state.clone());
    }
    if let Some(name) = &creation.name {
        drafts.replace_state("m.room.name", object([("name", name.as_str().into())]));
    }
    if let Some(topic) = &creation.topic {
        drafts.replace_state("m.room.topic", topic_content(topic));
    }
    Ok(drafts.list)
}

/// The topic, in its plain form and its form with representations (MSC3765).
fn topic_content(topic: &str) -> CanonicalObject {
    let text = CanonicalValue::from(object([("body", topic.into())]));
    let representations = object([("m.text", CanonicalValue::Array(vec![text]))]);
    object([("topic", topic.into()), ("m.topic", representations.into())])
}

/// The power levels of a new room, with the caller's own on top.
fn power_levels(creation: &Creation, rules: &RoomRules) -> Result<CanonicalObject, CreateError> {
    let mut users = CanonicalObject::default();
    if !rules.auth.creators_are_privileged() {
        users.insert(creation.creator.as_str(), 100);
        if creation.preset() == Preset::TrustedPrivateChat {
            for invitee in &creation.invite {
                users.insert(invitee.as_str(), 100);
            }
        }
    }
    let tombstone = if rules.auth.creators_are_privileged() { 150 } else { 100 };
    let events = [
        ("m.room.name", 50),
        ("m.room.avatar", 50),
        ("m.room.canonical_alias", 50),
        ("m.room.topic", 50),
        ("m.room.power_levels", 100),
        ("m.room.history_visibility", 100),
        ("m.room.server_acl", 100),
        ("m.room.encryption", 100),
        ("m.room.tombstone", tombstone),
    ];
    let events: CanonicalObject =
        events.into_iter().map(|(kind, level)| (kind.to_owned(), CanonicalValue::from(level))).collect();
    let mut content = object([
        ("users_default", 0.into()),
        ("events_default", 0.into()),
        ("state_default", 50.into()),
        ("ban", 50.into()),
        ("kick", 50.into()),
        ("redact", 50.into()),
        ("invite", (if creation.preset() == Preset::PublicChat { 50 } else { 0 }).into()),
        ("historical", 100.into()),
        ("users", users.into()),
        ("events", events.into()),
    ]);
    if let Some(wanted) = &creation.power_level_content_override {
        for (key, value) in wanted.iter() {
            content.insert(key, value.clone());
        }
    }
    if rules.auth.creators_are_privileged() {
        refuse_creators_among_users(creation, &content)?;
    }
    Ok(content)
}

/// In such rooms the creators' power is not a level, and the auth rules refuse levels that name them.
fn refuse_creators_among_users(creation: &Creation, content: &CanonicalObject) -> Result<(), CreateError> {
    let named =
        content.get_object("users").is_some_and(|users| users.contains_key(creation.creator.as_str()));
    if named { Err(CreateError::CreatorHasLevel) } else { Ok(()) }
}

/// An object of these entries.
pub(crate) fn object<const N: usize>(entries: [(&str, CanonicalValue); N]) -> CanonicalObject {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

struct Drafts<'a> {
    sender: &'a OwnedUserId,
    list: Vec<Draft>,
}

impl Drafts<'_> {
    fn state(&mut self, kind: &str, content: CanonicalObject) {
        self.list.push(Draft {
            sender: self.sender.clone(),
            kind: kind.to_owned(),
            state_key: Some(String::new()),
            content,
            redacts: None,
            sticky: None,
        });
    }

    /// Puts a state event in place of the preset's, where the preset has one of the same type and key: one event says
    /// it, and no member ever sees the other.
    fn replace(&mut self, draft: Draft) {
        let same = |other: &&mut Draft| other.kind == draft.kind && other.state_key == draft.state_key;
        match self.list.iter_mut().find(same) {
            // The power levels that let the rest in must not change in between.
            Some(other) => *other = Draft { sender: self.sender.clone(), ..draft },
            None => self.list.push(Draft { sender: self.sender.clone(), ..draft }),
        }
    }

    fn replace_state(&mut self, kind: &str, content: CanonicalObject) {
        let state_key = Some(String::new());
        self.replace(Draft {
            sender: self.sender.clone(),
            kind: kind.to_owned(),
            state_key,
            content,
            redacts: None,
            sticky: None,
        });
    }
}

impl Creation {
    /// The preset asked for, or the one that the directory visibility implies.
    pub(crate) fn preset(&self) -> Preset {
        self.preset.unwrap_or(match self.visibility {
            Visibility::Public => Preset::PublicChat,
            Visibility::Private => Preset::PrivateChat,
        })
    }
}
