//! Sticky events (MSC4354) over both faces of sync against a slow model: whatever happens, is lost and repeated, a client is
//! told each event that is sticky in each of its user's stays in the room, and in the section for it once.

#![expect(clippy::unwrap_used, reason = "a failure fails the test")]

mod support;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use myelin_model::RoomNid;
use myelin_runtime::ManualClock;
use myelin_store::schema::rooms::Membership;
use myelin_sync::sliding::SlidingError;
use myelin_sync::v3::V3Request;
use myelin_timeline::testing::Draft;
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{Client, Server, alice, bob};

const ROOMS: usize = 3;
const UNSTABLE: &str = "org.matrix.msc4354.sticky_events";

#[derive(Clone, Debug)]
enum Op {
    Stick { room: usize, duration: i64 },
    Say(usize),
    Redact(usize),
    Move { room: usize, to: Membership },
    Rename(usize),
    Wait(u64),
    V3 { limit: u64, lost: bool },
    Slide { last: u64, limit: u64, most: u64, lost: bool },
    Restart,
}

fn any_op() -> impl Strategy<Value = Op> {
    let room = 0..ROOMS;
    let to = prop::sample::select(vec![Membership::Join, Membership::Invite, Membership::Leave]);
    prop_oneof![
        8 => (room.clone(), 0..40_i64).prop_map(|(room, duration)| Op::Stick { room, duration }),
        3 => room.clone().prop_map(Op::Say),
        1 => (0..20_usize).prop_map(Op::Redact),
        2 => (room.clone(), to).prop_map(|(room, to)| Op::Move { room, to }),
        1 => room.prop_map(Op::Rename),
        2 => (1..10_u64).prop_map(Op::Wait),
        4 => (0..3_u64, any::<bool>()).prop_map(|(limit, lost)| Op::V3 { limit, lost }),
        4 => (0..3_u64, 0..3_u64, 1..4_u64, any::<bool>())
            .prop_map(|(last, limit, most, lost)| Op::Slide { last, limit, most, lost }),
        1 => Just(Op::Restart),
    ]
}

/// A client and what it was told.
struct Told {
    client: Client,
    /// Up to where by the extension.
    since: Option<String>,
    section: BTreeSet<(usize, u32, String)>,
    timeline: BTreeSet<(usize, u32, String)>,
}

struct Run {
    server: Server,
    rooms: Vec<RoomNid>,
    /// How often Alice came into each room, and whether she is there.
    stays: Vec<(u32, bool)>,
    /// Sticky events: their rooms, and until when.
    events: HashMap<String, (usize, i64)>,
    sent: Vec<myelin_store::schema::rooms::Event>,
    elapsed: u64,
    v3: Told,
    slider: Told,
}

fn ids(events: &Value) -> Vec<String> {
    let events = events.as_array().into_iter().flatten();
    events.map(|event| event["event_id"].as_str().unwrap().to_owned()).collect()
}

impl Run {
    async fn new() -> Self {
        let server = Server::new();
        let mut rooms = Vec::new();
        for visibility in ["shared", "joined", "invited"] {
            let room = server.world.room(bob(), visibility).await;
            server.world.member(room, alice(), alice(), Membership::Join).await;
            rooms.push(room);
        }
        let told = || Told {
            client: server.client(alice()),
            since: None,
            section: BTreeSet::new(),
            timeline: BTreeSet::new(),
        };
        let (v3, slider) = (told(), told());
        let stays = vec![(1, true); ROOMS];
        Self { server, rooms, stays, events: HashMap::new(), sent: Vec::new(), elapsed: 0, v3, slider }
    }

    fn now(&self) -> i64 {
        (ManualClock::START + self.elapsed).cast_signed()
    }

    async fn apply(&mut self, op: &Op) -> Result<(), TestCaseError> {
        let world = &self.server.world;
        match *op {
            Op::Stick { room, duration } => {
                let until = self.now() + duration;
                let draft = Draft::message(self.rooms[room], bob(), "org.example", json!({}));
                let event = world.send(draft.sticky(until, duration)).await;
                self.events.insert(event.event_id.to_string(), (room, until));
                self.sent.push(event);
            }
            Op::Say(room) => {
                world.say(self.rooms[room], bob(), "something else").await;
            }
            Op::Redact(nth) if nth < self.sent.len() => {
                let event = self.sent.remove(nth);
                world.redact(bob(), &event).await;
                self.events.remove(event.event_id.as_str());
            }
            Op::Redact(_) => {}
            Op::Move { room, to } => {
                let sender = if to == Membership::Join { alice() } else { bob() };
                world.member(self.rooms[room], sender, alice(), to).await;
                let (stays, inside) = &mut self.stays[room];
                *stays += u32::from(to == Membership::Join && !*inside);
                *inside = to == Membership::Join;
            }
            Op::Rename(room) if self.stays[room].1 => {
                world.member(self.rooms[room], alice(), alice(), Membership::Join).await;
            }
            Op::Rename(_) => {}
            Op::Wait(millis) => {
                self.elapsed += millis;
                self.server.clock.advance(Duration::from_millis(millis));
            }
            Op::V3 { limit, lost } => self.sync(limit, lost).await?,
            Op::Slide { last, limit, most, lost } => self.slide(last, limit, most, lost).await?,
            Op::Restart => unreachable!("it takes the server"),
        }
        Ok(())
    }

    async fn restart(mut self) -> Self {
        self.server = self.server.restart().await;
        self.server.clock.advance(Duration::from_millis(self.elapsed));
        self
    }

    /// Holds what a room was told against what there is; the answer reached the client unless it was lost.
    fn take(
        &mut self,
        (sliding, lost): (bool, bool),
        room: usize,
        section: &Value,
        timeline: &Value,
    ) -> Result<(), TestCaseError> {
        let (stay, inside) = self.stays[room];
        let (section, shown) = (ids(section), ids(timeline));
        for id in &section {
            let event = self.events.get(id);
            prop_assert!(inside, "{} is told to somebody outside", id);
            prop_assert!(
                event.is_some_and(|(of, until)| *of == room && *until > self.now()),
                "{} is over",
                id
            );
            prop_assert!(!shown.contains(id), "{} is in the timeline of the same answer", id);
        }
        if lost {
            return Ok(());
        }
        let told = if sliding { &mut self.slider } else { &mut self.v3 };
        for id in section {
            prop_assert!(told.section.insert((room, stay, id.clone())), "{} is told twice", id);
        }
        told.timeline.extend(shown.into_iter().map(|id| (room, stay, id)));
        Ok(())
    }

    async fn sync(&mut self, limit: u64, lost: bool) -> Result<(), TestCaseError> {
        let filter = json!({ "room": { "timeline": { "limit": limit } } }).to_string();
        let request = V3Request { filter: Some(filter), ..V3Request::default() };
        let mut client = self.v3.client.clone();
        let answer = client.try_v3(&self.server, request).await.unwrap();
        for room in 0..ROOMS {
            let part = &answer["rooms"]["join"][self.server.world.room_id(self.rooms[room]).as_str()];
            let (section, timeline) = (&part["msc4354_sticky"]["events"], &part["timeline"]["events"]);
            self.take((false, lost), room, section, timeline)?;
        }
        if !lost {
            self.v3.client = client;
        }
        Ok(())
    }

    async fn slide(&mut self, last: u64, limit: u64, most: u64, lost: bool) -> Result<(), TestCaseError> {
        let mut body = support::list(last, limit, json!([]));
        body["extensions"] =
            json!({ UNSTABLE: { "enabled": true, "limit": most, "since": self.slider.since } });
        let mut client = self.slider.client.clone();
        let answer = match client.try_slide(&self.server, body.clone(), 0).await {
            Err(SlidingError::UnknownPos(_)) => {
                client.pos = None;
                client.try_slide(&self.server, body, 0).await.unwrap()
            }
            answer => answer.unwrap(),
        };
        for room in 0..ROOMS {
            let id = self.server.world.room_id(self.rooms[room]).to_string();
            if answer["rooms"][&id]["initial"] == true && !lost {
                self.slider.section.retain(|(of, ..)| *of != room);
            }
            let section = &answer["extensions"][UNSTABLE]["rooms"][&id]["events"];
            self.take((true, lost), room, section, &answer["rooms"][&id]["timeline"])?;
        }
        if !lost {
            self.slider.client = client;
            let next = answer["extensions"][UNSTABLE]["next_batch"].as_str();
            self.slider.since = next.map(str::to_owned).or(self.slider.since.take());
        }
        Ok(())
    }

    async fn check(mut self) -> Result<(), TestCaseError> {
        for _ in 0..=self.events.len() {
            self.sync(0, false).await?;
            self.slide(0, 0, 1, false).await?;
        }
        for (id, (room, until)) in &self.events {
            let (stay, inside) = self.stays[*room];
            if !inside || *until <= self.now() {
                continue;
            }
            for told in [&self.v3, &self.slider] {
                let key = (*room, stay, id.clone());
                let is_told = told.section.contains(&key) || told.timeline.contains(&key);
                prop_assert!(is_told, "{} is never told", id);
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]
    #[test]
    fn every_client_is_told_what_is_sticky(ops in prop::collection::vec(any_op(), 0..50)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut run = Run::new().await;
            for op in &ops {
                if matches!(op, Op::Restart) {
                    run = run.restart().await;
                } else {
                    run.apply(op).await?;
                }
            }
            run.check().await
        })?;
    }
}
