//! Operators' commands, on a running server and on a stopped one: what they say is what then holds.

use std::time::Duration;

use anyhow::{Context, Result};
use http::StatusCode;
use myelin_reliability::{Answer, Client, Ended, Myelin, PASSWORD, Place, Session, login, run};
use serde_json::{Value, json};

const STOP: Duration = Duration::from_secs(15);
const WHOAMI: &str = "/_matrix/client/v3/account/whoami";

/// A server that is there or not, under operators' hands.
struct Site {
    server: Option<Myelin>,
    place: Option<Place>,
    /// Whether commands meet a running server.
    live: bool,
}

impl Site {
    fn place(&self) -> &Place {
        match (&self.server, &self.place) {
            (Some(server), _) => &server.place,
            (None, Some(place)) => place,
            (None, None) => unreachable!("a site is a server or its place"),
        }
    }

    /// A command, on the server in the state that the test is about.
    async fn order(&mut self, arguments: &[&str], input: Option<&str>) -> Result<Ended> {
        if !self.live
            && let Some(server) = self.server.take()
        {
            self.place = Some(server.terminate(STOP).await?.0);
        }
        run(self.place(), arguments, input).await
    }

    async fn done(&mut self, arguments: &[&str], input: Option<&str>) -> Result<String> {
        let ended = self.order(arguments, input).await?;
        assert!(ended.status.success() && ended.errors.is_empty(), "{arguments:?}: {ended:?}");
        Ok(ended.output)
    }

    async fn refused(&mut self, arguments: &[&str], input: Option<&str>, says: &str) -> Result<()> {
        let ended = self.order(arguments, input).await?;
        assert_eq!(ended.status.code(), Some(1), "{arguments:?}: {ended:?}");
        assert_eq!(ended.errors.lines().count(), 1, "{arguments:?}: {ended:?}");
        assert!(ended.errors.contains(says), "{arguments:?}: {says:?} is not in {:?}", ended.errors);
        Ok(())
    }

    /// A client of the running server, which is started where it is not.
    async fn client(&mut self) -> Result<Client> {
        if let Some(place) = self.place.take() {
            self.server = Some(Myelin::start(place).await?);
        }
        Ok(Client::new(self.place().address))
    }

    async fn log_in(&mut self, name: &str, password: &str) -> Result<Answer> {
        Ok(self.client().await?.post("/_matrix/client/v3/login", &login(name, password)).await?)
    }

    async fn session(&mut self, name: &str, password: &str) -> Result<Session> {
        let answer = self.log_in(name, password).await?;
        Session::read(self.place().address, &answer)
    }

    async fn whoami(&mut self, session: &Session) -> Result<Answer> {
        let mut client = self.client().await?;
        client.set_token(&session.token);
        Ok(client.get(WHOAMI).await?)
    }

    async fn register(&mut self, name: &str, token: &str) -> Result<Answer> {
        let path = "/_matrix/client/v3/register";
        let mut client = self.client().await?;
        let mut wish = json!({"username": name, "password": PASSWORD});
        let first = client.post(path, &wish).await?;
        assert_eq!(first.status, StatusCode::UNAUTHORIZED, "{}", first.json());
        let stage = "m.login.registration_token";
        wish["auth"] = json!({"type": stage, "token": token, "session": first.json()["session"]});
        let second = client.post(path, &wish).await?;
        if second.status == StatusCode::UNAUTHORIZED && second.json()["completed"] == json!([stage]) {
            wish["auth"] = json!({"type": "m.login.dummy", "session": first.json()["session"]});
            return Ok(client.post(path, &wish).await?);
        }
        Ok(second)
    }
}

async fn site(folder: &tempfile::TempDir, live: bool, registration: &str) -> Result<Site> {
    let place = Place::new(folder.path())?.with("MYELIN_REGISTRATION", registration);
    let mut site = Site { server: None, place: Some(place), live };
    if live {
        site.client().await?;
    }
    Ok(site)
}

/// The lines of a list.
fn rows(output: &str) -> Result<Vec<Value>> {
    output.lines().map(|line| serde_json::from_str(line).context("a line is no JSON")).collect()
}

async fn accounts_obey(live: bool) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut site = site(&folder, live, "closed").await?;
    site.done(&["user", "add", "alice", "--password-stdin"], Some("first secret\n")).await?;
    site.done(&["user", "add", "root", "--password-stdin", "--admin"], Some("the root's secret")).await?;
    let made_up = site.done(&["user", "add", "carol"], None).await?;
    let made_up = made_up.lines().find_map(|line| line.strip_prefix("password: ")).context("no password")?;
    site.refused(&["user", "add", "alice", "--password-stdin"], Some("another\n"), "taken").await?;
    site.refused(&["user", "add", "no body", "--password-stdin"], Some("another\n"), "user name").await?;

    let listed = rows(&site.done(&["user", "list"], None).await?)?;
    let names: Vec<&str> = listed.iter().filter_map(|row| row["user_id"].as_str()).collect();
    assert_eq!(names, ["@alice:localhost", "@carol:localhost", "@root:localhost"]);
    let administers = |row: &Value| row["admin"] == json!(true) || row["is_admin"] == json!(true);
    assert_eq!(listed.iter().map(administers).collect::<Vec<_>>(), [false, false, true], "{listed:?}");
    let one =
        rows(&site.done(&["user", "list", "--after", "@alice:localhost", "--limit", "1"], None).await?)?;
    assert_eq!(one.len(), 1);
    assert_eq!(one[0]["user_id"], "@carol:localhost");

    let alice = site.session("alice", "first secret").await?;
    site.session("carol", made_up).await?;
    site.session("root", "the root's secret").await?;

    site.done(&["user", "lock", "alice"], None).await?;
    let locked = site.whoami(&alice).await?;
    assert_eq!((locked.status.as_u16(), locked.errcode().as_str()), (401, "M_USER_LOCKED"));
    assert_eq!(locked.json()["soft_logout"], json!(true), "the session is only suspended");
    site.done(&["user", "unlock", "@alice:localhost"], None).await?;
    assert!(site.whoami(&alice).await?.status.is_success(), "an unlocked session goes on");
    site.done(&["user", "suspend", "alice"], None).await?;
    let mut client = site.client().await?;
    client.set_token(&alice.token);
    let name = "/_matrix/client/v3/profile/@alice:localhost/displayname";
    let refused = client.put(name, &json!({"displayname": "Mallory"})).await?;
    assert_eq!((refused.status.as_u16(), refused.errcode().as_str()), (403, "M_USER_SUSPENDED"));
    let devices = rows(&site.done(&["user", "devices", "alice"], None).await?)?;
    assert_eq!(devices[0]["device_id"], alice.device_id.as_str());
    site.done(&["user", "unsuspend", "alice"], None).await?;

    site.done(&["user", "password", "alice", "--password-stdin"], Some("second secret\n")).await?;
    assert_eq!(site.whoami(&alice).await?.errcode(), "M_UNKNOWN_TOKEN", "the old sessions are over");
    assert_eq!(site.log_in("alice", "first secret").await?.status, StatusCode::FORBIDDEN);
    site.session("alice", "second secret").await?;
    for order in ["lock", "unlock", "suspend", "unsuspend", "devices", "admin"] {
        site.refused(&["user", order, "nobody"], None, "no such account").await?;
    }
    site.refused(&["user", "password", "nobody", "--password-stdin"], Some("x\n"), "no such account").await
}

#[tokio::test]
async fn accounts_obey_an_operator_of_a_running_server() -> Result<()> {
    accounts_obey(true).await
}

#[tokio::test]
async fn accounts_obey_an_operator_of_a_stopped_server() -> Result<()> {
    accounts_obey(false).await
}

async fn registration_tokens_obey(live: bool) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut site = site(&folder, live, "token").await?;
    site.done(&["registration-token", "add", "--token", "twice", "--uses", "2"], None).await?;
    let random = site.done(&["registration-token", "add"], None).await?;
    let random: Value = serde_json::from_str(random.trim()).context("what was added is no JSON")?;
    let random = random["token"].as_str().context("no token was printed")?.to_owned();
    site.refused(&["registration-token", "add", "--token", "twice"], None, "already").await?;
    site.refused(&["registration-token", "add", "--token", "not a token"], None, "token").await?;

    let listed = rows(&site.done(&["registration-token", "list"], None).await?)?;
    assert_eq!(listed.len(), 2, "{listed:?}");
    assert!(listed.iter().any(|row| row["token"] == json!(random)), "{listed:?}");

    assert!(site.register("one", "twice").await?.status.is_success());
    assert!(site.register("two", "twice").await?.status.is_success());
    assert!(!site.register("three", "twice").await?.status.is_success(), "it was good for two");
    assert!(!site.register("three", "made up").await?.status.is_success());
    assert!(site.register("four", &random).await?.status.is_success());

    site.done(&["registration-token", "delete", &random], None).await?;
    assert!(!site.register("five", &random).await?.status.is_success(), "it was deleted");
    site.refused(&["registration-token", "delete", &random], None, "token").await?;
    let listed = rows(&site.done(&["registration-token", "list"], None).await?)?;
    assert_eq!(listed.len(), 1, "{listed:?}");
    site.session("four", PASSWORD).await?;
    Ok(())
}

#[tokio::test]
async fn registration_tokens_obey_an_operator_of_a_running_server() -> Result<()> {
    registration_tokens_obey(true).await
}

#[tokio::test]
async fn registration_tokens_obey_an_operator_of_a_stopped_server() -> Result<()> {
    registration_tokens_obey(false).await
}

#[tokio::test]
async fn orders_to_a_server_that_was_killed_are_carried_out_on_its_store() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Myelin::start(Place::new(folder.path())?).await?;
    Session::register(server.address(), "alice").await?;
    // The socket is left behind, with nobody listening.
    let place = server.kill().await?;
    assert!(place.data.join("admin.sock").exists());
    let ended = run(&place, &["user", "add", "bob", "--password-stdin"], Some("a bob's secret\n")).await?;
    assert!(ended.status.success(), "{ended:?}");
    let server = Myelin::start(place).await?;
    Session::log_in(server.address(), "alice").await?;
    Session::log_in_with(server.address(), "bob", "a bob's secret").await?;
    Ok(())
}
