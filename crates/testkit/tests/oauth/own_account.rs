//! What people do with their account on its pages.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode, header};
use myelin_testkit::{Browser, Page, TestServer};
use serde_json::{Value, json};

use crate::world::{App, PASSWORD, heading};

const NEW: &str = "battery staple";

async fn signed_in<'s>(server: &'s TestServer, next: &str) -> (Browser<'s>, Page) {
    signed_in_with(server, next, PASSWORD).await
}

async fn signed_in_with<'s>(server: &'s TestServer, next: &str, password: &str) -> (Browser<'s>, Page) {
    let mut browser = Browser::new(server);
    let page = browser.open(next).await;
    assert_eq!(heading(&page), "Sign in", "{}", page.html);
    let page = browser.submit(&page, &[("user_name", "alice"), ("password", password)]).await;
    (browser, page)
}

#[tokio::test]
async fn a_display_name_is_changed_and_taken_away() {
    let server = TestServer::new(130).await;
    let alice = server.register("alice").await;
    let (mut browser, page) = signed_in(&server, "/account?action=org.matrix.profile").await;
    assert_eq!(heading(&page), "Your profile");
    let page = browser.submit(&page, &[("display_name", "Alice <3")]).await;
    assert!(page.html.contains("Your name is saved") && page.html.contains("Alice &lt;3"), "{}", page.html);
    let shown = async || alice.get("/_matrix/client/v3/profile/@alice:hs").await.ok();
    assert_eq!(shown().await["displayname"], "Alice <3");
    let page = browser.submit(&page, &[("display_name", " ")]).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(shown().await.get("displayname").is_none());
    let long = "x".repeat(2_000);
    let page = browser.submit(&page, &[("display_name", &long)]).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
}

/// Four pixels.
const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAD0lEQVR42mNgAAJGMAEEAAAhAAbbpT5yAAAAAElFTkSuQmCC";

#[tokio::test]
async fn a_picture_is_uploaded_seen_in_rooms_and_taken_away() {
    let server = TestServer::new(140).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.post("/_matrix/client/v3/createRoom", json!({"preset": "public_chat"})).await.ok();
    bob.post(&format!("/_matrix/client/v3/join/{}", room["room_id"].as_str().unwrap()), json!({}))
        .await
        .done();
    let (mut browser, page) = signed_in(&server, "/account?action=org.matrix.profile").await;
    assert!(!page.html.contains("<img"));
    assert_eq!(browser.open("/account/picture").await.status, StatusCode::NOT_FOUND);
    let hidden = page.hidden();
    let fields: Vec<_> = hidden.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let png = STANDARD.decode(PNG).unwrap();
    let page = browser.upload("/account/picture", &fields, "picture", &png).await;
    assert!(page.html.contains("Your picture is saved") && page.html.contains("<img"), "{}", page.html);
    let policy = page.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.contains("img-src 'self';") && policy.contains("default-src 'none'"), "{policy}");
    let shown = async || alice.get("/_matrix/client/v3/profile/@alice:hs").await.ok();
    let uri = shown().await["avatar_url"].as_str().unwrap().to_owned();
    let (_, id) = uri.rsplit_once('/').unwrap();
    let path = format!("/_matrix/client/v1/media/download/hs/{id}");
    assert_eq!(bob.get(&path).await.status, StatusCode::OK);
    let state = format!(
        "/_matrix/client/v3/rooms/{}/state/m.room.member/@alice:hs",
        room["room_id"].as_str().unwrap()
    );
    let mut since = String::new();
    while bob.get(&state).await.ok()["avatar_url"] != uri.as_str() {
        let sync = bob.get(&format!("/_matrix/client/v3/sync?timeout=10000{since}")).await.ok();
        since = format!("&since={}", sync["next_batch"].as_str().unwrap());
    }
    // It is shown to its owner alone, as what it is, and does nothing.
    let picture = browser.send(Method::HEAD, "/account/picture", None, &[]).await;
    assert_eq!(
        (picture.status, &picture.headers[header::CONTENT_TYPE]),
        (StatusCode::OK, &"image/png".parse().unwrap())
    );
    assert!(picture.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().contains("sandbox"));
    assert_eq!(Browser::new(&server).open("/account/picture").await.status, StatusCode::NOT_FOUND);
    let page = browser.submit(&page, &[("remove_picture", "yes")]).await;
    assert!(page.html.contains("Your picture is removed") && !page.html.contains("<img"), "{}", page.html);
    assert!(shown().await.get("avatar_url").is_none());
}

#[tokio::test]
async fn what_is_no_picture_or_comes_from_elsewhere_is_not_taken() {
    let server = TestServer::new(141).await;
    let alice = server.register("alice").await;
    let (mut browser, page) = signed_in(&server, "/account?action=org.matrix.profile").await;
    let hidden = page.hidden();
    let token = hidden.iter().find(|(name, _)| name == "form_token").unwrap().1.as_str();
    let good = [("form_token", token), ("user", "@alice:hs")];
    let png = STANDARD.decode(PNG).unwrap();
    let broken = &png[..50];
    let script = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>";
    let large = [png.as_slice(), &vec![0; 10 << 20]].concat();
    for (file, status, message) in [
        (&b""[..], StatusCode::BAD_REQUEST, "choose a picture first"),
        (b"no picture", StatusCode::BAD_REQUEST, "no picture that can be shown"),
        (broken, StatusCode::BAD_REQUEST, "no picture that can be shown"),
        (script, StatusCode::BAD_REQUEST, "no picture that can be shown"),
        (&large, StatusCode::PAYLOAD_TOO_LARGE, "too large"),
    ] {
        let page = browser.upload("/account/picture", &good, "picture", file).await;
        assert_eq!(page.status, status, "{message}");
        assert!(page.html.contains(message), "{}", page.html);
    }
    for (fields, status) in [
        (&[("form_token", "0123456789abcdef0123456789abcdef"), good[1]][..], StatusCode::FORBIDDEN),
        (&[good[1], good[0]], StatusCode::FORBIDDEN),
        (&[], StatusCode::FORBIDDEN),
        // She is shown who is signed in.
        (&[good[0], ("user", "@bob:hs")], StatusCode::OK),
    ] {
        let page = browser.upload("/account/picture", fields, "picture", &png).await;
        assert_eq!(page.status, status, "{fields:?}");
    }
    let nobody = Browser::new(&server).upload("/account/picture", &good, "picture", &png).await;
    assert_eq!(nobody.status, StatusCode::FORBIDDEN);
    assert!(alice.get("/_matrix/client/v3/profile/@alice:hs").await.ok().get("avatar_url").is_none());
}

#[tokio::test]
async fn a_new_password_ends_other_browsers_and_devices_where_that_is_wanted() {
    let server = TestServer::new(131).await;
    let alice = server.register("alice").await;
    let (mut other, _) = signed_in(&server, "/account").await;
    let (mut browser, page) = signed_in(&server, "/account?action=myelin.password").await;
    assert_eq!(heading(&page), "Change your password");
    let short = browser.submit(&page, &[("password", "short")]).await;
    assert_eq!(short.status, StatusCode::BAD_REQUEST);
    assert!(short.html.contains("at least 8 characters"), "{}", short.html);
    let page = browser.submit(&page, &[("password", NEW)]).await;
    assert!(page.html.contains("Your password is changed"), "{}", page.html);
    assert_eq!(heading(&browser.open("/account").await), "Your account", "this one stays");
    assert_eq!(heading(&other.open("/account").await), "Sign in");
    alice.get("/_matrix/client/v3/account/whoami").await.done();
    let page = browser.open("/account?action=myelin.password").await;
    browser.submit(&page, &[("password", PASSWORD), ("end_devices", "yes")]).await;
    assert_eq!(alice.get("/_matrix/client/v3/account/whoami").await.errcode(), "M_UNKNOWN_TOKEN");
    server.clock.advance(Duration::from_secs(11 * 60));
    let page = browser.open("/account?action=myelin.password").await;
    assert_eq!(heading(&page), "Sign in", "who signed in long ago does so again");
}

#[tokio::test]
async fn browsers_are_listed_and_ended_one_by_one_and_all_but_this() {
    let server = TestServer::new(132).await;
    server.register("alice").await;
    let (mut first, _) = signed_in(&server, "/account").await;
    let (mut second, _) = signed_in(&server, "/account").await;
    let (mut third, page) = signed_in(&server, "/account?action=myelin.browsers").await;
    assert_eq!(page.html.matches("Signed in on").count(), 3);
    assert_eq!(page.html.matches("This browser").count(), 1);
    let id = page.html.split("name=\"end\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let page = third.submit(&page, &[("end", &id)]).await;
    assert_eq!(page.html.matches("Signed in on").count(), 2, "{}", page.html);
    let gone = [
        heading(&first.open("/account").await) == "Sign in",
        heading(&second.open("/account").await) == "Sign in",
    ];
    assert_eq!(gone.iter().filter(|gone| **gone).count(), 1);
    let page = third.submit(&page, &[]).await;
    assert_eq!(page.html.matches("Signed in on").count(), 1);
    assert_eq!(heading(&first.open("/account").await), "Sign in");
    assert_eq!(heading(&second.open("/account").await), "Sign in");
    assert_eq!(heading(&third.open("/account").await), "Your account");
}

#[tokio::test]
async fn nobody_ends_another_user_s_browser() {
    let server = TestServer::new(133).await;
    server.register("alice").await;
    server.register("bob").await;
    let (mut alice, page) = signed_in(&server, "/account?action=myelin.browsers").await;
    let mut bob = Browser::new(&server);
    let sign_in = bob.open("/account?action=myelin.browsers").await;
    bob.submit(&sign_in, &[("user_name", "bob"), ("password", PASSWORD)]).await;
    for id in ["", "0", "others", "0000000000000000"] {
        alice.submit(&page, &[("end", id)]).await;
    }
    assert_eq!(heading(&bob.open("/account").await), "Your account");
}

#[tokio::test]
async fn what_happened_to_an_account_is_shown_to_its_user_page_by_page() {
    let server = TestServer::new(134).await;
    let alice = server.register("alice").await;
    let (mut browser, page) = signed_in(&server, "/account?action=myelin.activity").await;
    assert!(page.html.contains("Signed in to these pages") && page.html.contains("The account was created"));
    assert!(!page.html.contains("Earlier"));
    for _ in 0..40 {
        let login = json!({"type": "m.login.password", "user": "alice", "password": PASSWORD});
        alice.post("/_matrix/client/v3/login", login).await.done();
    }
    let page = browser.open("/account?action=myelin.activity").await;
    assert_eq!(page.html.matches("A device logged in").count(), 30, "{}", page.html);
    let earlier = page.html.split("href=\"").find(|link| link.contains("before=")).unwrap();
    let earlier = earlier.split('"').next().unwrap().replace("&amp;", "&");
    let page = browser.open(&earlier).await;
    assert!(page.html.contains("The account was created") && !page.html.contains("Earlier"), "{}", page.html);
    assert_eq!(page.html.matches("A device logged in").count(), 10);
}

#[tokio::test]
async fn a_device_is_renamed_on_its_page() {
    let server = TestServer::new(135).await;
    server.register("alice").await;
    let app = App::register(&server).await;
    app.login(&mut Browser::new(&server), "PHONE").await;
    let path = "/account?action=org.matrix.device_view&device_id=PHONE";
    let (mut browser, page) = signed_in(&server, path).await;
    let page = browser.submit(&page, &[("display_name", "My phone")]).await;
    assert_eq!(heading(&page), "<bdi>My phone</bdi>");
    assert!(browser.open("/account").await.html.contains("My phone"));
    let long = "x".repeat(300);
    let page = browser.submit(&page, &[("display_name", &long)]).await;
    assert!(page.html.contains("This name is too long"), "{}", page.html);
}

#[tokio::test]
async fn a_copy_of_one_s_own_data_is_whole_and_nobody_else_s() {
    let server = TestServer::new(136).await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let room = alice.post("/_matrix/client/v3/createRoom", json!({})).await.ok();
    for number in 0..150 {
        let path = format!("/_matrix/client/v3/user/@alice:hs/account_data/org.example.{number}");
        alice.put(&path, json!({"number": number, "text": "a\"b"})).await.done();
    }
    bob.put("/_matrix/client/v3/user/@bob:hs/account_data/org.example.bob", json!({"bob": 1})).await.done();
    let (mut browser, page) = signed_in(&server, "/account?action=myelin.export").await;
    let file = browser.submit(&page, &[]).await;
    assert_eq!(file.headers[header::CONTENT_TYPE], "application/json");
    assert_eq!(file.headers[header::CONTENT_DISPOSITION], "attachment; filename=\"alice.json\"");
    let copy: Value = serde_json::from_str(&file.html).unwrap();
    assert_eq!((&copy["user_id"], &copy["joined_rooms"][0]), (&json!("@alice:hs"), &room["room_id"]));
    assert_eq!(copy["devices"].as_array().unwrap().len(), 1);
    let data = copy["account_data"].as_array().unwrap();
    let own = data.iter().filter(|row| row["type"].as_str().unwrap().starts_with("org.example.")).count();
    assert_eq!(own, 150);
    assert!(!file.html.contains("@bob") && !file.html.contains("org.example.bob"));
    server.clock.advance(Duration::from_secs(11 * 60));
    let page = browser.open("/account?action=myelin.export").await;
    assert_eq!(heading(&page), "Sign in");
}
