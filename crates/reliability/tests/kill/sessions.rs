//! Sessions that come, are refreshed, and go.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use http::Method;
use myelin_reliability::{Client, PASSWORD, Session, login};
use serde_json::json;

use crate::world::{World, insist, until_answered};

/// How many sessions are on at once.
const MOST: usize = 12;

/// Logs in on new devices, refreshes sessions many times, and ends the oldest.
pub(crate) async fn come_and_go(world: Arc<World>, name: &'static str) -> Result<()> {
    for number in 0_u64.. {
        let Some(_turn) = world.turn().await else { break };
        if number.is_multiple_of(12) {
            log_in(&world, name, number).await?;
        } else {
            refresh(&world, number).await?;
        }
        if world.ledger().sessions.len() > MOST {
            log_out(&world).await?;
        }
    }
    Ok(())
}

async fn log_in(world: &World, name: &str, number: u64) -> Result<()> {
    let mut wish = login(name, PASSWORD);
    wish["device_id"] = json!(format!("DEVICE{number:06}"));
    wish["refresh_token"] = json!(true);
    // Repeating it replaces the session on the device that the lost answer was about.
    let mut client = Client::new(world.address);
    let answer = until_answered(&mut client, Method::POST, "/_matrix/client/v3/login", &wish).await;
    let session = Session::read(world.address, &answer)?;
    let mut ledger = world.ledger();
    ledger.logins += 1;
    ledger.sessions.insert(session.device_id.clone(), session);
    Ok(())
}

/// Gives one session new tokens. A refresh token is good until the tokens that it gave are used.
async fn refresh(world: &World, number: u64) -> Result<()> {
    let chosen = {
        let ledger = world.ledger();
        let at = (number as usize) % ledger.sessions.len().max(1);
        ledger.sessions.values().nth(at).cloned()
    };
    let mut session = chosen.context("there is a session")?;
    let body = json!({"refresh_token": session.refresh_token});
    let mut client = Client::new(world.address);
    let answer = insist(&mut client, Method::POST, "/_matrix/client/v3/refresh", &body).await?;
    session.token = answer["access_token"].as_str().context("no access token")?.to_owned();
    if let Some(token) = answer["refresh_token"].as_str() {
        session.refresh_token = Some(token.to_owned());
    }
    let mut ledger = world.ledger();
    ledger.refreshes += 1;
    ledger.sessions.insert(session.device_id.clone(), session);
    Ok(())
}

async fn log_out(world: &World) -> Result<()> {
    let oldest = world.ledger().sessions.values().next().cloned().context("there is a session")?;
    let mut client = oldest.client();
    let answer = until_answered(&mut client, Method::POST, "/_matrix/client/v3/logout", &json!({})).await;
    // Repeated after a lost answer, the session may be gone already.
    ensure!(
        answer.status.is_success() || answer.errcode() == "M_UNKNOWN_TOKEN",
        "logout: {} {}",
        answer.status,
        answer.json()
    );
    let mut ledger = world.ledger();
    ledger.sessions.remove(&oldest.device_id);
    ledger.ended.push(oldest.token);
    Ok(())
}
