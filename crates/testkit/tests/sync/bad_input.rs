//! Bad input on every face of sync: it is refused by the right errcode, and a refusal has done nothing: the client goes on
//! with the token that it had.

#![expect(clippy::unwrap_used, reason = "an answer of another form fails the test")]

use http::Method;
use myelin_testkit::{Answer, Client, TestServer};
use serde_json::{Map, Value, json};

const V3: &str = "/_matrix/client/v3";
const V4: &str = "/_matrix/client/v4/sync";
const LIVE: &str = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";
/// No errcode: the request is done.
const GOOD: &str = "";
const HUGE: u64 = 1_000_000_000_000_000_000;

/// A list that is good, with a field that is not.
fn live_list(field: &str, value: Value) -> Value {
    let mut list = json!({ "ranges": [[0, 9]], "timeline_limit": 10, "required_state": [] });
    list[field] = value;
    json!({ "lists": { "all": list } })
}

fn merged_list(field: &str, value: Value) -> Value {
    let mut list = json!({ "range": [0, 9], "timeline_limit": 10, "required_state": {} });
    list[field] = value;
    json!({ "lists": { "all": list } })
}

fn many(number: usize, name: impl Fn(usize) -> String, each: &Value) -> Value {
    (0..number).map(|n| (name(n), each.clone())).collect::<Map<_, _>>().into()
}

/// What is wrong, or only odd, in the bodies of either form of sliding sync. Those of the live dialect first.
fn bodies() -> Vec<(Option<Value>, Option<Value>, &'static str)> {
    let both = |live: Value, merged: Value, errcode| (Some(live), Some(merged), errcode);
    let same = |body: Value, errcode| (Some(body.clone()), Some(body), errcode);
    let range = |range: Value, errcode| {
        both(live_list("ranges", json!([range])), merged_list("range", range.clone()), errcode)
    };
    let field = |field: &str, value: Value, errcode| {
        both(live_list(field, value.clone()), merged_list(field, value.clone()), errcode)
    };
    let list = |live: bool| {
        let body = if live { live_list("x", json!(0)) } else { merged_list("x", json!(0)) };
        body["lists"]["all"].clone()
    };
    let lists = |number, errcode| {
        let lists = |live| json!({ "lists": many(number, |n| n.to_string(), &list(live)) });
        both(lists(true), lists(false), errcode)
    };
    let subscriptions =
        |live, number| json!({ "room_subscriptions": many(number, |n| format!("!{n}:hs"), &list(live)) });
    let extension = |said: Value, errcode| same(json!({ "extensions": { "to_device": said } }), errcode);
    let elements = |number| vec![json!({ "type": "a" }); number];
    vec![
        range(json!([9, 3]), "M_INVALID_PARAM"),
        range(json!([-1, 3]), "M_BAD_JSON"),
        range(json!([0, 1.5]), "M_BAD_JSON"),
        range(json!([0, 1e30]), "M_BAD_JSON"),
        range(json!([0]), "M_BAD_JSON"),
        range(json!([0, 1, 2]), "M_BAD_JSON"),
        range(json!(["0", "1"]), "M_BAD_JSON"),
        range(json!([0, u64::MAX]), GOOD),
        (Some(live_list("ranges", json!([[0, 5], [3, 9], [0, 0], [0, 5]]))), None, GOOD),
        (Some(live_list("ranges", json!(vec![[0, 1]; 101]))), None, "M_INVALID_PARAM"),
        field("timeline_limit", json!(HUGE), GOOD),
        field("timeline_limit", json!(-1), "M_BAD_JSON"),
        field("timeline_limit", json!(1e30), "M_BAD_JSON"),
        field("timeline_limit", json!("many"), "M_BAD_JSON"),
        field("filters", json!(7), "M_BAD_JSON"),
        field("filters", json!({ "is_dm": "yes" }), "M_BAD_JSON"),
        (Some(live_list("required_state", json!([["m.room.name"]]))), None, "M_BAD_JSON"),
        (Some(live_list("required_state", json!(vec![["a", "b"]; 1001]))), None, "M_INVALID_PARAM"),
        (None, Some(merged_list("required_state", json!({ "include": elements(1001) }))), "M_INVALID_PARAM"),
        (None, Some(merged_list("required_state", json!({ "include": [["a", "b"]] }))), "M_BAD_JSON"),
        (None, Some(json!({ "lists": many(1, |_| "a".repeat(256), &list(false)) })), "M_INVALID_PARAM"),
        (
            None,
            Some(json!({ "lists": many(1, |_| "two words".to_owned(), &list(false)) })),
            "M_INVALID_PARAM",
        ),
        (None, Some(json!({ "timeout": -1 })), "M_BAD_JSON"),
        (None, Some(json!({ "timeout": HUGE })), GOOD),
        (None, Some(json!({ "set_presence": "sleepy" })), "M_INVALID_PARAM"),
        lists(100, GOOD),
        lists(101, "M_INVALID_PARAM"),
        both(subscriptions(true, 1001), subscriptions(false, 101), "M_INVALID_PARAM"),
        both(subscriptions(true, 10_000), subscriptions(false, 10_000), "M_INVALID_PARAM"),
        both(subscriptions(true, 1000), subscriptions(false, 100), GOOD),
        same(json!({ "lists": 7 }), "M_BAD_JSON"),
        same(json!([]), "M_BAD_JSON"),
        same(json!({ "conn_id": "a".repeat(65) }), "M_INVALID_PARAM"),
        same(json!({ "conn_id": 7 }), "M_BAD_JSON"),
        same(json!({ "extensions": { "org.example.unknown": { "enabled": "perhaps" } } }), GOOD),
        extension(json!({ "enabled": "yes" }), "M_BAD_JSON"),
        extension(json!({ "enabled": true, "limit": 0 }), "M_INVALID_PARAM"),
        extension(json!({ "enabled": true, "limit": HUGE }), GOOD),
        extension(json!({ "enabled": true, "since": "d1_01" }), "M_INVALID_PARAM"),
        extension(json!({ "enabled": true, "since": "s58_224_0" }), "M_INVALID_PARAM"),
    ]
}

/// A face of sliding sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Face {
    Live,
    Merged,
}

impl Face {
    async fn ask(self, client: &Client<'_>, pos: Option<&str>, mut body: Value) -> Answer {
        if self == Self::Live {
            let query = pos.map(|pos| format!("?pos={pos}")).unwrap_or_default();
            return client.post(&format!("{LIVE}{query}"), body).await;
        }
        if let (Some(body), Some(pos)) = (body.as_object_mut(), pos) {
            body.insert("pos".to_owned(), json!(pos));
        }
        client.post(V4, body).await
    }

    /// A good request.
    async fn sync(self, client: &Client<'_>, pos: Option<&str>) -> Value {
        let body = match self {
            Self::Live => live_list("timeline_limit", json!(5)),
            Self::Merged => merged_list("timeline_limit", json!(5)),
        };
        self.ask(client, pos, body).await.ok()
    }
}

fn bodies_of(timeline: &Value) -> Vec<&str> {
    let bodies = timeline.as_array().into_iter().flatten().map(|event| event["content"]["body"].as_str());
    bodies.flatten().collect()
}

async fn another_device<'s>(server: &'s TestServer, user: &Client<'s>) -> Client<'s> {
    let body = json!({
        "type": "m.login.password", "password": "correct horse",
        "identifier": { "type": "m.id.user", "user": user.user_id },
    });
    let session = user.post(&format!("{V3}/login"), body).await.ok();
    let mut other = server.anonymous();
    other.token = Some(session["access_token"].as_str().unwrap().to_owned());
    other
}

#[tokio::test(start_paused = true)]
async fn bad_bodies_of_sliding_sync_are_refused_and_change_nothing() {
    let server = TestServer::new(1).await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({})).await;
    for face in [Face::Live, Face::Merged] {
        let first = face.sync(&alice, None).await;
        let pos = first["pos"].as_str().unwrap();
        alice.say(&room, &format!("{face:?}"), "since then").await;
        for (live, merged, errcode) in bodies() {
            let Some(body) = (if face == Face::Live { live } else { merged }) else { continue };
            if errcode == GOOD {
                // Odd, but possible: on a connection of its own.
                let mut body = body;
                body["conn_id"] = json!("odd");
                face.ask(&alice, None, body).await.done();
                continue;
            }
            let answer = face.ask(&alice, Some(pos), body.clone()).await;
            let shown: String = body.to_string().chars().take(200).collect();
            assert_eq!((answer.status.as_u16(), answer.errcode()), (400, errcode), "{face:?} {shown}");
        }
        let garbage = alice.send(
            Method::POST,
            if face == Face::Live { LIVE } else { V4 },
            "application/json",
            b"{".to_vec(),
        );
        assert_eq!(garbage.await.errcode(), "M_NOT_JSON");
        let next = face.sync(&alice, Some(pos)).await;
        assert_eq!(bodies_of(&next["rooms"][&room]["timeline"]), ["since then"]);
        let after = face.sync(&alice, Some(next["pos"].as_str().unwrap())).await;
        assert_eq!(after["rooms"], json!({}));
    }
}

#[tokio::test(start_paused = true)]
async fn a_pos_that_is_not_the_clients_is_unknown_and_its_own_goes_on() {
    let server = TestServer::new(1).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let tablet = another_device(&server, &alice).await;
    let room = alice.create_room(json!({})).await;
    for face in [Face::Live, Face::Merged] {
        let old = face.sync(&alice, None).await["pos"].as_str().unwrap().to_owned();
        let passed = face.sync(&alice, Some(&old)).await["pos"].as_str().unwrap().to_owned();
        let pos = face.sync(&alice, Some(&passed)).await["pos"].as_str().unwrap().to_owned();
        face.sync(&alice, Some(&pos)).await;
        alice.say(&room, &format!("{face:?}"), "since then").await;
        face.sync(&bob, None).await;
        face.sync(&tablet, None).await;
        let unknown = async |client: &Client<'_>, pos: &str, conn_id: Option<&str>| {
            let body = conn_id.map_or(json!({}), |conn_id| json!({ "conn_id": conn_id }));
            let answer = face.ask(client, Some(pos), body).await;
            assert_eq!((answer.status.as_u16(), answer.errcode()), (400, "M_UNKNOWN_POS"), "{face:?} {pos}");
        };
        unknown(&bob, &pos, None).await;
        unknown(&tablet, &pos, None).await;
        unknown(&alice, &pos, Some("another")).await;
        unknown(&alice, &old, None).await;
        unknown(&alice, &passed, None).await;
        for garbage in ["", "0", "garbage", "c1_", "s1_1_1_1_1_00000000000000ff", "%F0%9F%A6%81"] {
            unknown(&alice, garbage, None).await;
        }
        for place in 0..pos.len() {
            unknown(&alice, &pos[..place], None).await;
            let mut damaged = pos.clone().into_bytes();
            damaged[place] = if damaged[place] == b'7' { b'8' } else { b'7' };
            unknown(&alice, &String::from_utf8(damaged).unwrap(), None).await;
        }
        let next = face.sync(&alice, Some(&pos)).await;
        assert_eq!(bodies_of(&next["rooms"][&room]["timeline"]), ["since then"]);
    }
}

#[tokio::test]
async fn connections_that_never_were_take_no_place_from_those_that_are() {
    let server = TestServer::new(1).await;
    let alice = server.register("alice").await;
    let mut places = Vec::new();
    for number in 0..16 {
        let body = json!({ "conn_id": number.to_string() });
        places.push(Face::Live.ask(&alice, None, body).await.ok()["pos"].as_str().unwrap().to_owned());
    }
    for number in 0..100 {
        let body = json!({ "conn_id": format!("never {number}") });
        assert_eq!(Face::Live.ask(&alice, Some(&places[0]), body).await.errcode(), "M_UNKNOWN_POS");
    }
    for (number, pos) in places.iter().enumerate() {
        Face::Live.ask(&alice, Some(pos), json!({ "conn_id": number.to_string() })).await.done();
    }
}

#[tokio::test(start_paused = true)]
async fn bad_queries_of_v3_sync_are_refused_and_odd_ones_done() {
    let server = TestServer::new(1).await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({})).await;
    let since = alice.get(&format!("{V3}/sync")).await.ok()["next_batch"].as_str().unwrap().to_owned();
    alice.say(&room, "a", "since then").await;
    let filter =
        |json: &str| format!("filter={}", json.replace('{', "%7B").replace('}', "%7D").replace('"', "%22"));
    let future = {
        let parts: Vec<&str> = since.split('_').collect();
        let mut parts: Vec<String> = parts.into_iter().map(str::to_owned).collect();
        parts[1] = HUGE.to_string();
        parts.join("_")
    };
    let table = [
        ("since=garbage".to_owned(), "M_INVALID_PARAM"),
        ("since=s58_224_0".to_owned(), "M_INVALID_PARAM"),
        (format!("since={future}"), "M_INVALID_PARAM"),
        (format!("since={}", &since[..since.len() - 1]), "M_INVALID_PARAM"),
        (format!("since=x{since}"), "M_INVALID_PARAM"),
        ("timeout=-1".to_owned(), "M_INVALID_PARAM"),
        ("timeout=soon".to_owned(), "M_INVALID_PARAM"),
        ("timeout=1000000000000000000000000000000".to_owned(), "M_INVALID_PARAM"),
        (format!("since={since}&timeout={HUGE}"), GOOD),
        ("full_state=perhaps".to_owned(), "M_INVALID_PARAM"),
        ("set_presence=sleepy".to_owned(), "M_INVALID_PARAM"),
        ("filter=77".to_owned(), "M_INVALID_PARAM"),
        (filter("{"), "M_INVALID_PARAM"),
        (filter(r#"{"room":7}"#), "M_INVALID_PARAM"),
        (filter(r#"{"room":{"timeline":{"limit":-1}}}"#), "M_INVALID_PARAM"),
        (filter(r#"{"room":{"timeline":{"limit":1000000000000000000}}}"#), GOOD),
        (filter(r#"{"room":{"rooms":["!elsewhere:hs","nothing"]}}"#), GOOD),
        ("unknown=1".to_owned(), GOOD),
    ];
    for (query, errcode) in table {
        let answer = alice.get(&format!("{V3}/sync?{query}")).await;
        let status = if errcode == GOOD { 200 } else { 400 };
        assert_eq!((answer.status.as_u16(), answer.errcode()), (status, errcode), "{query}");
    }
    let next = alice.get(&format!("{V3}/sync?since={since}")).await.ok();
    assert_eq!(bodies_of(&next["rooms"]["join"][&room]["timeline"]["events"]), ["since then"]);
    let waits = next["next_batch"].as_str().unwrap();
    let nothing = alice.get(&format!("{V3}/sync?since={waits}&timeout={HUGE}")).await.ok();
    assert!(nothing.get("rooms").is_none_or(|rooms| *rooms == json!({})), "it has waited as long as it may");
}
