//! Suspended accounts: they read and leave, and do nothing that others would see
//! (<https://spec.matrix.org/v1.19/client-server-api/#account-suspension>).

use http::{Method, StatusCode};
use myelin_api::{Access, routes};
use myelin_server::admin::{Command, Reply};
use myelin_testkit::{Answer, Client, TestServer};
use serde_json::{Value, json};

const SUSPEND: &str = "/_matrix/client/v1/admin/suspend/@alice:hs";

async fn root(server: &TestServer) -> Client<'_> {
    let root = server.register("root").await;
    done(server.operate(Command::UserAdmin { name: "root".to_owned(), admin: true }).await);
    root
}

fn done(reply: Reply) -> Value {
    match reply {
        Reply::Done(value) => value,
        Reply::Failed(problem) => panic!("{problem}"),
    }
}

fn is_refused(answer: &Answer) -> bool {
    answer.status == StatusCode::FORBIDDEN && answer.errcode() == "M_USER_SUSPENDED"
}

#[tokio::test]
async fn an_administrator_suspends_a_user_at_once_and_across_a_restart() {
    let server = TestServer::new(51).await;
    let (alice, root) = (server.register("alice").await, root(&server).await);
    let room = alice.create_room(json!({})).await;
    alice.say(&room, "1", "hello").await;
    let capabilities = root.get("/_matrix/client/v3/capabilities").await.ok();
    let moderation = &capabilities["capabilities"]["m.account_moderation"];
    assert_eq!(moderation, &json!({"lock": true, "suspend": true}));
    assert_eq!(root.get(SUSPEND).await.ok(), json!({"suspended": false}));
    assert_eq!(root.put(SUSPEND, json!({"suspended": true})).await.ok(), json!({"suspended": true}));
    let send = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/2");
    let message = json!({"msgtype": "m.text", "body": "again"});
    assert!(is_refused(&alice.put(&send, message.clone()).await));
    let (token, user_id) = (alice.token.clone(), alice.user_id.clone());

    let server = server.restart().await;
    let mut alice = server.anonymous();
    (alice.token, alice.user_id) = (token, user_id);
    assert!(is_refused(&alice.put(&send, message.clone()).await));
    done(server.operate(Command::UserUnsuspend { name: "alice".to_owned() }).await);
    alice.put(&send, message).await.done();
}

#[tokio::test]
async fn suspending_is_for_administrators_and_not_to_each_other() {
    let server = TestServer::new(52).await;
    let (alice, root) = (server.register("alice").await, root(&server).await);
    let yes = json!({"suspended": true});
    let path = |name: &str| format!("/_matrix/client/v1/admin/suspend/{name}");
    for (client, name, expected) in [
        (&alice, "@root:hs", (403, "M_FORBIDDEN")),
        (&alice, "@nobody:hs", (403, "M_FORBIDDEN")),
        (&root, "@root:hs", (403, "M_FORBIDDEN")),
        (&root, "@nobody:hs", (404, "M_NOT_FOUND")),
        (&root, "@alice:elsewhere", (400, "M_INVALID_PARAM")),
        (&root, "alice", (400, "M_INVALID_PARAM")),
    ] {
        let answer = client.put(&path(name), yes.clone()).await;
        assert_eq!((answer.status.as_u16(), answer.errcode()), expected, "{name}");
    }
    assert_eq!(root.put(&path("@alice:hs"), json!({})).await.errcode(), "M_BAD_JSON");
    done(server.operate(Command::UserSuspend { name: "root".to_owned() }).await);
    assert!(
        is_refused(&root.put(&path("@alice:hs"), yes).await),
        "a suspended administrator moderates nobody"
    );
}

#[tokio::test]
async fn a_suspended_user_reads_leaves_and_takes_back_what_is_theirs() {
    let server = TestServer::new(53).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(json!({"invite": [bob.user_id]})).await;
    bob.post(&format!("/_matrix/client/v3/rooms/{room}/join"), json!({})).await.done();
    let own = alice.say(&room, "1", "mine").await;
    let other = bob.say(&room, "1", "bob's").await;
    done(server.operate(Command::UserSuspend { name: "alice".to_owned() }).await);

    let redact = |event: &str, txn: u8| format!("/_matrix/client/v3/rooms/{room}/redact/{event}/{txn}");
    assert!(is_refused(&alice.put(&redact(&other, 1), json!({})).await));
    alice.put(&redact(&own, 2), json!({})).await.done();
    let send = format!("/_matrix/client/v3/rooms/{room}/send/m.room.redaction/3");
    assert!(is_refused(&alice.put(&send, json!({"redacts": other})).await));

    alice.get("/_matrix/client/v3/sync").await.done();
    alice.get(&format!("/_matrix/client/v3/rooms/{room}/messages?dir=b")).await.done();
    let keys = json!({"algorithm": "m.megolm_backup.v1", "auth_data": {}});
    alice.post("/_matrix/client/v3/room_keys/version", keys).await.done();
    let login = json!({"type": "m.login.password", "user": "alice", "password": "correct horse"});
    let told = server.anonymous().post("/_matrix/client/v3/login", login).await.ok();
    let mut second = server.anonymous();
    second.token = told["access_token"].as_str().map(str::to_owned);
    let join = format!("/_matrix/client/v3/join/{room}");
    assert!(is_refused(&second.post(&join, json!({})).await), "a new session is suspended too");
    second.post("/_matrix/client/v3/logout", json!({})).await.done();
    alice.post(&format!("/_matrix/client/v3/rooms/{room}/leave"), json!({})).await.done();
    assert!(is_refused(&alice.post(&join, json!({})).await));
}

#[tokio::test]
async fn a_suspended_user_still_gets_what_the_administrators_say() {
    let server = TestServer::new(54).await;
    let (alice, root) = (server.register("alice").await, root(&server).await);
    done(server.operate(Command::UserSuspend { name: "alice".to_owned() }).await);
    let notice =
        json!({"user_id": alice.user_id, "content": {"msgtype": "m.text", "body": "Why this happened"}});
    root.post("/_synapse/admin/v1/send_server_notice", notice).await.done();
    let synced = alice.get("/_matrix/client/v3/sync").await.ok();
    let invited = synced["rooms"]["invite"].as_object().and_then(|rooms| rooms.keys().next().cloned());
    let room = invited.unwrap_or_default();
    alice.post(&format!("/_matrix/client/v3/join/{room}"), json!({})).await.done();
}

#[tokio::test]
async fn what_a_user_scheduled_is_not_sent_once_they_are_suspended() {
    let server = TestServer::new(55).await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({})).await;
    let later = "org.matrix.msc4140.delay=60000";
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/1?{later}");
    let made = alice.put(&path, json!({"msgtype": "m.text", "body": "late"})).await.ok();
    let delay_id = made["delay_id"].as_str().unwrap_or_default().to_owned();
    done(server.operate(Command::UserSuspend { name: "alice".to_owned() }).await);
    let again = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/2?{later}");
    assert!(is_refused(&alice.put(&again, json!({"msgtype": "m.text", "body": "late"})).await));
    alice.post(&format!("/_matrix/client/v1/delayed_events/{delay_id}/send"), json!({})).await.done();
    let shown = alice.get(&format!("/_matrix/client/v1/delayed_events/{delay_id}")).await.ok();
    assert_eq!(shown["finalised"]["outcome"], "failed", "{shown}");
}

/// What a suspended user may not call at all. A route that changes what others see belongs here; one that is missing, or
/// new, must be thought about.
const REFUSED: &[&str] = &[
    "/admin/",
    "/account/3pid/delete",
    "/send_server_notice",
    "/createRoom",
    "/knock/",
    "/invite",
    "/kick",
    "/ban",
    "/unban",
    "/upgrade",
    "/state/",
    "/delayed_event/",
    "/directory/",
    "/profile/",
    "/typing/",
    "/presence/",
    "/openid/request_token",
    "/_matrix/media/",
    "/_synapse/",
];

/// What changes something, and is for suspended users too: for themselves, their devices and keys, and for leaving. Of
/// joins, messages and redactions the handler decides.
const ALLOWED: &[&str] = &[
    "/logout",
    "/account/",
    "/login/get_token",
    "/device",
    "/keys/",
    "/room_keys/",
    "/sendToDevice/",
    "/org.matrix.simplified_msc3575/",
    "/v4/sync",
    "/join",
    "/leave",
    "/forget",
    "/send/",
    "/redact/",
    "/receipt/",
    "/read_markers",
    "/account_data/",
    "/tags/",
    "/filter",
    "/pushrules/",
    "/pushers/set",
    "/delete_devices",
    "/delayed_events/",
    "/search",
    "/publicRooms",
    "/report",
    "/subscription",
    "/rendezvous",
];

#[test]
fn every_route_that_changes_something_is_refused_to_suspended_users_or_meant_for_them() {
    for route in routes::table() {
        let path = route.paths().first().cloned().unwrap_or_default();
        let changes = *route.method() != Method::GET && route.access() != Access::Public;
        let within = |list: &[&str]| list.iter().any(|part| path.contains(part));
        if !route.is_for_suspended() {
            assert!(within(REFUSED), "{} {path} is refused to suspended users", route.method());
        } else if changes {
            let said = within(ALLOWED) && !within(REFUSED);
            assert!(said, "{} {path}: may a suspended user do this?", route.method());
        }
    }
}

#[tokio::test]
async fn whois_tells_of_oneself_and_anything_to_administrators() {
    let server = TestServer::new(56).await;
    let (alice, root) = (server.register("alice").await, root(&server).await);
    for version in ["v3", "r0"] {
        let path = |name: &str| format!("/_matrix/client/{version}/admin/whois/{name}");
        for client in [&alice, &root] {
            let told = client.get(&path("@alice:hs")).await.ok();
            assert_eq!(told["user_id"], "@alice:hs");
            let connection = &told["devices"][&alice.device_id]["sessions"][0]["connections"][0];
            assert!(connection["last_seen"].is_i64(), "{told}");
        }
        for (client, name, expected) in [
            (&alice, "@root:hs", (403, "M_FORBIDDEN")),
            (&alice, "@nobody:hs", (403, "M_FORBIDDEN")),
            (&root, "@nobody:hs", (404, "M_NOT_FOUND")),
            (&root, "@alice:elsewhere", (400, "M_INVALID_PARAM")),
        ] {
            let answer = client.get(&path(name)).await;
            assert_eq!((answer.status.as_u16(), answer.errcode()), expected, "{name}");
        }
    }
    let listed = done(server.operate(Command::UserDevices { name: "alice".to_owned() }).await);
    assert_eq!(listed[0]["device_id"], alice.device_id.as_str());
}
