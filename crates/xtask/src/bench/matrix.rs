//! What the loads ask of a homeserver, in the client-server API's words.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail, ensure};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha1::Sha1;

use super::http::{Connection, Request, encode};

const V3: &str = "/_matrix/client/v3";
/// Sliding sync under the name that today's clients call it by (MSC4186).
const SLIDING: &str = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";
/// Where Synapse, and what takes its place, registers users by a secret shared with the operator.
const SHARED_SECRET: &str = "/_synapse/admin/v1/register";
/// How long a sync waits for something new, in milliseconds.
const LONG_POLL: u32 = 30_000;
/// How long one waits that is left waiting while others are measured, in milliseconds.
const LONG_WAIT: u32 = 280_000;

/// The body by which Element X (matrix-sdk-ui 0.18) asks for the newest rooms of its list, up to a number.
pub(crate) fn room_list(conn_id: &str, rooms: usize) -> String {
    let state = [
        ("m.room.name", ""),
        ("m.room.encryption", ""),
        ("m.room.member", "$LAZY"),
        ("m.room.member", "$ME"),
        ("m.room.topic", ""),
        ("m.room.avatar", ""),
        ("m.room.canonical_alias", ""),
        ("m.room.power_levels", ""),
        ("org.matrix.msc3401.call.member", "*"),
        ("m.room.join_rules", ""),
        ("m.room.tombstone", ""),
        ("m.room.create", ""),
        ("m.room.history_visibility", ""),
        ("io.element.functional_members", ""),
        ("m.space.parent", "*"),
        ("m.space.child", "*"),
        ("org.matrix.msc3672.beacon_info", "*"),
    ];
    let list = json!({
        "ranges": [[0, rooms.saturating_sub(1)]],
        "timeline_limit": 1,
        "required_state": state,
        "filters": {},
    });
    let extensions = json!({
        "account_data": {"enabled": true},
        "receipts": {"enabled": true, "rooms": ["*"]},
        "typing": {"enabled": true},
    });
    json!({"conn_id": conn_id, "lists": {"all_rooms": list}, "extensions": extensions}).to_string()
}

/// A session of a user, over one connection of its own.
pub(crate) struct User {
    connection: Connection,
    token: String,
}

/// What another connection needs to go on with a session.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    token: String,
}

impl Login {
    /// The login that this access token belongs to.
    pub(crate) fn of(token: String) -> Self {
        Self { token }
    }
}

/// By what somebody says who they are.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    pub(crate) name: String,
    pub(crate) password: String,
    pub(crate) user_id: String,
}

/// How users come to be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registration {
    /// Synapse's `registration_shared_secret`; without one, registration must be open to all.
    pub(crate) secret: Option<String>,
}

/// A name that this server does not have yet.
pub(crate) fn fresh_name() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("bench-{:x}-{now:x}-{}", std::process::id(), next_number())
}

/// Another number each time. Sessions have several connections, and these must not share transaction ids.
fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl User {
    /// Registers a new user.
    pub(crate) fn register(address: &str, registration: &Registration) -> Result<(Self, Credentials)> {
        let mut user = Self { connection: Connection::new(address), token: String::new() };
        let (name, password) = (fresh_name(), fresh_name());
        let answer = match &registration.secret {
            Some(secret) => user.register_by_secret(secret, &name, &password)?,
            None => user.register_openly(&name, &password)?,
        };
        user.token = text(&answer, "access_token")?;
        Ok((user, Credentials { name, password, user_id: text(&answer, "user_id")? }))
    }

    /// Logs in with a password, as another device that is not used any further.
    pub(crate) fn log_in(address: &str, who: &Credentials) -> Result<()> {
        let mut user = Self { connection: Connection::new(address), token: String::new() };
        let identifier = json!({ "type": "m.id.user", "user": who.name });
        let body = json!({ "type": "m.login.password", "identifier": identifier, "password": who.password });
        user.expect("POST", &format!("{V3}/login"), &body).map(drop)
    }

    /// Asks whose session this is: what costs least of all that needs one.
    pub(crate) fn who_am_i(&mut self) -> Result<()> {
        self.raw("GET", &format!("{V3}/account/whoami"), "").map(drop)
    }

    /// Asks for what needs no session.
    pub(crate) fn versions(&mut self) -> Result<()> {
        self.connection.exchange(&Request::get("/_matrix/client/versions")).map(drop)
    }

    /// The same connection, with another session.
    pub(crate) fn become_another(&mut self, login: &Login) {
        self.token.clone_from(&login.token);
    }

    /// The same session over another connection.
    pub(crate) fn another_connection(&self, address: &str) -> Self {
        Self::resume(address, &self.login())
    }

    /// What [`resume`](Self::resume) needs.
    pub(crate) fn login(&self) -> Login {
        Login { token: self.token.clone() }
    }

    /// A session that was begun before, perhaps before the server was started anew.
    pub(crate) fn resume(address: &str, login: &Login) -> Self {
        Self { connection: Connection::new(address), token: login.token.clone() }
    }

    /// User-interactive authentication with the stage that asks for nothing.
    fn register_openly(&mut self, name: &str, password: &str) -> Result<Value> {
        let path = format!("{V3}/register");
        let mut body = json!({"username": name, "password": password});
        let (status, answer) = self.ask("POST", &path, &body)?;
        if status == 200 {
            return Ok(answer);
        }
        let session = text(&answer, "session").with_context(|| {
            format!("registration is not open (give the shared secret): {status} {answer}")
        })?;
        body["auth"] = json!({"type": "m.login.dummy", "session": session});
        self.expect("POST", &path, &body)
    }

    fn register_by_secret(&mut self, secret: &str, name: &str, password: &str) -> Result<Value> {
        let nonce = text(&self.expect("GET", SHARED_SECRET, &Value::Null)?, "nonce")?;
        let mut code = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).context("the shared secret")?;
        code.update([nonce.as_str(), name, password, "notadmin"].join("\0").as_bytes());
        let mac: String = code.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let body =
            json!({"nonce": nonce, "username": name, "password": password, "admin": false, "mac": mac});
        self.expect("POST", SHARED_SECRET, &body)
    }

    fn ask(&mut self, method: &'static str, path: &str, body: &Value) -> Result<(u16, Value)> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let token = (!self.token.is_empty()).then_some(self.token.as_str());
        let answer = self.connection.exchange(&Request { token, ..Request::json(method, path, &body) })?;
        Ok((answer.status, serde_json::from_slice(&answer.body).unwrap_or_default()))
    }

    fn expect(&mut self, method: &'static str, path: &str, body: &Value) -> Result<Value> {
        let (status, answer) = self.ask(method, path, body)?;
        if status != 200 {
            bail!("{method} {path}: {status} {answer}");
        }
        Ok(answer)
    }

    /// Sends a request whose answer is read and not looked into.
    fn raw(&mut self, method: &'static str, path: &str, body: &str) -> Result<Vec<u8>> {
        let request = Request { token: Some(&self.token), ..Request::json(method, path, body) };
        let answer = self.connection.exchange(&request)?;
        if answer.status != 200 {
            bail!("{method} {path}: {} {}", answer.status, String::from_utf8_lossy(&answer.body));
        }
        Ok(answer.body)
    }

    /// A room that only this user is in, as a client makes it. Its id.
    pub(crate) fn create_room(&mut self) -> Result<String> {
        self.create(&json!({"preset": "private_chat", "name": "A room"}))
    }

    /// A room that anyone may join. Its id.
    pub(crate) fn create_public_room(&mut self) -> Result<String> {
        self.create(&json!({"preset": "public_chat", "name": "A room for all"}))
    }

    fn create(&mut self, body: &Value) -> Result<String> {
        text(&self.expect("POST", &format!("{V3}/createRoom"), body)?, "room_id")
    }

    pub(crate) fn join(&mut self, room: &str) -> Result<()> {
        self.expect("POST", &format!("{V3}/rooms/{}/join", encode(room)), &json!({})).map(drop)
    }

    /// Sends a text message with a transaction id of its own.
    pub(crate) fn send(&mut self, room: &str, message: &str) -> Result<()> {
        let path = format!("{V3}/rooms/{}/send/m.room.message/bench{}", encode(room), next_number());
        let body = json!({"msgtype": "m.text", "body": message}).to_string();
        self.raw("PUT", &path, &body).map(drop)
    }

    /// Schedules a message for when nothing is heard of this user for ten minutes; `None` where there is no such thing.
    pub(crate) fn delay(&mut self, room: &str) -> Result<Option<String>> {
        let path = format!(
            "{V3}/rooms/{}/send/m.room.message/{}?org.matrix.msc4140.delay=600000",
            encode(room),
            next_number()
        );
        let (_, answer) =
            self.ask("PUT", &path, &json!({ "msgtype": "m.text", "body": "I have lost the call." }))?;
        Ok(answer.get("delay_id").and_then(Value::as_str).map(str::to_owned))
    }

    /// Begins the time of a delayed event anew.
    pub(crate) fn restart(&mut self, delay: &str) -> Result<()> {
        let path = format!("/_matrix/client/unstable/org.matrix.msc4140/delayed_events/{}", encode(delay));
        self.expect("POST", &path, &json!({ "action": "restart" })).map(drop)
    }

    /// The members of a room, as the answer's bytes.
    pub(crate) fn members(&mut self, room: &str) -> Result<Vec<u8>> {
        self.raw("GET", &format!("{V3}/rooms/{}/members", encode(room)), "")
    }

    /// A page of a room's history, backwards from a token or from the end: how many events, and the next token.
    pub(crate) fn history(&mut self, room: &str, from: Option<&str>) -> Result<(usize, Option<String>)> {
        let from = from.map(|token| format!("&from={}", encode(token))).unwrap_or_default();
        let path = format!("{V3}/rooms/{}/messages?dir=b&limit=100{from}", encode(room));
        let page: Page = serde_json::from_slice(&self.raw("GET", &path, "")?).context("a page of history")?;
        Ok((page.chunk.len(), page.end))
    }

    /// `/v3/sync`: at once without a token, or waiting for news since one.
    pub(crate) fn sync(&mut self, since: Option<&str>) -> Result<Synced> {
        let since = since.map(|token| format!("?timeout={LONG_POLL}&since={}", encode(token)));
        let answer = self.raw("GET", &format!("{V3}/sync{}", since.unwrap_or_default()), "")?;
        Synced::new(answer, "next_batch")
    }

    /// Sliding sync over all rooms: at once without a position, or waiting for news since one.
    pub(crate) fn sliding_sync(&mut self, since: Option<&str>) -> Result<Synced> {
        let since = since.map(|position| format!("?timeout={LONG_POLL}&pos={}", encode(position)));
        let list = json!({"ranges": [[0, 19]], "timeline_limit": 1, "required_state": []});
        let body = json!({"conn_id": "bench", "lists": {"all": list}}).to_string();
        let answer = self.raw("POST", &format!("{SLIDING}{}", since.unwrap_or_default()), &body)?;
        Synced::new(answer, "pos")
    }

    /// `/v3/sync` that does not wait, as the answer's bytes.
    pub(crate) fn sync_now(&mut self, since: Option<&str>) -> Result<Synced> {
        let since = since.map(|token| format!("&since={}", encode(token))).unwrap_or_default();
        let answer = self.raw("GET", &format!("{V3}/sync?timeout=0{since}"), "")?;
        Synced::new(answer, "next_batch")
    }

    /// Element X's sliding sync, at once: the newest `rooms` of a list, as [`room_list`] writes it.
    pub(crate) fn sliding_now(&mut self, body: &str, pos: Option<&str>) -> Result<Synced> {
        let pos = pos.map(|pos| format!("&pos={}", encode(pos))).unwrap_or_default();
        let answer = self.raw("POST", &format!("{SLIDING}?timeout=0{pos}"), body)?;
        Synced::new(answer, "pos")
    }

    /// Begins a sliding sync that waits, whose answer is to be received with [`answer`](Self::answer).
    pub(crate) fn begin_sliding(&mut self, body: &str, pos: &str) -> Result<()> {
        let path = format!("{SLIDING}?timeout={LONG_WAIT}&pos={}", encode(pos));
        self.connection.send(&Request { token: Some(&self.token), ..Request::json("POST", &path, body) })
    }

    /// The answer to what was begun.
    pub(crate) fn answer(&mut self) -> Result<Synced> {
        let answer = self.connection.receive_answer()?;
        ensure!(answer.status == 200, "{}", answer.status);
        Synced::new(answer.body, "pos")
    }

    /// Whether the server says that it has sliding sync.
    pub(crate) fn has_sliding_sync(&mut self) -> Result<bool> {
        let versions = self.expect("GET", "/_matrix/client/versions", &Value::Null)?;
        Ok(versions["unstable_features"]["org.matrix.simplified_msc3575"] == true)
    }
}

/// Events stay unread: what they say does not matter, and reading it would cost the client's share of the cores.
#[derive(serde::Deserialize)]
struct Page {
    chunk: Vec<serde::de::IgnoredAny>,
    end: Option<String>,
}

/// The answer of a sync.
pub(crate) struct Synced {
    text: String,
    key: &'static str,
}

impl Synced {
    fn new(answer: Vec<u8>, key: &'static str) -> Result<Self> {
        Ok(Self { text: String::from_utf8(answer).context("a sync that is not UTF-8")?, key })
    }

    /// Whether these words are anywhere in it.
    pub(crate) fn says(&self, words: &str) -> bool {
        self.text.contains(words)
    }

    /// How many bytes it has.
    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// From where the next sync goes on.
    pub(crate) fn token(&self) -> Result<String> {
        text(&serde_json::from_str(&self.text).context("a sync that is not JSON")?, self.key)
    }
}

fn text(answer: &Value, key: &str) -> Result<String> {
    let value = answer[key].as_str().with_context(|| format!("the answer has no `{key}`: {answer}"))?;
    Ok(value.to_owned())
}
