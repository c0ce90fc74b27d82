//! Searching over HTTP.

use http::StatusCode;
use myelin_testkit::{Client, TestServer};
use serde_json::{Value, json};

const V3: &str = "/_matrix/client/v3";

/// Searches and answers with the category's results.
async fn search(client: &Client<'_>, criteria: Value) -> Value {
    page(client, criteria, "").await
}

async fn page(client: &Client<'_>, criteria: Value, token: &str) -> Value {
    let body = json!({ "search_categories": { "room_events": criteria } });
    let found = client.post(&format!("{V3}/search?next_batch={token}"), body).await.ok();
    found["search_categories"]["room_events"].clone()
}

fn ids(found: &Value) -> Vec<&str> {
    let results = found["results"].as_array().into_iter().flatten();
    results.map(|hit| hit["result"]["event_id"].as_str().unwrap_or_default()).collect()
}

async fn edit(client: &Client<'_>, room: &str, txn: &str, target: &str, body: &str) -> String {
    let content = json!({
        "msgtype": "m.text", "body": format!("* {body}"),
        "m.new_content": { "msgtype": "m.text", "body": body },
        "m.relates_to": { "rel_type": "m.replace", "event_id": target },
    });
    let sent = client.put(&format!("{V3}/rooms/{room}/send/m.room.message/{txn}"), content).await.ok();
    sent["event_id"].as_str().unwrap_or_default().to_owned()
}

async fn redact(client: &Client<'_>, room: &str, event: &str) {
    client.put(&format!("{V3}/rooms/{room}/redact/{event}/{}", &event[1..9]), json!({})).await.done();
}

async fn set(client: &Client<'_>, room: &str, kind: &str, content: Value) -> String {
    let set = client.put(&format!("{V3}/rooms/{room}/state/{kind}/"), content).await.ok();
    set["event_id"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_message_is_found_right_after_it_was_sent_and_after_a_restart() {
    let server = TestServer::new(1).await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({ "preset": "private_chat" })).await;
    let event = alice.say(&room, "1", "hello, world").await;
    let criteria = json!({ "keys": ["content.body"], "search_term": "Hello", "filter": { "rooms": [room] } });
    let found = search(&alice, criteria.clone()).await;
    assert_eq!((&found["count"], ids(&found)), (&json!(1), vec![event.as_str()]));
    let result = &found["results"][0]["result"];
    assert_eq!((&result["room_id"], &result["content"]["body"]), (&json!(room), &json!("hello, world")));
    assert_eq!(found["highlights"], json!(["hello"]));
    assert!(found["results"][0]["rank"].as_f64().unwrap() > 0.0);
    for absent in ["context", "next_batch", "groups", "state"] {
        assert!(found.get(absent).is_none() && found["results"][0].get(absent).is_none(), "{absent}");
    }
    let token = alice.token.clone();
    let server = server.restart().await;
    let mut alice = server.anonymous();
    alice.token = token;
    assert_eq!(ids(&search(&alice, criteria).await), [event.as_str()]);
    let later = alice.say(&room, "2", "hello again").await;
    assert_eq!(ids(&search(&alice, json!({ "search_term": "again hel" })).await), [later.as_str()]);
}

#[tokio::test]
async fn names_and_topics_are_found_by_their_keys() {
    let server = TestServer::new(2).await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({ "preset": "private_chat" })).await;
    let name = set(&alice, &room, "m.room.name", json!({ "name": "needle name" })).await;
    let topic = set(&alice, &room, "m.room.topic", json!({ "topic": "needle topic" })).await;
    let body = alice.say(&room, "1", "needle body").await;
    for (key, event) in [("content.name", &name), ("content.topic", &topic), ("content.body", &body)] {
        let found = search(&alice, json!({ "search_term": "needle", "keys": [key] })).await;
        assert_eq!(ids(&found), [event.as_str()], "{key}");
    }
    let all = search(&alice, json!({ "search_term": "needle", "order_by": "recent" })).await;
    assert_eq!(ids(&all), [body.as_str(), topic.as_str(), name.as_str()]);
    let filter = json!({ "types": ["m.room.name"] });
    let filtered = search(&alice, json!({ "search_term": "needle", "filter": filter })).await;
    assert_eq!(ids(&filtered), [name.as_str()]);
}

#[tokio::test]
async fn results_come_with_their_context_profiles_and_state() {
    let server = TestServer::new(3).await;
    let alice = server.register("alice").await;
    let path = format!("{V3}/profile/{}/displayname", alice.user_id);
    alice.put(&path, json!({ "displayname": "Alice" })).await.done();
    let room = alice.create_room(json!({ "preset": "private_chat", "name": "Room" })).await;
    for n in 1..=7 {
        alice.say(&room, &n.to_string(), &format!("Message number {n}")).await;
    }
    let found = search(
        &alice,
        json!({
            "search_term": "Message 4", "order_by": "recent", "filter": { "limit": 1, "rooms": [room] },
            "event_context": { "before_limit": 2, "after_limit": 2, "include_profile": true },
            "include_state": true,
        }),
    )
    .await;
    assert_eq!(found["count"], 1);
    let context = &found["results"][0]["context"];
    let bodies = |side: &str| -> Vec<String> {
        let events = context[side].as_array().unwrap();
        events.iter().map(|event| event["content"]["body"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(bodies("events_before"), ["Message number 3", "Message number 2"]);
    assert_eq!(bodies("events_after"), ["Message number 5", "Message number 6"]);
    assert_eq!(context["profile_info"][&alice.user_id]["displayname"], "Alice");
    let messages =
        |from: &str, dir: &str| format!("{V3}/rooms/{room}/messages?dir={dir}&limit=1&from={from}");
    let older = alice.get(&messages(context["start"].as_str().unwrap(), "b")).await.ok();
    assert_eq!(older["chunk"][0]["content"]["body"], "Message number 1");
    let newer = alice.get(&messages(context["end"].as_str().unwrap(), "f")).await.ok();
    assert_eq!(newer["chunk"][0]["content"]["body"], "Message number 7");
    let state = found["state"][&room].as_array().unwrap();
    assert!(state.iter().any(|event| event["type"] == "m.room.name" && event["content"]["name"] == "Room"));
}

#[tokio::test]
async fn pages_follow_each_other_in_either_order_and_the_count_stays() {
    let server = TestServer::new(4).await;
    let alice = server.register("alice").await;
    for order in ["recent", "rank"] {
        let room = alice.create_room(json!({ "preset": "private_chat" })).await;
        let mut sent = Vec::new();
        for n in 0..20 {
            sent.push(alice.say(&room, &n.to_string(), &format!("Message number {n}")).await);
        }
        let newest_first: Vec<&str> = sent.iter().rev().map(String::as_str).collect();
        let criteria = json!({
            "search_term": "message", "order_by": order, "filter": { "limit": 10, "rooms": [room] },
        });
        let first = search(&alice, criteria.clone()).await;
        // What comes in between is not mixed in, and changes no count.
        alice.say(&room, "between", "Message number 20").await;
        let second = page(&alice, criteria.clone(), first["next_batch"].as_str().unwrap()).await;
        assert_eq!([ids(&first), ids(&second)].concat(), newest_first, "{order}");
        let third = page(&alice, criteria, second["next_batch"].as_str().unwrap()).await;
        assert!(ids(&third).is_empty() && third.get("next_batch").is_none());
        assert_eq!([&first["count"], &second["count"], &third["count"]], [20, 20, 20]);
    }
}

#[tokio::test]
async fn the_closest_match_comes_first_by_rank_and_the_last_by_age() {
    let server = TestServer::new(5).await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({ "preset": "private_chat" })).await;
    let close = alice.say(&room, "1", "cat cat cat").await;
    let loose = alice.say(&room, "2", "there once was a cat that did not want to be found by anyone").await;
    assert_eq!(ids(&search(&alice, json!({ "search_term": "cat" })).await), [close.as_str(), loose.as_str()]);
    let recent = search(&alice, json!({ "search_term": "cat", "order_by": "recent" })).await;
    assert_eq!(ids(&recent), [loose.as_str(), close.as_str()]);
}

#[tokio::test]
async fn what_was_redacted_is_not_found_and_an_edit_takes_the_place_of_what_it_edits() {
    let server = TestServer::new(6).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    let gone = alice.say(&room, "1", "This message is going to be redacted").await;
    let stays = alice.say(&room, "2", "This message is not going to be redacted").await;
    search(&alice, json!({ "search_term": "redacted" })).await;
    redact(&alice, &room, &gone).await;
    for order in ["rank", "recent"] {
        let found = search(&alice, json!({ "search_term": "redacted", "order_by": order })).await;
        assert_eq!((ids(&found), &found["count"]), (vec![stays.as_str()], &json!(1)), "{order}");
    }
    let message = alice.say(&room, "3", "appels and pears").await;
    let fixed = edit(&alice, &room, "4", &message, "apples and pears").await;
    assert_eq!(ids(&search(&alice, json!({ "search_term": "appels" })).await), [""; 0]);
    let found = search(&alice, json!({ "search_term": "apples" })).await;
    assert_eq!(ids(&found), [message.as_str()]);
    let bundled = &found["results"][0]["result"]["unsigned"]["m.relations"]["m.replace"];
    assert_eq!(bundled["event_id"], json!(fixed));
    // Somebody else's edit is none.
    bob.post(&format!("{V3}/join/{room}"), json!({})).await.done();
    edit(&bob, &room, "5", &message, "oranges").await;
    assert_eq!(ids(&search(&alice, json!({ "search_term": "oranges" })).await), [""; 0]);
    redact(&alice, &room, &fixed).await;
    assert_eq!(ids(&search(&alice, json!({ "search_term": "apples" })).await), [""; 0]);
    assert_eq!(ids(&search(&alice, json!({ "search_term": "appels" })).await), [message.as_str()]);
}

#[tokio::test]
async fn only_what_the_user_may_see_is_found() {
    let server = TestServer::new(7).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let eve = server.register("eve").await;
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    set(&alice, &room, "m.room.history_visibility", json!({ "history_visibility": "joined" })).await;
    alice.say(&room, "1", "needle before").await;
    bob.post(&format!("{V3}/join/{room}"), json!({})).await.done();
    let during = alice.say(&room, "2", "needle during").await;
    bob.post(&format!("{V3}/rooms/{room}/leave"), json!({})).await.done();
    alice.say(&room, "3", "needle after").await;
    let criteria = json!({ "search_term": "needle" });
    assert_eq!(search(&alice, criteria.clone()).await["count"], 3);
    assert_eq!(ids(&search(&bob, criteria.clone()).await), [during.as_str()]);
    assert_eq!(search(&eve, criteria.clone()).await["count"], 0);
    let named = json!({ "search_term": "needle", "filter": { "rooms": [room] } });
    assert_eq!(search(&eve, named).await["count"], 0);
    // An edit after they left is not theirs to find, nor to guess at.
    edit(&alice, &room, "4", &during, "haystack").await;
    assert_eq!(search(&bob, json!({ "search_term": "haystack" })).await["count"], 0);
    bob.post(&format!("{V3}/rooms/{room}/forget"), json!({})).await.done();
    assert_eq!(search(&bob, criteria.clone()).await["count"], 0);
    let ignored = json!({ "ignored_users": { &eve.user_id: {} } });
    eve.post(&format!("{V3}/join/{room}"), json!({})).await.done();
    eve.say(&room, "5", "needle of an ignored user").await;
    assert_eq!(search(&alice, json!({ "search_term": "needle ignored" })).await["count"], 1);
    let path = format!("{V3}/user/{}/account_data/m.ignored_user_list", alice.user_id);
    alice.put(&path, ignored).await.done();
    assert_eq!(search(&alice, json!({ "search_term": "needle ignored" })).await["count"], 0);
}

#[tokio::test]
async fn encrypted_rooms_are_not_searched() {
    let server = TestServer::new(8).await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({ "preset": "private_chat" })).await;
    alice.say(&room, "1", "needle").await;
    assert_eq!(search(&alice, json!({ "search_term": "needle" })).await["count"], 1);
    set(&alice, &room, "m.room.encryption", json!({ "algorithm": "m.megolm.v1.aes-sha2" })).await;
    let secret = json!({ "algorithm": "m.megolm.v1.aes-sha2", "body": "needle", "ciphertext": "needle" });
    alice.put(&format!("{V3}/rooms/{room}/send/m.room.encrypted/2"), secret).await.done();
    assert_eq!(search(&alice, json!({ "search_term": "needle" })).await["count"], 0);
}

#[tokio::test]
async fn results_are_grouped_and_a_group_has_pages_of_its_own() {
    let server = TestServer::new(9).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let mut rooms = Vec::new();
    for _ in 0..2 {
        let room = alice.create_room(json!({ "preset": "public_chat" })).await;
        bob.post(&format!("{V3}/join/{room}"), json!({})).await.done();
        rooms.push(room);
    }
    let mut sent = Vec::new();
    for n in 0..8 {
        let client = if n % 4 < 2 { &alice } else { &bob };
        sent.push(client.say(&rooms[n % 2], &n.to_string(), "needle").await);
    }
    let criteria = json!({
        "search_term": "needle", "order_by": "recent", "filter": { "limit": 3 },
        "groupings": { "group_by": [{ "key": "room_id" }, { "key": "sender" }] },
    });
    let found = search(&alice, criteria.clone()).await;
    assert_eq!(ids(&found), [sent[7].as_str(), sent[6].as_str(), sent[5].as_str()]);
    let groups = &found["groups"];
    let group = &groups["room_id"][&rooms[1]];
    assert_eq!((&group["results"], &group["order"]), (&json!([sent[7], sent[5]]), &json!(1)));
    assert_eq!(groups["room_id"][&rooms[0]]["order"], 2);
    assert_eq!(groups["sender"][&bob.user_id]["results"], json!([sent[7], sent[6]]));
    let rest = page(&alice, criteria.clone(), group["next_batch"].as_str().unwrap()).await;
    assert_eq!((ids(&rest), &rest["count"]), (vec![sent[3].as_str(), sent[1].as_str()], &json!(8)));
    assert!(rest["groups"]["room_id"][&rooms[1]].get("next_batch").is_none());
    let of_bob = groups["sender"][&bob.user_id]["next_batch"].as_str().unwrap();
    let rest = page(&alice, criteria, of_bob).await;
    assert_eq!(ids(&rest), [sent[3].as_str(), sent[2].as_str()]);
}

#[tokio::test]
async fn a_room_is_searched_together_with_what_it_replaced() {
    let server = TestServer::new(10).await;
    let alice = server.register("alice").await;
    let old = alice.create_room(json!({ "preset": "private_chat", "room_version": "8" })).await;
    let before = alice.say(&old, "1", "Message before upgrade").await;
    let upgraded = alice.post(&format!("{V3}/rooms/{old}/upgrade"), json!({ "new_version": "9" })).await.ok();
    let new = upgraded["replacement_room"].as_str().unwrap();
    let after = alice.say(new, "2", "Message after upgrade").await;
    for rooms in [json!([old, new]), json!([new])] {
        let filter = json!({ "rooms": rooms });
        let criteria = json!({
            "keys": ["content.body"], "search_term": "upgrade", "order_by": "recent", "filter": filter,
        });
        let found = search(&alice, criteria).await;
        assert_eq!((ids(&found), &found["count"]), (vec![after.as_str(), before.as_str()], &json!(2)));
    }
    let filter = json!({ "rooms": [old] });
    let found = search(&alice, json!({ "search_term": "Message upgrade", "filter": filter })).await;
    assert_eq!(ids(&found), [before.as_str()]);
    let filter = json!({ "rooms": [new], "not_rooms": [old] });
    let found = search(&alice, json!({ "search_term": "Message upgrade", "filter": filter })).await;
    assert_eq!(ids(&found), [after.as_str()]);
}

#[tokio::test]
async fn a_request_that_makes_no_sense_is_refused_and_one_without_words_finds_nothing() {
    let server = TestServer::new(11).await;
    let alice = server.register("alice").await;
    let path = format!("{V3}/search");
    let nothing = alice.post(&path, json!({ "search_categories": {} })).await.ok();
    assert_eq!(nothing, json!({ "search_categories": {} }));
    let found = search(&alice, json!({ "search_term": " ?! " })).await;
    assert_eq!(found, json!({ "count": 0, "highlights": [], "results": [] }));
    let criteria = |criteria: Value| json!({ "search_categories": { "room_events": criteria } });
    let bad = [
        json!({}),
        criteria(json!({})),
        criteria(json!({ "search_term": 3 })),
        criteria(json!({ "search_term": "a", "order_by": "size" })),
        criteria(json!({ "search_term": "a", "keys": ["content.ciphertext"] })),
        criteria(json!({ "search_term": "a", "groupings": { "group_by": [{ "key": "kind" }] } })),
    ];
    for body in bad {
        let answer = alice.post(&path, body.clone()).await;
        assert_eq!((answer.status, answer.errcode()), (StatusCode::BAD_REQUEST, "M_BAD_JSON"), "{body}");
    }
    let body = criteria(json!({ "search_term": "a" }));
    for token in ["s1_2", "%21", "MV8xXzJfM19y"] {
        let answer = alice.post(&format!("{path}?next_batch={token}"), body.clone()).await;
        let got = (answer.status, answer.errcode());
        assert_eq!(got, (StatusCode::BAD_REQUEST, "M_INVALID_PARAM"), "{token}");
    }
}
