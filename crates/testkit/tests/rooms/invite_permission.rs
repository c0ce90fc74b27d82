//! Whose invites a user wants.
#![expect(clippy::unwrap_used, reason = "an answer of another form fails the test")]

use http::StatusCode;
use myelin_server::admin::Command;
use myelin_testkit::{Client, TestServer};
use serde_json::{Value, json};

const V3: &str = "/_matrix/client/v3";
const STABLE: &str = "m.invite_permission_config";
const UNSTABLE: &str = "org.matrix.msc4155.invite_permission_config";

async fn want(user: &Client<'_>, kind: &str, content: Value) {
    let path = format!("{V3}/user/{}/account_data/{kind}", user.user_id);
    user.put(&path, content).await.done();
}

/// The rooms a user is shown invites to: by both kinds of sync, which must agree.
async fn invites(user: &Client<'_>) -> Vec<String> {
    let synced = user.get(&format!("{V3}/sync?timeout=0")).await.ok();
    assert_eq!(synced["rooms"]["leave"], Value::Null, "{synced}");
    let mut old: Vec<String> = match synced["rooms"]["invite"].as_object() {
        Some(rooms) => rooms.keys().cloned().collect(),
        None => Vec::new(),
    };
    let path = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync?timeout=0";
    let lists =
        json!({ "lists": { "a": { "ranges": [[0, 99]], "required_state": [], "timeline_limit": 1 } } });
    let synced = user.post(path, lists).await.ok();
    let rooms = synced["rooms"].as_object().unwrap().iter();
    let mut new: Vec<String> =
        rooms.filter(|(_, room)| room.get("invite_state").is_some()).map(|(id, _)| id.clone()).collect();
    old.sort();
    new.sort();
    assert_eq!(old, new);
    old
}

#[tokio::test]
async fn who_blocks_invites_is_asked_into_no_room_by_any_way() {
    let server = TestServer::new(1).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let versions = bob.get("/_matrix/client/versions").await.ok();
    for flag in ["org.matrix.msc4155", "org.matrix.msc4380", "org.matrix.msc4380.stable"] {
        assert_eq!(versions["unstable_features"][flag], true, "{flag}");
    }
    let room = bob.create_room(json!({})).await;
    let blocks = [
        (STABLE, json!({ "default_action": "block" })),
        ("org.matrix.msc4380.invite_permission_config", json!({ "default_action": "block" })),
        (UNSTABLE, json!({ "blocked_users": ["@b?b:*"] })),
        (UNSTABLE, json!({ "blocked_servers": ["h*"] })),
    ];
    for (kind, content) in blocks {
        want(&alice, kind, content).await;
        let wish = json!({ "user_id": alice.user_id });
        let answers = [
            bob.post(&format!("{V3}/rooms/{room}/invite"), wish).await,
            bob.put(
                &format!("{V3}/rooms/{room}/state/m.room.member/{}", alice.user_id),
                json!({ "membership": "invite" }),
            )
            .await,
            bob.post(&format!("{V3}/createRoom"), json!({ "invite": [alice.user_id] })).await,
        ];
        for answer in answers {
            assert_eq!((answer.status, answer.errcode()), (StatusCode::FORBIDDEN, "M_INVITE_BLOCKED"));
        }
        assert!(invites(&alice).await.is_empty());
        want(&alice, kind, json!({})).await;
    }
    bob.post(&format!("{V3}/rooms/{room}/invite"), json!({ "user_id": alice.user_id })).await.done();
    assert_eq!(invites(&alice).await, std::slice::from_ref(&room));
    // What came before is hidden, and shown again when all are welcome again.
    want(&alice, STABLE, json!({ "default_action": "block" })).await;
    assert!(invites(&alice).await.is_empty());
    want(&alice, STABLE, json!({})).await;
    assert_eq!(invites(&alice).await, [room]);
}

#[tokio::test]
async fn an_invite_that_is_ignored_stands_and_nobody_is_told() {
    let server = TestServer::new(2).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let hides = [
        (UNSTABLE, json!({ "ignored_users": ["@bob:hs"] })),
        (STABLE, json!({ "ignored_servers": ["*"] })),
        ("m.ignored_user_list", json!({ "ignored_users": { bob.user_id.clone(): {} } })),
    ];
    for (kind, content) in hides {
        want(&alice, kind, content).await;
        let room = bob.create_room(json!({ "invite": [alice.user_id] })).await;
        let member = format!("{V3}/rooms/{room}/state/m.room.member/{}", alice.user_id);
        assert_eq!(bob.get(&member).await.ok()["membership"], "invite");
        assert!(invites(&alice).await.is_empty(), "{kind}");
        let told = alice.get(&format!("{V3}/notifications")).await.ok();
        assert_eq!(told["notifications"], json!([]), "{kind}");
        want(&alice, kind, json!({})).await;
        // It is there for who knows of it.
        alice.post(&format!("{V3}/join/{room}"), json!({})).await.done();
        alice.post(&format!("{V3}/rooms/{room}/leave"), json!({})).await.done();
        alice.post(&format!("{V3}/rooms/{room}/forget"), json!({})).await.done();
    }
}

#[tokio::test]
async fn nobody_shuts_out_the_notices_of_their_own_server() {
    let server = TestServer::new(3).await;
    let (alice, admin) = (server.register("alice").await, server.register("admin").await);
    server.operate(Command::UserAdmin { name: "admin".to_owned(), admin: true }).await;
    want(&alice, STABLE, json!({ "default_action": "block" })).await;
    let notice = json!({ "user_id": alice.user_id, "content": { "msgtype": "m.text", "body": "Hello" } });
    admin.post("/_synapse/admin/v1/send_server_notice", notice).await.done();
    assert_eq!(invites(&alice).await.len(), 1);
}
