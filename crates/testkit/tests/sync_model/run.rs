//! One story.

use std::collections::{BTreeMap, HashMap, HashSet};

use http::Method;
use serde_json::{Value, json};

use super::check::Everything;
use super::clients::{Client, Face, Told};
use super::house::{House, Session, V3, ask, log};
use super::ops::{CLIENTS, How, Luck, MOST_ROOMS, Op, PEOPLE, ROOMS, Wish};
use super::truth::Truth;

const NAMES: [&str; PEOPLE + 1] = ["alice", "carol", "keeper"];
const KEEPER: usize = PEOPLE;
const VISIBILITIES: [&str; 4] = ["shared", "joined", "invited", "world_readable"];
/// How long a request waits that waits, in milliseconds of a clock that goes on when nothing else does.
const WAIT: u64 = 1000;

type Wanted = (usize, Method, String, Value);

struct Run {
    house: House,
    people: Vec<Session>,
    rooms: Vec<String>,
    clients: Vec<Vec<Client>>,
    /// Messages: their rooms and ids.
    said: Vec<(String, String)>,
    redacted: HashSet<String>,
    /// By user: the memberships, by event, in which a room was forgotten.
    forgotten: Vec<HashSet<String>>,
    notes: Vec<BTreeMap<(String, String), Value>>,
    counter: usize,
}

pub(crate) fn run(seed: u64, ops: &[Op]) -> Result<(), String> {
    let mut run = Run::new(seed);
    for op in ops {
        run.apply(op)?;
    }
    run.conclude()
}

fn faces(who: usize) -> [(Face, &'static str); CLIENTS] {
    let lazy = who == 0;
    [
        (Face::Live, "a"),
        (Face::Merged, "b"),
        (Face::Live, "c"),
        (Face::Classic { after: false, lazy: !lazy }, ""),
        (Face::Classic { after: true, lazy }, ""),
    ]
}

impl Run {
    fn new(seed: u64) -> Self {
        let house = House::new(seed);
        let people: Vec<Session> = NAMES.iter().map(|name| house.register(name)).collect();
        let clients = |who: usize| -> Vec<Client> {
            let user_id = &people[who].user_id;
            faces(who).iter().map(|(face, conn_id)| Client::new(*face, conn_id, user_id)).collect()
        };
        let mut run = Self {
            clients: (0..PEOPLE).map(clients).collect(),
            house,
            people,
            rooms: Vec::new(),
            said: Vec::new(),
            redacted: HashSet::new(),
            forgotten: vec![HashSet::new(); PEOPLE],
            notes: vec![BTreeMap::new(); PEOPLE],
            counter: 0,
        };
        for _ in 0..ROOMS {
            run.make_room(Some(run.rooms.len() % PEOPLE));
        }
        run
    }

    fn make_room(&mut self, invite: Option<usize>) {
        let number = self.rooms.len();
        let rule = if number.is_multiple_of(2) { "public" } else { "knock" };
        let state = |kind: &str, content: Value| json!({ "type": kind, "state_key": "", "content": content });
        let invited: Vec<&str> = invite.map(|who| self.people[who].user_id.as_str()).into_iter().collect();
        let mut wish = json!({
            "preset": "public_chat", "invite": invited, "is_direct": number.is_multiple_of(3),
            "initial_state": [
                state("m.room.join_rules", json!({ "join_rule": rule })),
                state("m.room.history_visibility", json!({ "history_visibility": VISIBILITIES[number % 4] })),
            ],
        });
        if number % 3 == 1 {
            wish["name"] = json!(format!("room {number}"));
        }
        let made = self.house.ask(&self.people[KEEPER], Method::POST, &format!("{V3}/createRoom"), &wish);
        self.rooms.push(made["room_id"].as_str().unwrap().to_owned());
    }

    fn apply(&mut self, op: &Op) -> Result<(), String> {
        match op {
            Op::Restart => {
                self.house.restart();
                self.clients.iter_mut().flatten().for_each(|client| client.survive(false));
            }
            Op::Kill => {
                self.house.kill();
                self.clients.iter_mut().flatten().for_each(|client| client.survive(true));
            }
            Op::NewRoom { .. } if self.rooms.len() >= MOST_ROOMS => {}
            Op::NewRoom { invite } => self.make_room(*invite),
            Op::Sync { who, client, wish, luck } => {
                let wish = wish.clone().unwrap_or_else(|| self.clients[*who][*client].wish.clone());
                self.sync(*who, *client, &wish, luck)?;
            }
            op => {
                if let Some((who, method, path, body)) = self.wanted(op) {
                    let answer = self.house.ask(&self.people[who], method, &path, &body);
                    self.note(op, &answer);
                }
            }
        }
        Ok(())
    }

    /// The request that does it, where it can be done.
    fn wanted(&mut self, op: &Op) -> Option<Wanted> {
        self.counter += 1;
        let n = self.counter;
        let room = |number: &usize| self.rooms.get(*number);
        let said = |nth: &usize| self.said.get(self.said.len().checked_sub(1 + nth)?);
        let text = |body: String| json!({ "msgtype": "m.text", "body": body });
        let put = |who: &usize, path: String, body: Value| Some((*who, Method::PUT, path, body));
        match op {
            Op::Say { who, room: number } => {
                let path = format!("{V3}/rooms/{}/send/m.room.message/t{n}", room(number)?);
                put(who, path, text(format!("message {n}")))
            }
            Op::Edit { who, nth } => {
                let (room, event) = said(nth)?;
                let mut body = text(format!("* {n}"));
                body["m.new_content"] = text(n.to_string());
                body["m.relates_to"] = json!({ "rel_type": "m.replace", "event_id": event });
                put(who, format!("{V3}/rooms/{room}/send/m.room.message/t{n}"), body)
            }
            Op::Redact { who, nth } => {
                let (room, event) = said(nth)?;
                put(who, format!("{V3}/rooms/{room}/redact/{event}/t{n}"), json!({}))
            }
            Op::State { room: number, kind, key } => {
                let (kind, key, content) = match kind {
                    0 => ("m.room.topic", "", json!({ "topic": format!("topic {n}") })),
                    1 => ("m.room.name", "", json!({ "name": format!("name {n}") })),
                    2 => ("org.example.a", ["", "a", "b"][*key], json!({ "n": n })),
                    _ => ("org.example.b", "", json!({ "n": n })),
                };
                put(&KEEPER, format!("{V3}/rooms/{}/state/{kind}/{key}", room(number)?), content)
            }
            Op::Visibility { room: number, to } => {
                let path = format!("{V3}/rooms/{}/state/m.room.history_visibility", room(number)?);
                put(&KEEPER, path, json!({ "history_visibility": VISIBILITIES[*to] }))
            }
            Op::Member { who, room: number, how } => self.move_member(*who, room(number)?, *how),
            Op::Rename { who, to } => {
                let path = format!("{V3}/profile/{}/displayname", self.people[*who].user_id);
                put(who, path, json!({ "displayname": format!("{} {to}", self.people[*who].name) }))
            }
            Op::Receipt { who, nth, private } => {
                let (room, event) = said(nth)?;
                let kind = if *private { "m.read.private" } else { "m.read" };
                let path = format!("{V3}/rooms/{room}/receipt/{kind}/{event}");
                Some((*who, Method::POST, path, json!({})))
            }
            Op::Tag { who, room: number, to } => self.put_note(
                *who,
                Some(room(number)?),
                "m.tag",
                json!({ "tags": { format!("u.{to}"): {} } }),
            ),
            Op::Note { who, room: number, to } => {
                let room = number.as_ref().map(room);
                self.put_note(
                    *who,
                    room.map_or(Some(None), |room| room.map(Some))?,
                    "org.example",
                    json!({ "n": to }),
                )
            }
            Op::NewRoom { .. } | Op::Sync { .. } | Op::Restart | Op::Kill => None,
        }
    }

    fn put_note(&self, who: usize, room: Option<&String>, kind: &str, content: Value) -> Option<Wanted> {
        let room = room.map(|room| format!("/rooms/{room}")).unwrap_or_default();
        let path = format!("{V3}/user/{}{room}/account_data/{kind}", self.people[who].user_id);
        Some((who, Method::PUT, path, content))
    }

    fn move_member(&self, who: usize, room: &str, how: How) -> Option<Wanted> {
        let user_id = &self.people[who].user_id;
        let (by, how) = match how {
            How::Join => return Some((who, Method::POST, format!("{V3}/join/{room}"), json!({}))),
            How::Knock => return Some((who, Method::POST, format!("{V3}/knock/{room}"), json!({}))),
            How::Leave => (who, "leave"),
            How::Forget => (who, "forget"),
            How::Invite => (KEEPER, "invite"),
            How::Kick => (KEEPER, "kick"),
            How::Ban => (KEEPER, "ban"),
            How::Unban => (KEEPER, "unban"),
        };
        let body = if by == KEEPER { json!({ "user_id": user_id }) } else { json!({}) };
        Some((by, Method::POST, format!("{V3}/rooms/{room}/{how}"), body))
    }

    /// What is remembered of what was done.
    fn note(&mut self, op: &Op, answer: &Value) {
        if answer.get("errcode").is_some() {
            return;
        }
        match op {
            Op::Say { room, .. } => {
                self.said.push((self.rooms[*room].clone(), answer["event_id"].as_str().unwrap().to_owned()));
            }
            Op::Redact { nth, .. } => {
                self.redacted.insert(self.said[self.said.len() - 1 - nth].1.clone());
            }
            Op::Member { who, room, how: How::Forget } => {
                let truth = self.truth(&self.rooms[*room]);
                self.forgotten[*who].extend(truth.view(&self.people[*who].user_id).own);
            }
            Op::Tag { who, room, to } => {
                let key = (self.rooms[*room].clone(), "m.tag".to_owned());
                self.notes[*who].insert(key, json!({ "tags": { format!("u.{to}"): {} } }));
            }
            Op::Note { who, room, to } => {
                let room = room.map(|room| self.rooms[room].clone()).unwrap_or_default();
                self.notes[*who].insert((room, "org.example".to_owned()), json!({ "n": to }));
            }
            _ => {}
        }
    }

    fn truth(&self, room: &str) -> Truth {
        Truth::new(&log(&self.house, &self.people[KEEPER], room))
    }

    fn sync(&mut self, who: usize, number: usize, wish: &Wish, luck: &Luck) -> Result<Told, String> {
        let wanted = match luck {
            Luck::Waits(op) => self.wanted(op),
            _ => None,
        };
        let client = &mut self.clients[who][number];
        client.known.redacted.clone_from(&self.redacted);
        client.wishes(wish);
        let waits = matches!(luck, Luck::Waits(_));
        let (method, path, body) = client.request(wish, &self.rooms, if waits { WAIT } else { 0 });
        let session = &self.people[who];
        let people = &self.people;
        let (answer, other, done) = self.house.run(async |server| {
            let sync = async || ask(server, session, method.clone(), &path, Some(&body)).await.1;
            match luck {
                Luck::Arrives | Luck::Lost => (sync().await, None, None),
                Luck::Twice => {
                    let (first, second) = futures_util::join!(sync(), sync());
                    (second, Some(first), None)
                }
                Luck::Waits(_) => {
                    let work = async {
                        let (who, method, path, body) = wanted?;
                        Some(ask(server, &people[who], method, &path, Some(&body)).await.1)
                    };
                    let (answer, done) = futures_util::join!(sync(), work);
                    (answer, None, done)
                }
            }
        });
        let context = |error: String| format!("{who}/{number}: {error}");
        let client = &mut self.clients[who][number];
        let mut told = client.take(&answer, matches!(luck, Luck::Lost)).map_err(context)?;
        if let (Told::Nothing, Some(other)) = (&told, other) {
            // The second was overtaken by the first.
            told = client.take(&other, false).map_err(context)?;
        }
        if let (Luck::Waits(op), Some(done)) = (luck, done) {
            self.note(op, &done);
        }
        Ok(told)
    }

    fn conclude(mut self) -> Result<(), String> {
        // What is done behind, as changes of names are, is done.
        self.house.run(async |_| tokio::time::sleep(std::time::Duration::from_secs(2)).await);
        for who in 0..PEOPLE {
            let user_id = self.people[who].user_id.clone();
            let fresh =
                faces(who).map(|(face, conn_id)| Client::new(face, &format!("{conn_id}fresh"), &user_id));
            self.clients[who].extend(fresh);
            for number in 0..2 * CLIENTS {
                self.drain(who, number)?;
            }
        }
        let rooms: HashMap<String, Truth> =
            self.rooms.iter().map(|room| (room.clone(), self.truth(room))).collect();
        for who in 0..PEOPLE {
            let everything = Everything {
                user_id: &self.people[who].user_id,
                rooms: &rooms,
                forgotten: &self.forgotten[who],
                notes: &self.notes[who],
                fresh: self.clients[who].last(),
            };
            for (number, client) in self.clients[who].iter().enumerate() {
                everything.check(client).map_err(|error| format!("{who}/{number}: {error}"))?;
            }
        }
        Ok(())
    }

    /// Asks until there is nothing new.
    fn drain(&mut self, who: usize, number: usize) -> Result<(), String> {
        let wish = Wish {
            range: (0, 20),
            limit: 3,
            state: 2 + number % 2,
            second: false,
            subscription: None,
            extensions: true,
        };
        for _ in 0..20 {
            if matches!(self.sync(who, number, &wish, &Luck::Arrives)?, Told::NoNews) {
                return Ok(());
            }
        }
        Err(format!("{who}/{number}: there is no end of news"))
    }
}
