//! People of a directory log in with their passwords there: OpenLDAP, on loopback.

#![expect(clippy::unwrap_used, reason = "helpers of tests: what fails there fails the test")]

mod slapd;

use std::time::Duration;

use http::StatusCode;
use myelin_server::admin::{Command, Reply};
use myelin_server::config::{Config, Existing, Registration};
use myelin_testkit::{Answer, Browser, TestServer};
use serde_json::{Value, json};

use self::slapd::{BASE, LOOKS_UP, Slapd};

const LOGIN: &str = "/_matrix/client/v3/login";

async fn server(seed: u64, slapd: &Slapd) -> TestServer {
    let url = format!("ldap://127.0.0.1:{}", slapd.port);
    server_with(seed, &url, |_| {}).await
}

async fn server_with(seed: u64, url: &str, change: impl FnOnce(&mut Config)) -> TestServer {
    let mut config =
        Config { server_name: "hs".to_owned(), registration: Registration::Open, ..Config::default() };
    config.limits.enabled = false;
    config.ldap.url = Some(url.to_owned());
    config.ldap.bind_dn = Some(LOOKS_UP.0.to_owned());
    config.ldap.bind_password = Some(LOOKS_UP.1.to_owned());
    config.ldap.base_dn = BASE.to_owned();
    config.ldap.existing_account = Existing::Apart;
    change(&mut config);
    TestServer::with(seed, config).await
}

async fn login(server: &TestServer, name: &str, password: &str) -> Answer {
    let identifier = json!({"type": "m.id.user", "user": name});
    let body = json!({"type": "m.login.password", "identifier": identifier, "password": password});
    server.anonymous().post(LOGIN, body).await
}

#[tokio::test]
async fn people_of_a_directory_log_in_with_their_passwords_there_everywhere() {
    let slapd = Slapd::start().await;
    let server = server(141, &slapd).await;
    let told = login(&server, "alice", "wonderland").await.ok();
    assert_eq!(told["user_id"], "@alice:hs", "the account is made when they come first");
    let again = login(&server, "@alice:hs", "wonderland").await.ok();
    assert_eq!(again["user_id"], "@alice:hs");
    let name = server.anonymous().get("/_matrix/client/v3/profile/@alice:hs").await.ok();
    assert_eq!(name["displayname"], "Alice A.");
    let mut browser = Browser::new(&server);
    let page = browser.open("/oauth2/sign-in").await;
    let page = browser.submit(&page, &[("user_name", "alice"), ("password", "wonderland")]).await;
    assert!(page.html.contains("@alice:hs"), "{}", page.html);
    let mut alice = server.anonymous();
    alice.token = told["access_token"].as_str().map(str::to_owned);
    let device = format!("/_matrix/client/v3/devices/{}", again["device_id"].as_str().unwrap());
    let challenge = alice.call(http::Method::DELETE, &device, Some(&json!({}))).await;
    assert_eq!(challenge.status, StatusCode::UNAUTHORIZED);
    let auth = |password: &str| -> Value {
        json!({"auth": {
            "type": "m.login.password", "session": challenge.body["session"], "password": password,
            "identifier": {"type": "m.id.user", "user": "alice"},
        }})
    };
    let wrong = alice.call(http::Method::DELETE, &device, Some(&auth("builder"))).await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    let right = alice.call(http::Method::DELETE, &device, Some(&auth("wonderland"))).await;
    assert_eq!(right.status, StatusCode::OK, "{}", right.body);
}

#[tokio::test]
async fn nobody_gets_in_without_a_password_with_a_wild_card_or_as_an_account_of_this_server() {
    let slapd = Slapd::start().await;
    let server = server(142, &slapd).await;
    server.register("bob").await;
    for (name, password) in [
        ("alice", ""),
        ("alice", "builder"),
        ("*", "wonderland"),
        ("a*)(uid=alice", "wonderland"),
        ("ali*", "wonderland"),
        ("nobody", "wonderland"),
        ("uid=alice,dc=example,dc=org", "wonderland"),
    ] {
        let answer = login(&server, name, password).await;
        assert_eq!(
            (answer.status, answer.errcode()),
            (StatusCode::FORBIDDEN, "M_FORBIDDEN"),
            "{name} {password}"
        );
    }
    let taken = login(&server, "bob", "builder").await;
    assert_eq!(taken.status, StatusCode::FORBIDDEN, "bob of this server is somebody else");
    assert_eq!(login(&server, "bob", "correct horse").await.status, StatusCode::OK);
}

#[tokio::test]
async fn while_the_directory_is_down_nobody_of_it_gets_in_and_all_are_told_so() {
    let mut slapd = Slapd::start().await;
    let server = server(143, &slapd).await;
    server.register("carol").await;
    let told = login(&server, "alice", "wonderland").await.ok();
    slapd.stop();
    let down = (StatusCode::SERVICE_UNAVAILABLE, "MYELIN_DIRECTORY_UNREACHABLE");
    let answer = login(&server, "alice", "wonderland").await;
    assert_eq!((answer.status, answer.errcode()), down, "{}", answer.body);
    let mut alice = server.anonymous();
    alice.token = told["access_token"].as_str().map(str::to_owned);
    let auth = json!({
        "type": "m.login.password", "password": "wonderland", "identifier": {"type": "m.id.user", "user": "alice"},
    });
    let answer = alice.post("/_matrix/client/v3/account/deactivate", json!({ "auth": auth })).await;
    assert_eq!(
        (answer.status, answer.errcode()),
        down,
        "where a password is asked for again: {}",
        answer.body
    );
    let mut browser = Browser::new(&server);
    let page = browser.open("/oauth2/sign-in").await;
    let page = browser.submit(&page, &[("user_name", "alice"), ("password", "wonderland")]).await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.html.contains("The directory that knows the passwords can't be reached"), "{}", page.html);
    assert_eq!(login(&server, "carol", "correct horse").await.status, StatusCode::OK, "of this server");
    slapd.again().await;
    assert_eq!(login(&server, "alice", "wonderland").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_directory_is_known_by_its_certificate_and_told_nothing_before_it_is() {
    let slapd = Slapd::start().await;
    let stranger = Slapd::start().await;
    let clear = Slapd::without_tls().await;
    let ldaps = format!("ldaps://127.0.0.1:{}", slapd.tls_port);
    let ldap = format!("ldap://127.0.0.1:{}", slapd.port);
    let other_name = format!("ldaps://localhost:{}", slapd.tls_port);
    let no_tls = format!("ldap://127.0.0.1:{}", clear.port);
    let (ca, other_ca) = (Some(slapd.ca()), Some(stranger.ca()));
    let (fine, refused) = (StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE);
    for (seed, url, start_tls, ca_file, expected) in [
        (150, &ldaps, false, &ca, fine),
        (151, &ldap, true, &ca, fine),
        (152, &ldaps, false, &other_ca, refused),
        (153, &ldap, true, &other_ca, refused),
        (154, &ldaps, false, &None, refused),
        (155, &other_name, false, &ca, refused),
        (156, &no_tls, true, &ca, refused),
    ] {
        let server = server_with(seed, url, |config| {
            config.ldap.start_tls = start_tls;
            config.ldap.ca_file.clone_from(ca_file);
        })
        .await;
        let answer = login(&server, "alice", "wonderland").await;
        assert_eq!(answer.status, expected, "{url} {start_tls} {ca_file:?}: {}", answer.body);
    }
}

#[tokio::test]
async fn who_is_removed_from_the_directory_or_gets_another_password_there_logs_in_no_more_with_the_old_one() {
    let slapd = Slapd::start().await;
    let server = server(144, &slapd).await;
    let told = login(&server, "alice", "wonderland").await.ok();
    let mut alice = server.anonymous();
    alice.token = told["access_token"].as_str().map(str::to_owned);
    let capabilities = alice.get("/_matrix/client/v3/capabilities").await.ok();
    assert_eq!(capabilities["capabilities"]["m.change_password"]["enabled"], false);
    let mut body = json!({"new_password": "a password of this server", "logout_devices": false});
    let challenge = alice.post("/_matrix/client/v3/account/password", body.clone()).await;
    body["auth"] = json!({
        "type": "m.login.password", "session": challenge.body["session"], "password": "wonderland",
        "identifier": {"type": "m.id.user", "user": "alice"},
    });
    let own = alice.post("/_matrix/client/v3/account/password", body).await;
    assert_eq!(own.status, StatusCode::FORBIDDEN, "it would outlive them in the directory: {}", own.body);

    slapd.set_password("alice", "looking glass").await;
    assert_eq!(login(&server, "alice", "wonderland").await.status, StatusCode::FORBIDDEN);
    assert_eq!(login(&server, "alice", "looking glass").await.status, StatusCode::OK);
    slapd.remove("alice").await;
    assert_eq!(login(&server, "alice", "looking glass").await.status, StatusCode::FORBIDDEN);
    slapd.add("alice", "somebody else").await;
    let other = login(&server, "alice", "somebody else").await;
    assert_eq!(other.status, StatusCode::FORBIDDEN, "her name does not make her account theirs");
}

#[tokio::test]
async fn who_is_locked_or_gone_here_stays_so_whatever_the_directory_says() {
    let slapd = Slapd::start().await;
    let server = server(145, &slapd).await;
    let told = login(&server, "alice", "wonderland").await.ok();
    let name = || "alice".to_owned();
    let _ = server.operate(Command::UserLock { name: name() }).await;
    let locked = login(&server, "alice", "wonderland").await;
    assert_eq!((locked.status, locked.errcode()), (StatusCode::UNAUTHORIZED, "M_USER_LOCKED"));
    let mut browser = Browser::new(&server);
    let page = browser.open("/oauth2/sign-in").await;
    let page = browser.submit(&page, &[("user_name", "alice"), ("password", "wonderland")]).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN, "{}", page.html);
    let _ = server.operate(Command::UserUnlock { name: name() }).await;

    let mut alice = server.anonymous();
    alice.token = told["access_token"].as_str().map(str::to_owned);
    let deactivate = "/_matrix/client/v3/account/deactivate";
    let challenge = alice.post(deactivate, json!({})).await;
    let auth = json!({
        "type": "m.login.password", "session": challenge.body["session"], "password": "wonderland",
        "identifier": {"type": "m.id.user", "user": "alice"},
    });
    let _ = alice.post(deactivate, json!({ "auth": auth })).await.ok();
    let gone = login(&server, "alice", "wonderland").await;
    assert_eq!(gone.status, StatusCode::FORBIDDEN, "{}", gone.body);
    let server = server.reconfigure(|config| config.ldap.existing_account = Existing::Connect).await;
    assert_eq!(login(&server, "alice", "wonderland").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn who_does_what_can_t_be_undone_shows_the_password_of_the_directory_again() {
    let slapd = Slapd::start().await;
    let server = server(146, &slapd).await;
    let mut browser = Browser::new(&server);
    let page = browser.open("/oauth2/sign-in").await;
    let _ = browser.submit(&page, &[("user_name", "alice"), ("password", "wonderland")]).await;
    let kept = browser.open("/account?action=myelin.password").await;
    assert!(!kept.html.contains("type=\"password\""), "it is not kept here: {}", kept.html);
    server.clock.advance(Duration::from_secs(11 * 60));
    let page = browser.open("/account?action=org.matrix.account_deactivate").await;
    let wrong = browser.submit(&page, &[("user_name", "alice"), ("password", "builder")]).await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN);
    let right = browser.submit(&wrong, &[("user_name", "alice"), ("password", "wonderland")]).await;
    assert!(right.html.contains("Deactivate your account?"), "{}", right.html);
}

#[tokio::test]
async fn an_answer_does_not_tell_who_is_in_the_directory() {
    let slapd = Slapd::start().await;
    let server = server(147, &slapd).await;
    let known = login(&server, "alice", "builder").await;
    let unknown = login(&server, "nobody", "builder").await;
    assert_eq!((known.status, &known.body), (unknown.status, &unknown.body));
    let mut browser = Browser::new(&server);
    let mut pages = Vec::new();
    for name in ["alice", "nobody"] {
        let page = browser.open("/oauth2/sign-in").await;
        let page = browser.submit(&page, &[("user_name", name), ("password", "builder")]).await;
        // The form is another one each time; what is said of the attempt is not.
        let told =
            page.html.split("role=\"alert\">").nth(1).map(|rest| rest.split('<').next().map(str::to_owned));
        assert!(told.is_some(), "{}", page.html);
        pages.push((page.status, told, page.html.len() - name.len()));
    }
    assert_eq!(pages[0], pages[1]);
}

/// What a look in the directory finds: who is there, who is not, and who is locked for that.
async fn look(server: &TestServer) -> Value {
    match server.operate(Command::DirectoryLook).await {
        Reply::Done(found) => json!([found["found"], found["missed"], found["locked"]]),
        Reply::Failed(why) => Value::String(why),
    }
}

#[tokio::test]
async fn who_is_gone_from_the_directory_or_is_none_of_its_people_any_more_is_locked_out_of_what_they_have_open()
 {
    const WHOAMI: &str = "/_matrix/client/v3/account/whoami";
    let mut slapd = Slapd::start().await;
    let url = format!("ldap://127.0.0.1:{}", slapd.port);
    let filter = "(&(objectClass=inetOrgPerson)(|(uid={user})(mail={user}))(!(title=left)))";
    let server = server_with(148, &url, |config| config.ldap.filter = filter.to_owned()).await;
    let mut people = Vec::new();
    for (name, password) in [("alice", "wonderland"), ("bob", "builder"), ("a*", "star")] {
        people.push(login(&server, name, password).await);
    }
    // Who has a name that no account can have has none.
    assert_eq!(people[2].status, StatusCode::FORBIDDEN, "{}", people[2].body);
    slapd.add("carol", "singer").await;
    slapd.add("dave", "diver").await;
    for (name, password) in [("carol", "singer"), ("dave", "diver")] {
        people.push(login(&server, name, password).await);
    }
    let whoami = async |person: usize| {
        let mut client = server.anonymous();
        client.token = people[person].body["access_token"].as_str().map(str::to_owned);
        client.get(WHOAMI).await
    };
    assert_eq!(look(&server).await, json!([4, 0, 0]));
    slapd.remove("alice").await;
    slapd.set("bob", "title", "left").await;
    assert_eq!(look(&server).await, json!([2, 2, 0]), "once is not enough");
    server.clock.advance(Duration::from_secs(3600));
    slapd.stop();
    assert!(look(&server).await.as_str().is_some_and(|why| why.contains("can't be asked")));
    whoami(0).await.done();
    slapd.again().await;
    assert_eq!(look(&server).await, json!([2, 2, 2]));
    for person in [0, 1] {
        assert_eq!(whoami(person).await.errcode(), "M_USER_LOCKED");
    }
    whoami(3).await.done();
    assert_eq!(look(&server).await, json!([2, 0, 0]));
    let _ = server.operate(Command::UserUnlock { name: "bob".to_owned() }).await;
    slapd.set("bob", "title", "back").await;
    whoami(1).await.done();
    assert_eq!(look(&server).await, json!([3, 0, 0]), "who is back is an operator's to unlock");
    // A filter that nobody fits says more of the operator than of the people.
    let server =
        server.reconfigure(|config| config.ldap.filter = "(&(uid={user})(title=none))".to_owned()).await;
    for _ in 0..2 {
        assert_eq!(look(&server).await, json!([0, 3, 0]));
        server.clock.advance(Duration::from_secs(3600));
    }
}
