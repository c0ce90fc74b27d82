//! What this server refuses although the room's rules would allow it.

use myelin_store::Snapshot;
use myelin_timeline::{InviteVerdict, invite_rules};
use ruma::{OwnedUserId, RoomId, UserId};

use crate::service::Deps;
use crate::{Draft, Refusal, SendError};

/// Whether the draft may become an event. Asked of every event that a user of this server makes, before it is judged.
pub(crate) async fn admit(
    deps: &Deps,
    snapshot: &dyn Snapshot,
    room_id: &RoomId,
    draft: &Draft,
) -> Result<(), SendError> {
    let change = MembershipChange::of(draft);
    let ends = change.as_ref().is_some_and(|change| matches!(change.membership, "leave" | "ban"));
    if !ends && deps.policy.refuses_room(room_id.as_str()) {
        return Err(Refusal::RoomBlocked.into());
    }
    let Some(change) = change.filter(|_| !ends) else { return Ok(()) };
    for user in [&draft.sender, &change.target] {
        if deps.policy.refuses_user(user, &deps.config.server_name) {
            return Err(Refusal::UserBlocked(user.clone()).into());
        }
    }
    if change.membership == "invite" {
        admit_invite(deps, snapshot, draft, &change.target).await?;
    }
    Ok(())
}

/// A membership that a draft asks for.
struct MembershipChange<'a> {
    target: OwnedUserId,
    membership: &'a str,
}

impl<'a> MembershipChange<'a> {
    fn of(draft: &'a Draft) -> Option<Self> {
        let target = draft.state_key.as_deref().filter(|_| draft.kind == "m.room.member")?;
        let target = UserId::parse(target).ok()?;
        Some(Self { target, membership: draft.content.get_str("membership")? })
    }
}

/// An invite that its target blocks is refused. One that they ignore stands: its sender is not to learn of it, and whoever
/// shows invites leaves it out.
async fn admit_invite(
    deps: &Deps,
    snapshot: &dyn Snapshot,
    draft: &Draft,
    target: &UserId,
) -> Result<(), SendError> {
    if target.server_name() != deps.config.server_name {
        return Ok(());
    }
    match invite_rules(snapshot, target).await?.judge(&draft.sender) {
        InviteVerdict::Block => Err(Refusal::InviteBlocked(target.to_owned()).into()),
        InviteVerdict::Allow | InviteVerdict::Ignore => Ok(()),
    }
}
