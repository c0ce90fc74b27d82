//! What clients see of accounts and sessions: bodies, errcodes, the 401 of interactive authentication.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::IntoResponse;
use myelin_auth::{Auth, AuthConfig, PasswordCost, RegistrationMode};
use myelin_model::Requester;
use myelin_runtime::{Env, Sealer, Secret};
use myelin_store::Identity;
use myelin_store::memory::MemoryEngine;
use ruma::server_name;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::access::{Asks, Bearer, MayAsk};
use crate::body::{Body, Segment, Unused};
use crate::client::{account, device, session};
use crate::{Authenticate, Error, synapse};

fn service(change: impl FnOnce(&mut AuthConfig)) -> Arc<Auth> {
    let engine = MemoryEngine::new(&Identity { server_name: "example.org".to_owned() });
    let mut config =
        AuthConfig::new(server_name!("example.org").to_owned(), "https://m.example.org".to_owned());
    config.password_cost = PasswordCost { memory_kib: 8, passes: 1, lanes: 1 };
    config.registration = RegistrationMode::Open;
    change(&mut config);
    let (env, _) = Env::seeded(3);
    let sealer = Sealer::new(&[Secret::new([1; 32])], env.random.clone());
    Arc::new(Auth::new(Arc::new(engine), env, config, Vec::new(), sealer))
}

fn body<T: DeserializeOwned>(value: Value) -> Body<T> {
    Body(serde_json::from_value(value).unwrap())
}

/// The status and the body of an answer.
async fn seen(answer: Result<Json<Value>, Error>) -> (u16, Value) {
    let response = answer.into_response();
    let status = response.status().as_u16();
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap())
}

async fn register(auth: &Arc<Auth>, query: Option<&str>, value: Value) -> (u16, Value) {
    let query = RawQuery(query.map(str::to_owned));
    seen(account::register::post(State(Arc::clone(auth)), query, body(value)).await).await
}

async fn login(auth: &Arc<Auth>, value: Value) -> (u16, Value) {
    seen(session::login::post(State(Arc::clone(auth)), None, body(value)).await).await
}

fn alice() -> Value {
    json!({ "username": "Alice", "password": "correct horse", "device_id": "PHONE", "auth": { "type": "m.login.dummy" } })
}

async fn asks(auth: &Arc<Auth>, told: &Value) -> Requester {
    Authenticate::authenticate(&**auth, told["access_token"].as_str().unwrap()).await.unwrap()
}

fn errcode(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["errcode"].as_str().unwrap_or("none"))
}

#[tokio::test]
async fn registering_asks_for_a_flow_first_and_then_opens_a_session() {
    let auth = service(|_| {});
    let (status, first) =
        register(&auth, None, json!({ "username": "Alice", "password": "correct horse" })).await;
    assert_eq!(status, 401);
    assert_eq!(first["flows"], json!([{ "stages": ["m.login.dummy"] }]));
    assert!(first.get("errcode").is_none() && first.get("completed").is_none(), "{first}");
    let mut second = alice();
    second["auth"]["session"] = first["session"].clone();
    let (status, told) = register(&auth, None, second).await;
    assert_eq!(status, 200, "{told}");
    assert_eq!((&told["user_id"], &told["device_id"]), (&json!("@alice:example.org"), &json!("PHONE")));
    assert!(told.get("refresh_token").is_none());
    let requester = asks(&auth, &told).await;
    let whoami = account::whoami::get(Asks(requester)).await.into_response();
    let whoami = axum::body::to_bytes(whoami.into_body(), 1 << 20).await.unwrap();
    let whoami: Value = serde_json::from_slice(&whoami).unwrap();
    assert_eq!(whoami, json!({ "user_id": "@alice:example.org", "device_id": "PHONE" }));
}

#[tokio::test]
async fn a_registration_that_can_t_be_is_refused_with_its_errcode() {
    let auth = service(|_| {});
    assert_eq!(register(&auth, None, alice()).await.0, 200);
    let with = |key: &str, value: Value| {
        let mut request = alice();
        request["username"] = json!("bob");
        request[key] = value;
        request
    };
    let refused = register(&auth, None, alice()).await;
    assert_eq!(errcode(&refused), (400, "M_USER_IN_USE"));
    let refused = register(&auth, None, with("username", json!("b!b"))).await;
    assert_eq!(errcode(&refused), (400, "M_INVALID_USERNAME"));
    let refused = register(&auth, None, with("password", json!("short"))).await;
    assert_eq!(errcode(&refused), (400, "M_WEAK_PASSWORD"));
    let refused = register(&auth, None, with("password", Value::Null)).await;
    assert_eq!(errcode(&refused), (400, "M_MISSING_PARAM"));
    let refused = register(&auth, Some("kind=guest"), json!({})).await;
    assert_eq!(errcode(&refused), (403, "M_GUEST_ACCESS_FORBIDDEN"));
    let closed = service(|config| config.registration = RegistrationMode::Closed);
    assert_eq!(errcode(&register(&closed, None, alice()).await), (403, "M_FORBIDDEN"));
}

#[tokio::test]
async fn inhibit_login_opens_no_session_and_no_name_means_any() {
    let auth = service(|_| {});
    let request =
        json!({ "password": "correct horse", "inhibit_login": true, "auth": { "type": "m.login.dummy" } });
    let (status, told) = register(&auth, None, request).await;
    assert_eq!(status, 200);
    assert!(told["user_id"].as_str().unwrap().ends_with(":example.org"));
    assert!(told.get("access_token").is_none() && told.get("device_id").is_none());
}

#[tokio::test]
async fn a_login_takes_both_forms_of_naming_the_user_and_tells_where_the_server_is() {
    let auth = service(|_| {});
    register(&auth, None, alice()).await;
    let modern = json!({ "type": "m.login.password", "password": "correct horse", "refresh_token": true,
        "identifier": { "type": "m.id.user", "user": "alice" } });
    let (status, told) = login(&auth, modern).await;
    assert_eq!(status, 200);
    assert_eq!(told["well_known"]["m.homeserver"]["base_url"], "https://m.example.org");
    assert_eq!(told["expires_in_ms"], 3_600_000);
    let refresh = body(json!({ "refresh_token": told["refresh_token"] }));
    let (status, fresh) = seen(session::refresh::post(State(Arc::clone(&auth)), refresh).await).await;
    assert_eq!(status, 200);
    assert!(fresh["access_token"].is_string() && fresh["refresh_token"].is_string());
    let old =
        json!({ "type": "m.login.password", "user": "@alice:example.org", "password": "correct horse" });
    assert_eq!(login(&auth, old).await.0, 200);
}

#[tokio::test]
async fn a_login_that_can_t_be_is_refused_with_its_errcode() {
    let auth = service(|_| {});
    register(&auth, None, alice()).await;
    let cases = [
        (json!({ "type": "m.login.password", "user": "alice", "password": "wrong" }), (403, "M_FORBIDDEN")),
        (json!({ "type": "m.login.password", "user": "nobody", "password": "wrong" }), (403, "M_FORBIDDEN")),
        (json!({ "type": "m.login.magic", "token": "x" }), (400, "M_UNKNOWN")),
        (json!({ "type": "m.login.token", "token": "x" }), (403, "M_FORBIDDEN")),
        (json!({ "type": "m.login.token" }), (400, "M_MISSING_PARAM")),
        (json!({ "type": "m.login.password", "password": "x" }), (400, "M_MISSING_PARAM")),
        (json!({ "type": "m.login.password", "user": "alice" }), (400, "M_MISSING_PARAM")),
        (
            json!({ "type": "m.login.password", "password": "x",
                "identifier": { "type": "m.id.thirdparty", "medium": "email", "address": "a@b.c" } }),
            (403, "M_FORBIDDEN"),
        ),
    ];
    for (request, expected) in cases {
        let answer = login(&auth, request.clone()).await;
        assert_eq!(errcode(&answer), expected, "{request}");
    }
    let refresh = body(json!({ "refresh_token": "myelin_rt_no_such_token" }));
    let answer = seen(session::refresh::post(State(auth), refresh).await).await;
    assert_eq!(errcode(&answer), (401, "M_UNKNOWN_TOKEN"));
    assert_eq!(answer.1["soft_logout"], false);
}

#[tokio::test]
async fn a_locked_account_is_told_so_and_may_still_log_out() {
    let auth = service(|_| {});
    let (_, told) = register(&auth, None, alice()).await;
    let token = told["access_token"].as_str().unwrap();
    let user_id = asks(&auth, &told).await.user_id;
    auth.lock(&myelin_auth::Actor::Operator, &user_id).await.unwrap();
    let refused = Authenticate::authenticate(&*auth, token).await.map(|_| Json(json!({})));
    let refused = seen(refused).await;
    assert_eq!(errcode(&refused), (401, "M_USER_LOCKED"));
    assert_eq!(refused.1["soft_logout"], true);
    auth.authenticate_locked(token).await.unwrap();
    let bearer = Bearer(token.to_owned());
    assert_eq!(seen(session::logout::post(State(Arc::clone(&auth)), bearer, Unused).await).await.0, 200);
    let gone = Authenticate::authenticate(&*auth, token).await.map(|_| Json(json!({})));
    let gone = seen(gone).await;
    assert_eq!((errcode(&gone), &gone.1["soft_logout"]), ((401, "M_UNKNOWN_TOKEN"), &json!(false)));
}

#[tokio::test]
async fn deleting_a_device_takes_the_password_of_its_user() {
    let auth = service(|_| {});
    let (_, told) = register(&auth, None, alice()).await;
    let requester = asks(&auth, &told).await;
    let delete = async |dict: Option<Value>| {
        let segment = Segment("PHONE".to_owned());
        let request = body(json!({ "auth": dict }));
        let answer =
            device::device::delete(State(Arc::clone(&auth)), Asks(requester.clone()), segment, request);
        seen(answer.await).await
    };
    let (status, first) = delete(None).await;
    assert_eq!((status, first["flows"][0]["stages"][0].as_str()), (401, Some("m.login.password")));
    let mut dict = json!({ "type": "m.login.password", "session": first["session"], "password": "wrong",
        "identifier": { "type": "m.id.user", "user": "alice" } });
    let (status, wrong) = delete(Some(dict.clone())).await;
    assert_eq!((status, wrong["errcode"].as_str()), (401, Some("M_FORBIDDEN")));
    assert_eq!(wrong["session"], first["session"], "the session goes on");
    dict["password"] = json!("correct horse");
    assert_eq!(delete(Some(dict)).await.0, 200);
    let token = told["access_token"].as_str().unwrap();
    assert!(Authenticate::authenticate(&*auth, token).await.is_err());
}

#[tokio::test]
async fn an_authentication_for_some_devices_is_no_good_for_others() {
    let auth = service(|_| {});
    let (_, told) = register(&auth, None, alice()).await;
    let requester = asks(&auth, &told).await;
    let delete = async |devices: Value, dict: Option<Value>| {
        let request = body(json!({ "devices": devices, "auth": dict }));
        let asks = Asks(requester.clone());
        seen(device::delete_devices::post(State(Arc::clone(&auth)), asks, request).await).await
    };
    let (_, first) = delete(json!(["A", "B"]), None).await;
    let dict = json!({ "type": "m.login.password", "session": first["session"], "user": "alice",
        "password": "correct horse" });
    let refused = delete(json!(["PHONE"]), Some(dict.clone())).await;
    assert_eq!(errcode(&refused), (403, "M_FORBIDDEN"));
    assert_eq!(delete(json!(["B", "A", "A"]), Some(dict)).await.0, 200, "the same devices");
}

#[tokio::test]
async fn devices_are_listed_without_what_is_not_known() {
    let auth = service(|_| {});
    let (_, told) = register(&auth, None, alice()).await;
    let requester = asks(&auth, &told).await;
    let listed = seen(device::devices::get(State(Arc::clone(&auth)), Asks(requester.clone())).await).await;
    assert_eq!(listed, (200, json!({ "devices": [{ "device_id": "PHONE" }] })));
    let other = Segment("OTHER".to_owned());
    let missing = seen(device::device::get(State(auth), Asks(requester), other).await).await;
    assert_eq!(errcode(&missing), (404, "M_NOT_FOUND"));
}

#[tokio::test]
async fn a_password_is_changed_and_an_account_deactivated_with_the_old_password() {
    let auth = service(|_| {});
    let (_, told) = register(&auth, None, alice()).await;
    let requester = asks(&auth, &told).await;
    let dict = json!({ "type": "m.login.password", "user": "alice", "password": "correct horse" });
    let change = body(json!({ "new_password": "battery staple", "auth": dict }));
    let answer =
        account::password::post(State(Arc::clone(&auth)), MayAsk(Some(requester.clone())), change).await;
    assert_eq!(seen(answer).await, (200, json!({})));
    let old = body(json!({ "erase": true, "auth": dict }));
    let answer = account::deactivate::post(State(Arc::clone(&auth)), Asks(requester.clone()), old).await;
    assert_eq!(errcode(&seen(answer).await), (401, "M_FORBIDDEN"));
    let dict = json!({ "type": "m.login.password", "user": "alice", "password": "battery staple" });
    let right = body(json!({ "erase": true, "auth": dict }));
    let answer = account::deactivate::post(State(Arc::clone(&auth)), Asks(requester), right).await;
    assert_eq!(seen(answer).await, (200, json!({ "id_server_unbind_result": "success" })));
    assert_eq!(auth.departing(10).await.unwrap()[0].erase, myelin_auth::Erase::Yes);
}

#[tokio::test]
async fn shared_secret_registration_is_no_endpoint_unless_there_is_a_secret() {
    let off = service(|_| {});
    let refused = seen(synapse::register::get(State(off)).await).await;
    assert_eq!(errcode(&refused), (404, "M_UNRECOGNIZED"));
    let on = service(|config| config.registration_shared_secret = Some(Secret::new("s3cret".to_owned())));
    let (status, given) = seen(synapse::register::get(State(Arc::clone(&on))).await).await;
    assert_eq!(status, 200);
    let forged = json!({ "nonce": given["nonce"], "username": "root", "password": "pw", "admin": true,
        "mac": "0".repeat(40) });
    let answer = seen(synapse::register::post(State(on), body(forged)).await).await;
    assert_eq!(errcode(&answer), (403, "M_FORBIDDEN"));
}
