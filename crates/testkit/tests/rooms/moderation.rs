//! Blocks by the administrators, and the policy lists they follow.
#![expect(clippy::unwrap_used, reason = "an answer of another form fails the test")]

use http::{Method, StatusCode};
use myelin_server::admin::{Command, Reply, RoomAction};
use myelin_server::config::{Config, Registration};
use myelin_testkit::{Answer, Client, TestServer};
use serde_json::{Value, json};

const V3: &str = "/_matrix/client/v3";

async fn operate(server: &TestServer, command: Command) -> Value {
    match server.operate(command).await {
        Reply::Done(value) => value,
        Reply::Failed(problem) => panic!("{problem}"),
    }
}

async fn on_room(server: &TestServer, room: &str, action: RoomAction) -> Value {
    operate(server, Command::Room { action, room: room.to_owned() }).await
}

async fn join(user: &Client<'_>, room: &str) -> Answer {
    user.post(&format!("{V3}/join/{}", room.replace('#', "%23")), json!({})).await
}

fn refused(answer: &Answer) {
    let got = (answer.status, answer.errcode());
    assert_eq!(got, (StatusCode::FORBIDDEN, "M_FORBIDDEN"), "{}", answer.body);
}

async fn listed(user: &Client<'_>) -> usize {
    let page = user.get(&format!("{V3}/publicRooms")).await.ok();
    page["chunk"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_blocked_room_can_be_left_and_read_and_nothing_else() {
    let server = TestServer::new(1).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let wish = json!({ "preset": "public_chat", "visibility": "public", "room_alias_name": "bad" });
    let room = alice.create_room(wish).await;
    join(&bob, &room).await.done();
    let said = alice.say(&room, "1", "hello").await;
    assert_eq!(listed(&bob).await, 1);
    // By its alias, and what is in force survives a restart.
    let blocked = on_room(&server, "#bad:hs", RoomAction::Block { reason: Some("spam".to_owned()) }).await;
    assert_eq!(blocked["blocked"], room.as_str());
    let tokens = [alice.token.clone(), bob.token.clone()];
    let server = server.restart().await;
    let (mut alice, mut bob, carol) =
        (server.anonymous(), server.anonymous(), server.register("carol").await);
    [alice.token, bob.token] = tokens;
    assert_eq!(listed(&bob).await, 0);
    let invite = json!({ "user_id": carol.user_id });
    refused(&alice.post(&format!("{V3}/rooms/{room}/invite"), invite).await);
    refused(&join(&carol, &room).await);
    refused(&alice.post(&format!("{V3}/rooms/{room}/upgrade"), json!({ "new_version": "12" })).await);
    let path = format!("{V3}/rooms/{room}/send/m.room.message/2");
    refused(&bob.put(&path, json!({ "msgtype": "m.text", "body": "hello" })).await);
    refused(&alice.put(&format!("{V3}/directory/room/%23new:hs"), json!({ "room_id": room })).await);
    bob.get(&format!("{V3}/rooms/{room}/event/{said}")).await.done();
    bob.post(&format!("{V3}/rooms/{room}/leave"), json!({})).await.done();

    let list = operate(&server, Command::Blocks).await;
    assert_eq!((&list[0]["entity"], &list[0]["reason"]), (&json!(room), &json!("spam")));
    on_room(&server, &room, RoomAction::Unblock).await;
    join(&carol, &room).await.done();
    let again = server.operate(Command::Room { action: RoomAction::Unblock, room }).await;
    assert!(matches!(again, Reply::Failed(_)));
}

#[tokio::test]
async fn a_blocked_user_makes_and_enters_no_rooms_and_nobody_asks_them_in() {
    let server = TestServer::new(2).await;
    let (alice, eve) = (server.register("alice").await, server.register("eve").await);
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    let own = eve.create_room(json!({})).await;
    operate(&server, Command::UserBlock { user: "@ev?:hs".to_owned(), reason: None }).await;
    refused(&eve.post(&format!("{V3}/createRoom"), json!({})).await);
    refused(&join(&eve, &room).await);
    refused(&alice.post(&format!("{V3}/rooms/{room}/invite"), json!({ "user_id": eve.user_id })).await);
    refused(&eve.post(&format!("{V3}/rooms/{own}/invite"), json!({ "user_id": alice.user_id })).await);
    // What they are in stays theirs.
    eve.say(&own, "1", "alone").await;
    eve.post(&format!("{V3}/rooms/{own}/leave"), json!({})).await.done();
    operate(&server, Command::UserUnblock { user: "@ev?:hs".to_owned() }).await;
    join(&eve, &room).await.done();
}

#[tokio::test]
async fn a_shutdown_takes_everybody_out_and_tells_them_once() {
    let server = TestServer::new(3).await;
    let alice = server.register("alice").await;
    let wish = json!({ "preset": "public_chat", "visibility": "public", "room_alias_name": "bad" });
    let room = alice.create_room(wish).await;
    let mut members = Vec::new();
    for n in 0..20 {
        let member = server.register(&format!("m{n:02}")).await;
        join(&member, &room).await.done();
        members.push(member);
    }
    let message = Some("This room is closed.".to_owned());
    let job = on_room(&server, "#bad:hs", RoomAction::ShutDown { message }).await;
    // The server ends in the middle of it.
    let tokens: Vec<_> = members.iter().map(|member| member.token.clone()).collect();
    let alice_token = alice.token.clone();
    drop(members);
    let server = server.restart().await;
    loop {
        let jobs = operate(&server, Command::JobList).await;
        if jobs[0]["status"] == "done" {
            assert_eq!(jobs[0]["job"], job["job"]);
            break;
        }
        assert_eq!(jobs[0]["status"], "running", "{jobs}");
        tokio::task::yield_now().await;
    }
    for token in tokens.into_iter().step_by(6).chain([alice_token]) {
        let mut member = server.anonymous();
        member.token = token;
        let joined = member.get(&format!("{V3}/joined_rooms")).await.ok();
        assert_eq!(joined["joined_rooms"], json!([]));
        let synced = member.get(&format!("{V3}/sync?timeout=0")).await.ok();
        let invites = synced["rooms"]["invite"].as_object().unwrap();
        assert_eq!(invites.len(), 1, "{synced}");
        let notices = invites.keys().next().unwrap().clone();
        join(&member, &notices).await.done();
        let messages = member.get(&format!("{V3}/rooms/{notices}/messages?dir=b")).await.ok();
        assert_eq!(messages.to_string().matches("This room is closed.").count(), 1);
        refused(&join(&member, &room).await);
    }
    let anyone = server.register("anyone").await;
    let alias = anyone.get(&format!("{V3}/directory/room/%23bad:hs")).await;
    assert_eq!(alias.status, StatusCode::NOT_FOUND);
    assert_eq!(listed(&anyone).await, 0);
}

#[tokio::test]
async fn the_rules_of_a_followed_list_are_blocks_as_long_as_they_stand() {
    let mut config = Config { server_name: "hs".to_owned(), ..Config::default() };
    config.registration = Registration::Open;
    config.limits.enabled = false;
    config.policy_lists = vec!["#policies:hs".to_owned()];
    let server = TestServer::with(4, config).await;
    let (alice, eve) = (server.register("alice").await, server.register("eve").await);
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    let list = alice.create_room(json!({ "room_alias_name": "policies" })).await;
    let token = [alice.token.clone(), eve.token.clone()];
    // The list came to be after the start; the next one knows it.
    let server = server.restart().await;
    let (mut alice, mut eve) = (server.anonymous(), server.anonymous());
    [alice.token, eve.token] = token;

    let set = |kind: &str, key: &str, entity: &str| {
        let path = format!("{V3}/rooms/{list}/state/m.policy.rule.{kind}/{key}");
        (path, json!({ "entity": entity, "recommendation": "m.ban", "reason": "spam" }))
    };
    // Too broad, and passed over.
    let (path, rule) = set("user", "all", "*");
    alice.put(&path, rule).await.done();
    let (path, rule) = set("user", "eve", "@ev*:hs");
    alice.put(&path, rule).await.done();
    eventually(async || !enters(&eve, &room).await).await;
    alice.put(&path, json!({})).await.done();
    eventually(async || enters(&eve, &room).await).await;

    let (path, rule) = set("room", "it", &room);
    let ruled = alice.put(&path, rule).await.ok();
    eventually(async || !enters(&eve, &room).await).await;
    let redact = format!("{V3}/rooms/{list}/redact/{}/1", ruled["event_id"].as_str().unwrap());
    alice.call(Method::PUT, &redact, Some(&json!({}))).await.done();
    eventually(async || enters(&eve, &room).await).await;
}

/// Whether a user may join the room; they leave it again.
async fn enters(user: &Client<'_>, room: &str) -> bool {
    let joined = join(user, room).await;
    if joined.status == StatusCode::OK {
        user.post(&format!("{V3}/rooms/{room}/leave"), json!({})).await.done();
        return true;
    }
    refused(&joined);
    false
}

/// Waits until the lists were read again.
async fn eventually(mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..100_000 {
        if is_so().await {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it does not come to be");
}
