//! Those who write without pause. Each makes one request at a time, and repeats it until it is answered.

use std::collections::VecDeque;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::Method;
use myelin_reliability::Session;
use myelin_runtime::Random;
use serde_json::{Value, json};

use crate::ledger::Message;
use crate::world::{World, insist, once, while_it_is_down};

fn event_id(answer: &Value) -> Result<String> {
    Ok(answer["event_id"].as_str().context("no event id")?.to_owned())
}

/// Sends messages to a room. After each restart the last ones are sent again under their old transaction ids, which
/// must give the old events.
pub(crate) async fn send(world: Arc<World>, session: Session, room: String) -> Result<()> {
    let mut client = session.client();
    let mut last: VecDeque<(usize, String)> = VecDeque::new();
    let mut run = world.runs();
    let path = |number: usize| format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/{room}-{number}");
    let body = |number: usize| json!({"msgtype": "m.text", "body": format!("{} {number}", session.user_id)});
    for number in 1.. {
        let Some(_turn) = world.turn().await else { break };
        if std::mem::replace(&mut run, world.runs()) != run {
            for (number, event) in &last {
                let again = insist(&mut client, Method::PUT, &path(*number), &body(*number)).await?;
                ensure!(event_id(&again)? == *event, "{} made a second event: {again}", path(*number));
                world.ledger().repeats += 1;
            }
        }
        let event = event_id(&insist(&mut client, Method::PUT, &path(number), &body(number)).await?)?;
        last.push_back((number, event.clone()));
        if last.len() > 3 {
            last.pop_front();
        }
        let message = Message { writer: session.user_id.clone(), number };
        let mut ledger = world.ledger();
        let known = ledger.messages.entry(room.clone()).or_default().insert(event, message);
        ensure!(known.is_none(), "two messages have one event id");
        ledger.counts.insert((room.clone(), session.user_id.clone()), number);
    }
    Ok(())
}

/// Sends messages to a room, and redacts each.
pub(crate) async fn redact(world: Arc<World>, session: Session, room: String) -> Result<()> {
    let mut client = session.client();
    let writer = format!("{} redacting", session.user_id);
    for number in 1.. {
        let Some(_turn) = world.turn().await else { break };
        let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/redacted-{number}");
        let body = json!({"msgtype": "m.text", "body": "to be redacted"});
        let event = event_id(&insist(&mut client, Method::PUT, &path, &body).await?)?;
        {
            let mut ledger = world.ledger();
            let message = Message { writer: writer.clone(), number };
            ledger.messages.entry(room.clone()).or_default().insert(event.clone(), message);
            ledger.counts.insert((room.clone(), writer.clone()), number);
        }
        let path = format!("/_matrix/client/v3/rooms/{room}/redact/{event}/redaction-{number}");
        let redaction = event_id(&insist(&mut client, Method::PUT, &path, &json!({})).await?)?;
        let known = world.ledger().redactions.entry(room.clone()).or_default().insert(redaction, event);
        ensure!(known.is_none(), "two redactions have one event id");
    }
    Ok(())
}

/// Changes a room's state. Without a transaction id, a request whose answer was lost is not repeated.
pub(crate) async fn change_state(world: Arc<World>, session: Session, room: String) -> Result<()> {
    let mut client = session.client();
    let path = format!("/_matrix/client/v3/rooms/{room}/state/m.room.topic");
    for number in 1.. {
        let Some(_turn) = world.turn().await else { break };
        let body = json!({"topic": format!("topic {number}")});
        if let Some(answer) = once(&mut client, Method::PUT, &path, &body).await? {
            world.ledger().state.entry(room.clone()).or_default().insert(event_id(&answer)?);
        }
    }
    Ok(())
}

/// Moves a receipt along the messages of one writer, whose order is known.
pub(crate) async fn read(world: Arc<World>, session: Session, room: String) -> Result<()> {
    let mut client = session.client();
    let mut read = (String::new(), 0);
    loop {
        let Some(_turn) = world.turn().await else { break };
        let newest = {
            let ledger = world.ledger();
            let messages = ledger.messages.get(&room).into_iter().flatten();
            let ordered = messages.filter(|(_, message)| {
                (read.0.is_empty() || message.writer == read.0) && message.number > read.1
            });
            let newest = ordered.max_by_key(|(_, message)| message.number);
            newest.map(|(event, message)| (event.clone(), message.clone()))
        };
        let Some((event, message)) = newest else {
            while_it_is_down().await;
            continue;
        };
        let path = format!("/_matrix/client/v3/rooms/{room}/receipt/m.read/{event}");
        insist(&mut client, Method::POST, &path, &json!({})).await?;
        read = (message.writer, message.number);
        world.ledger().receipts.insert(room.clone(), event);
    }
    Ok(())
}

/// Sends each of the devices the same numbered message.
pub(crate) async fn send_to_devices(world: Arc<World>, session: Session, to: [Session; 2]) -> Result<()> {
    let mut client = session.client();
    for number in 1_u64.. {
        let Some(_turn) = world.turn().await else { break };
        let content = json!({"number": number});
        let messages: Value = to
            .iter()
            .map(|to| (to.user_id.clone(), json!({&to.device_id: content})))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let path = format!("/_matrix/client/v3/sendToDevice/org.example.numbered/{number}");
        let body = json!({"messages": messages});
        insist(&mut client, Method::PUT, &path, &body).await?;
        if number.is_multiple_of(16) {
            insist(&mut client, Method::PUT, &path, &body).await?;
        }
        world.ledger().to_device.insert(session.user_id.clone(), number);
    }
    Ok(())
}

/// Counts in account data, of the user or of a room.
pub(crate) async fn store(world: Arc<World>, session: Session, room: Option<String>) -> Result<()> {
    let mut client = session.client();
    let room = room.map(|room| format!("/rooms/{room}")).unwrap_or_default();
    for number in 1_u64.. {
        let Some(_turn) = world.turn().await else { break };
        let kind = number % 3;
        let user = &session.user_id;
        let path = format!("/_matrix/client/v3/user/{user}{room}/account_data/org.example.count{kind}");
        insist(&mut client, Method::PUT, &path, &json!({"count": number})).await?;
        world.ledger().account_data.insert(path, (session.clone(), number));
    }
    Ok(())
}

/// Uploads files.
pub(crate) async fn upload(world: Arc<World>, session: Session, random: Random) -> Result<()> {
    let mut client = session.client();
    loop {
        let Some(_turn) = world.turn().await else { break };
        let bytes = Bytes::from(random.alphanumeric(64).repeat(1 + random.below(400) as usize));
        let path = "/_matrix/media/v3/upload";
        let Ok(answer) = client.send(Method::POST, path, "text/plain", bytes.clone()).await else {
            while_it_is_down().await;
            continue;
        };
        ensure!(answer.status.is_success(), "{path}: {} {}", answer.status, answer.json());
        let uri = answer.json()["content_uri"].as_str().context("no uri")?.to_owned();
        world.ledger().new_files.push((uri, bytes));
    }
    Ok(())
}

/// Makes a room after each restart, as many at a time as come before the next kill, but few.
pub(crate) async fn make_rooms(world: Arc<World>, session: Session) -> Result<()> {
    let mut client = session.client();
    let mut made = (world.runs(), 0);
    loop {
        let Some(turn) = world.turn().await else { break };
        if made.0 != world.runs() {
            made = (world.runs(), 0);
        }
        if made.1 >= 3 {
            drop(turn);
            while_it_is_down().await;
            continue;
        }
        made.1 += 1;
        let wish = json!({"name": "made", "preset": "private_chat"});
        if let Some(answer) = once(&mut client, Method::POST, "/_matrix/client/v3/createRoom", &wish).await? {
            let room = answer["room_id"].as_str().context("no room id")?.to_owned();
            ensure!(world.ledger().rooms.insert(room), "two rooms have one id");
        }
    }
    Ok(())
}
