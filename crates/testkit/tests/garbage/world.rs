//! A server with somebody on it who has something of everything, and the eye on its store.

use std::cell::Cell;
use std::sync::Arc;

use http::Method;
use myelin_server::admin::Command;
use myelin_store::{CommitNotice, Row, Scan, Snapshot, schema};
use myelin_testkit::{Answer, Client, TestServer};
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::TryRecvError;

/// Everybody's password.
pub(crate) const PASSWORD: &str = "correct horse";

/// What a request needs to be a good one.
pub(crate) struct World<'s> {
    server: &'s TestServer,
    /// An administrator with a device, a backup, a filter, a push rule and a picture.
    pub(crate) alice: Client<'s>,
    bob: Client<'s>,
    /// A room of alice's, with bob in it.
    pub(crate) room: String,
    /// An event in it.
    pub(crate) event: String,
    /// A reply in the thread that begins with it.
    pub(crate) reply: String,
    /// The version of a key backup.
    pub(crate) backup: String,
    /// A position of a sync.
    pub(crate) since: String,
    pub(crate) refresh_token: String,
    media: String,
    filter: String,
    delay: String,
    names: Cell<u32>,
    commits: broadcast::Receiver<Arc<CommitNotice>>,
}

/// What came of a request.
pub(crate) struct Outcome {
    pub(crate) answer: Answer,
    /// The keyspaces whose rows are others than before.
    pub(crate) changed: Vec<&'static str>,
}

impl<'s> World<'s> {
    pub(crate) async fn new(server: &'s TestServer) -> Self {
        let alice = server.register("alice").await;
        let bob = server.register("bob").await;
        server.register("carol").await;
        let mut world = Self {
            server,
            alice,
            bob,
            room: String::new(),
            event: String::new(),
            reply: String::new(),
            backup: String::new(),
            since: String::new(),
            refresh_token: String::new(),
            media: String::new(),
            filter: String::new(),
            delay: "none".to_owned(),
            names: Cell::new(0),
            commits: server.engine.notices(),
        };
        world.furnish().await;
        world.open_room().await;
        world
    }

    /// Uploads what an id was made for: a user may have so many without a file.
    pub(crate) async fn fill(&self, uri: &str) {
        let path = uri.replace("mxc:/", "/_matrix/media/v3/upload");
        self.alice.send(Method::PUT, &path, "image/gif", PICTURE.to_vec()).await.done();
    }

    /// Gives alice something of everything.
    pub(crate) async fn furnish(&mut self) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let alice = &self.alice;
        let _ = self.server.operate(Command::UserAdmin { name: alice.user_id.clone(), admin: true }).await;
        let auth = json!({"public_key": "abc", "signatures": {}});
        let backup = json!({"algorithm": "m.megolm_backup.v1", "auth_data": auth});
        let made = alice.post("/_matrix/client/v3/room_keys/version", backup).await.ok();
        self.backup = text(&made["version"]);
        let rule = "/_matrix/client/v3/pushrules/global/override/mine";
        alice.put(rule, json!({"actions": ["notify"], "conditions": []})).await.done();
        let own = |path: &str| path.replace("{user_id}", &alice.user_id);
        let data = own("/_matrix/client/v3/user/{user_id}/account_data/m.room.message");
        alice.put(&data, json!({"a": 1})).await.done();
        let name = own("/_matrix/client/v3/profile/{user_id}/displayname");
        alice.put(&name, json!({"displayname": "Alice"})).await.done();
        let filter =
            alice.post(&format!("/_matrix/client/v3/user/{}/filter", alice.user_id), json!({})).await.ok();
        self.filter = text(&filter["filter_id"]);
        let made =
            alice.send(Method::POST, "/_matrix/media/v3/upload", "image/gif", PICTURE.to_vec()).await.ok();
        self.media = text(&made["content_uri"]).rsplit('/').next().unwrap_or_default().to_owned();
        let login = json!({
            "type": "m.login.password", "identifier": {"type": "m.id.user", "user": alice.user_id},
            "password": PASSWORD, "device_id": "SECOND", "refresh_token": true,
        });
        self.refresh_token = text(&alice.post("/_matrix/client/v3/login", login).await.ok()["refresh_token"]);
        if self.bob.get("/_matrix/client/v3/account/whoami").await.status.is_client_error() {
            // An administrator ended his sessions.
            let login = json!({
                "type": "m.login.password", "identifier": {"type": "m.id.user", "user": "bob"}, "password": PASSWORD,
            });
            let told = self.server.anonymous().post("/_matrix/client/v3/login", login).await.ok();
            self.bob.token = told["access_token"].as_str().map(str::to_owned);
        }
        let alice = &self.alice;
        self.since = text(&alice.get("/_matrix/client/v3/sync?timeout=0").await.ok()["next_batch"]);
    }

    /// Another room, for the requests that come.
    pub(crate) async fn open_room(&mut self) {
        self.cancel(&self.delay).await;
        let alice = &self.alice;
        self.room = alice.create_room(json!({"preset": "public_chat"})).await;
        self.bob.post(&format!("/_matrix/client/v3/rooms/{}/join", self.room), json!({})).await.done();
        self.event = alice.say(&self.room, "first", "hello").await;
        let thread = json!({"rel_type": "m.thread", "event_id": self.event});
        let reply = json!({"msgtype": "m.text", "body": "hello", "m.relates_to": thread});
        let send = format!("/_matrix/client/v3/rooms/{}/send/m.room.message/reply", self.room);
        let reply = alice.put(&send, reply).await.ok();
        self.reply = reply["event_id"].as_str().unwrap_or_default().to_owned();
        for key in ["", "one"] {
            let state = format!("/_matrix/client/v3/rooms/{}/state/m.room.message/{key}", self.room);
            alice.put(&state, json!({"a": 1})).await.done();
        }
        let data = format!(
            "/_matrix/client/v3/user/{}/rooms/{}/account_data/m.room.message",
            alice.user_id, self.room
        );
        alice.put(&data, json!({"a": 1})).await.done();
        let session = json!({
            "first_message_index": 1, "forwarded_count": 0, "is_verified": false, "session_data": {"mac": "c"},
        });
        let keys = format!("/_matrix/client/v3/room_keys/keys/{}/one?version={}", self.room, self.backup);
        alice.put(&keys, session).await.done();
        let alias = json!({"room_id": self.room});
        let _ = alice.put("/_matrix/client/v3/directory/room/%23known:hs", alias).await;
        let path = format!("/_matrix/client/v3/rooms/{}/delayed_event/m.room.message/later", self.room);
        let delayed = alice.put(&path, json!({"delay_ms": 100_000, "content": {"body": "x"}})).await;
        self.delay = delayed.body["delay_id"].as_str().unwrap_or("none").to_owned();
    }

    /// Has alice and bob in the room and carol outside again.
    pub(crate) async fn gather(&self) {
        let at = |action: &str| format!("/_matrix/client/v3/rooms/{}/{action}", self.room);
        let _ = self.alice.post(&at("join"), json!({})).await;
        let _ = self.alice.post(&at("unban"), json!({"user_id": "@bob:hs"})).await;
        let _ = self.alice.post(&at("kick"), json!({"user_id": "@carol:hs"})).await;
        self.bob.post(&at("join"), json!({})).await.done();
    }

    /// Gives up a delayed event, of which a user can have so many only.
    pub(crate) async fn cancel(&self, delay_id: &str) {
        let _ =
            self.alice.post(&format!("/_matrix/client/v1/delayed_events/{delay_id}/cancel"), json!({})).await;
    }

    /// Somebody else in the place of alice, whose session or account is gone.
    pub(crate) async fn renew(&mut self) {
        self.alice = self.server.register(&self.fresh_name()).await;
        self.furnish().await;
        self.open_room().await;
    }

    /// A name that nobody has.
    pub(crate) fn fresh_name(&self) -> String {
        self.names.set(self.names.get() + 1);
        format!("new{}", self.names.get())
    }

    /// A value that makes sense for a parameter of a path.
    pub(crate) fn plausible(&self, method: &Method, template: &str, parameter: &str) -> String {
        let fixed = match parameter {
            "room_id" | "room_id_or_alias" => &self.room,
            "event_id" => &self.event,
            "version" => &self.backup,
            "media_id" => &self.media,
            "filter_id" => &self.filter,
            "delay_id" => &self.delay,
            "room_alias" if *method == Method::PUT => return format!("%23{}:hs", self.fresh_name()),
            "room_alias" => "%23known:hs",
            // Nobody locks or suspends themselves.
            "user_id" if template.contains("/admin/") => "@carol:hs",
            "user_id" => &self.alice.user_id,
            "event_type" => "m.room.message",
            "device_id" => "SECOND",
            "rel_type" => "m.annotation",
            "kind" => "override",
            "rule_id" => "mine",
            "receipt_type" => "m.read",
            "key_name" => "displayname",
            "action" => "restart",
            "server_name" => "hs",
            "filename" => "cat.gif",
            "auth_type" if *method == Method::POST => "m.login.terms",
            "auth_type" => "m.login.sso",
            _ => "one",
        };
        fixed.to_owned()
    }

    /// Sends a request as alice, or as nobody where a new session would be made, and sees what it does to the store.
    pub(crate) async fn send(
        &mut self,
        method: &Method,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Outcome {
        self.settle().await;
        let before = self.server.engine.snapshot().await.expect("the memory engine gives snapshots");
        let answer = self.alice.send(method.clone(), path, content_type, body).await;
        let mut changed = Vec::new();
        if answer.status.is_client_error() && self.settle().await {
            let after = self.server.engine.snapshot().await.expect("the memory engine gives snapshots");
            for ((keyspace, before), (_, after)) in rows(&*before).await.into_iter().zip(rows(&*after).await)
            {
                if before != after {
                    changed.push(keyspace);
                }
            }
        }
        Outcome { answer, changed }
    }

    /// Lets what follows a commit run to its end. Says whether anything was committed.
    async fn settle(&mut self) -> bool {
        let mut any = false;
        let mut quiet = 0;
        while quiet < 20 {
            tokio::task::yield_now().await;
            quiet += 1;
            while matches!(self.commits.try_recv(), Ok(_) | Err(TryRecvError::Lagged(_))) {
                (any, quiet) = (true, 0);
            }
        }
        any
    }
}

/// The rows of every keyspace.
async fn rows(snapshot: &dyn Snapshot) -> Vec<(&'static str, Vec<Row>)> {
    let whole =
        |keyspace| Scan { keyspace, index: None, ..Scan::prefix::<schema::node::Meta>((), usize::MAX) };
    let scans = schema::all().map(whole).collect();
    let rows = snapshot.scan_many(scans).await.expect("the memory engine reads");
    schema::all().map(|keyspace| keyspace.name).zip(rows).collect()
}

/// The smallest picture.
const PICTURE: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";
