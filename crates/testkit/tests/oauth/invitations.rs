//! What operators do about who gets in: links by which somebody makes an account, sessions, clients.

use http::StatusCode;
use myelin_server::admin::{AccessAction, Command, Reply};
use myelin_server::config::{Config, Registration};
use myelin_testkit::{Browser, TestServer};
use serde_json::json;

use crate::world::{App, WHOAMI, heading};

async fn closed(seed: u64) -> TestServer {
    let mut config =
        Config { server_name: "hs".to_owned(), registration: Registration::Closed, ..Config::default() };
    config.limits.enabled = false;
    TestServer::with(seed, config).await
}

async fn link(server: &TestServer, admin: bool) -> String {
    match server.operate(Command::Access { action: AccessAction::Invite { admin, lifetime: 3_600 } }).await {
        Reply::Done(value) => value["link"].as_str().unwrap().strip_prefix("https://hs").unwrap().to_owned(),
        Reply::Failed(problem) => panic!("{problem}"),
    }
}

#[tokio::test]
async fn who_is_invited_makes_an_account_where_nobody_else_may_and_only_one() {
    let server = closed(140).await;
    let mut browser = Browser::new(&server);
    assert_eq!(browser.open("/oauth2/sign-up").await.status, StatusCode::FORBIDDEN);
    assert_eq!(browser.open("/oauth2/sign-up?invitation=myelin_in_x").await.status, StatusCode::FORBIDDEN);
    let link = link(&server, true).await;
    let page = browser.open(&link).await;
    assert!(page.html.contains("invited to administer this server"), "{}", page.html);
    let taken = browser.submit(&page, &[("user_name", "not a name"), ("password", "correct horse")]).await;
    assert_eq!(taken.status, StatusCode::BAD_REQUEST, "it is not used up by that");
    let done = browser.submit(&taken, &[("user_name", "alice"), ("password", "correct horse")]).await;
    assert_eq!(heading(&done), "Done", "{}", done.html);
    assert_eq!(Browser::new(&server).open(&link).await.status, StatusCode::FORBIDDEN);

    let mut alice = server.anonymous();
    let login = json!({"type": "m.login.password", "user": "alice", "password": "correct horse"});
    let told = alice.post("/_matrix/client/v3/login", login).await.ok();
    alice.token = told["access_token"].as_str().map(str::to_owned);
    alice.get(WHOAMI).await.done();
    let whois = alice.get("/_matrix/client/v3/admin/whois/@alice:hs").await;
    assert_eq!(whois.status, StatusCode::OK);
}

#[tokio::test]
async fn an_invitation_goes_with_whatever_brought_somebody_here() {
    let server = closed(141).await;
    let link = link(&server, false).await;
    let mut browser = Browser::new(&server);
    let page = browser.open(&format!("{link}&next=%2Faccount")).await;
    assert!(page.html.contains("You are invited to make an account here"), "{}", page.html);
    let page = browser.submit(&page, &[("user_name", "bob"), ("password", "correct horse")]).await;
    assert_eq!(heading(&page), "Your account");
    let accounts = server.operate(Command::UserList { after: None, limit: 10 }).await;
    let Reply::Done(accounts) = accounts else { panic!("{accounts:?}") };
    assert_eq!(accounts[0]["admin"], false, "{accounts}");
}

async fn access(server: &TestServer, action: AccessAction) -> Result<serde_json::Value, String> {
    match server.operate(Command::Access { action }).await {
        Reply::Done(value) => Ok(value),
        Reply::Failed(problem) => Err(problem),
    }
}

#[tokio::test]
async fn an_operator_lists_and_ends_sessions_and_removes_clients_with_theirs() {
    let server = TestServer::new(142).await;
    let alice = server.register("alice").await;
    let app = App::register(&server).await;
    let mut browser = Browser::new(&server);
    let phone = app.login(&mut browser, "PHONE").await;
    let tablet = app.login(&mut browser, "TABLET").await;
    let (name, device_id) = ("alice".to_owned(), "PHONE".to_owned());
    let list = async || access(&server, AccessAction::Sessions { name: name.clone() }).await.unwrap();
    let listed = list().await;
    assert_eq!(listed.as_array().unwrap().len(), 3);
    let of_phone = listed.as_array().unwrap().iter().find(|row| row["device_id"] == "PHONE").unwrap();
    assert_eq!(
        (&of_phone["client_id"], &of_phone["client_name"]),
        (&json!(app.client_id), &json!("Example <App>"))
    );

    let end = || AccessAction::EndSession { name: name.clone(), device_id: device_id.clone() };
    access(&server, end()).await.unwrap();
    assert!(!app.works(&phone).await && app.works(&tablet).await);
    access(&server, end()).await.unwrap_err();

    let waiting = app.code(&mut browser, &[]).await;
    let clients = access(&server, AccessAction::Clients { after: None, limit: 10 }).await.unwrap();
    assert_eq!(clients[0]["client_id"], json!(app.client_id));
    let remove = || AccessAction::RemoveClient { client_id: app.client_id.clone() };
    assert_eq!(access(&server, remove()).await.unwrap()["ended"], 1);
    access(&server, remove()).await.unwrap_err();
    assert!(!app.works(&tablet).await);
    assert_eq!(app.redeem(&waiting).await.status, StatusCode::BAD_REQUEST, "nothing more is granted to it");
    alice.get(WHOAMI).await.done();

    access(&server, AccessAction::EndSessions { name: name.clone() }).await.unwrap();
    assert_eq!(alice.get(WHOAMI).await.errcode(), "M_UNKNOWN_TOKEN");
    assert_eq!(heading(&browser.open("/account").await), "Sign in");
}
