//! Where the rules come from: rows for the administrators' blocks, the state of rooms for the lists they follow.

use std::sync::Arc;
use std::time::Duration;

use myelin_model::{RoomNid, Topic};
use myelin_store::schema::moderation::{Block, BlockKind};
use myelin_store::schema::rooms::{Alias, RoomById, State};
use myelin_store::{Batch, ReadError, Reader, Scan, Snapshot};
use myelin_timeline::contents;
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;

use super::{KINDS, PolicyList, Rules, Subject};
use crate::{Rooms, SendError};

/// How many blocks there may be.
const MOST_BLOCKS: usize = 50_000;
/// How many rules of one type one list may have; further ones are passed over, and the log says so.
const MOST_RULES: usize = 50_000;
/// The least time between two readings of the lists.
const REST: Duration = Duration::from_millis(200);
/// How often lists are looked for that this server does not know yet, or that could not be read.
const PAUSE: Duration = Duration::from_secs(60);

/// Why a block was not made or lifted.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    /// There are too many.
    #[error("there are {MOST_BLOCKS} blocks already")]
    TooMany,
    /// It is not blocked.
    #[error("{0} is not blocked")]
    NotBlocked(String),
    /// It is empty or too long.
    #[error("what is blocked is named by an id, an alias or a glob of at most 512 bytes")]
    BadName,
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] SendError),
}

impl From<ReadError> for BlockError {
    fn from(error: ReadError) -> Self {
        Self::Store(error.into())
    }
}

impl Rooms {
    /// Keeps a room or user out, or all whom a glob matches, in force when this returns.
    ///
    /// # Errors
    /// See [`BlockError`].
    pub async fn block(&self, kind: BlockKind, entity: &str, reason: Option<&str>) -> Result<(), BlockError> {
        if entity.is_empty() || entity.len() > super::LONGEST {
            return Err(BlockError::BadName);
        }
        let _turn = self.blocks.lock().await;
        let snapshot = self.deps.engine.snapshot().await.map_err(SendError::from)?;
        if snapshot.scan::<Block>(Scan::prefix::<Block>((), MOST_BLOCKS)).await?.len() == MOST_BLOCKS {
            return Err(BlockError::TooMany);
        }
        drop(snapshot);
        let mut batch = Batch::new(self.deps.provisional_fence());
        let at = i64::try_from(self.deps.env.clock.now()).unwrap_or(i64::MAX);
        batch.put(&Block { kind, entity: entity.to_owned(), reason: reason.map(str::to_owned), at });
        self.deps.engine.commit(batch).await.map_err(SendError::from)?;
        Ok(self.load_blocks().await?)
    }

    /// Lifts a block.
    ///
    /// # Errors
    /// See [`BlockError`].
    pub async fn unblock(&self, kind: BlockKind, entity: &str) -> Result<(), BlockError> {
        let _turn = self.blocks.lock().await;
        let key = (kind, entity.to_owned());
        let snapshot = self.deps.engine.snapshot().await.map_err(SendError::from)?;
        if snapshot.get::<Block>(&key).await?.is_none() {
            return Err(BlockError::NotBlocked(key.1));
        }
        drop(snapshot);
        let mut batch = Batch::new(self.deps.provisional_fence());
        batch.delete::<Block>(&key);
        self.deps.engine.commit(batch).await.map_err(SendError::from)?;
        Ok(self.load_blocks().await?)
    }

    /// The administrators' blocks of this kind.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn blocked(&self, kind: BlockKind) -> Result<Vec<Block>, ReadError> {
        let scan = Scan::prefix::<Block>((kind,), MOST_BLOCKS);
        self.deps.engine.snapshot().await?.scan::<Block>(scan).await
    }

    /// Brings the blocks in force.
    pub(crate) async fn load_blocks(&self) -> Result<(), ReadError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let mut rules = Rules::default();
        for block in snapshot.scan::<Block>(Scan::prefix::<Block>((), MOST_BLOCKS)).await? {
            // An operator may block what they like.
            match block.kind {
                BlockKind::Room => rules.rooms.insert(&block.entity),
                BlockKind::User => rules.users.insert(&block.entity),
            }
        }
        self.deps.policy.set_blocks(rules);
        Ok(())
    }

    /// Starts what keeps the lists' rules as their rooms are.
    pub(crate) fn start_policy(self: &Arc<Self>) {
        if self.deps.config.policy_lists.is_empty() {
            return;
        }
        let rooms = Arc::clone(self);
        self.deps.env.tasks.supervise("policy lists", move || {
            let rooms = Arc::clone(&rooms);
            async move { rooms.follow_lists().await }
        });
    }

    async fn follow_lists(&self) {
        let stopping = self.deps.env.tasks.stopping();
        tokio::pin!(stopping);
        let mut notices = self.deps.engine.notices();
        let mut known = None;
        loop {
            let followed = match self.load_lists().await {
                Ok(followed) => followed,
                Err(error) => {
                    tracing::warn!(%error, "the policy lists could not be read; what was read before stays in force");
                    Vec::new()
                }
            };
            let configured = self.deps.config.policy_lists.len();
            let complete = followed.len() == configured;
            if !complete && known != Some(followed.len()) {
                tracing::warn!(
                    configured,
                    known = followed.len(),
                    "some policy lists are rooms that nobody of this server is in: their rules are not known"
                );
            }
            known = Some(followed.len());
            let rest = async {
                tokio::time::sleep(REST).await;
                loop {
                    match notices.recv().await {
                        Ok(notice) if !notice.topics.iter().any(|topic| concerns(topic, &followed)) => {}
                        Err(RecvError::Closed) => std::future::pending().await,
                        // Something was missed, or a list has changed.
                        Ok(_) | Err(RecvError::Lagged(_)) => return,
                    }
                }
            };
            tokio::select! {
                () = rest => {}
                () = tokio::time::sleep(PAUSE), if !complete => {}
                () = &mut stopping => return,
            }
        }
    }

    /// Reads all lists and brings them in force; answers with the rooms of those that are known here.
    pub(crate) async fn load_lists(&self) -> Result<Vec<RoomNid>, ReadError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let mut rules = Rules::default();
        let rooms = find(&*snapshot, &self.deps.config.policy_lists).await?;
        for room in &rooms {
            read_list(&*snapshot, *room, &mut rules, &self.deps.config.server_name).await?;
        }
        self.deps.policy.set_lists(rules);
        Ok(rooms)
    }
}

fn concerns(topic: &Topic, rooms: &[RoomNid]) -> bool {
    matches!(topic, Topic::Room(room) if rooms.contains(room))
}

/// The rooms of these lists; those that this server does not know are left out.
async fn find(snapshot: &dyn Snapshot, lists: &[PolicyList]) -> Result<Vec<RoomNid>, ReadError> {
    let (mut ids, mut aliases) = (Vec::new(), Vec::new());
    for list in lists {
        match list {
            PolicyList::Id(id) => ids.push((id.clone(),)),
            PolicyList::Alias(alias) => aliases.push((alias.clone(),)),
        }
    }
    let by_id = snapshot.get_all::<RoomById>(&ids).await?.into_iter().flatten().map(|row| row.room);
    let by_alias = snapshot.get_all::<Alias>(&aliases).await?.into_iter().flatten().map(|row| row.room);
    Ok(by_id.chain(by_alias).collect())
}

/// Adds the rules of one list.
async fn read_list(
    snapshot: &dyn Snapshot,
    room: RoomNid,
    rules: &mut Rules,
    here: &ruma::ServerName,
) -> Result<(), ReadError> {
    let scans = KINDS.map(|kind| Scan::prefix::<State>((room, kind.to_owned()), MOST_RULES));
    for rows in snapshot.scan_all::<State>(scans.into()).await? {
        if rows.len() == MOST_RULES {
            tracing::warn!(room = room.0, "a policy list has more rules than are read");
        }
        let events: Vec<_> = rows.iter().map(|row| row.event).collect();
        let found = contents(snapshot, &events).await?;
        for row in rows {
            let entity = found.get(&row.event).and_then(|json| banned(json));
            let (Some(subject), Some(entity)) = (Subject::of(&row.kind), entity) else { continue };
            if !rules.add(subject, &entity, here) {
                tracing::warn!(
                    room = room.0,
                    entity,
                    "a rule of a policy list is too broad and is passed over"
                );
            }
        }
    }
    Ok(())
}

/// Whom a rule bans; nobody, where it was taken back or recommends something else.
fn banned(json: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Rule {
        content: Content,
    }
    #[derive(Deserialize)]
    struct Content {
        entity: String,
        recommendation: String,
    }
    let Rule { content } = serde_json::from_slice(json).ok()?;
    matches!(content.recommendation.as_str(), "m.ban" | "org.matrix.mjolnir.ban").then_some(content.entity)
}
