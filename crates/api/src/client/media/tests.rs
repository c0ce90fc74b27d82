//! The endpoints over a service in memory, without the guard in front of them.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::response::Response;
use axum::routing::{get, post, put};
use axum::{Extension, Router};
use bytes::Bytes;
use futures_util::stream;
use http::{Request, StatusCode, header};
use myelin_media::{Config, Media, MemoryBlobs, Quota};
use myelin_model::Requester;
use myelin_runtime::Env;
use myelin_store::Identity;
use myelin_store::memory::MemoryEngine;
use ruma::owned_server_name;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{config, create, download, download_as, thumbnail, upload, upload_to};

const LIMIT: u64 = 100_000;

/// A transparent picture of one pixel.
const GIF: &[u8] = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";

async fn server() -> Router {
    let engine = Arc::new(MemoryEngine::new(&Identity { server_name: "example.org".to_owned() }));
    let config = Config {
        server_name: owned_server_name!("example.org"),
        max_upload_size: LIMIT,
        quota: Quota::default(),
    };
    let (env, _) = Env::seeded(1);
    let media = Media::open(engine, Arc::new(MemoryBlobs::new()), env, config).await.unwrap();
    let requester = Requester {
        user_id: "@alice:example.org".try_into().unwrap(),
        device_id: None,
        is_admin: false,
        is_suspended: false,
        session: 1,
    };
    Router::<Arc<Media>>::new()
        .route("/upload", post(upload::post))
        .route("/config", get(config::get))
        .route("/download/{server}/{id}", get(download::get))
        .route("/download/{server}/{id}/{name}", get(download_as::get))
        .route("/thumbnail/{server}/{id}", get(thumbnail::get))
        .route("/create", post(create::post))
        .route("/upload/{server}/{id}", put(upload_to::put))
        .layer(Extension(requester))
        .with_state(Arc::new(media))
}

async fn send(server: &Router, request: http::request::Builder, body: Body) -> Response {
    server.clone().oneshot(request.body(body).unwrap()).await.unwrap()
}

async fn ask(server: &Router, path: &str) -> Response {
    send(server, Request::get(path), Body::empty()).await
}

async fn body(response: Response) -> Bytes {
    to_bytes(response.into_body(), usize::MAX).await.unwrap()
}

async fn json_of(response: Response) -> Value {
    serde_json::from_slice(&body(response).await).unwrap()
}

async fn assert_error(response: Response, status: StatusCode, errcode: &str) {
    assert_eq!(response.status(), status);
    let error = json_of(response).await;
    assert_eq!(error["errcode"], errcode);
    assert!(error["error"].as_str().unwrap().ends_with('.'));
}

async fn uploaded(server: &Router, content_type: &str, query: &str, bytes: &'static [u8]) -> String {
    let request = Request::post(format!("/upload{query}")).header(header::CONTENT_TYPE, content_type);
    let response = send(server, request, Body::from(bytes)).await;
    assert_eq!(response.status(), StatusCode::OK);
    let uri = json_of(response).await["content_uri"].as_str().unwrap().to_owned();
    uri.strip_prefix("mxc://").unwrap().to_owned()
}

fn header_of<'r>(response: &'r Response, name: &str) -> &'r str {
    response.headers()[name].to_str().unwrap()
}

#[tokio::test]
async fn a_file_comes_back_with_all_that_keeps_a_browser_safe() {
    let server = server().await;
    let path = uploaded(&server, "image/gif", "?filename=caf%C3%A9.gif", GIF).await;
    let response = ask(&server, &format!("/download/{path}")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(header_of(&response, "content-type"), "image/gif");
    assert_eq!(header_of(&response, "content-disposition"), "inline; filename*=utf-8''caf%C3%A9.gif");
    assert_eq!(header_of(&response, "content-length"), GIF.len().to_string());
    assert_eq!(header_of(&response, "x-content-type-options"), "nosniff");
    assert_eq!(header_of(&response, "cross-origin-resource-policy"), "cross-origin");
    assert!(header_of(&response, "content-security-policy").starts_with("sandbox; default-src 'none';"));
    assert_eq!(header_of(&response, "cache-control"), "private, max-age=31536000, immutable");
    assert_eq!(body(response).await, GIF);
}

#[tokio::test]
async fn only_types_of_the_list_are_shown_by_browsers() {
    let server = server().await;
    let cases = [
        ("text/plain", "inline"),
        ("Text/Plain; charset=utf-8", "inline"),
        ("audio/ogg", "inline"),
        ("text/html", "attachment"),
        ("image/svg+xml", "attachment"),
        ("application/pdf", "attachment"),
        ("application/octet-stream", "attachment"),
        ("nonsense", "attachment"),
        ("image/png, text/html", "attachment"),
        ("image/png;x=y,text/html", "attachment"),
    ];
    for (content_type, disposition) in cases {
        let path = uploaded(&server, content_type, "", b"<script>alert(1)</script>").await;
        let response = ask(&server, &format!("/download/{path}")).await;
        assert_eq!(header_of(&response, "content-type"), content_type);
        assert_eq!(header_of(&response, "content-disposition"), disposition, "{content_type}");
    }
}

#[tokio::test]
async fn the_name_in_the_path_wins_and_can_not_break_the_header() {
    let server = server().await;
    let path = uploaded(&server, "text/html", "?filename=own.html", b"x").await;
    let response = ask(&server, &format!("/download/{path}")).await;
    assert_eq!(header_of(&response, "content-disposition"), "attachment; filename=own.html");
    let response = ask(&server, &format!("/download/{path}/other%20%22one%22%0d%0aX-Evil:%201")).await;
    let disposition = header_of(&response, "content-disposition");
    assert_eq!(disposition, "attachment; filename=\"other \\\"one\\\"X-Evil: 1\"");
    assert!(!response.headers().contains_key("x-evil"));
}

#[tokio::test]
async fn what_the_client_has_is_not_sent_again() {
    let server = server().await;
    let path = format!("/download/{}", uploaded(&server, "text/plain", "", b"abc").await);
    let response = ask(&server, &path).await;
    let tag = header_of(&response, "etag").to_owned();
    for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
        let response =
            send(&server, Request::get(&path).header(header::IF_NONE_MATCH, known), Body::empty()).await;
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(header_of(&response, "etag"), tag);
        assert!(body(response).await.is_empty());
    }
    let other = Request::get(&path).header(header::IF_NONE_MATCH, "\"other\"");
    assert_eq!(send(&server, other, Body::empty()).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_part_of_a_file_is_served_as_one() {
    let server = server().await;
    let path = format!("/download/{}", uploaded(&server, "video/mp4", "", b"0123456789").await);
    let tag = header_of(&ask(&server, &path).await, "etag").to_owned();
    let part =
        async |range: &str| send(&server, Request::get(&path).header("range", range), Body::empty()).await;
    for (range, bytes, place) in [
        ("bytes=0-3", "0123", "bytes 0-3/10"),
        ("bytes=8-", "89", "bytes 8-9/10"),
        ("bytes=-1", "9", "bytes 9-9/10"),
    ] {
        let response = part(range).await;
        assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(header_of(&response, "content-range"), place);
        assert_eq!(header_of(&response, "content-length"), bytes.len().to_string());
        assert_eq!(header_of(&response, "etag"), tag);
        assert_eq!(header_of(&response, "x-content-type-options"), "nosniff");
        assert_eq!(body(response).await, bytes);
    }
    let beyond = part("bytes=10-").await;
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(header_of(&beyond, "content-range"), "bytes */10");
    assert_eq!(header_of(&beyond, "content-type"), "application/json");
    assert!(!beyond.headers().contains_key("cache-control"), "another range may be there");
    assert!(String::from_utf8_lossy(&body(beyond).await).contains("M_INVALID_PARAM"));
    let whole = part("bytes=0-1,3-4").await;
    assert_eq!((whole.status(), header_of(&whole, "accept-ranges")), (StatusCode::OK, "bytes"));
    assert_eq!(body(whole).await, "0123456789");
    let changed = Request::get(&path).header("range", "bytes=4-").header("if-range", "\"other\"");
    assert_eq!(send(&server, changed, Body::empty()).await.status(), StatusCode::OK);
    let same = Request::get(&path).header("range", "bytes=4-").header("if-range", &tag);
    assert_eq!(body(send(&server, same, Body::empty()).await).await, "456789");
    let head = Request::head(&path).header("range", "bytes=4-");
    let head = send(&server, head, Body::empty()).await;
    assert_eq!((head.status(), header_of(&head, "content-length")), (StatusCode::OK, "10"));
    assert_eq!(header_of(&head, "content-type"), "video/mp4");
    assert!(body(head).await.is_empty());
}

#[tokio::test]
async fn an_upload_that_is_too_large_is_told_so() {
    let server = server().await;
    assert_eq!(json_of(ask(&server, "/config").await).await, json!({ "m.upload.size": LIMIT }));
    let declared = Request::post("/upload").header(header::CONTENT_LENGTH, LIMIT + 1);
    let response = send(&server, declared, Body::empty()).await;
    assert_error(response, StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE").await;
    let pieces = (0..11).map(|_| Ok::<_, std::io::Error>(Bytes::from_static(&[0; 10_000])));
    let response = send(&server, Request::post("/upload"), Body::from_stream(stream::iter(pieces))).await;
    assert_error(response, StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE").await;
}

#[tokio::test]
async fn an_upload_that_breaks_off_or_has_bad_headers_is_refused() {
    let server = server().await;
    let broken = stream::iter([Ok(Bytes::from_static(b"x")), Err(std::io::Error::other("reset"))]);
    let response = send(&server, Request::post("/upload"), Body::from_stream(broken)).await;
    assert_error(response, StatusCode::BAD_REQUEST, "M_UNKNOWN").await;
    let foreign = Request::post("/upload").header(header::CONTENT_TYPE, &b"\xff/x"[..]);
    assert_error(send(&server, foreign, Body::empty()).await, StatusCode::BAD_REQUEST, "M_INVALID_PARAM")
        .await;
    let twice = Request::post("/upload?filename=a&filename=b");
    assert_error(send(&server, twice, Body::empty()).await, StatusCode::BAD_REQUEST, "M_INVALID_PARAM").await;
    let long = Request::post(format!("/upload?filename={}", "x".repeat(1025)));
    assert_error(send(&server, long, Body::empty()).await, StatusCode::BAD_REQUEST, "M_INVALID_PARAM").await;
}

#[tokio::test]
async fn what_is_not_here_is_not_found() {
    let server = server().await;
    for path in [
        "/download/example.org/nothing",
        "/download/example.org/..%2f..%2fetc%2fpasswd",
        "/download/elsewhere.org/nothing",
        "/download/example.org/nothing/name",
        "/thumbnail/example.org/nothing?width=1&height=1",
        "/thumbnail/elsewhere.org/nothing?width=1&height=1",
    ] {
        assert_error(ask(&server, path).await, StatusCode::NOT_FOUND, "M_NOT_FOUND").await;
    }
    assert_eq!(ask(&server, "/download/no%20server/nothing").await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_thumbnail_is_shown_by_browsers() {
    let server = server().await;
    let path = uploaded(&server, "application/octet-stream", "?filename=own.gif", GIF).await;
    let response =
        ask(&server, &format!("/thumbnail/{path}?width=32&height=32&method=crop&animated=false")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(
        header_of(&response, "content-type"),
        "image/gif",
        "it is what it is, not what it was declared as"
    );
    assert_eq!(header_of(&response, "content-disposition"), "inline; filename=thumbnail.gif");
    assert_eq!(header_of(&response, "x-content-type-options"), "nosniff");
}

#[tokio::test]
async fn a_thumbnail_that_can_not_be_made_is_told_so() {
    let server = server().await;
    let text = uploaded(&server, "image/png", "", b"no picture").await;
    let broken = uploaded(&server, "image/png", "", b"\x89PNG\r\n\x1a\n, but no more").await;
    for path in [text, broken] {
        let response = ask(&server, &format!("/thumbnail/{path}?width=32&height=32")).await;
        assert_error(response, StatusCode::BAD_REQUEST, "M_UNKNOWN").await;
    }
    let mut bomb = GIF.to_vec();
    bomb[6..10].fill(0xff);
    let bomb = uploaded(&server, "image/gif", "", bomb.leak()).await;
    let response = ask(&server, &format!("/thumbnail/{bomb}?width=32&height=32")).await;
    assert_error(response, StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE").await;
    for query in ["", "?width=1", "?width=-1&height=1", "?width=x&height=1", "?width=0&height=1"] {
        assert_eq!(
            ask(&server, &format!("/thumbnail/{bomb}{query}")).await.status(),
            StatusCode::BAD_REQUEST
        );
    }
    let response = ask(&server, &format!("/thumbnail/{bomb}?width=1&height=1&method=stretch")).await;
    assert_error(response, StatusCode::BAD_REQUEST, "M_INVALID_PARAM").await;
}
