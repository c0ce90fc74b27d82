//! Key backups.

mod error;
pub(crate) mod keys;
mod read;
pub(crate) mod room;
pub(crate) mod session;
pub(crate) mod version;
pub(crate) mod versions;

use std::collections::BTreeMap;

use bytes::Bytes;
use myelin_e2ee::{BackupInfo, BackupState, NewBackup, SessionUpload};
use ruma::api::client::backup::{BackupAlgorithm, KeyBackupData};
use ruma::serde::Raw;
use ruma::{OwnedRoomId, UInt};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Error;

/// A version as it is sent.
#[derive(Deserialize)]
struct SentVersion {
    algorithm: String,
    auth_data: Box<RawValue>,
    version: Option<String>,
}

/// A session's key as it is sent.
#[derive(Deserialize)]
struct SentSession {
    first_message_index: UInt,
    forwarded_count: UInt,
    is_verified: bool,
    session_data: Box<RawValue>,
}

/// A version as it is answered.
#[derive(Serialize)]
pub(crate) struct ShownVersion {
    version: String,
    algorithm: String,
    auth_data: Box<RawValue>,
    count: i64,
    etag: String,
}

fn sent_version(raw: &Raw<BackupAlgorithm>) -> Result<(NewBackup, Option<String>), Error> {
    let sent: SentVersion = parse(raw.json())?;
    let auth_data = Bytes::copy_from_slice(sent.auth_data.get().as_bytes());
    Ok((NewBackup { algorithm: sent.algorithm, auth_data }, sent.version))
}

fn sent_session(
    room_id: &OwnedRoomId,
    session_id: String,
    raw: &Raw<KeyBackupData>,
) -> Result<SessionUpload, Error> {
    let sent: SentSession = parse(raw.json())?;
    Ok(SessionUpload {
        room_id: room_id.clone(),
        session_id,
        first_message_index: sent.first_message_index.into(),
        forwarded_count: sent.forwarded_count.into(),
        is_verified: sent.is_verified,
        session_data: Bytes::copy_from_slice(sent.session_data.get().as_bytes()),
    })
}

fn sent_sessions(
    room_id: &OwnedRoomId,
    sessions: BTreeMap<String, Raw<KeyBackupData>>,
) -> Result<Vec<SessionUpload>, Error> {
    sessions.into_iter().map(|(id, raw)| sent_session(room_id, id, &raw)).collect()
}

fn parse<'r, T: Deserialize<'r>>(raw: &'r RawValue) -> Result<T, Error> {
    serde_json::from_str(raw.get()).map_err(|error| {
        let message = format!("The key or version does not have the form of one: {error}.");
        Error::bad_json(message)
    })
}

fn shown(info: BackupInfo) -> Result<ShownVersion, Error> {
    let auth_data = serde_json::from_slice(&info.auth_data).map_err(|error| Error::internal(&error))?;
    let BackupState { count, etag } = info.state;
    Ok(ShownVersion { version: info.version, algorithm: info.algorithm, auth_data, count, etag })
}

/// A count for ruma's types. It is never negative, nor beyond what JSON can hold.
fn count(state: &BackupState) -> UInt {
    UInt::try_from(state.count).unwrap_or_default()
}
