//! What users want to send, and what becomes of it.

use myelin_pdu::{CanonicalObject, EventDraft, EventReference, Pdu, PduError};
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId};

use super::Signer;
use crate::{
    auth::{Rejection, SupportedRules, auth_keys, judging_keys},
    content::Content,
    event::{Event, EventFields},
    key::{EventType, StateKey, StateKeyRef},
    membership::Membership,
};

/// An event that somebody wants to send: what does not depend on the head of the room.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Who sends it: a user of this server.
    pub sender: OwnedUserId,
    /// Its `type`.
    pub event_type: String,
    /// Its `state_key`, if it is a state event.
    pub state_key: Option<String>,
    /// Its content.
    pub content: CanonicalObject,
    /// Its id, where the sending server chooses it (room versions 1 and 2): `$`, something never used before, `:`, and
    /// the server's name. Left out of account elsewhere.
    pub event_id: Option<OwnedEventId>,
    /// What it redacts, if it is a redaction.
    pub redacts: Option<OwnedEventId>,
    /// What to add under `unsigned`.
    pub unsigned: Option<CanonicalObject>,
    /// For how many milliseconds it is to be sticky (MSC4354), if at all.
    pub sticky: Option<i64>,
    /// An `origin_server_ts` other than now, in milliseconds since the Unix epoch, as application services may ask for.
    pub origin_server_ts: Option<i64>,
}

impl Draft {
    /// A message event.
    pub fn message(sender: OwnedUserId, event_type: impl Into<String>, content: CanonicalObject) -> Self {
        let event_type = event_type.into();
        Self {
            sender,
            event_type,
            state_key: None,
            content,
            event_id: None,
            redacts: None,
            unsigned: None,
            sticky: None,
            origin_server_ts: None,
        }
    }

    /// A state event.
    pub fn state(
        sender: OwnedUserId,
        event_type: impl Into<String>,
        state_key: impl Into<String>,
        content: CanonicalObject,
    ) -> Self {
        Self { state_key: Some(state_key.into()), ..Self::message(sender, event_type, content) }
    }

    /// The state entry that it would set.
    pub fn key(&self) -> Option<StateKeyRef<'_>> {
        let state_key = self.state_key.as_deref()?;
        Some(StateKeyRef { event_type: &self.event_type, state_key })
    }

    pub(super) fn auth_content(&self, rules: SupportedRules) -> Content {
        Content::parse(&rules.get().auth, &self.event_type, &self.content)
    }

    /// [`auth_keys`] of the event that this becomes.
    pub(super) fn auth_keys<'a>(
        &'a self,
        rules: SupportedRules,
        content: &'a Content,
    ) -> Vec<StateKeyRef<'a>> {
        auth_keys(
            &rules.get().auth,
            &self.event_type,
            self.sender.as_str(),
            self.state_key.as_deref(),
            content,
        )
    }

    /// [`judging_keys`] of the event that this becomes.
    pub(super) fn judging_keys<'a>(
        &'a self,
        rules: SupportedRules,
        content: &'a Content,
    ) -> Vec<StateKeyRef<'a>> {
        judging_keys(
            &rules.get().auth,
            &self.event_type,
            self.sender.as_str(),
            self.state_key.as_deref(),
            content,
        )
    }
}

/// An event of the current state. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StateEvent {
    pdu: Pdu,
    event: Event,
}

impl From<Pdu> for StateEvent {
    fn from(pdu: Pdu) -> Self {
        let event = Event::from(&pdu);
        Self { pdu, event }
    }
}

impl StateEvent {
    pub(super) fn of(pdu: Pdu, event: Event) -> Self {
        Self { pdu, event }
    }

    /// The event itself.
    pub fn pdu(&self) -> &Pdu {
        &self.pdu
    }

    /// The event as the rules see it.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// The membership that it sets, if it is a membership event.
    pub fn membership(&self) -> Option<&Membership> {
        self.event.as_member()?.membership.as_ref()
    }
}

/// Why a draft did not become an event. The head of the room is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// These entries of the current state must be supplied first.
    #[error("{} entries of the current state are not known", .0.len())]
    Missing(Vec<StateKey>),
    /// The room's rules do not allow it.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// It would be no event of the room's version, or too large.
    #[error(transparent)]
    Malformed(#[from] PduError),
    /// Its sender is no user of this server.
    #[error("{sender} is not a user of this server")]
    SenderElsewhere {
        /// The sender.
        sender: OwnedUserId,
    },
    /// The join needs a signature of another server, which must make it (`make_join`, `send_join`).
    #[error("a join that {voucher} vouches for must be made by their server")]
    VoucherElsewhere {
        /// The user named by `join_authorised_via_users_server`.
        voucher: Box<str>,
    },
    /// More than [`MAX_IN_FLIGHT`](super::MAX_IN_FLIGHT) events wait for their commit.
    #[error("too many events of this room wait to be stored; try again")]
    TooManyInFlight,
    /// The timeline has no place left at its end.
    #[error("the room has used up all places of its timeline")]
    OrderKeysUsedUp,
}

/// A draft with its place in the room's graph, ready to be judged, and then signed.
pub(super) struct Prepared {
    draft: EventDraft,
    /// All but its id, which only signing brings where it is a hash.
    event: Event,
}

impl Prepared {
    pub(super) fn new(
        rules: SupportedRules,
        draft: Draft,
        room_id: Option<OwnedRoomId>,
        (prev_events, auth_events): (Vec<EventReference>, Vec<EventReference>),
        depth: i64,
        now_ms: i64,
    ) -> Self {
        let content = draft.auth_content(rules);
        let Draft { sender, event_type, state_key, content: object, unsigned, origin_server_ts, .. } = draft;
        let Draft { event_id, redacts, sticky, .. } = draft;
        let ids = |references: &[EventReference]| {
            references.iter().map(|one| one.event_id.as_str().into()).collect()
        };
        let origin_server_ts = origin_server_ts.unwrap_or(now_ms);
        let event = Event::new(EventFields {
            event_id: event_id.as_ref().map_or_else(|| "".into(), |id| id.as_str().into()),
            room_id: room_id.as_ref().map(|id| id.as_str().into()),
            sender: sender.as_str().into(),
            event_type: EventType::from(event_type.as_str()),
            state_key: state_key.as_deref().map(Into::into),
            origin_server_ts,
            depth,
            prev_events: ids(&prev_events),
            auth_events: ids(&auth_events),
            redacts: redacts.as_ref().map(|target| target.as_str().into()),
            content,
        });
        let draft = EventDraft {
            room_id,
            sender,
            event_type,
            state_key,
            content: object,
            redacts,
            prev_events,
            auth_events,
            depth,
            origin_server_ts,
            event_id,
            unsigned,
            sticky,
        };
        Self { draft, event }
    }

    pub(super) fn event(&self) -> &Event {
        &self.event
    }

    pub(super) fn sign(self, rules: SupportedRules, signer: Signer<'_>) -> Result<(Pdu, Event), PduError> {
        let pdu = self.draft.sign(rules.get(), signer.server_name, signer.key)?;
        Ok((pdu.clone(), self.event.with_id(pdu.event_id().as_str())))
    }
}
