//! Compares what was acknowledged with what is there and what was told, while the writers rest.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::Method;
use myelin_reliability::{Client, Page, Session, events, id, page};
use serde_json::{Value, json};

use crate::walkers::Walker;
use crate::world::World;

/// How long a walker may take to hear of what is there.
const CATCH_UP: Duration = Duration::from_secs(20);

/// A room's timeline as far as it was read, and how to go on: at `from`, which is before the event numbered `at`.
#[derive(Default)]
struct Timeline {
    events: Vec<String>,
    known: HashSet<String>,
    from: Option<String>,
    at: usize,
    /// The number of the last message of each writer.
    counts: BTreeMap<String, usize>,
    redactions: usize,
    state: BTreeSet<String>,
}

/// What was found so far.
pub(crate) struct Check {
    reader: Session,
    keeper: Session,
    timelines: BTreeMap<String, Timeline>,
    restarts: u64,
}

impl Check {
    pub(crate) fn new(reader: &Session, keeper: &Session, rooms: [String; 2]) -> Self {
        let timelines = rooms.into_iter().map(|room| (room, Timeline::default())).collect();
        Self { reader: reader.clone(), keeper: keeper.clone(), timelines, restarts: 0 }
    }

    /// Everything since the last time; if `thorough`, everything.
    pub(crate) async fn run(&mut self, world: &World, walkers: &[Arc<Walker>], thorough: bool) -> Result<()> {
        self.restarts += 1;
        let mut client = self.reader.client();
        for (room, timeline) in &mut self.timelines {
            timeline.read_on(&mut client, world, room).await.with_context(|| format!("in room {room}"))?;
            if thorough {
                let again = events(&mut client, room).await?;
                let again: Vec<&str> = again.iter().map(id).collect::<Result<_>>()?;
                ensure!(again == timeline.events, "the timeline of {room} is not what it was");
            }
        }
        for walker in walkers {
            self.walker_knows(world, walker).await.with_context(|| walker.summary())?;
        }
        redactions(&mut client, world).await?;
        receipts(&mut client, &self.reader, world).await?;
        account_data(world).await?;
        files(&mut client, world, thorough).await?;
        self.rooms(world).await?;
        self.keys(world).await?;
        sessions(world).await
    }

    /// What the walker was told is the timeline from where it began, and the to-device messages are all there.
    async fn walker_knows(&self, world: &World, walker: &Walker) -> Result<()> {
        let knows = || {
            let seen = walker.seen();
            let ledger = world.ledger();
            let heard =
                |sender: &String| seen.to_device.get(sender).map_or(0, |numbers| numbers.len() as u64);
            ledger.to_device.iter().all(|(sender, count)| heard(sender) >= *count)
                && self.timelines.iter().all(|(room, timeline)| {
                    seen.rooms.get(room).and_then(|events| events.last()) == timeline.events.last()
                })
        };
        let caught_up = tokio::time::timeout(CATCH_UP, async {
            while !knows() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let in_time = caught_up.await.is_ok();
        let seen = walker.seen();
        for (room, timeline) in &self.timelines {
            let told = seen.rooms.get(room).map(Vec::as_slice).unwrap_or_default();
            let begin =
                told.first().and_then(|first| timeline.events.iter().position(|event| event == first));
            let expected = &timeline.events[begin.context("what was told first never happened")?..];
            let differ = told.iter().zip(expected).position(|(told, expected)| told != expected);
            ensure!(differ.is_none(), "{room}: told another order at {differ:?} of {}", told.len());
            ensure!(told.len() == expected.len(), "{room}: told {} of {}", told.len(), expected.len());
        }
        for (sender, count) in &world.ledger().to_device {
            let heard = seen.to_device.get(sender).map_or(0, |numbers| numbers.len() as u64);
            ensure!(heard == *count, "heard {heard} to-device messages of {sender}, not {count}");
        }
        ensure!(in_time, "did not catch up in {CATCH_UP:?}");
        Ok(())
    }

    async fn rooms(&self, world: &World) -> Result<()> {
        let answer = self.keeper.client().get("/_matrix/client/v3/joined_rooms").await?.ok();
        let joined = answer["joined_rooms"].as_array().context("no rooms")?;
        let joined: BTreeSet<&str> = joined.iter().filter_map(Value::as_str).collect();
        let missing: Vec<String> =
            world.ledger().rooms.iter().filter(|room| !joined.contains(room.as_str())).cloned().collect();
        ensure!(missing.is_empty(), "rooms are gone: {missing:?}");
        Ok(())
    }

    /// There are as many one-time keys as were uploaded and not claimed.
    async fn keys(&self, world: &World) -> Result<()> {
        let answer = self.keeper.client().post("/_matrix/client/v3/keys/upload", &json!({})).await?.ok();
        let there = answer["one_time_key_counts"]["curve25519"].as_u64().unwrap_or_default();
        let ledger = world.ledger();
        let most = ledger.uploaded_keys - ledger.claimed_keys.len() as u64;
        let least = most.saturating_sub(ledger.lost_claims);
        ensure!((least..=most).contains(&there), "{there} one-time keys, not {least} to {most}");
        Ok(())
    }

    pub(crate) fn summary(&self, world: &World) -> String {
        let ledger = world.ledger();
        let events: usize = self.timelines.values().map(|timeline| timeline.events.len()).sum();
        format!(
            "{} restarts checked, {events} events, {} repeated, {} to-device messages, {} keys claimed ({} answers \
             lost), {} files, {} rooms, {} logins, {} refreshes, account data at {}",
            self.restarts,
            ledger.repeats,
            ledger.to_device.values().sum::<u64>() * 2,
            ledger.claimed_keys.len(),
            ledger.lost_claims,
            ledger.files.len(),
            ledger.rooms.len(),
            ledger.logins,
            ledger.refreshes,
            ledger.account_data.values().map(|(_, count)| count).max().unwrap_or(&0),
        )
    }

    /// A run in which little happened proves little.
    pub(crate) fn assert_busy(&self, world: &World) {
        let ledger = world.ledger();
        let events: usize = self.timelines.values().map(|timeline| timeline.events.len()).sum();
        assert!(events as u64 > self.restarts * 10, "only {events} events in {} runs", self.restarts);
        assert!(ledger.to_device.values().sum::<u64>() > self.restarts, "hardly any to-device messages");
        assert!(ledger.claimed_keys.len() as u64 > self.restarts, "hardly any keys were claimed");
        assert!(ledger.files.len() as u64 > self.restarts / 4, "hardly any files");
        assert!(ledger.refreshes > self.restarts / 4, "hardly any refreshed sessions");
        assert!(!ledger.receipts.is_empty() && !ledger.redactions.is_empty() && ledger.repeats > 0);
    }
}

impl Timeline {
    /// Reads what is new, and holds it against the ledger.
    async fn read_on(&mut self, client: &mut Client, world: &World, room: &str) -> Result<()> {
        loop {
            let Page { events, next } = page(client, room, self.from.as_deref()).await?;
            let count = events.len();
            for (place, event) in (self.at..).zip(events) {
                match self.events.get(place) {
                    Some(known) => ensure!(known == id(&event)?, "event {place} was {known}, is {event}"),
                    None => self.append(world, room, &event)?,
                }
            }
            let Some(next) = next.filter(|_| count > 0) else { break };
            (self.from, self.at) = (Some(next), self.at + count);
        }
        let ledger = world.ledger();
        for ((in_room, writer), count) in &ledger.counts {
            let found = self.counts.get(writer).copied().unwrap_or_default();
            ensure!(
                in_room != room || found == *count,
                "{found} messages of {writer} are there, not {count}"
            );
        }
        let redactions = ledger.redactions.get(room).map_or(0, BTreeMap::len);
        ensure!(self.redactions == redactions, "{} redactions are there, not {redactions}", self.redactions);
        let lost = ledger.state.get(room).into_iter().flatten().find(|event| !self.state.contains(*event));
        ensure!(lost.is_none(), "state event {lost:?} is gone");
        Ok(())
    }

    fn append(&mut self, world: &World, room: &str, event: &Value) -> Result<()> {
        let event_id = id(event)?.to_owned();
        ensure!(self.known.insert(event_id.clone()), "{event_id} is there twice");
        let ledger = world.ledger();
        match event["type"].as_str() {
            Some("m.room.message") => {
                let message = ledger.messages.get(room).and_then(|messages| messages.get(&event_id));
                let message = message.with_context(|| format!("nobody was told of {event}"))?;
                let count = self.counts.entry(message.writer.clone()).or_default();
                *count += 1;
                ensure!(
                    message.number == *count,
                    "message {} of {} stands at {count}",
                    message.number,
                    message.writer
                );
            }
            Some("m.room.redaction") => {
                let known = ledger.redactions.get(room).is_some_and(|all| all.contains_key(&event_id));
                ensure!(known, "nobody was told of {event}");
                self.redactions += 1;
            }
            Some("m.room.topic") => drop(self.state.insert(event_id.clone())),
            _ => {}
        }
        self.events.push(event_id);
        Ok(())
    }
}

/// The newest redacted events have no content any more.
async fn redactions(client: &mut Client, world: &World) -> Result<()> {
    let newest: Vec<(String, String)> = {
        let ledger = world.ledger();
        let rooms = ledger.redactions.iter();
        rooms
            .flat_map(|(room, all)| all.values().rev().take(5).map(|id| (room.clone(), id.clone())))
            .collect()
    };
    for (room, redacted) in newest {
        let path = format!("/_matrix/client/v3/rooms/{room}/event/{redacted}");
        let event = client.get(&path).await?.ok();
        ensure!(event["content"].get("body").is_none(), "{redacted} is not redacted: {event}");
    }
    Ok(())
}

/// The reader's receipts stand where they were put last.
async fn receipts(client: &mut Client, reader: &Session, world: &World) -> Result<()> {
    let filter = "%7B%22room%22%3A%7B%22timeline%22%3A%7B%22limit%22%3A1%7D%7D%7D";
    let answer = client.get(&format!("/_matrix/client/v3/sync?filter={filter}")).await?.ok();
    for (room, expected) in &world.ledger().receipts {
        let ephemeral = answer["rooms"]["join"][room]["ephemeral"]["events"].as_array();
        let receipts = ephemeral.into_iter().flatten().find(|event| event["type"] == "m.receipt");
        let receipts = receipts.with_context(|| format!("no receipts in {room}"))?;
        let ours = |by: &&Value| by["m.read"].get(&reader.user_id).is_some();
        let stands = receipts["content"].as_object().context("no content")?;
        let stands: Vec<&String> = stands.iter().filter(|(_, by)| ours(by)).map(|(event, _)| event).collect();
        ensure!(stands == [expected], "the receipt in {room} stands at {stands:?}, not at {expected}");
    }
    Ok(())
}

async fn account_data(world: &World) -> Result<()> {
    let all = world.ledger().account_data.clone();
    for (path, (owner, count)) in all {
        let stored = owner.client().get(&path).await?.ok();
        ensure!(stored["count"] == count, "{path} should be {count}: {stored}");
    }
    Ok(())
}

/// Files are there to the byte: those since the last time, or all.
async fn files(client: &mut Client, world: &World, thorough: bool) -> Result<()> {
    let files: Vec<(String, Bytes)> = {
        let mut ledger = world.ledger();
        let new = std::mem::take(&mut ledger.new_files);
        ledger.files.extend(new.iter().cloned());
        if thorough { ledger.files.clone() } else { new }
    };
    for (uri, bytes) in files {
        let path = uri.strip_prefix("mxc://").context("no mxc URI")?;
        let answer = client.get(&format!("/_matrix/client/v1/media/download/{path}")).await?;
        ensure!(
            answer.status == 200 && answer.bytes == bytes,
            "{uri}: {} {}",
            answer.status,
            answer.errcode()
        );
    }
    Ok(())
}

/// Tokens that were given work, and those that were ended do not.
async fn sessions(world: &World) -> Result<()> {
    const WHOAMI: &str = "/_matrix/client/v3/account/whoami";
    let (on, ended) = {
        let ledger = world.ledger();
        let ended: Vec<String> = ledger.ended.iter().rev().take(5).cloned().collect();
        (ledger.sessions.clone(), ended)
    };
    let mut client = Client::new(world.address);
    for (device, session) in on {
        client.set_token(&session.token);
        let answer = client.call(Method::GET, WHOAMI, &Value::Null).await?;
        let same = answer.json()["device_id"] == *device;
        ensure!(answer.status == 200 && same, "the session on {device}: {} {}", answer.status, answer.json());
    }
    for token in ended {
        client.set_token(&token);
        let answer = client.call(Method::GET, WHOAMI, &Value::Null).await?;
        ensure!(
            answer.errcode() == "M_UNKNOWN_TOKEN",
            "an ended session: {} {}",
            answer.status,
            answer.json()
        );
    }
    Ok(())
}
