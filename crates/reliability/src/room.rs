//! A room's timeline, read page by page as clients read history.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::Client;

/// A page of events, oldest first.
pub struct Page {
    /// The events.
    pub events: Vec<Value>,
    /// Where the next page begins, if there is one.
    pub next: Option<String>,
}

/// The page from `from`, or from the beginning of the room.
///
/// # Errors
/// When the server refuses or does not answer.
pub async fn page(client: &mut Client, room: &str, from: Option<&str>) -> Result<Page> {
    let from = from.map(|from| format!("&from={from}")).unwrap_or_default();
    let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir=f&limit=500{from}");
    let answer = client.get(&path).await?;
    ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.json());
    let mut body = answer.json();
    let next = body["end"].as_str().map(str::to_owned);
    let Value::Array(events) = body["chunk"].take() else { anyhow::bail!("{path} has no chunk") };
    Ok(Page { events, next })
}

/// All events of a room that the client may see, oldest first.
///
/// # Errors
/// When the server refuses or does not answer, or never comes to an end.
pub async fn events(client: &mut Client, room: &str) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    let mut from: Option<String> = None;
    loop {
        let Page { events, next } = page(client, room, from.as_deref()).await?;
        let is_last = events.is_empty();
        all.extend(events);
        match next {
            Some(next) if !is_last => {
                ensure!(from.as_ref() != Some(&next), "history goes in a circle at {next}");
                from = Some(next);
            }
            _ => return Ok(all),
        }
    }
}

/// The id of an event.
///
/// # Errors
/// When it has none.
pub fn id(event: &Value) -> Result<&str> {
    event["event_id"].as_str().context("an event without an id")
}
