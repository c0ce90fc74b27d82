//! What the default push rules say of one event (client-server API, "Predefined Rules").
//!
//! The rules are written out as code, in their order, because they are asked for every event of the server. A test holds
//! the outcome against the rules as data, evaluated by ruma.

use std::collections::BTreeSet;

use myelin_pdu::Pdu;
use ruma::{OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::Value;

/// Whether an event counts as unread for everyone whose push rules are the default ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notifies {
    /// It does, in the main timeline.
    Yes,
    /// It is in a thread, and notifies somebody there: everyone, or some whose rules say so.
    InThread,
    /// It does not.
    No,
}

/// What the rules say of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nobody is notified.
    Nobody,
    /// An invite: only this user is.
    Invited(OwnedUserId),
    /// Everyone is, and for everyone it is a highlight.
    HighlightsAll,
    /// These users are, and for them it is a highlight; whether the others are, it says.
    Mentions(BTreeSet<OwnedUserId>, Others),
}

/// Whether those are notified whom an event does not mention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Others {
    /// Nobody.
    None,
    /// Those who subscribed to the thread that it is in.
    Subscribers,
    /// Everyone; if it is in a thread, but those who are told only of threads that they are subscribed to, and are not
    /// subscribed to this one.
    All,
}

/// The fields of a content that the rules look at. Whatever a sender puts there is read; what has another type than the
/// rules ask for does not match.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Looked {
    msgtype: Value,
    membership: Value,
    #[serde(rename = "m.mentions")]
    mentions: Value,
    #[serde(rename = "m.relates_to")]
    pub(crate) relates_to: Value,
}

/// Applies the rules. Mentions are taken only of users that `may_count` admits, and no more than `most`.
pub(crate) fn judge(
    pdu: &Pdu,
    content: &Looked,
    may_notify_room: bool,
    most: usize,
    may_count: impl Fn(&UserId) -> bool,
) -> Verdict {
    // `event_match` compares without regard to case.
    let is = |wanted: &str| pdu.event_type().eq_ignore_ascii_case(wanted);
    let text_is =
        |value: &Value, wanted: &str| value.as_str().is_some_and(|v| v.eq_ignore_ascii_case(wanted));
    if text_is(&content.msgtype, "m.notice") {
        return Verdict::Nobody;
    }
    if is("m.room.member") {
        let invited = pdu.state_key().filter(|_| text_is(&content.membership, "invite"));
        return match invited.and_then(|user_id| UserId::parse(user_id).ok()) {
            Some(user_id) => Verdict::Invited(user_id),
            None => Verdict::Nobody,
        };
    }
    let is_tombstone = is("m.room.tombstone") && pdu.state_key() == Some("");
    if (content.mentions["room"] == Value::Bool(true) && may_notify_room) || is_tombstone {
        return Verdict::HighlightsAll;
    }
    let is_edit = content.relates_to["rel_type"] == "m.replace";
    let is_poll = is("org.matrix.msc3381.poll.start") || is("org.matrix.msc3381.poll.end");
    let counts = is("m.room.message") || is("m.room.encrypted") || is("m.call.invite") || is_poll;
    let is_poll_response = is("org.matrix.msc3381.poll.response");
    let is_acl = is("m.room.server_acl") && pdu.state_key() == Some("");
    let others = if is_edit || is("m.reaction") || is_acl || is_poll_response {
        Others::None
    } else if counts {
        Others::All
    } else {
        // No rule says anything of it but the one for subscribed threads.
        Others::Subscribers
    };
    let named = content.mentions["user_ids"].as_array().map(Vec::as_slice).unwrap_or_default();
    let named = named.iter().filter_map(|user_id| UserId::parse(user_id.as_str()?).ok());
    Verdict::Mentions(named.filter(|user_id| may_count(user_id)).take(most).collect(), others)
}

#[cfg(test)]
mod tests;
