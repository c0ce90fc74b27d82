//! Server notices: what the server's administrators say to one user, in a room made for that
//! (<https://spec.matrix.org/v1.19/client-server-api/#server-notices>).

use myelin_model::{NOTICE_SENDER, Shard, Topic};
use myelin_pdu::CanonicalObject;
use myelin_store::schema::rooms::{Member, Membership, NoticeRoom, RoomById};
use myelin_store::{Batch, Reader, Snapshot};
use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};

use crate::presets::object;
use crate::{
    CreateError, Creation, Draft, Preset, Rooms, SendError, Sent, TransactionKey, Visibility, members,
};

/// What the room and its sender are called.
const NAME: &str = "Server notices";

/// Why a notice was not sent.
#[derive(Debug, thiserror::Error)]
pub enum NoticeError {
    /// The user's room for notices could not be made.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// The room can't be written.
    #[error(transparent)]
    Send(#[from] SendError),
}

impl From<myelin_store::ReadError> for NoticeError {
    fn from(error: myelin_store::ReadError) -> Self {
        Self::Send(error.into())
    }
}

/// A notice to one user.
#[derive(Clone, Debug)]
pub struct Notice {
    /// To whom.
    pub user_id: OwnedUserId,
    /// The type of the event.
    pub kind: String,
    /// Its state key, if it is state.
    pub state_key: Option<String>,
    /// Its content.
    pub content: CanonicalObject,
}

impl Rooms {
    /// Sends a notice, in the one room that the user has for them: it is made where it is missing, and the user is asked
    /// in where they are not in it. Answers with the event and its room.
    ///
    /// # Errors
    /// See [`NoticeError`].
    pub async fn notice(
        &self,
        notice: Notice,
        transaction: Option<TransactionKey>,
    ) -> Result<(Sent, OwnedRoomId), NoticeError> {
        // A user gets one room for notices.
        let _turn = self.turns.of(Shard::of(notice.user_id.as_str())).await;
        let sender = self.notice_sender()?;
        let room_id = match self.notice_room(&notice.user_id).await? {
            Some(room_id) => room_id,
            None => self.make_notice_room(&sender, &notice.user_id).await?,
        };
        self.ask_in(&sender, &room_id, &notice.user_id).await?;
        self.deps.observer.noticed(&notice.user_id, &room_id).await;
        let Notice { kind, state_key, content, .. } = notice;
        let draft = Draft { sender, kind, state_key, content, redacts: None, sticky: None };
        let sent = self.send(&room_id, draft, transaction).await?;
        Ok((sent, room_id))
    }

    /// Whether a room is the one in which the user gets notices.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn is_notice_room(&self, user: &UserId, room_id: &RoomId) -> Result<bool, SendError> {
        is_notice_room(&*self.deps.engine.snapshot().await?, user, room_id).await
    }

    fn notice_sender(&self) -> Result<OwnedUserId, SendError> {
        let sender = format!("@{NOTICE_SENDER}:{}", self.deps.config.server_name);
        UserId::parse(sender).map_err(|error| crate::Refusal::NoEvent(error.to_string()).into())
    }

    async fn notice_room(&self, user: &UserId) -> Result<Option<OwnedRoomId>, SendError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let Some(row) = snapshot.get::<NoticeRoom>(&(user.to_owned(),)).await? else { return Ok(None) };
        // A room that was purged is made anew.
        let known = snapshot.get::<RoomById>(&(row.room_id.clone(),)).await?.is_some();
        Ok(known.then_some(row.room_id))
    }

    async fn make_notice_room(&self, sender: &UserId, user: &UserId) -> Result<OwnedRoomId, NoticeError> {
        // Only the server speaks here.
        let levels = object([("users_default", (-10).into())]);
        let creation = Creation {
            creator: sender.to_owned(),
            visibility: Visibility::Private,
            preset: Some(Preset::PrivateChat),
            version: None,
            creation_content: CanonicalObject::default(),
            initial_state: Vec::new(),
            name: Some(NAME.to_owned()),
            topic: None,
            alias_name: None,
            invite: Vec::new(),
            invite_addresses: Vec::new(),
            is_direct: false,
            power_level_content_override: Some(levels),
        };
        let room_id = self.create(&creation).await?;
        let mut batch = Batch::new(self.deps.fence(&room_id));
        batch.put(&NoticeRoom { user_id: user.to_owned(), room_id: room_id.clone() });
        batch.wake(Topic::user(user.as_str()));
        self.deps.engine.commit(batch).await.map_err(SendError::from)?;
        Ok(room_id)
    }

    async fn ask_in(&self, sender: &UserId, room_id: &RoomId, user: &UserId) -> Result<(), SendError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let row = snapshot.get::<RoomById>(&(room_id.to_owned(),)).await?.ok_or(SendError::NoSuchRoom)?;
        let member = snapshot.get::<Member>(&(row.room, user.to_owned())).await?;
        if matches!(member.map(|member| member.membership), Some(Membership::Join | Membership::Invite)) {
            return Ok(());
        }
        let profile = members::profiles(&*snapshot, &[user.to_owned()]).await?.pop().flatten();
        drop(snapshot);
        let draft = members::draft(sender, user, "invite", profile.as_ref(), None);
        self.send_to(row.room, draft, None).await?;
        Ok(())
    }
}

/// Whether this is the user's room for notices, to which an invite can't be turned down.
pub(crate) async fn is_notice_room(
    snapshot: &dyn Snapshot,
    user: &UserId,
    room_id: &RoomId,
) -> Result<bool, SendError> {
    let row = snapshot.get::<NoticeRoom>(&(user.to_owned(),)).await?;
    Ok(row.is_some_and(|row| row.room_id == room_id))
}
