//! Which entries of the state authorise an event
//! (<https://spec.matrix.org/v1.18/server-server-api/#auth-events-selection>).

use myelin_pdu::AuthRules;

use crate::{
    content::{AuthorisedVia, Content, Member},
    key::{self, StateKeyRef},
    membership::Membership,
};

/// The keys of the state entries that belong in the event's `auth_events`, as far as the state has them. At most seven,
/// each once; none for a create event.
pub fn auth_keys<'a>(
    rules: &AuthRules,
    event_type: &'a str,
    sender: &'a str,
    state_key: Option<&'a str>,
    content: &'a Content,
) -> Vec<StateKeyRef<'a>> {
    if event_type == key::CREATE {
        return Vec::new();
    }
    let mut keys = Vec::with_capacity(7);
    if rules.create_event_in_auth_events {
        keys.push(StateKeyRef { event_type: key::CREATE, state_key: "" });
    }
    keys.push(StateKeyRef { event_type: key::POWER_LEVELS, state_key: "" });
    keys.push(member(sender));
    if let (key::MEMBER, Content::Member(content), Some(target)) = (event_type, content, state_key) {
        push_membership_keys(rules, target, content, &mut keys);
    }
    keys
}

/// The keys of all state entries that judging the event looks at: those of [`auth_keys`], and the create event.
pub fn judging_keys<'a>(
    rules: &AuthRules,
    event_type: &'a str,
    sender: &'a str,
    state_key: Option<&'a str>,
    content: &'a Content,
) -> Vec<StateKeyRef<'a>> {
    let mut keys = auth_keys(rules, event_type, sender, state_key, content);
    if event_type != key::CREATE && !rules.create_event_in_auth_events {
        keys.push(StateKeyRef { event_type: key::CREATE, state_key: "" });
    }
    keys
}

fn push_membership_keys<'a>(
    rules: &AuthRules,
    target: &'a str,
    content: &'a Member,
    keys: &mut Vec<StateKeyRef<'a>>,
) {
    push_once(keys, member(target));
    let membership = content.membership.as_ref();
    if matches!(membership, Some(Membership::Join | Membership::Invite | Membership::Knock)) {
        keys.push(StateKeyRef { event_type: key::JOIN_RULES, state_key: "" });
    }
    if membership == Some(&Membership::Invite)
        && let Some(token) = content.third_party_invite.as_ref().and_then(|invite| invite.token())
    {
        keys.push(StateKeyRef { event_type: key::THIRD_PARTY_INVITE, state_key: token });
    }
    if membership == Some(&Membership::Join)
        && rules.restricted
        && let AuthorisedVia::User(voucher) = &content.authorised_via
    {
        push_once(keys, member(voucher));
    }
}

fn member(user_id: &str) -> StateKeyRef<'_> {
    StateKeyRef { event_type: key::MEMBER, state_key: user_id }
}

fn push_once<'a>(keys: &mut Vec<StateKeyRef<'a>>, key: StateKeyRef<'a>) {
    if !keys.contains(&key) {
        keys.push(key);
    }
}
