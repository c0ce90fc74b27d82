//! Delayed events whose restarts are answered from memory, over a kill.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use myelin_reliability::{Myelin, Place, Session};
use myelin_runtime::{Clock, SystemClock};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The delay: long enough for a kill and a start on a busy machine.
const DELAY: Duration = Duration::from_secs(4);

fn path(room: &str, key: &str) -> String {
    format!("/_matrix/client/v3/rooms/{room}/state/org.example.call/{key}")
}

async fn delay(alice: &Session, room: &str, key: &str) -> Result<String> {
    let path = format!("{}?org.matrix.msc4140.delay={}", path(room, key), DELAY.as_millis());
    let scheduled = alice.client().put(&path, &json!({ "left": key })).await?.ok();
    Ok(scheduled["delay_id"].as_str().context("no id")?.to_owned())
}

/// Waits until the event is there, and says when it was made, in milliseconds since 1970.
async fn sent(alice: &Session, room: &str, key: &str) -> Result<u64> {
    let path = format!("{}?format=event", path(room, key));
    for _ in 0..400 {
        let answer = alice.client().get(&path).await?;
        if answer.status.is_success() {
            return answer.json()["origin_server_ts"].as_u64().context("no time");
        }
        ensure!(answer.status == 404, "{} {}", answer.status, answer.json());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    anyhow::bail!("{key} is never sent")
}

#[tokio::test]
async fn a_restart_that_was_answered_before_a_kill_is_not_forgotten() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let clock = SystemClock::new();
    let server = Myelin::start(Place::new(folder.path())?).await?;
    let alice = Session::register(server.address(), "alice").await?;
    let room = alice.room_with(&[]).await?;
    let left_from = clock.now();
    delay(&alice, &room, "left").await?;
    let restarted = delay(&alice, &room, "restarted").await?;
    let (mut client, mut last) = (alice.client(), 0);
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        last = clock.now();
        let path = format!("/_matrix/client/unstable/org.matrix.msc4140/delayed_events/{restarted}/restart");
        client.post(&path, &json!({})).await?.ok();
    }
    let _server = Myelin::start(server.kill().await?).await?;
    let started = clock.now();
    let delay = u64::try_from(DELAY.as_millis())?;
    let left = sent(&alice, &room, "left").await?;
    ensure!(left >= left_from + delay, "sent {} ms before its time", left_from + delay - left);
    let restarted = sent(&alice, &room, "restarted").await?;
    ensure!(restarted >= last + delay, "sent {} ms before its time", last + delay - restarted);
    ensure!(left < restarted, "what was never restarted waits with what was");
    ensure!(restarted < started + delay + 3_000, "sent {} ms late", restarted - started - delay);
    Ok(())
}

#[tokio::test]
async fn a_restart_whose_body_comes_late_leaves_the_connection_open() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Myelin::start(Place::new(folder.path())?).await?;
    let alice = Session::register(server.address(), "alice").await?;
    let room = alice.room_with(&[]).await?;
    let restarted = delay(&alice, &room, "restarted").await?;
    let mut connection = TcpStream::connect(server.address()).await?;
    let path = format!("/_matrix/client/unstable/org.matrix.msc4140/delayed_events/{restarted}/restart");
    let head = format!("POST {path} HTTP/1.1\r\nHost: hs\r\nContent-Length: 2\r\n\r\n");
    for _ in 0..3 {
        connection.write_all(head.as_bytes()).await?;
        // Long enough for an answer that does not wait for the body.
        tokio::time::sleep(Duration::from_millis(100)).await;
        connection.write_all(b"{}").await?;
        let mut answer = [0; 1_024];
        let length = connection.read(&mut answer).await?;
        let answer = String::from_utf8_lossy(&answer[..length]);
        ensure!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
    }
    Ok(())
}
