//! E-mail addresses of accounts, end to end: the server's mails go over SMTP to a mail server on loopback.

#![expect(clippy::unwrap_used, reason = "a mail that is not as it should be fails the test")]

use axum::body::{Body, to_bytes};
use http::{Request, StatusCode, header};
use myelin_server::config::{Config, Email, Registration};
use myelin_testkit::{Answer, Browser, Client, Page, TestServer};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

const PAGE: &str = "/_matrix/client/unstable/email/submit_token";
const PASSWORD: &str = "/_matrix/client/v3/account/password";
const THIRD_PARTY: &str = "/_matrix/client/v3/account/3pid";

/// A mail as it came: to whom, its text as it was written, and the same as a page.
struct Received {
    to: String,
    headers: String,
    text: String,
    html: String,
}

/// A mail server that takes everything.
struct MailServer {
    port: u16,
    received: UnboundedReceiver<Received>,
}

impl MailServer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, received) = unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, sender.clone()));
            }
        });
        Self { port, received }
    }

    async fn next(&mut self) -> Received {
        self.received.recv().await.unwrap()
    }
}

/// One SMTP session (RFC 5321), as far as a client needs it that hands over mails.
async fn converse(stream: TcpStream, received: UnboundedSender<Received>) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    write.write_all(b"220 test ESMTP\r\n").await.unwrap();
    let mut to = String::new();
    while let Ok(Some(line)) = lines.next_line().await {
        let verb = line.to_ascii_uppercase();
        let answer = if verb.starts_with("EHLO") {
            "250-test\r\n250 8BITMIME\r\n"
        } else if verb.starts_with("RCPT TO:") {
            let (_, address) = line.split_once('<').unwrap();
            to = address.split('>').next().unwrap().to_owned();
            "250 ok\r\n"
        } else if verb == "DATA" {
            write.write_all(b"354 go on\r\n").await.unwrap();
            let mut mail = String::new();
            while let Ok(Some(line)) = lines.next_line().await {
                if line == "." {
                    break;
                }
                mail.push_str(line.strip_prefix('.').unwrap_or(&line));
                mail.push('\n');
            }
            let (headers, body) = mail.split_once("\n\n").unwrap();
            let [text, html] = alternatives(headers, body);
            // A test that is over takes nothing any more.
            let _ = received.send(Received { to: to.clone(), headers: headers.to_owned(), text, html });
            "250 ok\r\n"
        } else if verb == "QUIT" {
            let _ = write.write_all(b"221 bye\r\n").await;
            return;
        } else {
            "250 ok\r\n"
        };
        if write.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The two forms of a mail, the plain one first (RFC 2046, section 5.1.4).
fn alternatives(headers: &str, body: &str) -> [String; 2] {
    assert!(headers.contains("Content-Type: multipart/alternative"), "{headers}");
    let (_, rest) = headers.split_once("boundary=\"").unwrap();
    let boundary = format!("--{}", rest.split('"').next().unwrap());
    let mut parts = body.split(boundary.as_str()).skip(1);
    let mut part = |kind: &str| {
        let (headers, body) = parts.next().and_then(|part| part.split_once("\n\n")).unwrap();
        assert!(headers.contains(&format!("Content-Type: {kind}; charset=utf-8")), "{headers}");
        if headers.contains("quoted-printable") { decoded(body) } else { body.to_owned() }
    };
    let both = [part("text/plain"), part("text/html")];
    assert!(parts.next().is_some_and(|end| end.starts_with("--")) && parts.next().is_none());
    both
}

/// Quoted-printable (RFC 2045, section 6.7).
fn decoded(body: &str) -> String {
    let joined = body.replace("=\n", "");
    let mut parts = joined.split('=');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(digits, 16).unwrap());
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).unwrap()
}

impl Received {
    /// The token of the link.
    fn token(&self) -> &str {
        let (_, rest) = self.text.split_once(&format!("http://hs.test{PAGE}?token=")).expect("a link");
        rest.split_whitespace().next().unwrap()
    }
}

async fn started(seed: u64, change: impl FnOnce(&mut Config)) -> (TestServer, MailServer) {
    let mail = MailServer::start().await;
    let mut config = Config {
        server_name: "hs".to_owned(),
        public_url: Some("http://hs.test".to_owned()),
        registration: Registration::Open,
        email: Email {
            smtp_url: Some(format!("smtp://127.0.0.1:{}", mail.port)),
            from: Some("The Server <noreply@hs.test>".to_owned()),
            ..Email::default()
        },
        ..Config::default()
    };
    config.limits.enabled = false;
    change(&mut config);
    (TestServer::with(seed, config).await, mail)
}

/// An answer of the page.
struct Shown {
    status: StatusCode,
    headers: http::HeaderMap,
    html: String,
}

async fn shown(server: &TestServer, request: Request<Body>) -> Shown {
    let response = server.request(request).await;
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, 1 << 20).await.unwrap();
    Shown { status: parts.status, headers: parts.headers, html: String::from_utf8(bytes.to_vec()).unwrap() }
}

async fn open(server: &TestServer, token: &str) -> Shown {
    let request = Request::get(format!("{PAGE}?token={token}")).body(Body::empty()).unwrap();
    shown(server, request).await
}

async fn press(server: &TestServer, token: &str) -> Shown {
    let form = "application/x-www-form-urlencoded";
    let request = Request::post(PAGE).header(header::CONTENT_TYPE, form);
    shown(server, request.body(Body::from(format!("token={token}"))).unwrap()).await
}

fn wish(email: &str, attempt: u8) -> Value {
    json!({"client_secret": "s3cret", "email": email, "send_attempt": attempt})
}

/// Asks for a mail and answers with the session.
async fn ask(client: &Client<'_>, path: &str, wish: Value) -> String {
    client.post(path, wish).await.ok()["sid"].as_str().unwrap().to_owned()
}

async fn add(alice: &Client<'_>, sid: &str) -> Answer {
    let dict = json!({"type": "m.login.password", "user": "alice", "password": "correct horse"});
    let body = json!({"sid": sid, "client_secret": "s3cret", "auth": dict});
    alice.post(&format!("{THIRD_PARTY}/add"), body).await
}

/// Adds an address to Alice's account.
async fn with_address(server: &TestServer, mail: &mut MailServer, alice: &Client<'_>, email: &str) {
    let sid = ask(alice, &format!("{THIRD_PARTY}/email/requestToken"), wish(email, 1)).await;
    let received = mail.next().await;
    assert_eq!(press(server, received.token()).await.status, StatusCode::OK);
    add(alice, &sid).await.done();
}

#[tokio::test]
async fn an_address_is_added_after_its_reader_pressed_the_button() {
    let (server, mut mail) = started(71, |_| {}).await;
    let alice = server.register("alice").await;
    let capabilities = alice.get("/_matrix/client/v3/capabilities").await.ok();
    assert_eq!(capabilities["capabilities"]["m.3pid_changes"], json!({"enabled": true}));
    let path = format!("{THIRD_PARTY}/email/requestToken");
    let sid = ask(&alice, &path, wish("Alice@Example.org", 1)).await;
    let received = mail.next().await;
    assert_eq!(received.to, "alice@example.org");
    assert!(received.headers.contains("From: \"The Server\" <noreply@hs.test>"), "{}", received.headers);
    assert!(received.headers.contains("Auto-Submitted: auto-generated"), "{}", received.headers);
    assert!(received.headers.contains("Date: Thu, 01 Jan 2026 00:00:00 +0000"), "{}", received.headers);
    assert!(received.headers.contains("Message-ID: <") && received.headers.contains("@hs>"));

    // A scanner opens the link; that confirms nothing.
    let page = open(&server, received.token()).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(
        page.html.contains("alice@example.org") && page.html.contains("<html lang=\"en\">"),
        "{}",
        page.html
    );
    let policy = page.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.contains("form-action 'self';") && !policy.contains("script-src"), "{policy}");
    assert_eq!(page.headers[header::REFERRER_POLICY], "same-origin", "the address has the token in it");
    let early = add(&alice, &sid).await;
    assert_eq!((early.status.as_u16(), early.errcode()), (400, "M_THREEPID_AUTH_FAILED"));

    assert_eq!(press(&server, received.token()).await.status, StatusCode::OK);
    let without = json!({"sid": sid, "client_secret": "s3cret"});
    let asked = alice.post(&format!("{THIRD_PARTY}/add"), without.clone()).await;
    assert_eq!(asked.status, StatusCode::UNAUTHORIZED, "the password is needed too");
    let old = alice.post(THIRD_PARTY, json!({"three_pid_creds": without})).await;
    assert_eq!(old.status, StatusCode::UNAUTHORIZED, "in the older form as well");
    add(&alice, &sid).await.done();
    let held = alice.get(THIRD_PARTY).await.ok();
    let held = &held["threepids"];
    assert_eq!((&held[0]["medium"], &held[0]["address"]), (&json!("email"), &json!("alice@example.org")));
    assert!(held[0]["validated_at"].is_i64() && held[0]["added_at"].is_i64());

    // What was used is of no use.
    assert_eq!(open(&server, received.token()).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(press(&server, received.token()).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(add(&alice, &sid).await.errcode(), "M_THREEPID_AUTH_FAILED");

    let gone = alice
        .post(&format!("{THIRD_PARTY}/delete"), json!({"medium": "email", "address": "alice@example.org"}))
        .await;
    assert_eq!(gone.ok(), json!({"id_server_unbind_result": "no-support"}));
    assert_eq!(alice.get(THIRD_PARTY).await.ok(), json!({"threepids": []}));
}

#[tokio::test]
async fn a_forgotten_password_is_reset_by_mail_across_a_restart() {
    let (server, mut mail) = started(72, |_| {}).await;
    let alice = server.register("alice").await;
    with_address(&server, &mut mail, &alice, "alice@example.org").await;
    let nobody = server.anonymous();
    let token_path = format!("{PASSWORD}/email/requestToken");
    let sid = ask(&nobody, &token_path, wish("alice@example.org", 1)).await;
    let token = mail.next().await.token().to_owned();
    let old_session = alice.token.clone();

    let server = server.restart().await;
    let nobody = server.anonymous();
    let creds = json!({"sid": sid, "client_secret": "s3cret"});
    let reset = |session: &Value| {
        let dict = json!({"type": "m.login.email.identity", "threepid_creds": creds, "session": session});
        nobody.post(PASSWORD, json!({"new_password": "battery staple", "auth": dict}))
    };
    let first = nobody.post(PASSWORD, json!({"new_password": "battery staple"})).await;
    assert_eq!(first.body["flows"], json!([{"stages": ["m.login.email.identity"]}]));
    let early = reset(&first.body["session"]).await;
    assert_eq!((early.status.as_u16(), early.errcode()), (401, "M_THREEPID_AUTH_FAILED"));
    assert_eq!(press(&server, &token).await.status, StatusCode::OK);
    reset(&first.body["session"]).await.done();
    let again = reset(&first.body["session"]).await;
    assert_eq!((again.status.as_u16(), again.errcode()), (401, "M_THREEPID_AUTH_FAILED"), "once");

    let mut alice = server.anonymous();
    alice.token = old_session;
    assert_eq!(alice.get("/_matrix/client/v3/account/whoami").await.errcode(), "M_UNKNOWN_TOKEN");
    let by_address = |password: &str| {
        let identifier =
            json!({"type": "m.id.thirdparty", "medium": "email", "address": "Alice@example.org"});
        let body = json!({"type": "m.login.password", "identifier": identifier, "password": password});
        nobody.post("/_matrix/client/v3/login", body)
    };
    assert_eq!(by_address("correct horse").await.errcode(), "M_FORBIDDEN");
    assert_eq!(by_address("battery staple").await.ok()["user_id"], "@alice:hs");
    let oldest = json!({"type": "m.login.password", "medium": "email", "address": "alice@example.org",
        "password": "battery staple"});
    nobody.post("/_matrix/client/v3/login", oldest).await.done();
}

#[tokio::test]
async fn a_link_expires_after_an_hour() {
    let (server, mut mail) = started(73, |_| {}).await;
    let alice = server.register("alice").await;
    let path = format!("{THIRD_PARTY}/email/requestToken");
    let sid = ask(&alice, &path, wish("alice@example.org", 1)).await;
    let token = mail.next().await.token().to_owned();
    server.clock.advance(std::time::Duration::from_secs(3600));
    assert_eq!(open(&server, &token).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(press(&server, &token).await.status, StatusCode::BAD_REQUEST);
    let as_json = server.anonymous().post(PAGE, json!({"token": token})).await;
    assert_eq!((as_json.status.as_u16(), as_json.errcode()), (400, "M_TOKEN_INCORRECT"));
    assert_eq!(add(&alice, &sid).await.errcode(), "M_THREEPID_AUTH_FAILED");
}

#[tokio::test]
async fn nobody_learns_whether_an_address_belongs_to_somebody() {
    let (server, mut mail) = started(74, |_| {}).await;
    let alice = server.register("alice").await;
    with_address(&server, &mut mail, &alice, "alice@example.org").await;
    let nobody = server.anonymous();
    let reset = format!("{PASSWORD}/email/requestToken");
    for email in ["alice@example.org", "unknown@example.org"] {
        for _ in 0..2 {
            let answer = nobody.post(&reset, wish(email, 1)).await.ok();
            assert_eq!(answer["sid"].as_str().map(str::len), Some(43), "{email}");
        }
    }
    assert_eq!(mail.next().await.to, "alice@example.org");
    // The next mail is the one for this, so there was none for the unknown address.
    ask(&nobody, "/_matrix/client/v3/register/email/requestToken", wish("alice@example.org", 1)).await;
    let told = mail.next().await;
    assert_eq!(told.to, "alice@example.org");
    assert!(told.text.contains("belongs to the account @alice:hs already") && !told.text.contains(PAGE));
    let login = json!({"type": "m.login.password", "password": "wrong horse",
        "identifier": {"type": "m.id.thirdparty", "medium": "email", "address": "unknown@example.org"}});
    let unknown = nobody.post("/_matrix/client/v3/login", login).await;
    assert_eq!((unknown.status.as_u16(), unknown.errcode()), (403, "M_FORBIDDEN"));
}

#[tokio::test]
async fn one_registers_with_an_address_and_goes_on_where_the_client_said() {
    let (server, mut mail) = started(75, |config| config.email.required_to_register = true).await;
    let nobody = server.anonymous();
    let path = "/_matrix/client/v3/register";
    let first = nobody.post(path, json!({})).await;
    assert_eq!(first.body["flows"], json!([{"stages": ["m.login.email.identity"]}]));
    let mut request = wish("carol@example.org", 1);
    request["next_link"] = json!("https://app.example.org/#/welcome?a=1&b=2");
    let sid = ask(&nobody, &format!("{path}/email/requestToken"), request).await;
    let token = mail.next().await.token().to_owned();
    let page = open(&server, &token).await;
    let policy = page.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.contains("form-action 'self' https://app.example.org;"), "{policy}");
    let pressed = press(&server, &token).await;
    assert_eq!(pressed.status, StatusCode::SEE_OTHER);
    assert_eq!(pressed.headers[header::LOCATION], "https://app.example.org/#/welcome?a=1&b=2");

    let creds = json!({"sid": sid, "client_secret": "s3cret"});
    let dict =
        json!({"type": "m.login.email.identity", "threepid_creds": creds, "session": first.body["session"]});
    let wish = json!({"username": "carol", "password": "correct horse", "auth": dict});
    let told = nobody.post(path, wish).await.ok();
    let mut carol = server.anonymous();
    carol.token = told["access_token"].as_str().map(str::to_owned);
    assert_eq!(carol.get(THIRD_PARTY).await.ok()["threepids"][0]["address"], "carol@example.org");
    let dict = json!({"type": "m.login.password", "user": "carol", "password": "correct horse"});
    carol.post("/_matrix/client/v3/account/deactivate", json!({"auth": dict})).await.done();
    let sid =
        ask(&nobody, "/_matrix/client/v3/register/email/requestToken", self::wish("carol@example.org", 2));
    sid.await;
    assert!(mail.next().await.text.contains(PAGE), "a deactivated account has given its address back");
}

#[tokio::test]
async fn phones_and_identity_servers_are_not_served_nor_mail_where_none_is_set_up() {
    let (server, _mail) = started(76, |_| {}).await;
    let alice = server.register("alice").await;
    for path in ["account/3pid", "account/password", "register"] {
        let phone =
            json!({"client_secret": "s3cret", "country": "GB", "phone_number": "1", "send_attempt": 1});
        let answer = alice.post(&format!("/_matrix/client/v3/{path}/msisdn/requestToken"), phone).await;
        assert_eq!(
            (answer.status.as_u16(), answer.errcode()),
            (400, "M_THREEPID_MEDIUM_NOT_SUPPORTED"),
            "{path}"
        );
    }
    let creds =
        json!({"id_server": "id.example.org", "id_access_token": "x", "sid": "x", "client_secret": "x"});
    let bound = alice.post(&format!("{THIRD_PARTY}/bind"), creds).await;
    assert_eq!((bound.status.as_u16(), bound.errcode()), (400, "M_SERVER_NOT_TRUSTED"));
    let unbound = json!({"medium": "email", "address": "a@b.c"});
    let unbound = alice.post(&format!("{THIRD_PARTY}/unbind"), unbound).await.ok();
    assert_eq!(unbound, json!({"id_server_unbind_result": "no-support"}));

    let silent = TestServer::new(77).await;
    let nobody = silent.anonymous();
    for path in ["account/3pid", "account/password", "register"] {
        let path = format!("/_matrix/client/v3/{path}/email/requestToken");
        let answer = nobody.post(&path, wish("a@example.org", 1)).await;
        assert_eq!(
            (answer.status.as_u16(), answer.errcode()),
            (400, "M_THREEPID_MEDIUM_NOT_SUPPORTED"),
            "{path}"
        );
    }
    let reset = nobody.post(PASSWORD, json!({"new_password": "battery staple"})).await;
    assert_eq!((reset.status.as_u16(), reset.errcode()), (403, "M_FORBIDDEN"));
    let alice = silent.register("alice").await;
    let capabilities = alice.get("/_matrix/client/v3/capabilities").await.ok();
    assert_eq!(capabilities["capabilities"]["m.3pid_changes"], json!({"enabled": false}));
}

#[tokio::test]
async fn who_makes_an_account_on_the_page_confirms_their_address_first_where_the_operator_wants_it() {
    let (server, mut mail) = started(31, |config| config.email.required_to_register = true).await;
    let metadata = server.anonymous().get("/_matrix/client/v1/auth_metadata").await.ok();
    assert_eq!(metadata["prompt_values_supported"], json!(["create"]));
    let mut browser = Browser::new(&server);
    let page = browser.open("/oauth2/sign-up").await;
    assert!(!page.html.contains("new-password"), "the address comes first");
    for (email, said) in [("nonsense", "sent to this address"), ("", "sent to this address")] {
        let page = browser.submit(&page, &[("user_name", "alice"), ("email", email)]).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST);
        assert!(page.html.contains(said), "{}", page.html);
    }
    let page = browser.submit(&page, &[("user_name", "alice"), ("email", "alice@example.org")]).await;
    assert!(page.html.contains("alice@example.org") && page.html.contains("new-password"), "{}", page.html);
    let password = [("password", "correct horse")];
    let early = browser.submit(&page, &password).await;
    assert_eq!(early.status, StatusCode::BAD_REQUEST);
    assert!(early.html.contains("not confirmed yet"), "{}", early.html);
    let received = mail.next().await;
    assert_eq!(press(&server, received.token()).await.status, StatusCode::OK);
    let forged = [("password", "correct horse"), ("secret", "guessed")];
    assert!(browser.submit(&page, &forged).await.html.contains("not confirmed yet"));
    let done = browser.submit(&early, &password).await;
    assert!(done.html.contains("@alice:hs"), "{}", done.html);

    let mut other = Browser::new(&server);
    let page = other.open("/oauth2/sign-up").await;
    let page = other.submit(&page, &[("user_name", "bob"), ("email", "alice@example.org")]).await;
    assert_eq!(page.status, StatusCode::OK, "the page says nothing about whose the address is");
    let received = mail.next().await;
    assert!(received.text.contains("already"), "the mail does: {}", received.text);
}

/// Asks for a mail as a client does whose user reads these languages.
async fn ask_in(server: &TestServer, languages: &str, attempt: u8) {
    let path = "/_matrix/client/v3/register/email/requestToken";
    let request = Request::post(path).header(header::ACCEPT_LANGUAGE, languages);
    let body = Body::from(wish("alice@example.org", attempt).to_string());
    assert_eq!(server.request(request.body(body).unwrap()).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_mail_is_in_the_language_of_whoever_asks_for_it_as_text_and_as_a_page_that_loads_nothing() {
    let (server, mut mail) = started(78, |config| config.language = "fr".to_owned()).await;
    for (attempt, languages, tag, said) in [
        (1, "de-AT, en;q=0.5", "de", "Die Seite gilt eine Stunde lang."),
        (2, "en-GB", "en", "The page is good for one hour."),
        (3, "sv", "fr", "La page est valable une heure."),
    ] {
        ask_in(&server, languages, attempt).await;
        let received = mail.next().await;
        assert!(received.headers.contains(&format!("Content-Language: {tag}\n")), "{}", received.headers);
        assert!(received.text.contains(said), "{}", received.text);
        assert!(received.html.contains(said) && received.html.contains(&format!("<html lang=\"{tag}\">")));
        let link = format!("<a href=\"http://hs.test{PAGE}?token={}\"", received.token());
        assert_eq!((received.html.matches(&link).count(), received.html.matches("http").count()), (1, 1));
    }
    let mut browser = Browser::new(&server);
    browser.languages = "de".to_owned();
    let page = browser.open("/oauth2/forgot").await;
    let alice = server.register("alice").await;
    with_address(&server, &mut mail, &alice, "bob@example.org").await;
    browser.submit(&page, &[("email", "bob@example.org")]).await;
    let received = mail.next().await;
    assert!(received.text.contains("ein neues Passwort für das Konto @alice:hs"), "{}", received.text);
}

#[tokio::test]
async fn a_client_that_does_not_know_of_addresses_has_one_confirmed_on_a_page() {
    let (server, mut mail) = started(79, |config| config.email.required_to_register = true).await;
    let nobody = server.anonymous();
    let path = "/_matrix/client/v3/register";
    let mut account = json!({"username": "carol", "password": "correct horse"});
    let session = nobody.post(path, account.clone()).await.body["session"].as_str().unwrap().to_owned();
    let mut browser = Browser::new(&server);
    browser.languages = "fr".to_owned();
    let fallback = format!("/_matrix/client/v3/auth/m.login.email.identity/fallback/web?session={session}");
    let page = browser.open(&fallback).await;
    let wrong = browser.submit(&page, &[("email", "no address")]).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST, "{}", wrong.html);
    let page = browser.submit(&wrong, &[("email", "carol@example.org")]).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.html);
    let early = browser.submit(&page, &[]).await;
    assert_eq!(early.status, StatusCode::FORBIDDEN, "{}", early.html);
    let received = mail.next().await;
    assert!(received.text.contains("La page est valable une heure."), "{}", received.text);
    assert_eq!(press(&server, received.token()).await.status, StatusCode::OK);
    let forged = browser.submit(&early, &[("secret", "guessed")]).await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
    let done = browser.submit(&early, &[]).await;
    assert!(done.html.contains("authDone"), "{}", done.html);
    account["auth"] = json!({ "session": session });
    let mut carol = server.anonymous();
    carol.token = nobody.post(path, account).await.ok()["access_token"].as_str().map(str::to_owned);
    assert_eq!(carol.get(THIRD_PARTY).await.ok()["threepids"][0]["address"], "carol@example.org");
}

#[tokio::test]
async fn nobody_is_led_to_a_page_on_which_they_reset_their_password_for_somebody_else() {
    for (seed, pages) in [(80, true), (81, false)] {
        let (server, mut mail) = started(seed, |config| config.oauth.enabled = pages).await;
        let alice = server.register("alice").await;
        with_address(&server, &mut mail, &alice, "alice@example.org").await;
        let eve = server.anonymous();
        let session = eve.post(PASSWORD, json!({"new_password": "battery staple"})).await;
        let session = session.body["session"].as_str().unwrap().to_owned();
        let fallback = "/_matrix/client/v3/auth/m.login.email.identity/fallback/web";
        let mut browser = Browser::new(&server);
        let led = browser.open(&format!("{fallback}?session={session}")).await;
        let expected = if pages { StatusCode::FOUND } else { StatusCode::BAD_REQUEST };
        assert_eq!(led.status, expected, "{}", led.html);
        assert!(
            !pages || led.url == "http://hs.test/oauth2/forgot",
            "where it is for their own browser: {}",
            led.url
        );
        let posted = browser.post(fallback, format!("session={session}&email=alice@example.org")).await;
        assert_eq!(posted.status, StatusCode::BAD_REQUEST);
        // The next mail is for this: there was none before.
        ask(&alice, &format!("{THIRD_PARTY}/email/requestToken"), wish("other@example.org", 7)).await;
        assert_eq!(mail.next().await.to, "other@example.org");
    }
}

/// The text of a page's heading.
fn heading(page: &Page) -> &str {
    page.html.split("<h1>").nth(1).and_then(|rest| rest.split("</h1>").next()).unwrap_or_default()
}

#[tokio::test]
async fn who_forgot_their_password_gets_a_new_one_on_the_page_by_a_mail_and_nobody_else_does() {
    let (server, mut mail) = started(90, |_| {}).await;
    let alice = server.register("alice").await;
    with_address(&server, &mut mail, &alice, "alice@example.org").await;
    let mut elsewhere = Browser::new(&server);
    let page = elsewhere.open("/account").await;
    assert!(page.html.contains("/oauth2/forgot?next=%2Faccount"), "{}", page.html);
    elsewhere.submit(&page, &[("user_name", "alice"), ("password", "correct horse")]).await;

    let mut browser = Browser::new(&server);
    let page = browser.open("/oauth2/forgot?next=%2Faccount").await;
    let unknown = browser.submit(&page, &[("email", "nobody@example.org")]).await;
    let page = browser.submit(&page, &[("email", "alice@example.org")]).await;
    let shown = |page: &Page, email: &str| {
        let secrets: Vec<_> = page.hidden().into_iter().map(|(_, value)| value).collect();
        let text = secrets.iter().fold(page.html.clone(), |text, secret| text.replace(secret.as_str(), "_"));
        (page.status, text.replace(email, "_"))
    };
    assert_eq!(
        shown(&unknown, "nobody@example.org"),
        shown(&page, "alice@example.org"),
        "nobody learns which it was"
    );
    let early = browser.submit(&page, &[("password", "battery staple")]).await;
    assert_eq!(early.status, StatusCode::BAD_REQUEST, "the link was not opened: {}", early.html);
    let received = mail.next().await;
    assert_eq!(press(&server, received.token()).await.status, StatusCode::OK);
    let never = browser.submit(&unknown, &[("password", "battery staple")]).await;
    assert_eq!(never.status, StatusCode::BAD_REQUEST);
    let short = browser.submit(&early, &[("password", "short")]).await;
    assert!(short.html.contains("at least 8 characters"), "{}", short.html);
    let done = browser.submit(&short, &[("password", "battery staple")]).await;
    assert!(done.html.contains("Your password is changed"), "{}", done.html);
    let again = browser.submit(&short, &[("password", "another one here")]).await;
    assert_eq!(again.status, StatusCode::BAD_REQUEST, "a mail is good once");

    assert_eq!(heading(&elsewhere.open("/account").await), "Sign in", "browsers of before end");
    alice.get("/_matrix/client/v3/account/whoami").await.done();
    let page = browser.open(&done.back()).await;
    let old = browser.submit(&page, &[("user_name", "alice"), ("password", "correct horse")]).await;
    assert_eq!(old.status, StatusCode::FORBIDDEN);
    let page = browser.submit(&page, &[("user_name", "alice"), ("password", "battery staple")]).await;
    assert_eq!(heading(&page), "Your account", "and goes on where it began");
}

#[tokio::test]
async fn addresses_are_added_and_removed_on_the_page() {
    let (server, mut mail) = started(91, |_| {}).await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    with_address(&server, &mut mail, &alice, "alice@example.org").await;
    let mut browser = Browser::new(&server);
    let page = browser.open("/account?action=myelin.emails").await;
    let page = browser.submit(&page, &[("user_name", "bob"), ("password", "correct horse")]).await;
    assert_eq!(heading(&page), "Your e-mail addresses");
    let waiting = browser.submit(&page, &[("email", "bob@example.org")]).await;
    let early = browser.submit(&waiting, &[]).await;
    assert!(early.html.contains("not confirmed yet"), "{}", early.html);
    let received = mail.next().await;
    assert_eq!(press(&server, received.token()).await.status, StatusCode::OK);
    let added = browser.submit(&waiting, &[]).await;
    assert!(added.html.contains("The address is added"), "{}", added.html);
    let listed = bob.get(THIRD_PARTY).await.ok();
    assert_eq!(listed["threepids"][0]["address"], "bob@example.org");
    let wrong = browser.submit(&added, &[("email", "no address")]).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);

    browser.submit(&added, &[("email", ""), ("remove", "alice@example.org")]).await;
    assert_eq!(alice.get(THIRD_PARTY).await.ok()["threepids"].as_array().unwrap().len(), 1, "it is Alice's");
    let removed = browser.submit(&added, &[("email", ""), ("remove", "bob@example.org")]).await;
    assert!(removed.html.contains("The address is removed"), "{}", removed.html);
    assert_eq!(bob.get(THIRD_PARTY).await.ok()["threepids"], json!([]));
}
