//! Sliding sync as MSC4186 was merged: the same engine in other words.

#![expect(clippy::unwrap_used, reason = "an answer of another form fails the test")]

use http::StatusCode;
use myelin_testkit::{Client, TestServer};
use serde_json::{Value, json};

const V3: &str = "/_matrix/client/v3";
const V4: &str = "/_matrix/client/v4/sync";
const LIVE: &str = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";

fn list(range: Option<[u64; 2]>, limit: u64, state: &Value) -> Value {
    let mut list = json!({ "timeline_limit": limit, "required_state": state });
    if let Some(range) = range {
        list["range"] = json!(range);
    }
    list
}

async fn sync(client: &Client<'_>, pos: Option<&Value>, lists: Value) -> Value {
    let body = json!({ "conn_id": "main", "pos": pos, "lists": lists });
    client.post(V4, body).await.ok()
}

async fn put_state(client: &Client<'_>, room: &str, kind: &str, content: Value) {
    client.put(&format!("{V3}/rooms/{room}/state/{kind}"), content).await.done();
}

fn kinds(events: &Value) -> Vec<&str> {
    events.as_array().into_iter().flatten().map(|event| event["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn rooms_are_told_in_the_merged_form() {
    let server = TestServer::new(1).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(json!({ "name": "Lions", "topic": "Dens" })).await;
    let asked = bob.create_room(json!({ "invite": [alice.user_id], "name": "Foxes" })).await;
    let all_but = json!({ "include": [{}], "exclude": [{ "type": "m.room.create" }], "lazy_members": true });
    let lists = json!({
        "all": list(None, 1, &all_but),
        "top": list(Some([0, 0]), 1, &json!({})),
    });
    let first = sync(&alice, None, lists.clone()).await;
    assert_eq!(first["lists"], json!({ "all": { "count": 2 }, "top": { "count": 2 } }));
    let (lions, foxes) = (&first["rooms"][&room], &first["rooms"][&asked]);
    assert_eq!(
        (&lions["name"], &lions["membership"], &lions["initial"]),
        (&json!("Lions"), &json!("join"), &json!(true))
    );
    assert_eq!(lions["lists"], json!(["all"]));
    let state = kinds(&lions["required_state"]);
    assert!(state.contains(&"m.room.topic") && !state.contains(&"m.room.create"), "{state:?}");
    for gone in ["notification_count", "highlight_count", "invite_state", "unstable_expanded_timeline"] {
        assert!(lions.get(gone).is_none() && foxes.get(gone).is_none(), "{gone}");
    }
    assert_eq!((&foxes["membership"], &foxes["lists"]), (&json!("invite"), &json!(["all", "top"])));
    assert!(kinds(&foxes["stripped_state"]).contains(&"m.room.member"));
    assert!(foxes.get("timeline").is_none() && foxes.get("joined_count").is_none());

    put_state(&alice, &room, "m.room.name", json!({})).await;
    let renamed = sync(&alice, Some(&first["pos"]), lists).await;
    assert_eq!(renamed["rooms"][&room].get("name"), Some(&Value::Null));
    assert_eq!(renamed["rooms"][&room]["lists"], json!(["all", "top"]));
    assert!(renamed["rooms"].get(&asked).is_none());

    let wider = sync(&alice, Some(&renamed["pos"]), json!({ "all": list(Some([0, 9]), 5, &all_but) })).await;
    assert_eq!(wider["rooms"][&room]["expanded_timeline"], true);
    assert_eq!(wider["rooms"][&room]["timeline"].as_array().unwrap().len(), 5);
    let page = format!("{V3}/rooms/{room}/messages?dir=b&from={}", wider["pos"].as_str().unwrap());
    assert!(
        !alice.get(&page).await.ok()["chunk"].as_array().unwrap().is_empty(),
        "a pos is a place to page from"
    );
    alice.post(&format!("{V3}/rooms/{room}/leave"), json!({})).await.done();
    let left = sync(&alice, Some(&wider["pos"]), json!({ "all": list(Some([0, 9]), 5, &json!({})) })).await;
    assert_eq!(left["rooms"][&room]["membership"], "leave");
}

#[tokio::test]
async fn extensions_are_answered_by_the_name_they_were_asked_for_and_are_not_remembered() {
    let server = TestServer::new(1).await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({})).await;
    let lists = || json!({ "all": list(None, 1, &json!({})) });
    let typing = format!("{V3}/rooms/{room}/typing/{}", alice.user_id);
    alice.put(&typing, json!({ "typing": true, "timeout": 30_000 })).await.done();
    let extensions = json!({
        "org.matrix.msc4508.typing": { "enabled": true }, "account_data": { "enabled": true },
        "org.matrix.msc4543.e2ee": { "enabled": true }, "org.example.unknown": { "enabled": "yes" },
    });
    let body = json!({ "lists": lists(), "extensions": extensions });
    let first = alice.post(V4, body).await.ok();
    let told: Vec<&String> = first["extensions"].as_object().unwrap().keys().collect();
    assert_eq!(told, ["account_data", "org.matrix.msc4508.typing", "org.matrix.msc4543.e2ee"]);
    assert_eq!(
        first["extensions"]["org.matrix.msc4508.typing"]["rooms"][&room]["content"]["user_ids"],
        json!([alice.user_id])
    );
    let second = alice.post(V4, json!({ "pos": first["pos"], "lists": lists() })).await.ok();
    assert_eq!(second["extensions"], json!({}));
}

#[tokio::test]
async fn what_can_not_be_is_refused_by_its_errcode() {
    let server = TestServer::new(1).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let mine = alice.post(V4, json!({ "conn_id": "a" })).await.ok()["pos"].clone();
    let many = |number: usize, name: &dyn Fn(usize) -> String| -> Value {
        (0..number)
            .map(|n| (name(n), list(Some([0, 1]), 1, &json!({}))))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let subscriptions = |number| json!({ "room_subscriptions": many(number, &|n| format!("!{n}:hs")) });
    alice.post(V4, subscriptions(100)).await.done();
    let refused = [
        (json!({ "lists": many(101, &|n| n.to_string()) }), "M_INVALID_PARAM"),
        (subscriptions(101), "M_INVALID_PARAM"),
        (json!({ "lists": many(1, &|_| "not one word".to_owned()) }), "M_INVALID_PARAM"),
        (json!({ "lists": { "a": list(Some([9, 3]), 1, &json!({})) } }), "M_INVALID_PARAM"),
        (json!({ "lists": { "a": { "timeline_limit": 1 } } }), "M_BAD_JSON"),
        (
            json!({ "lists": { "a": list(None, 1, &json!({ "include": [["m.room.name", ""]] })) } }),
            "M_BAD_JSON",
        ),
        (json!({ "set_presence": "sleepy" }), "M_INVALID_PARAM"),
        (json!({ "timeout": -1 }), "M_BAD_JSON"),
        (json!({ "pos": "s58_224_0" }), "M_UNKNOWN_POS"),
        (json!({ "conn_id": "b", "pos": mine }), "M_UNKNOWN_POS"),
        (json!({ "extensions": { "to_device": { "enabled": true, "limit": 0 } } }), "M_INVALID_PARAM"),
    ];
    for (body, errcode) in refused {
        let answer = alice.post(V4, body.clone()).await;
        assert_eq!((answer.status, answer.errcode()), (StatusCode::BAD_REQUEST, errcode), "{body}");
    }
    let stolen = bob.post(V4, json!({ "conn_id": "a", "pos": mine })).await;
    assert_eq!(stolen.errcode(), "M_UNKNOWN_POS");
}

#[tokio::test]
async fn both_forms_are_one_engine_and_a_connection_may_change_its_form() {
    let server = TestServer::new(1).await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({})).await;
    let first = sync(&alice, None, json!({ "all": list(Some([0, 9]), 1, &json!({})) })).await;
    alice.say(&room, "a", "hello").await;
    let live = json!({ "conn_id": "main", "lists": { "all": {
        "ranges": [[0, 9]], "timeline_limit": 1, "required_state": [],
    } } });
    let path = format!("{LIVE}?pos={}", first["pos"].as_str().unwrap());
    let again = alice.post(&path, live.clone()).await.ok();
    let repeated = alice.post(&path, live).await.ok();
    assert_eq!(again["rooms"][&room]["timeline"], repeated["rooms"][&room]["timeline"]);
    assert_eq!(again["rooms"][&room]["timeline"][0]["content"]["body"], "hello");
    let lists = json!({ "all": list(Some([0, 9]), 1, &json!({})) });
    let nothing = sync(&alice, Some(&repeated["pos"]), lists).await;
    assert_eq!(nothing["rooms"], json!({}));
}
