//! Deleting a whole room.
//!
//! First what makes it a room of this server: from then on nobody finds it, and what its owner may still have planned, the
//! store refuses. Then its events, its members with what they kept of it, its state, a page at a time.

use myelin_model::RoomNid;
use myelin_store::schema::erasure::{Erasure, RedactionSweep, RoomRetention};
use myelin_store::schema::moderation::{JobKind, JobStatus, RoomJob};
use myelin_store::schema::rooms::{
    Alias, DirectoryEntry, Event, Member, Membership, Relation, Room, RoomById, RoomHead, RoomSummary, State,
    StateVersion, Thread, ThreadParticipant,
};
use myelin_store::{Batch, Reader, Scan, Snapshot};
use ruma::{OwnedUserId, RoomId};

use crate::plan::delete_event;
use crate::{Rooms, SendError, load, members};

/// How many rows one page deletes.
const PAGE: usize = 256;
/// The most aliases of one room.
const MOST_ALIASES: usize = 1_000;

/// Why a room is not deleted.
#[derive(Debug, thiserror::Error)]
pub enum PurgeError {
    /// Somebody of this server is in it.
    #[error("{0} users of this server are in the room: shut it down first")]
    HasMembers(usize),
    /// The store could not be read or written, or does not have the room.
    #[error(transparent)]
    Store(#[from] SendError),
}

/// What is deleted next, in this order.
const STAGES: [&str; 8] =
    ["room", "events", "members", "state", "state_versions", "threads", "thread_participants", "rest"];

impl Rooms {
    /// Orders the deletion of a room with all that belongs to it. It is under way when this returns.
    ///
    /// # Errors
    /// See [`PurgeError`].
    pub async fn purge_room(&self, room_id: &RoomId) -> Result<RoomJob, PurgeError> {
        let snapshot = self.deps.engine.snapshot().await.map_err(SendError::from)?;
        let room = load::room_nid(&*snapshot, room_id).await.map_err(SendError::from)?;
        let joined = self.joined_here(&*snapshot, room.ok_or(SendError::NoSuchRoom)?).await?;
        drop(snapshot);
        if joined > 0 {
            return Err(PurgeError::HasMembers(joined));
        }
        let job = self.new_job(JobKind::PurgeRoom, room_id, None).await?;
        Ok(self.order(job).await?)
    }

    async fn joined_here(&self, snapshot: &dyn Snapshot, room: RoomNid) -> Result<usize, SendError> {
        let here = &self.deps.config.server_name;
        let is_in =
            |member: &&Member| member.membership == Membership::Join && member.user_id.server_name() == here;
        Ok(members::all(snapshot, room).await?.iter().filter(is_in).count())
    }

    pub(super) async fn purge_room_page(&self, job: &RoomJob) -> Result<(), SendError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let mut batch = Batch::new(self.deps.fence(&job.room_id));
        let room = job.room;
        let stage = job.cursor.as_deref().unwrap_or(STAGES[0]);
        let found = match stage {
            "room" => return self.delete_room(snapshot, job, batch).await,
            "events" => delete_events(&*snapshot, room, &mut batch).await?,
            "members" => self.delete_members(&*snapshot, room, &mut batch).await?,
            "state" => {
                let rows = snapshot.scan::<State>(Scan::prefix::<State>((room,), PAGE)).await?;
                let count = rows.len();
                rows.into_iter().for_each(|row| batch.delete::<State>(&(room, row.kind, row.state_key)));
                count
            }
            "state_versions" => {
                let rows = snapshot.scan::<StateVersion>(Scan::prefix::<StateVersion>((room,), PAGE)).await?;
                let count = rows.len();
                for row in rows {
                    batch.delete::<StateVersion>(&(room, row.branch, row.kind, row.state_key, row.version));
                }
                count
            }
            "threads" => {
                let rows = snapshot.scan::<Thread>(Scan::prefix::<Thread>((room,), PAGE)).await?;
                let count = rows.len();
                rows.into_iter().for_each(|row| batch.delete::<Thread>(&(room, row.root)));
                count
            }
            "thread_participants" => {
                let scan = Scan::prefix::<ThreadParticipant>((room,), PAGE);
                let rows = snapshot.scan::<ThreadParticipant>(scan).await?;
                let count = rows.len();
                rows.into_iter()
                    .for_each(|row| batch.delete::<ThreadParticipant>(&(room, row.root, row.user_id)));
                count
            }
            _ => {
                batch.delete_range(Scan::prefix::<RedactionSweep>((room,), usize::MAX));
                0
            }
        };
        drop(snapshot);
        let done = job.done + if stage == "events" { i64::try_from(found).unwrap_or(i64::MAX) } else { 0 };
        batch.put(&self.after_page(RoomJob { done, ..job.clone() }, stage, found < PAGE));
        self.deps.engine.commit(batch).await?;
        Ok(())
    }

    /// The job after a page: at the next stage, where this one is over.
    fn after_page(&self, job: RoomJob, stage: &str, is_over: bool) -> RoomJob {
        let next = STAGES.iter().skip_while(|name| **name != stage).nth(usize::from(is_over));
        match next {
            Some(next) => RoomJob { cursor: Some((*next).to_owned()), ..job },
            None => RoomJob { status: JobStatus::Done, ended_at: Some(self.job_time()), ..job },
        }
    }

    /// Takes the room off this server. Whoever joined it meanwhile keeps it.
    async fn delete_room(
        &self,
        snapshot: Box<dyn Snapshot>,
        job: &RoomJob,
        mut batch: Batch,
    ) -> Result<(), SendError> {
        let room = job.room;
        if let Some(head) = snapshot.get::<RoomHead>(&(room,)).await? {
            if self.joined_here(&*snapshot, room).await? > 0 {
                drop(snapshot);
                let problem = Some("somebody of this server has joined the room".to_owned());
                let ended_at = Some(self.job_time());
                return self
                    .put_job(&RoomJob { status: JobStatus::Failed, problem, ended_at, ..job.clone() })
                    .await;
            }
            batch.expect_column::<RoomHead>(&(room,), "last_order", &head.last_order);
        }
        let aliases = Scan::index::<Alias>(Alias::BY_ROOM, (room,), MOST_ALIASES);
        for alias in snapshot.scan::<Alias>(aliases).await? {
            batch.delete::<Alias>(&(alias.alias,));
        }
        drop(snapshot);
        batch.delete::<DirectoryEntry>(&(room,));
        batch.delete::<RoomById>(&(job.room_id.clone(),));
        batch.delete::<Room>(&(room,));
        batch.delete::<RoomHead>(&(room,));
        batch.delete::<RoomSummary>(&(room,));
        batch.delete::<RoomRetention>(&(room,));
        batch.put(&self.after_page(job.clone(), STAGES[0], true));
        self.deps.engine.commit(batch).await?;
        self.forget_owner(room);
        Ok(())
    }

    async fn delete_members(
        &self,
        snapshot: &dyn Snapshot,
        room: RoomNid,
        batch: &mut Batch,
    ) -> Result<usize, SendError> {
        let page = snapshot.scan::<Member>(Scan::prefix::<Member>((room,), PAGE)).await?;
        let users: Vec<OwnedUserId> = page.iter().map(|member| member.user_id.clone()).collect();
        for user in &users {
            batch.delete::<Member>(&(room, user.clone()));
        }
        self.deps.observer.room_purged(room, &users, batch);
        Ok(users.len())
    }
}

async fn delete_events(
    snapshot: &dyn Snapshot,
    room: RoomNid,
    batch: &mut Batch,
) -> Result<usize, SendError> {
    let page = snapshot.scan::<Event>(Scan::index::<Event>(Event::BY_ORDER, (room,), PAGE)).await?;
    let scan = |event: &Event| Scan::index::<Relation>(Relation::BY_EVENT, (event.event,), 1);
    let relations = snapshot.scan_all::<Relation>(page.iter().map(scan).collect()).await?;
    for relation in relations.into_iter().flatten() {
        batch.delete::<Relation>(&(relation.target, relation.order, relation.event));
    }
    for event in &page {
        delete_event(batch, event);
    }
    let numbers: Vec<i64> = page.iter().map(|event| event.event.0).collect();
    if !numbers.is_empty() {
        let pos = batch.next_pos();
        batch.put(&Erasure { pos, room, events: serde_json::json!(numbers).to_string() });
    }
    Ok(page.len())
}
