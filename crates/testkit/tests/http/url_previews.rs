//! URL previews over HTTP, of pages that a real server on the loopback interface serves.

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use http::{HeaderMap, StatusCode, header};
use myelin_server::config::{Config, Registration};
use myelin_testkit::TestServer;
use serde_json::json;
use tokio::net::TcpListener;

/// A picture of one pixel.
const GIF: &[u8] = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";

const HTML: &str = r#"<html prefix="og: http://ogp.me/ns#"><head><title>The Rock (1996)</title>
<meta property="og:title" content="The Rock" /><meta property="og:type" content="video.movie" />
<meta property="og:url" content="http://www.imdb.com/title/tt0117500/" />
<meta property="og:image" content="test.gif" /></head><body></body></html>"#;

/// Serves pages and answers where.
async fn site() -> String {
    let page = || async { ([(header::CONTENT_TYPE, "text/html")], HTML) };
    let gif = || async { ([(header::CONTENT_TYPE, "image/gif")], GIF) };
    let endless = || async {
        let piece = bytes::Bytes::from_static(&[b' '; 65_536]);
        let body = futures_util::stream::repeat_with(move || Ok::<_, std::io::Error>(piece.clone()));
        ([(header::CONTENT_TYPE, "text/html")], Body::from_stream(body))
    };
    let cookies = |headers: HeaderMap| async move {
        let told = headers.contains_key(header::COOKIE) || headers.contains_key(header::REFERER);
        let title = if told { "told" } else { "nothing told" };
        let answer = (
            [(header::CONTENT_TYPE, "text/html"), (header::SET_COOKIE, "a=b")],
            format!("<title>{title}</title>"),
        );
        answer.into_response()
    };
    let router = Router::new()
        .route("/test.html", get(page))
        .route("/test.gif", get(gif))
        .route("/endless", get(endless))
        .route("/cookies", get(cookies))
        .route("/moved", get(|| async { Redirect::to("/test.html") }))
        .route("/to-cookies", get(|| async { ([(header::SET_COOKIE, "a=b")], Redirect::to("/cookies")) }))
        .route("/round", get(|| async { Redirect::to("/round") }))
        .route("/inside", get(|| async { Redirect::to("http://localhost:1/") }))
        .route("/file", get(|| async { Redirect::to("file:///etc/passwd") }));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

fn config() -> Config {
    let mut config =
        Config { server_name: "hs".to_owned(), registration: Registration::Open, ..Config::default() };
    config.limits.enabled = false;
    config.url_previews.allow_private_addresses = true;
    config.url_previews.ports = Vec::new();
    config
}

fn path(url: &str) -> String {
    format!("/_matrix/client/v1/media/preview_url?url={}", url.replace(':', "%3A").replace('/', "%2F"))
}

#[tokio::test]
async fn a_page_is_shown_as_it_says_of_itself() {
    let (server, site) = (TestServer::with(1, config()).await, site().await);
    let alice = server.register("alice").await;
    for page in ["test.html", "moved"] {
        let shown = alice.get(&path(&format!("{site}/{page}"))).await.ok();
        assert_eq!(shown["og:title"], "The Rock");
        assert_eq!(shown["og:type"], "video.movie");
        assert_eq!(shown["og:url"], "http://www.imdb.com/title/tt0117500/");
        assert_eq!(shown["matrix:image:size"], GIF.len());
        assert_eq!((&shown["og:image:height"], &shown["og:image:width"]), (&json!(1), &json!(1)));
        let image = shown["og:image"].as_str().unwrap().strip_prefix("mxc://").unwrap();
        let download = format!("/_matrix/client/v1/media/download/{image}");
        assert_eq!(alice.get(&download).await.status, StatusCode::OK);
    }
    let old = path(&format!("{site}/test.html")).replace("client/v1/media", "media/v3");
    assert_eq!(alice.get(&old).await.ok()["og:title"], "The Rock");
}

#[tokio::test]
async fn what_is_large_or_leads_astray_ends() {
    let (server, site) = (TestServer::with(2, config()).await, site().await);
    let alice = server.register("alice").await;
    assert_eq!(alice.get(&path(&format!("{site}/endless"))).await.ok(), json!({}));
    assert_eq!(alice.get(&path(&format!("{site}/to-cookies"))).await.ok()["og:title"], "nothing told");
    for page in ["round", "gone", "inside"] {
        let answer = alice.get(&path(&format!("{site}/{page}"))).await;
        assert_eq!((answer.status, answer.errcode()), (StatusCode::BAD_GATEWAY, "M_UNKNOWN"), "{page}");
    }
    let answer = alice.get(&path(&format!("{site}/file"))).await;
    assert_eq!((answer.status, answer.errcode()), (StatusCode::FORBIDDEN, "M_FORBIDDEN"));
    for url in ["", "file:///etc/passwd", "http://"] {
        let answer = alice.get(&path(url)).await;
        assert_eq!((answer.status, answer.errcode()), (StatusCode::BAD_REQUEST, "M_INVALID_PARAM"), "{url}");
    }
}

#[tokio::test]
async fn by_default_nobody_reaches_what_is_not_public() {
    let site = site().await;
    let mut config = config();
    config.url_previews.allow_private_addresses = false;
    let server = TestServer::with(3, config).await;
    let alice = server.register("alice").await;
    let answer = alice.get(&path(&format!("{site}/test.html"))).await;
    assert_eq!((answer.status, answer.errcode()), (StatusCode::FORBIDDEN, "M_FORBIDDEN"));
    // A name that leads inside can't be told from one that leads nowhere.
    let by_name = site.replace("127.0.0.1", "localhost");
    let answer = alice.get(&path(&format!("{by_name}/test.html"))).await;
    assert_eq!((answer.status, answer.errcode()), (StatusCode::BAD_GATEWAY, "M_UNKNOWN"));
}

#[tokio::test]
async fn other_ports_than_the_configured_are_refused() {
    let site = site().await;
    let mut config = config();
    config.url_previews.ports = vec![80, 443];
    let server = TestServer::with(4, config).await;
    let alice = server.register("alice").await;
    let answer = alice.get(&path(&format!("{site}/test.html"))).await;
    assert_eq!((answer.status, answer.errcode()), (StatusCode::FORBIDDEN, "M_FORBIDDEN"));
}

#[tokio::test]
async fn a_user_may_ask_for_so_many_and_none_where_they_are_off() {
    let site = site().await;
    let mut limited = config();
    limited.limits.enabled = true;
    let server = TestServer::with(5, limited).await;
    let alice = server.register("alice").await;
    let mut refused = 0;
    for _ in 0..100 {
        let answer = alice.get(&path(&format!("{site}/test.html"))).await;
        refused += usize::from(answer.errcode() == "M_LIMIT_EXCEEDED");
    }
    assert_eq!(refused, 40);
    let mut off = config();
    off.url_previews.enabled = false;
    let server = TestServer::with(6, off).await;
    let alice = server.register("alice").await;
    let answer = alice.get(&path(&format!("{site}/test.html"))).await;
    assert_eq!((answer.status, answer.errcode()), (StatusCode::NOT_FOUND, "M_UNRECOGNIZED"));
}
