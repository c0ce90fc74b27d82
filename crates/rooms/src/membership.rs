//! Joining, inviting, leaving, kicking, banning, forgetting
//! (<https://spec.matrix.org/v1.19/client-server-api/#room-membership>).

use myelin_model::{RoomNid, Topic};
use myelin_pdu::CanonicalObject;
use myelin_store::schema::rooms::{Member, Membership, Room, RoomById, RoomSummary};
use myelin_store::{Batch, CommitError, Reader};
use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};

use crate::notices::is_notice_room;
use crate::sweep::FLAGS;
use crate::{Draft, Rooms, SendError, members, restricted};

/// Why a membership did not change.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MembershipError {
    /// The user is on another server, and this one does not federate.
    #[error("{0} is on another server, which this server can't reach")]
    Remote(OwnedUserId),
    /// The user is not in the room, so they can't be taken out of it.
    #[error("{0} is not in this room")]
    NotInRoom(OwnedUserId),
    /// The user is not banned.
    #[error("{0} is not banned from this room")]
    NotBanned(OwnedUserId),
    /// The invite to the room for server notices can't be turned down.
    #[error("the invite to the room of server notices can't be turned down")]
    NoticeRoom,
    /// A room can be forgotten only after leaving it.
    #[error("leave the room before you forget it")]
    StillInRoom,
    /// The room refuses, or can't be reached.
    #[error(transparent)]
    Send(#[from] SendError),
}

/// How somebody is taken out of a room.
#[derive(Clone, Copy, Debug, Default)]
pub struct Removal<'a> {
    /// Why.
    pub reason: Option<&'a str>,
    /// What they wrote since they joined is redacted, where the sender may redact it (MSC4293).
    pub redact_events: bool,
}

/// How a request for a membership ended.
type Done = Result<(), MembershipError>;

impl Rooms {
    /// The user enters the room; nothing happens where they are in it already. What `extra` holds becomes part of the
    /// membership's content, but for what the server writes there itself.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn join(&self, user: &UserId, room_id: &RoomId, extra: CanonicalObject) -> Done {
        let (room, member) = self.membership_of(room_id, user).await?;
        if is(&member, &[Membership::Join]) {
            return Ok(());
        }
        let mut draft = self.draft(user, user, "join", Shown::Profile, None).await?;
        if !is(&member, &[Membership::Invite])
            && let Some(voucher) = self.voucher(room, user).await?
        {
            draft.content.insert("join_authorised_via_users_server", voucher.as_str());
        }
        let own = ["membership", "join_authorised_via_users_server", "third_party_invite"];
        for (key, value) in extra.iter().filter(|(key, _)| !own.contains(key)) {
            draft.content.insert(key, value.clone());
        }
        self.send_to(room, draft, None).await?;
        Ok(())
    }

    /// Who of this server lets the user into a restricted room, where they are in one of the rooms that its rule names.
    async fn voucher(&self, room: RoomNid, user: &UserId) -> Result<Option<OwnedUserId>, SendError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let summary = snapshot.get::<RoomSummary>(&(room,)).await?;
        let rule = summary.and_then(|summary| summary.join_rule);
        if !matches!(rule.as_deref(), Some("restricted" | "knock_restricted")) {
            return Ok(None);
        }
        let Some(row) = snapshot.get::<Room>(&(room,)).await? else { return Ok(None) };
        let allowed = restricted::allowed_rooms(&*snapshot, room, &row.version).await?;
        if !restricted::is_in_any(&*snapshot, user, &allowed).await? {
            return Ok(None);
        }
        let server = &self.deps.config.server_name;
        Ok(restricted::voucher(&*snapshot, room, &row.version, server).await?)
    }

    /// Who lets somebody into a restricted room is for the server to say, also where a client writes the membership event
    /// itself.
    pub(crate) async fn settle_voucher(&self, room_id: &RoomId, draft: &mut Draft) -> Result<(), SendError> {
        const VOUCHER: &str = "join_authorised_via_users_server";
        draft.content.remove(VOUCHER);
        let joins = draft.content.get_str("membership") == Some("join");
        if !joins || draft.state_key.as_deref() != Some(draft.sender.as_str()) {
            return Ok(());
        }
        let (room, member) = self.membership_of(room_id, &draft.sender).await?;
        if !is(&member, &[Membership::Join, Membership::Invite])
            && let Some(voucher) = self.voucher(room, &draft.sender).await?
        {
            draft.content.insert(VOUCHER, voucher.as_str());
        }
        Ok(())
    }

    /// The user asks to be let into the room.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn knock(&self, user: &UserId, room_id: &RoomId, reason: Option<&str>) -> Done {
        let (room, _) = self.membership_of(room_id, user).await?;
        self.change(room, user, user, "knock", Shown::Profile, reason).await
    }

    /// Shows the user's profile as it is now in a room they are in; nothing happens where they are not.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn show_profile(&self, user: &UserId, room_id: &RoomId) -> Done {
        let (room, member) = self.membership_of(room_id, user).await?;
        if !is(&member, &[Membership::Join]) {
            return Ok(());
        }
        self.change(room, user, user, "join", Shown::Profile, None).await
    }

    /// The user asks another one in.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn invite(
        &self,
        user: &UserId,
        room_id: &RoomId,
        target: &UserId,
        reason: Option<&str>,
    ) -> Done {
        if target.server_name() != self.deps.config.server_name {
            return Err(MembershipError::Remote(target.to_owned()));
        }
        let (room, _) = self.membership_of(room_id, target).await?;
        self.change(room, user, target, "invite", Shown::Profile, reason).await
    }

    /// The user leaves the room, or turns down an invite; nothing happens where they have left already.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn leave(&self, user: &UserId, room_id: &RoomId, reason: Option<&str>) -> Done {
        let (room, member) = self.membership_of(room_id, user).await?;
        if is(&member, &[Membership::Invite]) {
            let snapshot = self.deps.engine.snapshot().await.map_err(SendError::from)?;
            if is_notice_room(&*snapshot, user, room_id).await? {
                return Err(MembershipError::NoticeRoom);
            }
        }
        match member.map(|member| member.membership) {
            Some(Membership::Leave) => Ok(()),
            None => Err(MembershipError::NotInRoom(user.to_owned())),
            Some(_) => self.change(room, user, user, "leave", Shown::Nothing, reason).await,
        }
    }

    /// The user leaves every room they are in, turns down every invite and takes back every knock.
    ///
    /// # Errors
    /// Where a room could not be read or written; rooms that refuse are passed over.
    pub async fn leave_all(&self, user: &UserId) -> Done {
        for membership in [Membership::Join, Membership::Invite, Membership::Knock] {
            let snapshot = self.deps.engine.snapshot().await.map_err(SendError::from)?;
            let rooms = members::rooms_of(&*snapshot, user, membership).await.map_err(SendError::from)?;
            drop(snapshot);
            for room_id in rooms {
                let left = self.leave(user, &room_id, None).await;
                match left {
                    Err(MembershipError::Send(error)) if error.is_passing() => return Err(error.into()),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// The user takes another one out of the room, or an invite back.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn kick(&self, user: &UserId, room_id: &RoomId, target: &UserId, how: Removal<'_>) -> Done {
        let (room, member) = self.membership_of(room_id, target).await?;
        if !is(&member, &[Membership::Join, Membership::Invite, Membership::Knock]) {
            return Err(MembershipError::NotInRoom(target.to_owned()));
        }
        self.remove(room, user, target, "leave", how).await
    }

    /// The user keeps another one out of the room.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn ban(&self, user: &UserId, room_id: &RoomId, target: &UserId, how: Removal<'_>) -> Done {
        let (room, _) = self.membership_of(room_id, target).await?;
        self.remove(room, user, target, "ban", how).await
    }

    async fn remove(
        &self,
        room: RoomNid,
        user: &UserId,
        target: &UserId,
        membership: &str,
        how: Removal<'_>,
    ) -> Done {
        let mut draft = members::draft(user, target, membership, None, how.reason);
        if how.redact_events {
            FLAGS.iter().for_each(|flag| drop(draft.content.insert(*flag, true)));
        }
        self.send_to(room, draft, None).await?;
        Ok(())
    }

    /// The user ends a ban.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn unban(
        &self,
        user: &UserId,
        room_id: &RoomId,
        target: &UserId,
        reason: Option<&str>,
    ) -> Done {
        let (room, member) = self.membership_of(room_id, target).await?;
        if !is(&member, &[Membership::Ban]) {
            return Err(MembershipError::NotBanned(target.to_owned()));
        }
        self.change(room, user, target, "leave", Shown::Nothing, reason).await
    }

    /// The user does not want to be shown the room any more.
    ///
    /// # Errors
    /// [`MembershipError::StillInRoom`] where they have not left it.
    pub async fn forget(&self, user: &UserId, room_id: &RoomId) -> Done {
        let (room, member) = self.membership_of(room_id, user).await?;
        let member = member.ok_or_else(|| MembershipError::NotInRoom(user.to_owned()))?;
        if !matches!(member.membership, Membership::Leave | Membership::Ban) {
            return Err(MembershipError::StillInRoom);
        }
        let mut batch = Batch::new(self.deps.fence(room_id));
        let key = (room, user.to_owned());
        batch.expect_column::<Member>(&key, "event", &member.event);
        let changed = batch.next_pos();
        batch.put(&Member { forgotten: true, changed, ..member });
        batch.wake(Topic::user(user.as_str()));
        match self.deps.engine.commit(batch).await {
            Ok(_) => Ok(()),
            // Asked back in at this very moment: the invite wins.
            Err(CommitError::Conflict { .. }) => Err(MembershipError::StillInRoom),
            Err(error) => Err(SendError::from(error).into()),
        }
    }

    /// The rooms the user is in.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn joined_rooms(&self, user: &UserId) -> Result<Vec<OwnedRoomId>, SendError> {
        let snapshot = self.deps.engine.snapshot().await?;
        members::rooms_of(&*snapshot, user, Membership::Join).await.map_err(Into::into)
    }

    async fn membership_of(
        &self,
        room_id: &RoomId,
        user: &UserId,
    ) -> Result<(RoomNid, Option<Member>), SendError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let row = snapshot.get::<RoomById>(&(room_id.to_owned(),)).await?.ok_or(SendError::NoSuchRoom)?;
        let member = snapshot.get::<Member>(&(row.room, user.to_owned())).await?;
        Ok((row.room, member))
    }

    async fn change(
        &self,
        room: RoomNid,
        user: &UserId,
        target: &UserId,
        membership: &str,
        shown: Shown,
        reason: Option<&str>,
    ) -> Done {
        let draft = self.draft(user, target, membership, shown, reason).await?;
        self.send_to(room, draft, None).await?;
        Ok(())
    }

    async fn draft(
        &self,
        user: &UserId,
        target: &UserId,
        membership: &str,
        shown: Shown,
        reason: Option<&str>,
    ) -> Result<Draft, SendError> {
        let profile = match shown {
            Shown::Profile => {
                let snapshot = self.deps.engine.snapshot().await?;
                members::profiles(&*snapshot, &[target.to_owned()]).await?.pop().flatten()
            }
            Shown::Nothing => None,
        };
        Ok(members::draft(user, target, membership, profile.as_ref(), reason))
    }
}

/// Whether the room sees the target's name and picture.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Profile,
    Nothing,
}

fn is(member: &Option<Member>, wanted: &[Membership]) -> bool {
    member.as_ref().is_some_and(|member| wanted.contains(&member.membership))
}
