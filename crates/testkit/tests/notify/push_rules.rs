//! Push rules over HTTP: changing them, and what syncs tell of them.

use http::{Method, StatusCode};
use myelin_testkit::{Answer, Client, TestServer};
use serde_json::{Value, json};

const V3: &str = "/_matrix/client/v3";
const RULES: &str = "/_matrix/client/v3/pushrules/global";
const SLIDING: &str = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";

fn refused(answer: &Answer, status: StatusCode, errcode: &str) {
    assert_eq!((answer.status, answer.errcode()), (status, errcode), "{}", answer.body);
}

fn done(answer: Answer) {
    assert_eq!(answer.ok(), json!({}));
}

async fn delete(client: &Client<'_>, path: &str) -> Answer {
    client.call(Method::DELETE, path, None).await
}

/// The push rules among the account data of a sync.
fn told(synced: &Value) -> Option<&Value> {
    let events = synced["account_data"]["events"].as_array()?;
    events.iter().find(|event| event["type"] == "m.push_rules").map(|event| &event["content"])
}

async fn count(client: &Client<'_>, room: &str) -> (u64, u64) {
    let synced = client.get(&format!("{V3}/sync")).await.ok();
    let counts = &synced["rooms"]["join"][room]["unread_notifications"];
    let number = |key: &str| counts[key].as_u64().unwrap_or_default();
    (number("notification_count"), number("highlight_count"))
}

#[tokio::test]
async fn rules_are_added_moved_changed_and_deleted() {
    let server = TestServer::new(1).await;
    let alice = server.register("alice").await;
    let ids = async || {
        let rules = alice.get(&format!("{RULES}/")).await.ok();
        let ids = rules["content"].as_array().unwrap().iter().map(|rule| rule["rule_id"].as_str().unwrap());
        ids.collect::<Vec<_>>().join(" ")
    };
    let cake =
        json!({ "pattern": "cake", "actions": ["notify", { "set_tweak": "sound", "value": "x.wav" }] });
    done(alice.put(&format!("{RULES}/content/cake"), cake.clone()).await);
    done(alice.put(&format!("{RULES}/content/tea?before=cake"), cake.clone()).await);
    done(alice.put(&format!("{RULES}/content/time?after=tea"), cake.clone()).await);
    assert_eq!(ids().await, "tea time cake");
    let stored = alice.get(&format!("{RULES}/content/cake")).await.ok();
    assert_eq!(stored["actions"], cake["actions"]);
    assert_eq!((&stored["enabled"], &stored["default"]), (&json!(true), &json!(false)));

    done(alice.put(&format!("{RULES}/content/cake/enabled"), json!({ "enabled": false })).await);
    done(alice.put(&format!("{RULES}/content/cake/actions"), json!({ "actions": ["dont_notify"] })).await);
    let stored = alice.get(&format!("{RULES}/content/cake")).await.ok();
    assert_eq!((&stored["enabled"], &stored["actions"]), (&json!(false), &json!(["dont_notify"])));
    done(delete(&alice, &format!("{RULES}/content/cake")).await);
    assert_eq!(ids().await, "tea time");
    refused(&delete(&alice, &format!("{RULES}/content/cake")).await, StatusCode::NOT_FOUND, "M_NOT_FOUND");

    done(alice.put(&format!("{RULES}/override/.m.rule.master/enabled"), json!({ "enabled": true })).await);
    let all = alice.get(&format!("{V3}/pushrules/")).await.ok();
    assert_eq!(all["global"]["override"][0]["enabled"], true);
    assert_eq!(alice.get(&format!("{V3}/pushrules")).await.ok(), all);
    assert_eq!(alice.get(RULES).await.ok(), all["global"]);
    let data = alice.get(&format!("{V3}/user/{}/account_data/m.push_rules", alice.user_id)).await;
    assert_eq!(data.ok(), all);
}

#[tokio::test]
async fn what_is_no_rule_is_refused() {
    let server = TestServer::new(2).await;
    let alice = server.register("alice").await;
    let bad = StatusCode::BAD_REQUEST;
    let actions = || json!({ "actions": ["notify"] });
    let put = async |path: &str, body: Value| alice.put(&format!("{RULES}/{path}"), body).await;
    refused(&put("device/x", actions()).await, bad, "M_INVALID_PARAM");
    refused(&put("override/.x", actions()).await, bad, "M_INVALID_PARAM");
    refused(&put("override/a%2Fb", actions()).await, bad, "M_INVALID_PARAM");
    refused(&put("room/nowhere", actions()).await, bad, "M_INVALID_PARAM");
    refused(&put("content/x", actions()).await, bad, "M_MISSING_PARAM");
    refused(&put("override/x?before=y", actions()).await, bad, "M_UNKNOWN");
    refused(&put("override/x?after=.m.rule.master", actions()).await, bad, "M_INVALID_PARAM");
    for body in [
        json!({}),
        json!({ "actions": "notify" }),
        json!({ "actions": [3] }),
        json!({ "actions": [{ "set_tweak": "sound" }] }),
        json!({ "actions": [], "conditions": {} }),
        json!({ "actions": [], "conditions": [{ "kind": "event_match" }] }),
        json!({ "actions": [], "conditions": [{ "kind": "room_member_count", "is": "many" }] }),
    ] {
        refused(&put("override/x", body.clone()).await, bad, "M_BAD_JSON");
    }
    refused(
        &put("override/x/enabled", json!({ "enabled": true })).await,
        StatusCode::NOT_FOUND,
        "M_NOT_FOUND",
    );
    refused(&put("override/x/actions", actions()).await, StatusCode::NOT_FOUND, "M_NOT_FOUND");
    refused(&put("override/.m.rule.master/enabled", json!({})).await, bad, "M_BAD_JSON");
    refused(&delete(&alice, &format!("{RULES}/override/.m.rule.master")).await, bad, "M_INVALID_PARAM");
    refused(&alice.get(&format!("{RULES}/nothing/.m.rule.master")).await, bad, "M_INVALID_PARAM");
}

#[tokio::test]
async fn every_change_wakes_a_sync_and_comes_with_it() {
    let server = TestServer::new(3).await;
    let alice = server.register("alice").await;
    let first = alice.get(&format!("{V3}/sync")).await.ok();
    assert!(told(&first).is_some());
    let mut since = first["next_batch"].as_str().unwrap().to_owned();
    let rule = format!("{RULES}/room/!foo:example.com");
    let changes = [
        (rule.clone(), json!({ "actions": ["notify"] })),
        (format!("{rule}/enabled"), json!({ "enabled": false })),
        (format!("{rule}/actions"), json!({ "actions": ["dont_notify"] })),
    ];
    for (path, body) in changes {
        let waiting = format!("{V3}/sync?timeout=30000&since={since}");
        let (synced, changed) = tokio::join!(alice.get(&waiting), alice.put(&path, body));
        done(changed);
        let synced = synced.ok();
        let all = alice.get(&format!("{V3}/pushrules/")).await.ok();
        assert_eq!(told(&synced), Some(&all));
        since = synced["next_batch"].as_str().unwrap().to_owned();
    }
    let idle = alice.get(&format!("{V3}/sync?timeout=0&since={since}")).await.ok();
    assert_eq!(told(&idle), None);
}

#[tokio::test]
async fn sliding_sync_tells_of_changes_too() {
    let server = TestServer::new(4).await;
    let alice = server.register("alice").await;
    let wish = json!({ "conn_id": "x", "extensions": { "account_data": { "enabled": true } } });
    let rules = |answer: &Value| {
        let global = answer["extensions"]["account_data"]["global"].as_array().cloned().unwrap_or_default();
        global.into_iter().find(|event| event["type"] == "m.push_rules")
    };
    let first = alice.post(SLIDING, wish.clone()).await.ok();
    assert!(rules(&first).is_some());
    let pos = first["pos"].as_str().unwrap();
    done(alice.put(&format!("{RULES}/sender/@bob:hs"), json!({ "actions": [] })).await);
    let next = alice.post(&format!("{SLIDING}?timeout=0&pos={pos}"), wish).await.ok();
    assert_eq!(rules(&next).unwrap()["content"]["global"]["sender"][0]["rule_id"], "@bob:hs");
}

#[tokio::test]
async fn counts_follow_the_rules_of_each_user_and_outlive_a_restart() {
    let server = TestServer::new(5).await;
    let (alice, bob, carol) =
        (server.register("alice").await, server.register("bob").await, server.register("carol").await);
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    for user in [&bob, &carol] {
        let _ = user.post(&format!("{V3}/join/{room}"), json!({})).await.ok();
    }
    alice.say(&room, "1", "before").await;
    done(bob.put(&format!("{RULES}/room/{room}"), json!({ "actions": [] })).await);
    let cake = json!({ "pattern": "cake", "actions": ["notify", { "set_tweak": "highlight" }] });
    done(carol.put(&format!("{RULES}/content/cake"), cake.clone()).await);
    alice.say(&room, "2", "there is cake").await;
    alice.say(&room, "3", "and tea").await;
    assert_eq!(count(&bob, &room).await, (1, 0), "what was unread stays so");
    assert_eq!(count(&carol, &room).await, (3, 1));
    done(bob.put(&format!("{RULES}/content/cake"), cake).await);
    alice.say(&room, "4", "more cake").await;
    assert_eq!(count(&bob, &room).await, (2, 1), "keywords come before rooms");

    let tokens = [&bob, &carol].map(|user| user.token.clone());
    let server = server.restart().await;
    let [bob, carol] = tokens.map(|token| {
        let mut client = server.anonymous();
        client.token = token;
        client
    });
    done(delete(&bob, &format!("{RULES}/room/{room}")).await);
    carol.say(&room, "1", "not muted any more").await;
    assert_eq!(count(&bob, &room).await, (3, 1));
    assert_eq!(count(&carol, &room).await, (0, 0));
}

#[tokio::test]
async fn a_room_that_is_joined_after_the_rules_counts_by_them() {
    let server = TestServer::new(6).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let mentions_only = json!({ "actions": [] });
    done(bob.put(&format!("{RULES}/underride/.m.rule.message/actions"), mentions_only).await);
    let room = alice.create_room(json!({ "invite": [bob.user_id] })).await;
    let _ = bob.post(&format!("{V3}/join/{room}"), json!({})).await.ok();
    let message = json!({ "msgtype": "m.text", "body": "x", "m.mentions": { "user_ids": [bob.user_id] } });
    let _ = alice.put(&format!("{V3}/rooms/{room}/send/m.room.message/1"), message).await.ok();
    alice.say(&room, "2", "in two this rings by the one-to-one rule").await;
    assert_eq!(count(&bob, &room).await, (2, 1));
    let carol = server.register("carol").await;
    let _ = alice.post(&format!("{V3}/rooms/{room}/invite"), json!({ "user_id": carol.user_id })).await.ok();
    let _ = carol.post(&format!("{V3}/join/{room}"), json!({})).await.ok();
    alice.say(&room, "3", "in three it does not").await;
    assert_eq!(count(&bob, &room).await, (2, 1));
}
