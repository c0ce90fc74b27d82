//! One-time keys: uploaded in batches, claimed by two at once, each handed out at most once and in order.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use http::Method;
use myelin_reliability::Session;
use serde_json::{Map, Value, json};

use crate::world::{World, insist, once, while_it_is_down};

/// How many keys go in one upload.
const BATCH: u64 = 10;
/// How many may wait to be claimed.
const STOCK: u64 = 60;
const UPLOAD: &str = "/_matrix/client/v3/keys/upload";

/// Uploads keys, numbered in order, and repeats an upload until it is answered.
pub(crate) async fn upload(world: Arc<World>, session: Session) -> Result<()> {
    let mut client = session.client();
    let mut next = 1_u64;
    loop {
        let Some(turn) = world.turn().await else { break };
        // Whether a claim whose answer was lost has used up a key, only the server knows.
        let answer = insist(&mut client, Method::POST, UPLOAD, &json!({})).await?;
        if answer["one_time_key_counts"]["curve25519"].as_u64().is_some_and(|stock| stock > STOCK) {
            drop(turn);
            while_it_is_down().await;
            continue;
        }
        let keys: Map<String, Value> = (next..next + BATCH)
            .map(|number| (format!("curve25519:{number:08}"), Value::from(format!("key{number}"))))
            .collect();
        let body = json!({"one_time_keys": keys});
        insist(&mut client, Method::POST, UPLOAD, &body).await?;
        next += BATCH;
        world.ledger().uploaded_keys = next - 1;
    }
    Ok(())
}

/// Claims keys one by one. A claim whose answer was lost has used up a key, or has not.
pub(crate) async fn claim(world: Arc<World>, session: Session, of: Session) -> Result<()> {
    let mut client = session.client();
    let mut last = 0;
    let body = json!({"one_time_keys": {&of.user_id: {&of.device_id: "curve25519"}}});
    loop {
        let Some(_turn) = world.turn().await else { break };
        let Some(answer) = once(&mut client, Method::POST, "/_matrix/client/v3/keys/claim", &body).await?
        else {
            world.ledger().lost_claims += 1;
            continue;
        };
        let Some(keys) = answer["one_time_keys"][&of.user_id][&of.device_id].as_object() else {
            while_it_is_down().await;
            continue;
        };
        let (id, key) = keys.iter().next().context("an empty claim")?;
        let number: u64 = id.strip_prefix("curve25519:").context("another algorithm")?.parse()?;
        ensure!(*key == format!("key{number}"), "{id} is {key}");
        ensure!(number > last, "key {number} came after {last}: not first in, first out");
        last = number;
        let mut ledger = world.ledger();
        if let Some(other) = ledger.claimed_keys.insert(number, session.user_id.clone()) {
            anyhow::bail!("key {number} was handed out twice: to {other}, then to {}", session.user_id);
        }
    }
    Ok(())
}
