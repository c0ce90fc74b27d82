//! Logging in on another device with a token from a session (client-server API, `/login/get_token`).

use http::StatusCode;
use myelin_testkit::TestServer;
use serde_json::json;

const TOKEN: &str = "/_matrix/client/v1/login/get_token";
const LOGIN: &str = "/_matrix/client/v3/login";

#[tokio::test]
async fn a_session_lets_another_device_in_once_after_the_password_was_shown() {
    let server = TestServer::new(41).await;
    let alice = server.register("alice").await;
    let capabilities = alice.get("/_matrix/client/v3/capabilities").await.ok();
    assert_eq!(capabilities["capabilities"]["m.get_login_token"], json!({"enabled": true}));
    let nobody = server.anonymous();
    let flows = nobody.get(LOGIN).await.ok();
    let flow = json!({"type": "m.login.token", "get_login_token": true});
    assert!(flows["flows"].as_array().unwrap().contains(&flow));

    let first = alice.post(TOKEN, json!({})).await;
    assert_eq!(first.status, StatusCode::UNAUTHORIZED);
    let dict = json!({"type": "m.login.password", "session": first.body["session"], "password": "correct horse",
        "identifier": {"type": "m.id.user", "user": "alice"}});
    let made = alice.post(TOKEN, json!({"auth": dict})).await.ok();
    assert_eq!(made["expires_in_ms"], 120_000);
    let again = alice.post(TOKEN, json!({"auth": {"session": first.body["session"]}})).await;
    assert_eq!(again.status, StatusCode::UNAUTHORIZED, "one consent, one token");

    let wish = json!({"type": "m.login.token", "token": made["login_token"], "device_id": "TV"});
    let told = nobody.post(LOGIN, wish.clone()).await.ok();
    assert_eq!((&told["user_id"], &told["device_id"]), (&json!("@alice:hs"), &json!("TV")));
    let spent = nobody.post(LOGIN, wish).await;
    assert_eq!((spent.status, spent.errcode()), (StatusCode::FORBIDDEN, "M_FORBIDDEN"));
}

#[tokio::test]
async fn a_login_token_survives_a_restart() {
    let server = TestServer::new(42).await;
    let alice = server.register("alice").await;
    let dict = json!({"type": "m.login.password", "user": "alice", "password": "correct horse"});
    let made = alice.post(TOKEN, json!({"auth": dict})).await.ok();
    let server = server.restart().await;
    let wish = json!({"type": "m.login.token", "token": made["login_token"]});
    let told = server.anonymous().post(LOGIN, wish).await.ok();
    assert_eq!(told["user_id"], "@alice:hs");
}
