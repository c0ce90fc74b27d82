//! A copy of what the server keeps for somebody: profile, addresses, devices, rooms, accepted terms, account data. As JSON,
//! piece by piece, so that nothing of it is whole in memory.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http::header;
use maud::html;
use myelin_auth::{AcceptedTerms, Browser, OwnDevice};
use myelin_model::RoomNid;
use ruma::OwnedUserId;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::menu::framed;
use crate::browser::Visit;
use crate::problem::Problem;
use crate::state::Pages;
use crate::wish::Wish;

/// How many account data one piece has.
const PIECE: usize = 64;
/// How many pieces there are at most.
const PIECES: usize = 10_000;

/// Says what it is.
pub(super) fn show(visit: &Visit, browser: &Browser) -> Response {
    let say = &visit.messages().export;
    let body = html! {
        p { (say.explain) }
        ul {
            li { (say.has) }
            li { (say.has_not) }
        }
        form method="post" action=(Wish::Export.path()) {
            (visit.form_token())
            input type="hidden" name="user" value=(browser.user_id);
            button { (say.button) }
        }
    };
    visit.page(html! { (say.title) }, framed(visit, browser, &Wish::Export, &body))
}

/// Hands it out.
pub(super) async fn download(visit: &Visit, browser: &Browser) -> Result<Response, Problem> {
    visit.pages.auth.record_export(browser).await?;
    let head = head(visit, browser).await?;
    let name = format!("attachment; filename=\"{}.json\"", file_name(&browser.user_id));
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::CONTENT_DISPOSITION, name),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    let pieces = pieces(visit.pages.clone(), browser.user_id.clone(), head);
    Ok((headers, Body::from_stream(pieces)).into_response())
}

/// Letters that mean nothing in a header or to a file system.
fn file_name(user_id: &OwnedUserId) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    user_id.localpart().chars().filter(|c| plain(*c)).take(64).collect()
}

/// Everything but the account data, as the beginning of an object.
async fn head(visit: &Visit, browser: &Browser) -> Result<String, Problem> {
    let (auth, user_id) = (&visit.pages.auth, &browser.user_id);
    let requester = auth.acting(browser).await?;
    let profile = visit.pages.users.profile(user_id).await.map_err(|error| failed(&error))?;
    let profile: Value = serde_json::from_slice(&profile).unwrap_or_default();
    let rooms = visit.pages.rooms.joined_rooms(user_id).await.map_err(|error| failed(&error))?;
    let emails = auth.third_party_ids(&requester).await?;
    let emails: Vec<_> = emails.into_iter().map(|id| id.address).collect();
    let devices: Vec<_> = auth.own_devices(browser).await?.iter().map(device).collect();
    let terms: Vec<_> = auth.accepted_terms(browser).await?.iter().map(accepted).collect();
    let whole = json!({
        "user_id": user_id, "profile": profile, "email_addresses": emails, "devices": devices, "joined_rooms": rooms,
        "accepted_terms": terms,
    });
    let mut text = whole.to_string();
    text.pop();
    text.push_str(",\"account_data\":[");
    Ok(text)
}

fn device(device: &OwnDevice) -> Value {
    json!({
        "device_id": device.info.device_id,
        "display_name": device.info.display_name,
        "last_seen_ip": device.info.last_seen_ip,
        "last_seen_ts": device.info.last_seen_ts,
        "client": device.client.as_ref().map(|client| client.client_uri.host().to_owned()),
    })
}

fn accepted(terms: &AcceptedTerms) -> Value {
    json!({ "document": terms.document, "version": terms.version, "accepted_ts": terms.at })
}

fn failed(error: &dyn std::error::Error) -> Problem {
    tracing::error!(%error, "an export failed");
    Problem::Failed
}

/// Where an export stands.
enum At {
    Head(String),
    Data { after: Option<(RoomNid, String)>, piece: usize, is_first: bool },
    End,
}

fn pieces(
    pages: Pages,
    user_id: OwnedUserId,
    head: String,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> {
    stream::try_unfold(At::Head(head), move |at| {
        let (pages, user_id) = (pages.clone(), user_id.clone());
        async move {
            match at {
                At::Head(head) => {
                    let next = At::Data { after: None, piece: 0, is_first: true };
                    Ok(Some((Bytes::from(head), next)))
                }
                At::Data { after, piece, is_first } => {
                    let read = pages.users.all_account_data(&user_id, after, PIECE).await;
                    // The answer has begun: all that is left is to break it off.
                    let (kept, after) = read.map_err(|error| {
                        tracing::error!(%error, "an export broke off");
                        std::io::Error::other("the store failed")
                    })?;
                    let mut text = String::new();
                    for kept in &kept {
                        let content: Option<&RawValue> = serde_json::from_slice(&kept.content).ok();
                        let row = json!({ "room_id": kept.room_id, "type": kept.kind, "content": content });
                        if !(is_first && text.is_empty()) {
                            text.push(',');
                        }
                        text.push_str(&row.to_string());
                    }
                    let is_first = is_first && text.is_empty();
                    let next = match after.filter(|_| piece < PIECES) {
                        Some(after) => At::Data { after: Some(after), piece: piece + 1, is_first },
                        None => {
                            text.push_str("]}");
                            At::End
                        }
                    };
                    Ok(Some((Bytes::from(text), next)))
                }
                At::End => Ok(None),
            }
        }
    })
}
