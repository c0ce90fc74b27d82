//! An event as authorisation and state resolution see it.

use std::{fmt, ops::Deref, sync::Arc};

use myelin_pdu::Pdu;
use ruma::OwnedEventId;

use crate::{
    content::{Content, Create, JoinRule, Levels, Member, ThirdPartyInvite},
    key::{self, EventType, StateKeyRef},
    membership::Membership,
    user_id,
};

/// What authorisation and state resolution read of an event. Cheap to clone.
///
/// Its content is parsed once; see [`Content`].
#[derive(Clone)]
pub struct Event(Arc<EventFields>);

/// The fields of an [`Event`].
#[derive(Clone, Debug)]
pub struct EventFields {
    /// The event's id, `$...`.
    pub event_id: Box<str>,
    /// `room_id`. `None` on the create event where the room version takes the room's id from its hash (MSC4291).
    pub room_id: Option<Box<str>>,
    /// `sender`, a user id.
    pub sender: Box<str>,
    /// `type`.
    pub event_type: EventType,
    /// `state_key`; `None` on events that are no state.
    pub state_key: Option<Box<str>>,
    /// `origin_server_ts`, in milliseconds since the Unix epoch, as its sender claims.
    pub origin_server_ts: i64,
    /// `depth`, as its sender claims.
    pub depth: i64,
    /// Ids of `prev_events`.
    pub prev_events: Box<[Box<str>]>,
    /// Ids of `auth_events`.
    pub auth_events: Box<[Box<str>]>,
    /// What an `m.room.redaction` redacts, wherever the room version writes it.
    pub redacts: Option<Box<str>>,
    /// What the rules need of `content`.
    pub content: Content,
}

impl From<&Pdu> for Event {
    fn from(pdu: &Pdu) -> Self {
        let event_type = pdu.event_type();
        let content = if Content::matters(event_type) {
            Content::parse(&pdu.rules().auth, event_type, &pdu.content_object())
        } else {
            Content::Other
        };
        let ids = |ids: &[OwnedEventId]| ids.iter().map(|id| id.as_str().into()).collect();
        Self::new(EventFields {
            event_id: pdu.event_id().as_str().into(),
            room_id: pdu.states_room_id().then(|| pdu.room_id().as_str().into()),
            sender: pdu.sender().as_str().into(),
            event_type: event_type.into(),
            state_key: pdu.state_key().map(Into::into),
            origin_server_ts: pdu.origin_server_ts(),
            depth: pdu.depth(),
            prev_events: ids(pdu.prev_events()),
            auth_events: ids(pdu.auth_events()),
            redacts: pdu.redacts().map(|target| target.as_str().into()),
            content,
        })
    }
}

impl Event {
    /// An event of these fields.
    pub fn new(fields: EventFields) -> Self {
        Self(Arc::new(fields))
    }

    /// The same event under this id.
    pub(crate) fn with_id(self, event_id: &str) -> Self {
        let mut fields = Arc::unwrap_or_clone(self.0);
        fields.event_id = event_id.into();
        Self::new(fields)
    }

    /// The state entry that this event sets, if it is a state event.
    pub fn key(&self) -> Option<StateKeyRef<'_>> {
        let state_key = self.state_key.as_deref()?;
        Some(StateKeyRef { event_type: self.event_type.as_str(), state_key })
    }

    /// Whether this is the state event with this `type` and `state_key`.
    pub fn is(&self, event_type: &str, state_key: &str) -> bool {
        self.key() == Some(StateKeyRef { event_type, state_key })
    }

    /// The server of the sender, or `None` where `sender` is no user id.
    pub fn sender_server(&self) -> Option<&str> {
        user_id::server_name(&self.sender)
    }

    /// The content of an `m.room.create` event.
    pub fn as_create(&self) -> Option<&Create> {
        if let Content::Create(create) = &self.content { Some(create) } else { None }
    }

    /// The content of an `m.room.member` event.
    pub fn as_member(&self) -> Option<&Member> {
        if let Content::Member(member) = &self.content { Some(member) } else { None }
    }

    /// The rule of an `m.room.join_rules` event.
    pub fn as_join_rule(&self) -> Option<&JoinRule> {
        if let Content::JoinRules(rule) = &self.content { Some(rule) } else { None }
    }

    /// The levels of an `m.room.power_levels` event that is well-formed.
    pub fn as_levels(&self) -> Option<&Levels> {
        if let Content::PowerLevels(Ok(levels)) = &self.content { Some(levels) } else { None }
    }

    /// The content of an `m.room.third_party_invite` event.
    pub fn as_third_party_invite(&self) -> Option<&ThirdPartyInvite> {
        if let Content::ThirdPartyInvite(invite) = &self.content { Some(invite) } else { None }
    }

    /// Whether this event might take away what somebody is allowed to do ("power event" of state resolution).
    ///
    /// As other servers have it, the create event counts as well. It comes first in any order, so that this changes no
    /// result where every state has it.
    pub fn is_power_event(&self) -> bool {
        let Some(StateKeyRef { event_type, state_key }) = self.key() else { return false };
        match event_type {
            key::POWER_LEVELS | key::JOIN_RULES | key::CREATE => state_key.is_empty(),
            key::MEMBER => {
                let membership = self.as_member().and_then(|member| member.membership.as_ref());
                membership.is_some_and(Membership::is_removal) && *self.sender != *state_key
            }
            _ => false,
        }
    }
}

impl Deref for Event {
    type Target = EventFields;

    fn deref(&self) -> &EventFields {
        &self.0
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.event_id, self.event_type)?;
        self.state_key.as_ref().map_or(Ok(()), |key| write!(f, " {key:?}"))
    }
}
