//! What goes with a device: its settings in account data (MSC3890).
#![expect(clippy::unwrap_used, reason = "an answer of another form fails the test")]

use http::StatusCode;
use myelin_testkit::{Client, TestServer};
use serde_json::json;

const V3: &str = "/_matrix/client/v3";
const PREFIXES: [&str; 2] =
    ["m.local_notification_settings.", "org.matrix.msc3890.local_notification_settings."];

async fn another_device<'s>(server: &'s TestServer, of: &Client<'s>) -> Client<'s> {
    let mut client = server.anonymous();
    let identifier = json!({ "type": "m.id.user", "user": of.user_id });
    let wish = json!({ "type": "m.login.password", "identifier": identifier, "password": "correct horse" });
    let session = client.post(&format!("{V3}/login"), wish).await.ok();
    client.token = session["access_token"].as_str().map(str::to_owned);
    client.device_id = session["device_id"].as_str().unwrap().to_owned();
    client
}

fn path(user: &Client<'_>, kind: &str) -> String {
    format!("{V3}/user/{}/account_data/{kind}", user.user_id)
}

#[tokio::test]
async fn a_deleted_device_takes_its_notification_settings_along_and_other_devices_learn_of_it() {
    let server = TestServer::new(1).await;
    let one = server.register("alice").await;
    let two = another_device(&server, &one).await;
    let three = another_device(&server, &one).await;
    let kind = |prefix: &str, device: &Client<'_>| format!("{prefix}{}", device.device_id);
    for device in [&one, &two, &three] {
        for prefix in PREFIXES {
            let silenced = json!({ "is_silenced": true });
            one.put(&path(&one, &kind(prefix, device)), silenced).await.done();
        }
    }
    let since =
        one.get(&format!("{V3}/sync?timeout=0")).await.ok()["next_batch"].as_str().unwrap().to_owned();
    two.post(&format!("{V3}/logout"), json!({})).await.done();
    let synced = one.get(&format!("{V3}/sync?timeout=0&since={since}")).await.ok();
    let mut told: Vec<String> = Vec::new();
    for event in synced["account_data"]["events"].as_array().unwrap() {
        assert_eq!(event["content"], json!({}), "{event}");
        told.push(event["type"].as_str().unwrap().to_owned());
    }
    told.sort();
    assert_eq!(told, PREFIXES.map(|prefix| kind(prefix, &two)));
    for prefix in PREFIXES {
        let gone = one.get(&path(&one, &kind(prefix, &two))).await;
        assert_eq!((gone.status, gone.errcode()), (StatusCode::NOT_FOUND, "M_NOT_FOUND"));
        for device in [&one, &three] {
            let kept = one.get(&path(&one, &kind(prefix, device))).await.ok();
            assert_eq!(kept["is_silenced"], true);
        }
    }
}

#[tokio::test]
async fn a_device_without_settings_leaves_nothing_in_account_data() {
    let server = TestServer::new(2).await;
    let one = server.register("alice").await;
    let two = another_device(&server, &one).await;
    let since =
        one.get(&format!("{V3}/sync?timeout=0")).await.ok()["next_batch"].as_str().unwrap().to_owned();
    two.post(&format!("{V3}/logout"), json!({})).await.done();
    let synced = one.get(&format!("{V3}/sync?timeout=0&since={since}")).await.ok();
    assert!(!synced.to_string().contains("local_notification_settings"), "{synced}");
}
