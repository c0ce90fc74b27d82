//! Backed-up keys as an answer: streamed page by page, so that a backup of any size is read in little memory.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, header};
use myelin_e2ee::{BackupCursor, BackupError, BackupPage, E2ee};
use myelin_model::Requester;
use myelin_store::schema::e2ee::BackedUpSession;
use ruma::OwnedRoomId;

use crate::Error;

/// Sessions in one page: about a hundred kilobytes.
const PAGE: usize = 200;

/// Answers with the keys of the version, or of one room in it.
///
/// What can go wrong before the first page is an error answer; after it, the answer ends early and its reader sees that
/// it is cut off.
pub(super) async fn sessions(
    e2ee: Arc<E2ee>,
    requester: Requester,
    version: String,
    room_id: Option<OwnedRoomId>,
) -> Result<Response, Error> {
    let mut reading = Reading { e2ee, requester, version, room_id };
    let page = reading.page(None).await?;
    let mut writer = Writer::new(reading.room_id.is_some());
    let first = writer.page(&page);
    let rest =
        stream::try_unfold((reading, writer, page.next), |(mut reading, mut writer, cursor)| async move {
            let Some(cursor) = cursor else { return Ok(None) };
            let page = reading.page(Some(&cursor)).await?;
            let bytes = writer.page(&page);
            Ok::<_, BackupError>(Some((bytes, (reading, writer, page.next))))
        });
    let whole = stream::once(async { Ok(first) });
    let body = Body::from_stream(futures_util::StreamExt::chain(whole, rest));
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// What is read.
struct Reading {
    e2ee: Arc<E2ee>,
    requester: Requester,
    version: String,
    room_id: Option<OwnedRoomId>,
}

impl Reading {
    async fn page(&mut self, after: Option<&BackupCursor>) -> Result<BackupPage, BackupError> {
        self.e2ee.backup_page(&self.requester, &self.version, self.room_id.as_ref(), after, PAGE).await
    }
}

/// Writes pages into one JSON object: `{"rooms":{..}}`, or for one room `{"sessions":{..}}`.
struct Writer {
    one_room: bool,
    begun: bool,
    /// The room whose sessions are being written.
    room: Option<OwnedRoomId>,
}

impl Writer {
    fn new(one_room: bool) -> Self {
        Self { one_room, begun: false, room: None }
    }

    fn page(&mut self, page: &BackupPage) -> Bytes {
        let mut out = Vec::with_capacity(64 + page.sessions.len() * 512);
        if !self.begun {
            out.extend_from_slice(if self.one_room { b"{\"sessions\":{" } else { b"{\"rooms\":{" });
            self.begun = true;
        }
        for row in &page.sessions {
            self.separate(&mut out, &row.room_id);
            string(&mut out, &row.session_id);
            out.push(b':');
            out.extend_from_slice(&session(row));
        }
        if page.next.is_none() {
            if !self.one_room && self.room.is_some() {
                out.extend_from_slice(b"}}");
            }
            out.extend_from_slice(b"}}");
        }
        out.into()
    }

    /// What stands between the last session and one of this room.
    fn separate(&mut self, out: &mut Vec<u8>, room_id: &OwnedRoomId) {
        if self.room.as_ref() == Some(room_id) {
            out.push(b',');
            return;
        }
        if !self.one_room {
            if self.room.is_some() {
                out.extend_from_slice(b"}},");
            }
            string(out, room_id.as_str());
            out.extend_from_slice(b":{\"sessions\":{");
        }
        self.room = Some(room_id.clone());
    }
}

/// One session's key as JSON.
pub(super) fn session(row: &BackedUpSession) -> Vec<u8> {
    let mut out = format!(
        "{{\"first_message_index\":{},\"forwarded_count\":{},\"is_verified\":{},\"session_data\":",
        row.first_message_index, row.forwarded_count, row.is_verified
    )
    .into_bytes();
    out.extend_from_slice(&row.session_data);
    out.push(b'}');
    out
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use myelin_e2ee::{E2ee, NewBackup, SessionUpload};
    use myelin_model::Requester;
    use myelin_runtime::Env;
    use myelin_store::Identity;
    use myelin_store::memory::MemoryEngine;
    use ruma::OwnedRoomId;
    use serde_json::{Value, json};

    use super::sessions;

    async fn backup(count: usize) -> (Arc<E2ee>, Requester) {
        let engine = Arc::new(MemoryEngine::new(&Identity { server_name: "here.test".to_owned() }));
        let e2ee = Arc::new(E2ee::new(engine, Env::seeded(1).0, "here.test".try_into().unwrap()));
        let user_id = "@alice:here.test".try_into().unwrap();
        let requester =
            Requester { user_id, device_id: None, is_admin: false, is_suspended: false, session: 1 };
        let new = NewBackup { algorithm: "a".to_owned(), auth_data: "{}".into() };
        e2ee.create_backup(&requester, &new).await.unwrap();
        let session = |n: usize| SessionUpload {
            room_id: room(n % 7),
            session_id: format!("\"session\"/{n}"),
            first_message_index: n as i64,
            forwarded_count: 2,
            is_verified: n.is_multiple_of(2),
            session_data: format!("{{\"ciphertext\":\"{n}\"}}").into(),
        };
        e2ee.store_sessions(&requester, "1", (0..count).map(session).collect()).await.unwrap();
        (e2ee, requester)
    }

    fn room(n: usize) -> OwnedRoomId {
        format!("!room{n}:here.test").as_str().try_into().unwrap()
    }

    async fn read(count: usize, room_id: Option<OwnedRoomId>) -> Value {
        let (e2ee, requester) = backup(count).await;
        let response = sessions(e2ee, requester, "1".to_owned(), room_id).await.unwrap();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    #[tokio::test]
    async fn a_backup_of_several_pages_is_one_json_object() {
        for count in [0, 1, 199, 200, 201, 1_000] {
            let mut expected: BTreeMap<String, Value> = BTreeMap::new();
            for n in 0..count {
                let of_room = expected.entry(room(n % 7).to_string()).or_insert(json!({ "sessions": {} }));
                of_room["sessions"][format!("\"session\"/{n}")] = json!({
                    "first_message_index": n,
                    "forwarded_count": 2,
                    "is_verified": n % 2 == 0,
                    "session_data": { "ciphertext": n.to_string() },
                });
            }
            assert_eq!(read(count, None).await, json!({ "rooms": expected }), "{count}");
            let none = json!({ "sessions": {} });
            assert_eq!(read(count, Some(room(3))).await, *expected.get(room(3).as_str()).unwrap_or(&none));
        }
    }

    #[tokio::test]
    async fn a_version_that_is_not_there_is_an_error_and_no_empty_answer() {
        let (e2ee, requester) = backup(1).await;
        let error = sessions(e2ee, requester, "2".to_owned(), None).await.unwrap_err();
        assert_eq!(error.errcode(), "M_NOT_FOUND");
    }
}
