//! How the server comes and goes: what it says when it is up, and how it ends when it is asked to.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use http::{Method, StatusCode};
use myelin_reliability::{Client, Myelin, Place, Session};
use serde_json::{Value, json};

/// Long enough for a busy machine, and well below what service managers wait before they kill.
const STOP: Duration = Duration::from_secs(8);

#[tokio::test]
async fn the_greeting_names_the_address_the_way_to_a_first_user_and_the_data() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Myelin::start(Place::new(folder.path())?).await?;
    let said = server.place.greeting().await?;
    let place = server.kill().await?;
    assert!(said.contains(&format!("http://{}", place.address)), "{said}");
    assert!(said.contains("/oauth2/sign-up?invitation="), "{said}");
    assert!(said.contains(&place.data.display().to_string()), "{said}");
    assert!(said.lines().count() <= 6, "{said}");
    assert_eq!(place.log(), "", "a quiet start logs nothing");
    Ok(())
}

#[tokio::test]
async fn the_way_to_a_first_user_that_the_greeting_names_works_as_printed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Myelin::start(Place::new(folder.path())?.with("MYELIN_REGISTRATION", "closed")).await?;
    let said = server.place.greeting().await?;
    let (_, link) = said.split_once("first user").context("no such line")?;
    let (_, path) =
        link.trim().split_once("//").and_then(|(_, rest)| rest.split_once('/')).context("no link")?;
    let (path, password) = (format!("/{path}"), "correct horse battery staple");
    let mut browser = Client::new(server.address());
    let token = "0123456789abcdef0123456789abcdef";
    browser.set_cookies(&format!("myelin-form={token}"));
    let kind = "application/x-www-form-urlencoded";
    let form = format!("user_name=first&password={}&form_token={token}", password.replace(' ', "+"));
    let made = browser.send(Method::POST, &path, kind, form.clone().into()).await?;
    assert_eq!(made.status, StatusCode::SEE_OTHER);
    let again = browser.send(Method::POST, &path, kind, form.replace("first", "second").into()).await?;
    assert_eq!(again.status, StatusCode::FORBIDDEN, "it is good once");
    Session::log_in_with(server.address(), "first", password).await?;
    Ok(())
}

#[tokio::test]
async fn sigterm_ends_the_server_while_a_sync_hangs_and_nothing_is_lost() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Myelin::start(Place::new(folder.path())?).await?;
    let alice = Session::register(server.address(), "alice").await?;
    let room = alice.room_with(&[]).await?;
    let mut syncing = alice.client();
    let first = syncing.get("/_matrix/client/v3/sync").await?.ok();
    let since = first["next_batch"].as_str().context("no token")?;
    let path = format!("/_matrix/client/v3/sync?timeout=30000&since={since}");
    let hanging = tokio::spawn(async move { syncing.get(&path).await });
    let send = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/1");
    // Nothing tells from outside that a request waits; it takes microseconds to get there.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let begun = Instant::now();
    let (place, status) = server.terminate(STOP).await?;
    let took = begun.elapsed();
    assert_eq!(status.code(), Some(0), "{}", place.log());
    assert!(took < STOP, "{took:?}");
    if let Ok(answer) = hanging.await? {
        assert!(answer.status.is_success(), "a waiting sync ends empty: {} {}", answer.status, answer.json());
    }
    let _server = Myelin::start(place).await?;
    alice.client().put(&send, &json!({"msgtype": "m.text", "body": "back"})).await?.ok();
    Ok(())
}

#[tokio::test]
async fn sigterm_lets_a_request_finish_and_leaves_one_file_without_a_log_beside_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Myelin::start(Place::new(folder.path())?).await?;
    let alice = Session::register(server.address(), "alice").await?;
    // Password hashing makes it the slowest request there is.
    let login = tokio::spawn(Session::log_in(alice.address, "alice"));
    let (place, status) = server.terminate(STOP).await?;
    assert_eq!(status.code(), Some(0), "{}", place.log());
    let login = login.await?;
    let log = place.data.join("myelin.db-wal");
    assert!(!log.exists() || log.metadata()?.len() == 0, "the store's log was not brought in");
    assert!(!place.data.join("admin.sock").exists(), "the socket was left");
    let _server = Myelin::start(place).await?;
    let whoami = "/_matrix/client/v3/account/whoami";
    alice.client().get(whoami).await?.ok();
    if let Ok(session) = login {
        session.client().get(whoami).await?.ok();
    }
    Ok(())
}

/// A client of sliding sync.
struct Slider {
    session: Session,
    pos: String,
}

impl Slider {
    async fn ask(session: &Session, pos: Option<&str>) -> Result<Value> {
        let base = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync?timeout=0";
        let path = format!("{base}{}", pos.map(|pos| format!("&pos={pos}")).unwrap_or_default());
        let list = json!({"ranges": [[0, 9]], "timeline_limit": 10, "required_state": []});
        let body = json!({"conn_id": "one", "lists": {"all": list}});
        let answer = session.client().post(&path, &body).await?;
        ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.json());
        Ok(answer.json())
    }

    async fn begin(session: &Session) -> Result<Self> {
        let answer = Self::ask(session, None).await?;
        Ok(Self { session: session.clone(), pos: text(&answer["pos"])? })
    }

    /// The bodies of the messages that are new in the room since the last time.
    async fn news(&mut self, room: &str) -> Result<Vec<Value>> {
        let answer = Self::ask(&self.session, Some(&self.pos)).await?;
        self.pos = text(&answer["pos"])?;
        let told = &answer["rooms"][room];
        ensure!(told["initial"] != true, "the room is told as if it were new: {told}");
        let events = told["timeline"].as_array().cloned().unwrap_or_default();
        Ok(events.iter().map(|event| event["content"]["body"].clone()).collect())
    }
}

fn text(value: &Value) -> Result<String> {
    Ok(value.as_str().context("not a text")?.to_owned())
}

async fn say(session: &Session, room: &str, words: &str) -> Result<()> {
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/{words}");
    session.client().put(&path, &json!({"msgtype": "m.text", "body": words})).await?.ok();
    Ok(())
}

#[tokio::test]
async fn a_position_of_sliding_sync_goes_on_after_the_server_was_stopped() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Myelin::start(Place::new(folder.path())?).await?;
    let alice = Session::register(server.address(), "alice").await?;
    let room = alice.room_with(&[]).await?;
    let mut slider = Slider::begin(&alice).await?;
    say(&alice, &room, "one").await?;
    assert_eq!(slider.news(&room).await?, ["one"]);
    // Only the next request says that the last answer has come; without it, it would be repeated.
    assert!(slider.news(&room).await?.is_empty());
    say(&alice, &room, "two").await?;
    let _server = Myelin::start(server.terminate(STOP).await?.0).await?;
    say(&alice, &room, "three").await?;
    assert_eq!(slider.news(&room).await?, ["two", "three"]);
    Ok(())
}

#[tokio::test]
async fn a_position_of_sliding_sync_goes_on_after_a_kill_without_a_repetition() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Myelin::start(Place::new(folder.path())?).await?;
    let alice = Session::register(server.address(), "alice").await?;
    let room = alice.room_with(&[]).await?;
    let mut slider = Slider::begin(&alice).await?;
    say(&alice, &room, "one").await?;
    assert_eq!(slider.news(&room).await?, ["one"]);
    say(&alice, &room, "two").await?;
    assert_eq!(slider.news(&room).await?, ["two"]);
    let _server = Myelin::start(server.kill().await?).await?;
    say(&alice, &room, "three").await?;
    assert_eq!(slider.news(&room).await?, ["three"]);
    Ok(())
}
