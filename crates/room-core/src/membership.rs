//! What a user's membership is, and what kind of change an event makes to it.

/// The `membership` of an `m.room.member` event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Membership {
    /// Takes part in the room.
    Join,
    /// May join.
    Invite,
    /// Not in the room; also what holds for who was never there.
    Leave,
    /// Not in the room, and may not come back.
    Ban,
    /// Asked to be invited (room version 7).
    Knock,
    /// Something that no room version knows.
    Unknown(Box<str>),
}

impl Membership {
    /// The membership as it stands in events.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Join => "join",
            Self::Invite => "invite",
            Self::Leave => "leave",
            Self::Ban => "ban",
            Self::Knock => "knock",
            Self::Unknown(text) => text,
        }
    }

    /// Whether this takes its user out of the room: `leave` or `ban`.
    pub fn is_removal(&self) -> bool {
        matches!(self, Self::Leave | Self::Ban)
    }
}

impl From<&str> for Membership {
    fn from(text: &str) -> Self {
        match text {
            "join" => Self::Join,
            "invite" => Self::Invite,
            "leave" => Self::Leave,
            "ban" => Self::Ban,
            "knock" => Self::Knock,
            other => Self::Unknown(other.into()),
        }
    }
}

/// What a membership event does to its target, seen from the membership before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MembershipChange {
    /// The target enters the room.
    Join,
    /// The target is in the room and changes their name, avatar or other content.
    Profile,
    /// The target is invited (again).
    Invite,
    /// The target asks to be invited (again).
    Knock,
    /// The target leaves the room.
    Leave,
    /// The target declines an invite.
    Decline,
    /// The target takes back their knock.
    Retract,
    /// Somebody else makes the target leave.
    Kick,
    /// Somebody else takes back an invite.
    Revoke,
    /// Somebody else denies a knock.
    Deny,
    /// The target is banned, and was not in the room.
    Ban,
    /// The target is banned out of the room.
    KickAndBan,
    /// The target's ban ends; they are not in the room.
    Unban,
    /// Nothing that counts: the membership stays as it was.
    Unchanged,
}

impl MembershipChange {
    /// The kind of change from `before` (`None`: the target had no membership event) to `after`. `by_target` says
    /// whether the event's sender is its target. `None` where `after` is unknown to all room versions.
    ///
    /// Whether the change is allowed is for the auth rules to say, not for this.
    pub fn of(before: Option<&Membership>, after: &Membership, by_target: ByTarget) -> Option<Self> {
        use Membership as M;
        let own = by_target == ByTarget::Yes;
        let change = match (before.unwrap_or(&M::Leave), after) {
            (_, M::Unknown(_)) => return None,
            (M::Join, M::Join) => Self::Profile,
            (_, M::Join) => Self::Join,
            (_, M::Invite) => Self::Invite,
            (_, M::Knock) => Self::Knock,
            (M::Ban, M::Ban) => Self::Unchanged,
            (M::Join, M::Ban) => Self::KickAndBan,
            (_, M::Ban) => Self::Ban,
            (M::Join, M::Leave) => own_or(own, Self::Leave, Self::Kick),
            (M::Invite, M::Leave) => own_or(own, Self::Decline, Self::Revoke),
            (M::Knock, M::Leave) => own_or(own, Self::Retract, Self::Deny),
            (M::Ban, M::Leave) => Self::Unban,
            (M::Leave | M::Unknown(_), M::Leave) => Self::Unchanged,
        };
        Some(change)
    }
}

fn own_or(own: bool, if_own: MembershipChange, if_not: MembershipChange) -> MembershipChange {
    if own { if_own } else { if_not }
}

/// Whether a membership event was sent by its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByTarget {
    /// The sender is the target.
    Yes,
    /// Somebody else sent it.
    No,
}

impl ByTarget {
    /// Compares `sender` and `state_key`.
    pub fn of(sender: &str, state_key: &str) -> Self {
        if sender == state_key { Self::Yes } else { Self::No }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(before: &str, after: &str, by_target: ByTarget) -> Option<MembershipChange> {
        let before = (!before.is_empty()).then(|| Membership::from(before));
        MembershipChange::of(before.as_ref(), &Membership::from(after), by_target)
    }

    #[test]
    fn a_leave_is_named_by_who_sent_it_and_what_ended() {
        use MembershipChange as C;
        for (before, own, other) in [
            ("join", C::Leave, C::Kick),
            ("invite", C::Decline, C::Revoke),
            ("knock", C::Retract, C::Deny),
            ("ban", C::Unban, C::Unban),
            ("", C::Unchanged, C::Unchanged),
        ] {
            assert_eq!(change(before, "leave", ByTarget::Yes), Some(own), "{before}");
            assert_eq!(change(before, "leave", ByTarget::No), Some(other), "{before}");
        }
    }

    #[test]
    fn joining_twice_changes_only_the_profile() {
        assert_eq!(change("", "join", ByTarget::Yes), Some(MembershipChange::Join));
        assert_eq!(change("ban", "join", ByTarget::Yes), Some(MembershipChange::Join));
        assert_eq!(change("join", "join", ByTarget::Yes), Some(MembershipChange::Profile));
    }

    #[test]
    fn a_ban_of_a_member_also_removes_them() {
        assert_eq!(change("join", "ban", ByTarget::No), Some(MembershipChange::KickAndBan));
        assert_eq!(change("leave", "ban", ByTarget::No), Some(MembershipChange::Ban));
        assert_eq!(change("ban", "ban", ByTarget::No), Some(MembershipChange::Unchanged));
    }

    #[test]
    fn an_unknown_membership_is_no_change_with_a_name() {
        assert_eq!(change("join", "org.example.away", ByTarget::Yes), None);
    }

    #[test]
    fn what_is_read_is_written_back() {
        for text in ["join", "invite", "leave", "ban", "knock", "else"] {
            assert_eq!(Membership::from(text).as_str(), text);
        }
    }
}
