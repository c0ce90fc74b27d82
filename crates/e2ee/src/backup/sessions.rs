//! The keys in a backup.

use bytes::Bytes;
use myelin_model::{Requester, Shard};
use myelin_store::schema::e2ee::{BackedUpSession, KeyBackup};
use myelin_store::{MAX_BATCH_BYTES, Planned, ReadError, Reader, Scan, Snapshot};
use ruma::{OwnedRoomId, OwnedUserId};

use super::{BackupError, current, existing, expect_unchanged, lookup, rule};
use crate::E2ee;

/// The longest `session_data`, in bytes.
const MAX_SESSION_DATA: usize = 65_536;

/// The longest session id, in bytes.
const MAX_SESSION_ID: usize = 255;

/// What one commit takes, with room for the rest of the batch.
const PART: usize = MAX_BATCH_BYTES / 4 * 3;

/// The sessions in one commit.
const PART_SESSIONS: usize = 500;

/// Sessions that one read takes when they are counted.
const PAGE: usize = 1_000;

/// A session's key to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionUpload {
    /// The room it is used in.
    pub room_id: OwnedRoomId,
    /// Its id.
    pub session_id: String,
    /// The first message that the key decrypts.
    pub first_message_index: i64,
    /// How often it was forwarded.
    pub forwarded_count: i64,
    /// Whether it came from a verified device.
    pub is_verified: bool,
    /// The encrypted key: a JSON object.
    pub session_data: Bytes,
}

impl SessionUpload {
    fn key(&self) -> (&str, &str) {
        (self.room_id.as_str(), &self.session_id)
    }
}

/// What a version holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupState {
    /// How many sessions.
    pub count: i64,
    /// Changes with every change of them.
    pub etag: String,
}

impl BackupState {
    pub(super) fn of(row: &KeyBackup) -> Self {
        Self { count: row.count, etag: row.etag.to_string() }
    }
}

/// Which sessions are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackupScope {
    /// All of the version.
    All,
    /// Those of a room.
    Room(OwnedRoomId),
    /// One.
    Session(OwnedRoomId, String),
}

/// Where a page of sessions ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupCursor {
    room_id: OwnedRoomId,
    session_id: String,
}

/// Some sessions of a version, by room and session id.
#[derive(Clone, Debug, PartialEq)]
pub struct BackupPage {
    /// The sessions.
    pub sessions: Vec<BackedUpSession>,
    /// Where the next page begins; absent when this was the last.
    pub next: Option<BackupCursor>,
}

impl E2ee {
    /// Stores keys in the current version: new ones, and better copies of those it has. Large uploads take several
    /// commits; where one fails, those before stay, and repeating the upload completes it.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub async fn store_sessions(
        &self,
        requester: &Requester,
        version: &str,
        mut sessions: Vec<SessionUpload>,
    ) -> Result<BackupState, BackupError> {
        sessions.iter().try_for_each(check)?;
        sessions.sort_by(|a, b| a.key().cmp(&b.key()));
        if sessions.windows(2).any(|pair| matches!(pair, [a, b] if a.key() == b.key())) {
            return Err(BackupError::Malformed("a session may only be given once"));
        }
        let mut rest = sessions.as_slice();
        loop {
            let (part, after) = rest.split_at(part_len(rest));
            let state = self.store_part(requester, version, part).await?;
            if after.is_empty() {
                return Ok(state);
            }
            rest = after;
        }
    }

    async fn store_part(
        &self,
        requester: &Requester,
        version: &str,
        part: &[SessionUpload],
    ) -> Result<BackupState, BackupError> {
        let user_id = &requester.user_id;
        let _turn = self.backup_turns.of(Shard::of(user_id.as_str())).await;
        let mut attempt = 0;
        loop {
            let snapshot = self.engine.snapshot().await?;
            let mut backup = writable(&*snapshot, user_id, version).await?;
            let key = |s: &SessionUpload| {
                (user_id.clone(), backup.version, s.room_id.clone(), s.session_id.clone())
            };
            let keys: Vec<_> = part.iter().map(key).collect();
            let held = snapshot.get_all::<BackedUpSession>(&keys).await?;
            drop(snapshot);
            let mut batch = self.batch(user_id);
            expect_unchanged(&mut batch, &backup);
            for (upload, held) in part.iter().zip(held) {
                let new = row(requester, backup.version, upload);
                match held {
                    Some(held) if !rule::replaces(&new, &held) => continue,
                    Some(_) => {}
                    None => backup.count += 1,
                }
                batch.put(&new);
            }
            if !batch.is_empty() {
                backup.etag += 1;
                batch.put(&backup);
            }
            if self.try_commit(batch, &mut attempt).await? == Planned::Done {
                return Ok(BackupState::of(&backup));
            }
        }
    }

    /// Sessions of a version, of one room or of all, at most `limit` after a cursor.
    ///
    /// Each page sees the version as it is then. Sessions don't depend on one another, so what is read page by page is
    /// what a restore needs: every session that was there all the time. If the version is deleted in between, the
    /// next page fails.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub async fn backup_page(
        &self,
        requester: &Requester,
        version: &str,
        room_id: Option<&OwnedRoomId>,
        after: Option<&BackupCursor>,
        limit: usize,
    ) -> Result<BackupPage, BackupError> {
        let snapshot = self.engine.snapshot().await?;
        let backup = existing(&*snapshot, &requester.user_id, version).await?;
        let of_version = (backup.user_id, backup.version);
        let scan = match (room_id, after) {
            (Some(room_id), after) => {
                let prefix = (of_version.0, of_version.1, room_id.clone());
                let scan = Scan::prefix::<BackedUpSession>(prefix, limit);
                after.into_iter().fold(scan, |scan, after| scan.after((after.session_id.clone(),)))
            }
            (None, Some(after)) => Scan::prefix::<BackedUpSession>(of_version, limit)
                .after((after.room_id.clone(), after.session_id.clone())),
            (None, None) => Scan::prefix::<BackedUpSession>(of_version, limit),
        };
        let sessions = snapshot.scan::<BackedUpSession>(scan).await?;
        let last = sessions.last().filter(|_| sessions.len() >= limit);
        let next = last
            .map(|last| BackupCursor { room_id: last.room_id.clone(), session_id: last.session_id.clone() });
        Ok(BackupPage { sessions, next })
    }

    /// One session of a version.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub async fn backed_up_session(
        &self,
        requester: &Requester,
        version: &str,
        room_id: &OwnedRoomId,
        session_id: &str,
    ) -> Result<Option<BackedUpSession>, BackupError> {
        let snapshot = self.engine.snapshot().await?;
        let backup = existing(&*snapshot, &requester.user_id, version).await?;
        let key = (backup.user_id, backup.version, room_id.clone(), session_id.to_owned());
        Ok(snapshot.get::<BackedUpSession>(&key).await?)
    }

    /// Deletes sessions of a version, which need not be the current one. That there are none is no error.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub async fn delete_sessions(
        &self,
        requester: &Requester,
        version: &str,
        scope: &BackupScope,
    ) -> Result<BackupState, BackupError> {
        let user_id = &requester.user_id;
        let _turn = self.backup_turns.of(Shard::of(user_id.as_str())).await;
        let mut attempt = 0;
        loop {
            let snapshot = self.engine.snapshot().await?;
            let mut backup = existing(&*snapshot, user_id, version).await?;
            let (scan, gone) = deletion(&*snapshot, &backup, scope).await?;
            drop(snapshot);
            if gone == 0 {
                return Ok(BackupState::of(&backup));
            }
            let mut batch = self.batch(user_id);
            expect_unchanged(&mut batch, &backup);
            batch.delete_range(scan);
            backup.count -= gone;
            backup.etag += 1;
            batch.put(&backup);
            if self.try_commit(batch, &mut attempt).await? == Planned::Done {
                return Ok(BackupState::of(&backup));
            }
        }
    }
}

/// The version that keys may be stored in.
async fn writable(
    snapshot: &dyn Snapshot,
    user_id: &OwnedUserId,
    version: &str,
) -> Result<KeyBackup, BackupError> {
    let current = current(snapshot, user_id).await?.ok_or(BackupError::NotFound)?;
    let current_version = current.version.to_string();
    if current_version == version {
        return Ok(current);
    }
    // A version that was deleted existed: the client must learn which one took its place.
    lookup(snapshot, user_id, version).await?.ok_or(BackupError::NotFound)?;
    Err(BackupError::WrongVersion { current: current_version })
}

/// What to delete, and how many sessions that is.
async fn deletion(
    snapshot: &dyn Snapshot,
    backup: &KeyBackup,
    scope: &BackupScope,
) -> Result<(Scan, i64), ReadError> {
    let (user_id, version) = (backup.user_id.clone(), backup.version);
    match scope {
        BackupScope::All => {
            Ok((Scan::prefix::<BackedUpSession>((user_id, version), usize::MAX), backup.count))
        }
        BackupScope::Room(room_id) => {
            let prefix = (user_id, version, room_id.clone());
            let gone = count(snapshot, &prefix).await?;
            Ok((Scan::prefix::<BackedUpSession>(prefix, usize::MAX), gone))
        }
        BackupScope::Session(room_id, session_id) => {
            let key = (user_id, version, room_id.clone(), session_id.clone());
            let gone = snapshot.get::<BackedUpSession>(&key).await?.is_some();
            Ok((Scan::prefix::<BackedUpSession>(key, usize::MAX), i64::from(gone)))
        }
    }
}

async fn count(snapshot: &dyn Snapshot, room: &(OwnedUserId, i64, OwnedRoomId)) -> Result<i64, ReadError> {
    let mut count = 0;
    let mut scan = Scan::prefix::<BackedUpSession>(room.clone(), PAGE);
    loop {
        let page = snapshot.scan::<BackedUpSession>(scan).await?;
        count += page.iter().map(|_| 1).sum::<i64>();
        match page.last() {
            Some(last) if page.len() == PAGE => {
                scan = Scan::prefix::<BackedUpSession>(room.clone(), PAGE).after((last.session_id.clone(),));
            }
            _ => return Ok(count),
        }
    }
}

fn check(session: &SessionUpload) -> Result<(), BackupError> {
    if session.session_id.is_empty() || session.session_id.len() > MAX_SESSION_ID {
        return Err(BackupError::Malformed("a session id is empty or too long"));
    }
    if session.first_message_index < 0 || session.forwarded_count < 0 {
        return Err(BackupError::Malformed("first_message_index and forwarded_count can't be negative"));
    }
    if session.session_data.first() != Some(&b'{') {
        return Err(BackupError::Malformed("session_data must be an object"));
    }
    if session.session_data.len() > MAX_SESSION_DATA {
        return Err(BackupError::Malformed("session_data is too large"));
    }
    Ok(())
}

fn row(requester: &Requester, version: i64, upload: &SessionUpload) -> BackedUpSession {
    BackedUpSession {
        user_id: requester.user_id.clone(),
        version,
        room_id: upload.room_id.clone(),
        session_id: upload.session_id.clone(),
        first_message_index: upload.first_message_index,
        forwarded_count: upload.forwarded_count,
        is_verified: upload.is_verified,
        session_data: upload.session_data.clone(),
        device_id: requester.device_id.clone(),
    }
}

/// How many of the sessions one commit takes; at least one, if there is one.
fn part_len(sessions: &[SessionUpload]) -> usize {
    let mut room = PART;
    let fits = sessions.iter().take(PART_SESSIONS).take_while(|session| {
        // The names of user, room, session and device, each at most 255 bytes.
        let size = session.session_data.len() + 4 * 255;
        let fits = size <= room;
        room = room.saturating_sub(size);
        fits
    });
    fits.count()
}
