//! Why an event may not stand.

use crate::{content::ContentError, key::StateKey, power::Level};

/// The first authorisation rule that an event breaks. The text says what was wrong, for the person who sent the event.
///
/// The specification answers a client's request with `M_FORBIDDEN` for most of these; [`Rejection::is_malformed`] tells
/// those where the content itself is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(
    missing_docs,
    reason = "each variant's message says what it means; its fields are what the message names"
)]
pub enum Rejection {
    #[error("m.room.create must be the first event of a room, but has prev_events")]
    CreateHasPrevEvents,
    #[error(
        "m.room.create must not have a room_id in this room version: the room's id is made from the event itself"
    )]
    CreateHasRoomId,
    #[error("m.room.create has no room_id with a server name")]
    CreateWithoutRoomId,
    #[error("m.room.create does not name the room's creator")]
    CreateWithoutCreator,
    #[error("the room id {room_id} does not belong to the server of the room's creator {sender}")]
    RoomIdOfAnotherServer { room_id: Box<str>, sender: Box<str> },
    #[error("room version {version:?} is not known")]
    UnknownRoomVersion { version: Box<str> },
    #[error("m.room.create is of room version {stated}, but was judged by the rules of version {judged}")]
    OtherRoomVersion { stated: Box<str>, judged: &'static str },
    #[error(transparent)]
    Content(#[from] ContentError),

    #[error("room {room_id} does not exist: no accepted m.room.create event makes this id")]
    RoomIdNamesNoCreateEvent { room_id: Box<str> },
    #[error("the event has no room_id")]
    NoRoomId,
    #[error("auth_events has more than one event for {key}")]
    DuplicateAuthEvent { key: StateKey },
    #[error("auth_events has {event_id}, an event for {key}, which does not authorise this event")]
    UnexpectedAuthEvent { event_id: Box<str>, key: StateKey },
    #[error("auth_events has {event_id}, which is no state event")]
    AuthEventNotState { event_id: Box<str> },
    #[error("auth_events has {event_id}, which was itself rejected")]
    RejectedAuthEvent { event_id: Box<str> },
    #[error("auth_events has {event_id}, which belongs to another room")]
    AuthEventOfAnotherRoom { event_id: Box<str> },
    #[error("auth_events has no m.room.create event")]
    NoCreateInAuthEvents,

    #[error("the room has no m.room.create event")]
    NoCreateEvent,
    #[error("the room is only for users of the server that created it, and {sender} is not one of them")]
    RoomNotFederated { sender: Box<str> },
    #[error("{sender} may list the aliases of their own server only")]
    AliasesOfAnotherServer { sender: Box<str> },
    #[error("{sender} is not in the room")]
    SenderNotJoined { sender: Box<str> },
    #[error("{sender} has power level {has}, but to {action} takes {required}")]
    LacksPower { sender: Box<str>, action: &'static str, has: Level, required: i64 },
    #[error("{sender} has power level {has}, but to send {event_type} takes {required}")]
    TypeNeedsPower { sender: Box<str>, event_type: Box<str>, has: Level, required: i64 },
    #[error("a state key that is a user id may only be used by that user, and {state_key} is not the sender")]
    StateKeyOfAnotherUser { state_key: Box<str> },

    #[error("m.room.member needs a state_key that is a user id")]
    MemberWithoutTarget,
    #[error("m.room.member needs a membership in its content")]
    NoMembership,
    #[error("membership {membership:?} is not known")]
    UnknownMembership { membership: Box<str> },
    #[error("join_authorised_via_users_server is not a user id")]
    AuthorisedViaNoUser,
    #[error("{sender} cannot join on behalf of {target}")]
    JoinForAnother { sender: Box<str>, target: Box<str> },
    #[error("{target} is banned from the room")]
    TargetBanned { target: Box<str> },
    #[error("the join rule is {join_rule:?}, and {target} is not invited")]
    NotInvited { target: Box<str>, join_rule: Box<str> },
    #[error("the join rule is {join_rule:?}: {target} needs an invite, or a member who vouches for them")]
    NobodyVouches { target: Box<str>, join_rule: Box<str> },
    #[error("{voucher} cannot vouch for a join, not being in the room")]
    VoucherNotJoined { voucher: Box<str> },
    #[error("{voucher} cannot vouch for a join with power level {has}, as inviting takes {required}")]
    VoucherLacksPower { voucher: Box<str>, has: Level, required: i64 },
    #[error("{target} is in the room already")]
    TargetJoined { target: Box<str> },
    #[error("{sender} cannot leave a room that they are not in, invited to, or knocking at")]
    NothingToLeave { sender: Box<str> },
    #[error(
        "{sender} cannot {action} {target}, whose power level {target_has} is not below their own ({has})"
    )]
    TargetTooPowerful {
        sender: Box<str>,
        target: Box<str>,
        action: &'static str,
        has: Level,
        target_has: Level,
    },
    #[error("the join rule is {join_rule:?}, which does not allow to knock")]
    KnockingNotAllowed { join_rule: Box<str> },
    #[error("{sender} cannot knock on behalf of {target}")]
    KnockForAnother { sender: Box<str>, target: Box<str> },
    #[error("{target} cannot knock, their membership being {membership:?}")]
    KnockWithMembership { target: Box<str>, membership: Box<str> },

    #[error("third_party_invite lacks signed, or its mxid or token")]
    ThirdPartyInviteIncomplete,
    #[error("third_party_invite is for {mxid}, not for {target}")]
    ThirdPartyInviteForAnother { mxid: Box<str>, target: Box<str> },
    #[error("the room has no m.room.third_party_invite with the token of this invite")]
    NoThirdPartyInvite,
    #[error("the m.room.third_party_invite was sent by {invited_by}, not by {sender}")]
    ThirdPartyInviteByAnother { invited_by: Box<str>, sender: Box<str> },
    #[error("no signature of third_party_invite fits a public key of the m.room.third_party_invite")]
    ThirdPartySignatureInvalid,

    #[error(
        "{user_id} created the room and may not be listed in users: creators always have unlimited power"
    )]
    CreatorListed { user_id: Box<str> },
    #[error("{sender} has power level {has} and cannot change {what}, which is {current}")]
    LevelAboveOwn { sender: Box<str>, what: Box<str>, has: Level, current: i64 },
    #[error("{sender} has power level {has} and cannot set {what} to {new}")]
    RaisesAboveOwn { sender: Box<str>, what: Box<str>, has: Level, new: i64 },
}

impl Rejection {
    /// Whether the event itself is malformed, so that no state of the room would allow it.
    pub fn is_malformed(&self) -> bool {
        matches!(
            self,
            Self::Content(_)
                | Self::NoMembership
                | Self::UnknownMembership { .. }
                | Self::MemberWithoutTarget
                | Self::AuthorisedViaNoUser
                | Self::ThirdPartyInviteIncomplete
                | Self::CreatorListed { .. }
        )
    }

    pub(super) fn lacks_power(sender: &str, has: Level, action: &'static str, required: i64) -> Self {
        Self::LacksPower { sender: sender.into(), action, has, required }
    }
}
