//! Clients that sync along: what they were told, in order, must be what happened.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use http::Method;
use myelin_reliability::{Client, Session, id};
use serde_json::{Value, json};

use crate::world::{World, insist, until_answered};

/// How many pages of history may fill one gap.
const PAGES: usize = 1_000;

/// What a walker was told.
#[derive(Default)]
pub(crate) struct Seen {
    /// Event ids of each room, in order.
    pub(crate) rooms: BTreeMap<String, Vec<String>>,
    /// The same, to find what comes twice.
    known: HashSet<String>,
    /// The numbers of to-device messages, by sender.
    pub(crate) to_device: BTreeMap<String, Vec<u64>>,
    answers: u64,
    gaps: u64,
    unknown_positions: u64,
    /// The token it asked with last, and what it was answered, for failures.
    last: String,
}

/// A client that syncs along.
pub(crate) struct Walker {
    pub(crate) name: &'static str,
    session: Session,
    seen: Mutex<Seen>,
}

/// A room's part of an answer.
struct Told<'a> {
    room: &'a str,
    events: &'a [Value],
    /// Something lies between what was told before and these.
    limited: bool,
    /// The server may not know what it told before.
    fresh: bool,
    before: Option<&'a str>,
}

impl Walker {
    pub(crate) fn new(name: &'static str, session: Session) -> Arc<Self> {
        Arc::new(Self { name, session, seen: Mutex::default() })
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn summary(&self) -> String {
        let seen = self.seen();
        let mut text = format!("{}: {} answers", self.name, seen.answers);
        let events: usize = seen.rooms.values().map(Vec::len).sum();
        let messages: usize = seen.to_device.values().map(Vec::len).sum();
        let _ = write!(text, ", {events} events, {messages} to-device messages, {} gaps filled", seen.gaps);
        let _ = write!(text, ", {} times M_UNKNOWN_POS", seen.unknown_positions);
        let _ = write!(text, "; the last: {}", seen.last);
        text
    }

    /// Walks along `/v3/sync`.
    pub(crate) async fn walk_v3(self: Arc<Self>, world: Arc<World>) -> Result<()> {
        let mut client = self.session.client();
        let filter = "%7B%22room%22%3A%7B%22timeline%22%3A%7B%22limit%22%3A5%7D%7D%7D";
        let mut since: Option<String> = None;
        while !world.has_stopped() {
            let token = since.as_ref().map(|since| format!("&since={since}")).unwrap_or_default();
            let path = format!("/_matrix/client/v3/sync?timeout=1000&filter={filter}{token}");
            let answer = insist(&mut client, Method::GET, &path, &Value::Null).await?;
            let rooms = answer["rooms"]["join"].as_object();
            for (room, part) in rooms.into_iter().flatten() {
                let timeline = &part["timeline"];
                let told = Told {
                    room,
                    events: timeline["events"].as_array().map(Vec::as_slice).unwrap_or_default(),
                    limited: timeline["limited"] == true,
                    fresh: since.is_none(),
                    before: timeline["prev_batch"].as_str(),
                };
                self.hear(&mut client, told).await.with_context(|| path.clone())?;
            }
            self.hear_to_device(&answer["to_device"]["events"])?;
            since = Some(answer["next_batch"].as_str().context("no next_batch")?.to_owned());
            self.seen().answers += 1;
        }
        Ok(())
    }

    /// Walks along sliding sync.
    pub(crate) async fn walk_sliding(self: Arc<Self>, world: Arc<World>) -> Result<()> {
        let mut client = self.session.client();
        let base = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync?timeout=1000";
        let (mut pos, mut to_device): (Option<String>, Option<String>) = (None, None);
        // The kill after which an answer came that was asked for when the server was up again.
        let mut settled = 0;
        while !world.has_stopped() {
            let path = format!("{base}{}", pos.as_ref().map(|pos| format!("&pos={pos}")).unwrap_or_default());
            let mut body = json!({
                "conn_id": "walker",
                "lists": {"all": {"ranges": [[0, 19]], "timeline_limit": 5, "required_state": []}},
                "extensions": {"to_device": {"enabled": true, "limit": 500}},
            });
            if let Some(token) = &to_device {
                body["extensions"]["to_device"]["since"] = json!(token);
            }
            let asked = world.runs();
            let answer = until_answered(&mut client, Method::POST, &path, &body).await;
            if answer.errcode() == "M_UNKNOWN_POS" {
                ensure!(pos.is_some(), "a fresh connection is told that its position is unknown");
                pos = None;
                self.seen().unknown_positions += 1;
                continue;
            }
            ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.json());
            let answer = answer.json();
            self.seen().last = format!("{path}: {answer}");
            // A server that was killed may once repeat a room of its last answer before: where more happened in it
            // than the pos could carry, and nobody had come back with that pos to have it written.
            let repeats = settled != world.kills();
            settled = asked;
            for (room, part) in answer["rooms"].as_object().into_iter().flatten() {
                let told = Told {
                    room,
                    events: part["timeline"].as_array().map(Vec::as_slice).unwrap_or_default(),
                    limited: part["limited"] == true,
                    fresh: pos.is_none() || repeats || part["initial"] == true,
                    before: part["prev_batch"].as_str(),
                };
                self.hear(&mut client, told).await.with_context(|| path.clone())?;
            }
            let inbox = &answer["extensions"]["to_device"];
            self.hear_to_device(&inbox["events"])?;
            if let Some(token) = inbox["next_batch"].as_str() {
                to_device = Some(token.to_owned());
            }
            pos = Some(answer["pos"].as_str().context("no pos")?.to_owned());
            self.seen().answers += 1;
        }
        Ok(())
    }

    /// Takes in what was told of a room, and what lies before it where something was left out.
    async fn hear(&self, client: &mut Client, told: Told<'_>) -> Result<()> {
        let mut events: Vec<String> =
            told.events.iter().map(|event| id(event).map(str::to_owned)).collect::<Result<_>>()?;
        let last = self.seen().rooms.get(told.room).and_then(|events| events.last().cloned());
        if let Some(last) = last {
            if told.fresh
                && let Some(at) = events.iter().position(|event| *event == last)
            {
                events.drain(..=at);
            } else if told.limited || told.fresh {
                events = fill(client, &told, &last, events).await?;
                self.seen().gaps += 1;
            }
        }
        let mut seen = self.seen();
        for event in events {
            ensure!(seen.known.insert(event.clone()), "{event} was told twice");
            seen.rooms.entry(told.room.to_owned()).or_default().push(event);
        }
        Ok(())
    }

    fn hear_to_device(&self, events: &Value) -> Result<()> {
        let mut seen = self.seen();
        for event in events.as_array().into_iter().flatten() {
            let sender = event["sender"].as_str().context("no sender")?.to_owned();
            let number = event["content"]["number"].as_u64().context("no number")?;
            let numbers = seen.to_device.entry(sender.clone()).or_default();
            let next = numbers.last().copied().unwrap_or_default() + 1;
            ensure!(number == next, "{}: message {number} of {sender} came, {next} should", self.name);
            numbers.push(number);
        }
        Ok(())
    }
}

/// Reads history backwards from the events to the last one that is known, and puts it before them.
async fn fill(client: &mut Client, told: &Told<'_>, last: &str, events: Vec<String>) -> Result<Vec<String>> {
    let mut before: Vec<String> = Vec::new();
    let mut from = told.before.context("a limited timeline without prev_batch")?.to_owned();
    for _ in 0..PAGES {
        let path = format!("/_matrix/client/v3/rooms/{}/messages?dir=b&limit=100&from={from}", told.room);
        let page = insist(client, Method::GET, &path, &Value::Null).await?;
        for event in page["chunk"].as_array().into_iter().flatten() {
            if id(event)? == last {
                before.reverse();
                before.extend(events);
                return Ok(before);
            }
            before.push(id(event)?.to_owned());
        }
        let Some(end) = page["end"].as_str() else { break };
        from = end.to_owned();
    }
    let Told { room, limited, fresh, .. } = told;
    bail!("{last} of {room} was told before, and is not before {events:?} (limited {limited}, fresh {fresh})")
}
