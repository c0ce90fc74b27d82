//! Taking the members of this server out of a room that is blocked.

use myelin_pdu::CanonicalObject;
use myelin_store::schema::moderation::{BlockKind, JobKind, JobStatus, RoomJob};
use myelin_store::schema::rooms::{Alias, DirectoryEntry, Member, Membership};
use myelin_store::{Batch, Reader, Scan};
use ruma::{RoomId, UserId};

use crate::presets::object;
use crate::{BlockError, Notice, NoticeError, Rooms, SendError, TransactionKey, members};

/// How many members one page looks at.
const PAGE: usize = 16;
/// The most aliases of one room.
const MOST_ALIASES: usize = 1_000;
/// The session of what the server does by itself; those of users begin above it.
const NO_SESSION: i64 = 0;

impl Rooms {
    /// Blocks a room and has its members of this server leave it; invites and knocks end too. Each who was in it is told
    /// the message, by a server notice. Then its aliases and its place in the directory go. What was written stays for those
    /// who were there.
    ///
    /// # Errors
    /// See [`BlockError`].
    pub async fn shut_down(&self, room_id: &RoomId, message: Option<&str>) -> Result<RoomJob, BlockError> {
        let job = self.new_job(JobKind::ShutDown, room_id, message).await?;
        // The block comes first, so that nobody comes in meanwhile.
        self.block(BlockKind::Room, room_id.as_str(), message).await?;
        Ok(self.order(job).await?)
    }

    pub(super) async fn shut_down_page(&self, job: &RoomJob) -> Result<(), SendError> {
        let after = job.cursor.clone().and_then(|user| UserId::parse(user).ok());
        let scan = Scan::prefix::<Member>((job.room,), PAGE);
        let scan = match after {
            Some(user) => scan.after((user,)),
            None => scan,
        };
        let snapshot = self.deps.engine.snapshot().await?;
        let page = snapshot.scan::<Member>(scan).await?;
        drop(snapshot);
        let inside = |member: &&Member| {
            let here = member.user_id.server_name() == self.deps.config.server_name;
            here && matches!(member.membership, Membership::Join | Membership::Invite | Membership::Knock)
        };
        let mut done = job.done;
        for member in page.iter().filter(inside) {
            self.take_out(job, member).await?;
            done += 1;
        }
        let cursor = page.last().map(|member| member.user_id.to_string());
        if page.len() == PAGE {
            return self.put_job(&RoomJob { cursor, done, ..job.clone() }).await;
        }
        self.take_names(job).await?;
        let ended_at = Some(self.job_time());
        self.put_job(&RoomJob { status: JobStatus::Done, cursor, done, ended_at, ..job.clone() }).await
    }

    /// Tells a member, then has them leave. The notice has a transaction, so that a page that is done twice tells it once.
    async fn take_out(&self, job: &RoomJob, member: &Member) -> Result<(), SendError> {
        if let Some(message) = job.message.as_deref().filter(|_| member.membership == Membership::Join) {
            let notice = Notice {
                user_id: member.user_id.clone(),
                kind: "m.room.message".to_owned(),
                state_key: None,
                content: text(message),
            };
            let scope = format!("shut_down/{}", job.job);
            let key = TransactionKey { session: NO_SESSION, scope, txn_id: member.user_id.to_string() };
            match self.notice(notice, Some(key)).await {
                Err(NoticeError::Send(error)) if error.is_passing() => return Err(error),
                // Who can't be told leaves all the same.
                Err(error) => tracing::warn!(%error, user_id = %member.user_id, "a user was not told"),
                Ok(_) => {}
            }
        }
        let draft = members::draft(&member.user_id, &member.user_id, "leave", None, job.message.as_deref());
        match self.send_to(job.room, draft, None).await {
            Err(error) if error.is_passing() => Err(error),
            Err(error) => {
                tracing::warn!(%error, user_id = %member.user_id, "a user could not be taken out of a room");
                Ok(())
            }
            Ok(_) => Ok(()),
        }
    }

    /// Takes the room's aliases and its place in the directory.
    async fn take_names(&self, job: &RoomJob) -> Result<(), SendError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let aliases = Scan::index::<Alias>(Alias::BY_ROOM, (job.room,), MOST_ALIASES);
        let aliases = snapshot.scan::<Alias>(aliases).await?;
        drop(snapshot);
        let mut batch = Batch::new(self.deps.fence(&job.room_id));
        batch.delete::<DirectoryEntry>(&(job.room,));
        for alias in aliases {
            batch.delete::<Alias>(&(alias.alias,));
        }
        self.deps.engine.commit(batch).await?;
        Ok(())
    }
}

fn text(message: &str) -> CanonicalObject {
    object([("msgtype", "m.text".into()), ("body", message.into())])
}
