//! Redaction: what is left of an event when its content is taken away
//! ([redactions](https://spec.matrix.org/latest/rooms/v12/#redactions)).

use crate::canonical::{write_entry, write_entry_start};
use crate::{CanonicalObject, CanonicalValue, RedactionRules, RoomRules};

/// What redaction does with one key of the content.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Removed,
    Kept,
    /// Of the object under the key only `signed` is kept; what is no object is removed.
    OnlySigned,
}

/// The redacted copy of an event.
///
/// `unsigned` does not survive: what servers add there when they serve a redacted event is theirs to add.
#[must_use]
pub fn redact(event: &CanonicalObject, rules: &RoomRules) -> CanonicalObject {
    let rules = &rules.redaction;
    let event_type = event.get_str("type").unwrap_or_default();
    event
        .iter()
        .filter(|(key, _)| keeps_top_level(rules, key))
        .map(|(key, value)| match value {
            CanonicalValue::Object(content) if key == "content" => {
                (key.to_owned(), redact_content(rules, event_type, content).into())
            }
            value => (key.to_owned(), value.clone()),
        })
        .collect()
}

/// The redacted copy of an event's content.
fn redact_content(rules: &RedactionRules, event_type: &str, content: &CanonicalObject) -> CanonicalObject {
    content
        .iter()
        .filter_map(|(key, value)| match content_fate(rules, event_type, key) {
            Fate::Removed => None,
            Fate::Kept => Some((key.to_owned(), value.clone())),
            Fate::OnlySigned => Some((key.to_owned(), only_signed(value)?.into())),
        })
        .collect()
}

/// An object without `signed` stays behind empty, as other servers leave it: the specification does not say, and hashes
/// must agree.
fn only_signed(third_party_invite: &CanonicalValue) -> Option<CanonicalObject> {
    let mut kept = third_party_invite.as_object()?.clone();
    kept.retain(|key, _| key == "signed");
    Some(kept)
}

/// Appends the canonical bytes of the redacted event without `signatures`: what its reference hash and its signatures
/// are made over. It copies no value, since every event passes here at least once.
pub(crate) fn write_redacted(event: &CanonicalObject, rules: &RoomRules, out: &mut Vec<u8>) {
    let rules = &rules.redaction;
    let event_type = event.get_str("type").unwrap_or_default();
    let mut first = true;
    out.push(b'{');
    for (key, value) in event.iter() {
        if key == "signatures" || !keeps_top_level(rules, key) {
            continue;
        }
        match value {
            CanonicalValue::Object(content) if key == "content" => {
                write_entry_start(&mut first, key, out);
                write_redacted_content(rules, event_type, content, out);
            }
            value => write_entry(&mut first, key, value, out),
        }
    }
    out.push(b'}');
}

fn write_redacted_content(
    rules: &RedactionRules,
    event_type: &str,
    content: &CanonicalObject,
    out: &mut Vec<u8>,
) {
    let mut first = true;
    out.push(b'{');
    for (key, value) in content.iter() {
        match content_fate(rules, event_type, key) {
            Fate::Removed => {}
            Fate::Kept => write_entry(&mut first, key, value, out),
            Fate::OnlySigned => {
                if let Some(signed) = only_signed(value) {
                    write_entry(&mut first, key, &signed.into(), out);
                }
            }
        }
    }
    out.push(b'}');
}

fn keeps_top_level(rules: &RedactionRules, key: &str) -> bool {
    match key {
        "event_id" | "type" | "room_id" | "sender" | "state_key" | "content" | "hashes" | "signatures"
        | "depth" | "prev_events" | "auth_events" | "origin_server_ts" => true,
        "origin" | "membership" | "prev_state" => rules.keeps_origin_membership_prev_state,
        _ => false,
    }
}

fn content_fate(rules: &RedactionRules, event_type: &str, key: &str) -> Fate {
    let kept = match (event_type, key) {
        ("m.room.member", "membership")
        | ("m.room.join_rules", "join_rule")
        | ("m.room.history_visibility", "history_visibility")
        | ("m.room.create", "creator")
        | (
            "m.room.power_levels",
            "ban" | "events" | "events_default" | "kick" | "redact" | "state_default" | "users"
            | "users_default",
        ) => true,
        ("m.room.create", _) => rules.keeps_create_content,
        ("m.room.member", "join_authorised_via_users_server") => rules.keeps_member_authorising_user,
        ("m.room.member", "third_party_invite") if rules.keeps_member_third_party_signed => {
            return Fate::OnlySigned;
        }
        ("m.room.join_rules", "allow") => rules.keeps_join_rule_allow,
        ("m.room.power_levels", "invite") => rules.keeps_power_levels_invite,
        ("m.room.redaction", "redacts") => rules.keeps_redaction_redacts,
        ("m.room.aliases", "aliases") => rules.keeps_aliases,
        _ => false,
    };
    if kept { Fate::Kept } else { Fate::Removed }
}
