//! Administration over HTTP: what the commands do, by who administers the server and nobody else.

#![expect(clippy::unwrap_used, reason = "helpers of tests: what fails there fails the test")]

use http::{Method, StatusCode};
use myelin_server::admin::{AccessAction, Command, Reply};
use myelin_testkit::{Answer, Client, TestServer};
use serde_json::{Value, json};

const ADMIN: &str = "/_myelin/admin/v1";
const CLIENT: &str = r#"{"client_name": "App", "client_uri": "https://app.example.org/",
    "redirect_uris": ["https://app.example.org/back"], "application_type": "web"}"#;

async fn administrator<'s>(server: &'s TestServer, name: &str) -> Client<'s> {
    let client = server.register(name).await;
    let _ = server.operate(Command::UserAdmin { name: name.to_owned(), admin: true }).await;
    client
}

async fn delete(client: &Client<'_>, path: &str) -> Answer {
    client.call(Method::DELETE, &format!("{ADMIN}{path}"), None).await
}

async fn get(client: &Client<'_>, path: &str) -> Value {
    client.get(&format!("{ADMIN}{path}")).await.ok()
}

async fn register_client(server: &TestServer, name: &str) -> String {
    let body: Value = serde_json::from_str(&CLIENT.replace("App", name)).unwrap();
    let answer = server.anonymous().post("/oauth2/registration", body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    answer.body["client_id"].as_str().unwrap().to_owned()
}

async fn login(server: &TestServer, name: &str, device_id: &str) -> String {
    let identifier = json!({"type": "m.id.user", "user": name});
    let body = json!({
        "type": "m.login.password", "identifier": identifier, "password": "correct horse",
        "device_id": device_id, "initial_device_display_name": "Phone",
    });
    let told = server.anonymous().post("/_matrix/client/v3/login", body).await.ok();
    told["access_token"].as_str().unwrap().to_owned()
}

fn texts<'v>(list: &'v Value, key: &str) -> Vec<&'v str> {
    list.as_array().unwrap().iter().map(|line| line[key].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_administrator_lists_a_user_s_sessions_page_by_page_and_ends_them() {
    let server = TestServer::new(160).await;
    let admin = administrator(&server, "admin").await;
    let alice = server.register("alice").await;
    let mut tokens = Vec::new();
    for device in ["A1", "A2", "A3"] {
        tokens.push(login(&server, "alice", device).await);
    }
    let sessions = format!("/users/{}/sessions", alice.user_id);
    let page = get(&admin, &format!("{sessions}?limit=2")).await;
    assert_eq!(texts(&page["sessions"], "device_id"), ["A1", "A2"]);
    assert_eq!(page["sessions"][0]["display_name"], "Phone");
    let rest = get(&admin, &format!("{sessions}?limit=2&after={}", page["next"].as_str().unwrap())).await;
    assert_eq!(rest["sessions"][0]["device_id"], "A3");
    let same =
        server.operate(Command::Access { action: AccessAction::Sessions { name: "alice".to_owned() } });
    let Reply::Done(Value::Array(by_command)) = same.await else { panic!("not listed") };
    assert!(by_command.contains(&page["sessions"][0]), "the command says the same: {by_command:?}");

    delete(&admin, &format!("{sessions}/A1")).await.done();
    assert_eq!(delete(&admin, &format!("{sessions}/A1")).await.status, StatusCode::NOT_FOUND);
    let mut phone = server.anonymous();
    phone.token = Some(tokens.remove(0));
    assert_eq!(phone.get("/_matrix/client/v3/account/whoami").await.errcode(), "M_UNKNOWN_TOKEN");
    assert_eq!(delete(&admin, &sessions).await.ok()["ended"], 3, "with the one that made the account");
    assert_eq!(get(&admin, &sessions).await["sessions"], json!([]));

    let log = get(&admin, &format!("/users/{}/audit?limit=2", alice.user_id)).await;
    assert_eq!(texts(&log["entries"], "action"), ["sessions.end", "device.end"]);
    assert_eq!(texts(&log["entries"], "actor"), [&*admin.user_id; 2]);
    let older = get(&admin, &format!("/users/{}/audit?before={}", alice.user_id, log["next"])).await;
    assert!(texts(&older["entries"], "action").contains(&"login"), "{older}");
}

#[tokio::test]
async fn an_administrator_lists_shows_and_removes_clients() {
    let server = TestServer::new(161).await;
    let admin = administrator(&server, "admin").await;
    let mut ids = Vec::new();
    for name in ["One", "Two", "Three"] {
        ids.push(register_client(&server, name).await);
    }
    ids.sort();
    let page = get(&admin, "/clients?limit=2").await;
    assert_eq!(texts(&page["clients"], "client_id"), ids[..2]);
    let rest = get(&admin, &format!("/clients?after={}", page["next"].as_str().unwrap())).await;
    assert_eq!(texts(&rest["clients"], "client_id"), ids[2..]);
    assert_eq!(rest["next"], Value::Null);
    let one = get(&admin, &format!("/clients/{}", ids[0])).await;
    assert_eq!(one["metadata"]["redirect_uris"], json!(["https://app.example.org/back"]));
    assert_eq!(delete(&admin, &format!("/clients/{}", ids[0])).await.ok(), json!({"ended": 0}));
    assert_eq!(delete(&admin, &format!("/clients/{}", ids[0])).await.status, StatusCode::NOT_FOUND);
    let gone = admin.get(&format!("{ADMIN}/clients/{}", ids[0])).await;
    assert_eq!((gone.status, gone.errcode()), (StatusCode::NOT_FOUND, "M_NOT_FOUND"));
}

#[tokio::test]
async fn an_administrator_invites_and_keeps_registration_tokens() {
    let server = TestServer::new(162).await;
    let admin = administrator(&server, "admin").await;
    let invited = admin.post(&format!("{ADMIN}/invitations"), json!({"lifetime": 60})).await.ok();
    assert!(invited["link"].as_str().unwrap().contains("/oauth2/sign-up?invitation="), "{invited}");
    let path = format!("{ADMIN}/registration_tokens");
    let wanted = json!({"token": "club", "uses_allowed": 2});
    let made = admin.post(&path, wanted.clone()).await.ok();
    assert_eq!((&made["token"], &made["uses_allowed"]), (&json!("club"), &json!(2)));
    assert_eq!(admin.post(&path, wanted).await.status, StatusCode::CONFLICT);
    assert!(admin.post(&path, json!({})).await.ok()["token"].is_string(), "one that is made up");
    for bad in [json!({"uses_allowed": 0}), json!({"token": "a b"}), json!({"expires_at": 1})] {
        assert_eq!(admin.post(&path, bad.clone()).await.status, StatusCode::BAD_REQUEST, "{bad}");
    }
    let listed = get(&admin, "/registration_tokens").await;
    assert_eq!(listed["registration_tokens"].as_array().unwrap().len(), 2);
    delete(&admin, "/registration_tokens/club").await.done();
    assert_eq!(delete(&admin, "/registration_tokens/club").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn nobody_else_administers_and_administrators_leave_each_other_alone() {
    let server = TestServer::new(163).await;
    let admin = administrator(&server, "admin").await;
    let other = administrator(&server, "other").await;
    let alice = server.register("alice").await;
    for path in ["/clients", "/providers", "/registration_tokens", &format!("/users/{}/audit", alice.user_id)]
    {
        let refused = alice.get(&format!("{ADMIN}{path}")).await;
        assert_eq!((refused.status, refused.errcode()), (StatusCode::FORBIDDEN, "M_FORBIDDEN"), "{path}");
    }
    let sessions = format!("/users/{}/sessions", other.user_id);
    assert_eq!(get(&admin, &sessions).await["sessions"].as_array().unwrap().len(), 1, "looking is allowed");
    for path in [&sessions, &format!("{sessions}/X"), &format!("/users/{}/connections/x", other.user_id)] {
        let refused = delete(&admin, path).await;
        assert_eq!((refused.status, refused.errcode()), (StatusCode::FORBIDDEN, "M_FORBIDDEN"), "{path}");
    }
    for (path, status) in [
        ("/users/@nobody:hs/sessions", StatusCode::NOT_FOUND),
        ("/users/@alice:elsewhere/sessions", StatusCode::BAD_REQUEST),
        ("/users/alice/sessions", StatusCode::BAD_REQUEST),
        ("/clients?limit=0", StatusCode::BAD_REQUEST),
        ("/clients?limit=x", StatusCode::BAD_REQUEST),
        ("/users/%ff/sessions", StatusCode::BAD_REQUEST),
    ] {
        let refused = admin.get(&format!("{ADMIN}{path}")).await;
        assert_eq!(refused.status, status, "{path}: {}", refused.body);
        assert!(refused.errcode().starts_with("M_"), "{path}");
    }
}
