//! Clients of each face: what they ask, and how they take the answer.

use std::collections::HashSet;

use http::Method;
use serde_json::{Map, Value, json};

use super::house::V3;
use super::ops::Wish;
use super::picture::{Pictures, each, state_key, text};

const LIVE: &str = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";
const MERGED: &str = "/_matrix/client/v4/sync";
const MEMBER: &str = "m.room.member";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Face {
    Live,
    Merged,
    /// With state as it is after the timeline or not, with members loading lazily or not.
    Classic {
        after: bool,
        lazy: bool,
    },
}

/// A client, and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) face: Face,
    conn_id: String,
    own_user_id: String,
    /// `pos` or `since`.
    pub(crate) place: Option<String>,
    pub(crate) known: Pictures,
    /// The rooms of the last answer that did not only go on, until it is acknowledged.
    last: HashSet<String>,
    /// What it wants.
    pub(crate) wish: Wish,
    /// The server was started again before the client came back with that answer's `pos`, and they are more than a `pos`
    /// can say: they may come again.
    may_repeat: HashSet<String>,
    /// It has acknowledged an answer of this connection.
    acknowledged: bool,
    /// The server was killed since it began.
    may_be_unknown: bool,
    /// It asks for members as timelines need them.
    pub(crate) lazy: bool,
    /// It did not ask so once: what it knows of members that no timeline needed since is its own affair.
    pub(crate) looked_away: bool,
}

/// What the server said.
pub(crate) enum Told {
    /// Another request of the same client was answered instead.
    Nothing,
    /// There is something in it.
    News,
    /// There is nothing new.
    NoNews,
    /// It has to start again.
    StartAgain,
}

impl Client {
    pub(crate) fn new(face: Face, conn_id: &str, own_user_id: &str) -> Self {
        Self {
            face,
            conn_id: conn_id.to_owned(),
            own_user_id: own_user_id.to_owned(),
            place: None,
            known: Pictures::default(),
            last: HashSet::new(),
            wish: Wish {
                range: (0, 2),
                limit: 2,
                state: 1,
                second: false,
                subscription: None,
                extensions: true,
            },
            may_repeat: HashSet::new(),
            acknowledged: false,
            may_be_unknown: false,
            lazy: false,
            looked_away: false,
        }
    }

    /// Notes what it wants now.
    pub(crate) fn wishes(&mut self, wish: &Wish) {
        self.wish = wish.clone();
        self.lazy = match self.face {
            Face::Live | Face::Merged => wish.state == 3,
            Face::Classic { lazy, .. } => lazy,
        };
        self.looked_away |= self.is_sliding() && !self.lazy;
    }

    /// The server was started again. Where it was killed, it may have forgotten what nobody has come back to.
    pub(crate) fn survive(&mut self, killed: bool) {
        self.may_repeat.extend(std::mem::take(&mut self.last));
        self.may_be_unknown |= killed && !self.acknowledged;
    }

    pub(crate) fn request(&self, wish: &Wish, rooms: &[String], timeout: u64) -> (Method, String, Value) {
        match self.face {
            Face::Live => {
                let pos = self.place.as_ref().map(|pos| format!("&pos={pos}")).unwrap_or_default();
                (Method::POST, format!("{LIVE}?timeout={timeout}{pos}"), self.live_body(wish, rooms))
            }
            Face::Merged => {
                let mut body = self.merged_body(wish, rooms);
                (body["timeout"], body["pos"]) = (json!(timeout), json!(self.place));
                (Method::POST, MERGED.to_owned(), body)
            }
            Face::Classic { after, lazy } => {
                let limit = wish.limit.max(1);
                let filter = json!({ "room": {
                    "timeline": { "limit": limit }, "state": { "lazy_load_members": lazy },
                } });
                let filter = filter.to_string().replace('{', "%7B").replace('}', "%7D").replace('"', "%22");
                let since = self.place.as_ref().map(|since| format!("&since={since}")).unwrap_or_default();
                let path =
                    format!("{V3}/sync?timeout={timeout}&filter={filter}&use_state_after={after}{since}");
                (Method::GET, path, Value::Null)
            }
        }
    }

    fn live_body(&self, wish: &Wish, rooms: &[String]) -> Value {
        let me = json!([MEMBER, "$ME"]);
        let state = match wish.state {
            0 => json!([me]),
            1 | 4 => json!([me, ["m.room.topic", ""], ["m.room.name", ""]]),
            2 => json!([["*", "*"]]),
            _ => json!([me, ["*", "*"], [MEMBER, "$LAZY"]]),
        };
        let (from, to) = wish.range;
        let mut lists = json!({ "all": {
            "ranges": [[from, to]], "timeline_limit": wish.limit, "required_state": state,
        } });
        if wish.second {
            lists["second"] = json!({
                "ranges": [[0, 0]], "timeline_limit": 2, "required_state": [me], "filters": { "is_invite": false },
            });
        }
        let subscription = wish.subscription.filter(|(room, _)| *room < rooms.len()).map(|(room, limit)| {
            (
                rooms[room].clone(),
                json!({ "timeline_limit": limit, "required_state": [me, ["org.example.a", "*"]] }),
            )
        });
        let subscriptions: Map<String, Value> = subscription.into_iter().collect();
        let mut body =
            json!({ "conn_id": self.conn_id, "lists": lists, "room_subscriptions": subscriptions });
        if wish.extensions {
            body["extensions"] =
                json!({ "account_data": { "enabled": true }, "receipts": { "enabled": true } });
        }
        body
    }

    fn merged_body(&self, wish: &Wish, rooms: &[String]) -> Value {
        let me = json!({ "type": MEMBER, "state_key": self.own_user_id });
        let state = match wish.state {
            0 => json!({ "include": [me] }),
            1 => json!({ "include": [me, { "type": "m.room.topic" }, { "type": "m.room.name" }] }),
            2 => json!({ "include": [{}] }),
            3 => json!({ "include": [{}, me], "lazy_members": true }),
            _ => {
                json!({ "include": [{}], "exclude": [{ "type": "m.room.topic" }, { "type": "org.example.a" }] })
            }
        };
        let mut lists = json!({ "all": {
            "range": [wish.range.0, wish.range.1], "timeline_limit": wish.limit, "required_state": state,
        } });
        if wish.second {
            lists["second"] = json!({
                "range": [0, 0], "timeline_limit": 2, "required_state": { "include": [me] },
                "filters": { "is_invited": false },
            });
        }
        let subscription = wish.subscription.filter(|(room, _)| *room < rooms.len()).map(|(room, limit)| {
            let state = json!({ "include": [me, { "type": "org.example.a" }] });
            (rooms[room].clone(), json!({ "timeline_limit": limit, "required_state": state }))
        });
        let subscriptions: Map<String, Value> = subscription.into_iter().collect();
        let mut body =
            json!({ "conn_id": self.conn_id, "lists": lists, "room_subscriptions": subscriptions });
        if wish.extensions {
            body["extensions"] = json!({
                "account_data": { "enabled": true }, "org.matrix.msc4551.receipts": { "enabled": true },
            });
        }
        body
    }

    /// Takes an answer, unless it was lost.
    pub(crate) fn take(&mut self, answer: &Value, lost: bool) -> Result<Told, String> {
        if answer["errcode"] == "M_UNKNOWN_POS" {
            if !std::mem::take(&mut self.may_be_unknown) {
                return Err("an honest client is turned away".to_owned());
            }
            *self = Self::new(self.face, &self.conn_id, &self.own_user_id);
            return Ok(Told::StartAgain);
        }
        let next = match self.face {
            Face::Classic { .. } => &answer["next_batch"],
            Face::Live | Face::Merged => &answer["pos"],
        };
        let Some(next) = next.as_str() else { return Err(format!("refused: {answer}")) };
        if next.is_empty() || (self.place.as_deref() == Some(next) && self.is_sliding()) {
            return Ok(Told::Nothing);
        }
        self.acknowledged |= self.place.is_some();
        self.may_be_unknown &= self.place.is_none();
        self.last.clear();
        if lost {
            return Ok(Told::Nothing);
        }
        self.place = Some(next.to_owned());
        let news = match self.face {
            Face::Classic { after, .. } => self.take_classic(answer, after)?,
            Face::Live | Face::Merged => self.take_sliding(answer)?,
        };
        Ok(if news { Told::News } else { Told::NoNews })
    }

    pub(crate) fn is_sliding(&self) -> bool {
        matches!(self.face, Face::Live | Face::Merged)
    }

    fn take_sliding(&mut self, answer: &Value) -> Result<bool, String> {
        self.known.count = answer["lists"]["all"]["count"].as_u64();
        let rooms = answer["rooms"].as_object().ok_or("there are no rooms")?;
        for (room_id, room) in rooms {
            let may_repeat = self.may_repeat.remove(room_id);
            self.take_sliding_room(room_id, room, may_repeat)
                .map_err(|error| format!("{room_id}: {error}"))?;
        }
        let extensions = &answer["extensions"];
        self.known.take_notes(&extensions["account_data"]["global"]);
        for (room_id, notes) in extensions["account_data"]["rooms"].as_object().into_iter().flatten() {
            self.known.rooms.entry(room_id.clone()).or_default().take_notes(notes);
        }
        let name = if self.face == Face::Live { "receipts" } else { "org.matrix.msc4551.receipts" };
        for (room_id, event) in extensions[name]["rooms"].as_object().into_iter().flatten() {
            self.known.rooms.entry(room_id.clone()).or_default().take_receipts(&event["content"]);
        }
        Ok(!rooms.is_empty())
    }

    fn take_sliding_room(&mut self, room_id: &str, room: &Value, may_repeat: bool) -> Result<(), String> {
        let (stripped, expanded) = match self.face {
            Face::Merged => ("stripped_state", "expanded_timeline"),
            _ => ("invite_state", "unstable_expanded_timeline"),
        };
        let own = (MEMBER.to_owned(), self.own_user_id.clone());
        let is_own = |event: &&Value| state_key(event).as_ref() == Some(&own);
        let picture = self.known.rooms.entry(room_id.to_owned()).or_default();
        if room["initial"] == true {
            let mine = each(&room["required_state"]).find(is_own).map(|event| text(event, "event_id"));
            if !may_repeat && mine.is_some() && picture.state.get(&own) == mine.as_ref() {
                return Err("it is sent anew, though the client has it".to_owned());
            }
            picture.begin_again();
        }
        // A room in two lists is wanted as both say, and those change with every message.
        let plain = !self.wish.second && self.wish.subscription.is_none();
        // The other list and the subscription ask for no members: senders come with the timeline where the first list has the
        // room, too (MSC4186, "Lazy loaded memberships"). The merged form says whether it does.
        let lazy = self.lazy && (plain || each(&room["lists"]).any(|list| list == "all"));
        let wish = plain.then(|| self.wish.clone());
        let only_goes_on = room["initial"] != true
            && wish.is_some()
            && picture.wish == wish
            && picture.membership == "join"
            && room.get("is_dm").is_none();
        picture.wish = wish;
        let told = if let Some(state) = room.get(stripped) {
            each(state).find(is_own)
        } else {
            let manner = (room["limited"] == true, room[expanded] == true || may_repeat, lazy);
            picture.take_timeline(&room["timeline"], manner, &self.known.redacted)?;
            picture.take_state(&room["required_state"]);
            each(&room["required_state"]).find(is_own)
        };
        let told = told.map(|event| text(&event["content"], "membership"));
        if let Some(membership) = &told {
            picture.membership.clone_from(membership);
        }
        if self.face == Face::Merged {
            let said = text(room, "membership");
            if told.is_some_and(|told| told != said) || said.is_empty() {
                return Err(format!("the membership is called {said}"));
            }
            picture.membership = said;
        }
        picture.take_counts(room);
        // What came again because a killed server had not stored how it was wanted is not stored now either.
        if !only_goes_on || may_repeat || picture.membership != "join" {
            self.last.insert(room_id.to_owned());
        }
        Ok(())
    }

    fn take_classic(&mut self, answer: &Value, after: bool) -> Result<bool, String> {
        let rooms = &answer["rooms"];
        for section in ["join", "leave"] {
            for (room_id, room) in rooms[section].as_object().into_iter().flatten() {
                let picture = self.known.rooms.entry(room_id.clone()).or_default();
                // A room that was joined comes whole.
                if section == "join" && picture.membership != "join" {
                    picture.begin_again();
                }
                section.clone_into(&mut picture.membership);
                let timeline = &room["timeline"];
                // What is limited begins a new timeline.
                let limited = timeline["limited"] == true;
                if limited && self.lazy {
                    // Whose membership changed within the gap, such a client is not told.
                    picture.state.retain(|(kind, user), _| kind != MEMBER || *user == self.own_user_id);
                    picture.senders.clear();
                }
                picture.take_timeline(
                    &timeline["events"],
                    (limited, limited, self.lazy),
                    &self.known.redacted,
                )?;
                if after {
                    picture.take_state(&room["state_after"]["events"]);
                } else {
                    picture.take_state(&room["state"]["events"]);
                    picture.take_state(&timeline["events"]);
                }
                picture.take_notes(&room["account_data"]["events"]);
                picture.take_classic_counts(room);
                for event in each(&room["ephemeral"]["events"]).filter(|event| event["type"] == "m.receipt") {
                    picture.take_receipts(&event["content"]);
                }
            }
        }
        for section in ["invite", "knock"] {
            for (room_id, _) in rooms[section].as_object().into_iter().flatten() {
                let picture = self.known.rooms.entry(room_id.clone()).or_default();
                section.clone_into(&mut picture.membership);
            }
        }
        self.known.take_notes(&answer["account_data"]["events"]);
        Ok(rooms.as_object().is_some_and(|rooms| !rooms.is_empty()))
    }
}
