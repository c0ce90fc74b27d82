//! The content repository over HTTP.

use axum::body::{Body, to_bytes};
use http::{Method, Request, StatusCode, header};
use myelin_server::admin::{Command, MediaAction, Reply};
use myelin_server::config::{Config, Registration};
use myelin_testkit::{Client, TestServer};
use serde_json::{Value, json};

const CREATE: &str = "/_matrix/media/v1/create";

/// The authority and the media id of a URI, as paths have them.
fn place(uri: &Value) -> String {
    uri.as_str().and_then(|uri| uri.strip_prefix("mxc://")).expect("a URI of media").to_owned()
}

async fn created(client: &Client<'_>) -> String {
    place(&client.post(CREATE, json!({})).await.ok()["content_uri"])
}

/// A file, or the status that came in its place.
async fn file(server: &TestServer, client: &Client<'_>, path: &str) -> Result<Vec<u8>, StatusCode> {
    let mut request = Request::get(path);
    if let Some(token) = &client.token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let response = server.request(request.body(Body::empty()).expect("a request")).await;
    let status = response.status();
    let bytes = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
    if status.is_success() { Ok(bytes.to_vec()) } else { Err(status) }
}

#[tokio::test(start_paused = true)]
async fn a_download_waits_for_its_upload() {
    let server = TestServer::new(1).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let made = alice.post(CREATE, json!({})).await.ok();
    assert!(made["unused_expires_at"].is_u64());
    let place = place(&made["content_uri"]);
    let download = format!("/_matrix/client/v1/media/download/{place}");
    let early = bob.get(&format!("{download}?timeout_ms=100")).await;
    assert_eq!((early.status, early.errcode()), (StatusCode::GATEWAY_TIMEOUT, "M_NOT_YET_UPLOADED"));
    let thumbnail = format!("/_matrix/client/v1/media/thumbnail/{place}?width=32&height=32&timeout_ms=0");
    assert_eq!(bob.get(&thumbnail).await.errcode(), "M_NOT_YET_UPLOADED");

    let upload = format!("/_matrix/media/v3/upload/{place}?filename=a.txt");
    let foreign = bob.send(Method::PUT, &upload, "text/plain", b"no".to_vec()).await;
    assert_eq!((foreign.status, foreign.errcode()), (StatusCode::FORBIDDEN, "M_FORBIDDEN"));
    let waiting = file(&server, &bob, &download);
    tokio::pin!(waiting);
    assert!(futures_util::poll!(&mut waiting).is_pending());
    let sent = alice.send(Method::PUT, &upload, "text/plain", b"at last".to_vec()).await;
    assert_eq!(sent.ok(), json!({}));
    assert_eq!(waiting.await.unwrap(), b"at last");

    let again = alice.send(Method::PUT, &upload, "text/plain", b"other".to_vec()).await;
    assert_eq!((again.status, again.errcode()), (StatusCode::CONFLICT, "M_CANNOT_OVERWRITE_MEDIA"));
    let unknown = "/_matrix/media/v3/upload/hs/nothing";
    let unknown = alice.send(Method::PUT, unknown, "text/plain", b"x".to_vec()).await;
    assert_eq!((unknown.status, unknown.errcode()), (StatusCode::NOT_FOUND, "M_NOT_FOUND"));
}

#[tokio::test]
async fn pending_uploads_survive_a_restart_and_have_a_bound() {
    let server = TestServer::new(2).await;
    let mut alice = server.register("alice").await;
    let place = created(&alice).await;
    for _ in 1..32 {
        created(&alice).await;
    }
    let refused = alice.post(CREATE, json!({})).await;
    assert_eq!((refused.status, refused.errcode()), (StatusCode::TOO_MANY_REQUESTS, "M_LIMIT_EXCEEDED"));
    let token = alice.token.take();
    let server = server.restart().await;
    let mut alice = server.anonymous();
    alice.token = token;
    assert_eq!(alice.post(CREATE, json!({})).await.errcode(), "M_LIMIT_EXCEEDED");
    let upload = format!("/_matrix/media/v3/upload/{place}");
    let _ = alice.send(Method::PUT, &upload, "text/plain", b"x".to_vec()).await.ok();
    created(&alice).await;
}

#[tokio::test(start_paused = true)]
async fn the_deprecated_paths_serve_those_who_send_their_token_and_nobody_else() {
    let server = TestServer::new(3).await;
    let alice = server.register("alice").await;
    let sent = alice.send(Method::POST, "/_matrix/media/v3/upload", "text/plain", b"hello".to_vec()).await;
    let (here, pending) = (place(&sent.ok()["content_uri"]), created(&alice).await);
    let nobody = server.anonymous();
    for version in ["v3", "r0", "v1"] {
        let path = format!("/_matrix/media/{version}/download/{here}");
        assert_eq!(file(&server, &alice, &path).await.unwrap(), b"hello");
        assert_eq!(file(&server, &alice, &format!("{path}/name.txt")).await.unwrap(), b"hello");
        for (place, status) in [(&here, StatusCode::NOT_FOUND), (&pending, StatusCode::NOT_FOUND)] {
            let path = format!("/_matrix/media/{version}/download/{place}");
            assert_eq!(file(&server, &nobody, &path).await, Err(status));
        }
    }
    let answer = alice.get(&format!("/_matrix/media/v3/download/{pending}")).await;
    assert_eq!((answer.status, answer.errcode()), (StatusCode::GATEWAY_TIMEOUT, "M_NOT_YET_UPLOADED"));
    let thumbnail = format!("/_matrix/media/v3/thumbnail/{here}?width=32&height=32");
    assert_eq!(nobody.get(&thumbnail).await.errcode(), "M_NOT_FOUND");
    assert_eq!(alice.get(&thumbnail).await.status, StatusCode::BAD_REQUEST, "a text has none");
}

async fn done(server: &TestServer, action: MediaAction, target: &str) -> Value {
    match server.operate(Command::Media { action, target: target.to_owned() }).await {
        Reply::Done(value) => value,
        Reply::Failed(problem) => panic!("{problem}"),
    }
}

#[tokio::test]
async fn an_operator_withholds_a_file_or_all_of_its_content() {
    let server = TestServer::new(4).await;
    let alice = server.register("alice").await;
    let upload = async || {
        let sent = alice.send(Method::POST, "/_matrix/media/v3/upload", "text/plain", b"evil".to_vec()).await;
        sent.ok()["content_uri"].as_str().expect("a URI").to_owned()
    };
    let (first, second) = (upload().await, upload().await);
    let get = async |uri: &str| {
        let place = uri.strip_prefix("mxc://").expect("a URI of media");
        file(&server, &alice, &format!("/_matrix/client/v1/media/download/{place}")).await
    };
    done(&server, MediaAction::Quarantine, &first).await;
    assert_eq!((get(&first).await, get(&second).await.is_ok()), (Err(StatusCode::NOT_FOUND), true));
    let about = done(&server, MediaAction::Show, &second).await;
    assert_eq!((&about["uploader"], &about["size"]), (&json!("@alice:hs"), &json!(4)));
    let sha256 = about["sha256"].as_str().expect("a digest").to_owned();
    assert_eq!(done(&server, MediaAction::Quarantine, &sha256).await, json!({"files": 2}));
    assert_eq!(get(&second).await, Err(StatusCode::NOT_FOUND));
    let again = alice.send(Method::POST, "/_matrix/media/v3/upload", "text/plain", b"evil".to_vec()).await;
    assert_eq!((again.status, again.errcode()), (StatusCode::FORBIDDEN, "M_FORBIDDEN"));
    assert_eq!(done(&server, MediaAction::Release, &sha256).await, json!({"files": 2}));
    assert!(get(&first).await.is_ok() && get(&second).await.is_ok());
    done(&server, MediaAction::Delete, &first).await;
    assert_eq!(get(&first).await, Err(StatusCode::NOT_FOUND));
    let Reply::Done(usage) = server.operate(Command::MediaUsage { name: "alice".to_owned() }).await else {
        panic!("the usage is told");
    };
    assert_eq!(usage, json!({"files": 1, "bytes": 4}));
    for target in ["nothing", "mxc://elsewhere.org/x", "mxc://hs", &first] {
        let command = Command::Media { action: MediaAction::Quarantine, target: target.to_owned() };
        assert!(matches!(server.operate(command).await, Reply::Failed(_)), "{target}");
    }
}

#[tokio::test]
async fn a_user_who_has_all_they_may_is_refused() {
    let mut config =
        Config { server_name: "hs".to_owned(), registration: Registration::Open, ..Config::default() };
    config.media.max_user_bytes = Some(10);
    let server = TestServer::with(5, config).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let upload = "/_matrix/media/v3/upload";
    let sent = alice.send(Method::POST, upload, "text/plain", b"seven!!".to_vec()).await;
    assert!(sent.status.is_success());
    let sent = alice.send(Method::POST, upload, "text/plain", b"four".to_vec()).await;
    assert_eq!((sent.status, sent.errcode()), (StatusCode::FORBIDDEN, "M_FORBIDDEN"));
    assert!(bob.send(Method::POST, upload, "text/plain", b"four".to_vec()).await.status.is_success());
}
