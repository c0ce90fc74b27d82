//! What HTTP itself allows a client to do to every route: other methods, preflights, `HEAD`, slashes too many, headers
//! that are too long or of odd bytes; and files and pictures that are not what they say.

#![expect(clippy::unwrap_used, reason = "helpers of tests: a request that can't be built fails the test")]

use axum::body::{Body, to_bytes};
use http::{HeaderMap, Method, Request, StatusCode, header};
use myelin_api::routes;
use myelin_testkit::{Client, TestServer};
use serde_json::Value;

/// Every path, with its parameters filled in.
fn every_path() -> Vec<(Method, String)> {
    let mut paths = Vec::new();
    for route in routes::table() {
        for path in route.paths() {
            let mut path = path.clone();
            while let (Some(start), Some(end)) = (path.find('{'), path.find('}')) {
                path.replace_range(start..=end, "1");
            }
            paths.push((route.method().clone(), path));
        }
    }
    paths
}

struct Said {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Said {
    fn errcode(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["errcode"].as_str().unwrap_or_default().to_owned()
    }
}

async fn say(server: &TestServer, method: Method, path: &str, headers: &[(&str, &[u8])]) -> Said {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = server.request(request.body(Body::empty()).unwrap()).await;
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap().to_vec();
    Said { status: parts.status, headers: parts.headers, body }
}

#[tokio::test]
async fn a_method_that_a_path_does_not_serve_is_405_unrecognized_on_every_route() {
    let server = TestServer::new(1).await;
    let paths = every_path();
    for (_, path) in &paths {
        for method in [Method::PATCH, Method::TRACE, Method::from_bytes(b"BREW").unwrap()] {
            let said = say(&server, method.clone(), path, &[]).await;
            let got = (said.status, said.errcode());
            assert_eq!(got, (StatusCode::METHOD_NOT_ALLOWED, "M_UNRECOGNIZED".to_owned()), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_path_with_more_behind_it_is_404_unrecognized() {
    let server = TestServer::new(2).await;
    let paths = every_path();
    for (method, path) in &paths {
        for other in [format!("{path}/no/such/thing/at/all/here"), format!("/{path}")] {
            let said = say(&server, method.clone(), &other, &[]).await;
            let got = (said.status, said.errcode());
            assert_eq!(got, (StatusCode::NOT_FOUND, "M_UNRECOGNIZED".to_owned()), "{method} {other}");
        }
    }
}

#[tokio::test]
async fn a_browser_may_ask_first_on_every_route_without_a_token() {
    let server = TestServer::new(3).await;
    for (method, path) in every_path() {
        let asked = [
            ("origin", &b"https://client.example"[..]),
            ("access-control-request-method", method.as_str().as_bytes()),
            ("access-control-request-headers", b"authorization,content-type"),
        ];
        let said = say(&server, Method::OPTIONS, &path, &asked).await;
        assert!(said.status.is_success(), "{path}: {}", said.status);
        let of =
            |name: &str| said.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert_eq!(of("access-control-allow-origin"), "*", "{path}");
        assert!(of("access-control-allow-methods").contains(method.as_str()), "{method} {path}");
        assert!(of("access-control-allow-headers").contains("authorization"), "{path}");
        // A refusal can be read by the page too.
        let refused = say(&server, method.clone(), &path, &asked[..1]).await;
        assert_eq!(refused.headers.get("access-control-allow-origin").unwrap(), "*", "{path}");
    }
}

#[tokio::test]
async fn head_says_what_get_says_without_a_body() {
    let server = TestServer::new(4).await;
    for (_, path) in every_path().into_iter().filter(|(method, _)| *method == Method::GET) {
        let get = say(&server, Method::GET, &path, &[]).await;
        let head = say(&server, Method::HEAD, &path, &[]).await;
        assert_eq!(head.status, get.status, "{path}");
        assert!(head.body.is_empty(), "{path}");
        assert!(!get.status.is_server_error(), "{path}: {}", get.status);
    }
}

#[tokio::test]
async fn odd_headers_break_no_route() {
    let server = TestServer::new(5).await;
    let alice = server.register("alice").await;
    let bearer = format!("Bearer {}", alice.token.as_deref().unwrap());
    let long = vec![b'x'; 60_000];
    let odd: [(&str, &[u8]); 12] = [
        ("authorization", b"Bearer \xff\xfe"),
        ("authorization", b"Bearer"),
        ("authorization", b"Basic YTpi"),
        ("authorization", &long),
        ("content-type", b"\xff"),
        ("content-type", &long),
        ("content-length", b"-1"),
        ("range", b"bytes=9-1,\xff"),
        ("if-none-match", b"\"\xff, W/"),
        ("accept", &long),
        ("x-forwarded-for", b"not an address, \xff"),
        ("accept-language", b"\xff\xff"),
    ];
    for (method, path) in every_path() {
        // A session that a route ends is not there for the next.
        if path.contains("/logout") {
            continue;
        }
        for (name, value) in &odd {
            let mut headers = vec![(*name, *value)];
            if *name != "authorization" {
                headers.push(("authorization", bearer.as_bytes()));
            }
            let said = say(&server, method.clone(), &path, &headers).await;
            assert!(!said.status.is_server_error(), "{method} {path} with {name}: {}", said.status);
            if said.status.is_client_error() {
                let is_challenge = said.body.windows(7).any(|part| part == b"\"flows\"");
                // The page behind the link in a mail is for people.
                let is_page = path.ends_with("/submit_token") && method == Method::GET;
                let errs = said.errcode().starts_with("M_");
                assert!(errs || is_challenge || is_page, "{method} {path} with {name}");
            }
        }
    }
}

async fn uploaded(alice: &Client<'_>, kind: &str, query: &str, bytes: Vec<u8>) -> String {
    let made = alice.send(Method::POST, &format!("/_matrix/media/v3/upload{query}"), kind, bytes).await.ok();
    made["content_uri"].as_str().unwrap().trim_start_matches("mxc://").to_owned()
}

/// The beginning of a PNG that says it is this large.
fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR".to_vec();
    bytes.extend_from_slice(&width.to_be_bytes());
    bytes.extend_from_slice(&height.to_be_bytes());
    bytes.extend_from_slice(b"\x08\x06\x00\x00\x00\x00\x00\x00\x00");
    bytes
}

#[tokio::test]
async fn a_broken_or_absurd_picture_has_no_thumbnail_and_says_why() {
    let server = TestServer::new(6).await;
    let alice = server.register("alice").await;
    let pictures = [
        ("image/png", Vec::new()),
        ("image/png", png(1, 1)),
        ("image/png", png(0, 0)),
        ("image/png", png(u32::MAX, u32::MAX)),
        ("image/png", png(60_000, 60_000)),
        ("image/gif", b"GIF89a\xff\xff\xff\xff\x80\x00\x00".to_vec()),
        ("image/jpeg", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00".to_vec()),
        (
            "image/jpeg",
            b"\xff\xd8\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01".to_vec(),
        ),
        (
            "image/webp",
            b"RIFF\xff\xff\xff\xffWEBPVP8X\x0a\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        ),
        ("image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg' width='1e9' height='1e9'/>".to_vec()),
        ("text/plain", b"\x89PNG\r\n\x1a\n".to_vec()),
    ];
    for (kind, bytes) in pictures {
        let place = uploaded(&alice, kind, "", bytes.clone()).await;
        for size in [
            "width=32&height=32",
            "width=1&height=4294967295",
            "width=800&height=600&method=crop&animated=true",
        ] {
            let answer = alice.get(&format!("/_matrix/client/v1/media/thumbnail/{place}?{size}")).await;
            let said = (answer.status.as_u16(), answer.errcode());
            assert!(
                matches!(said, (400, "M_UNKNOWN") | (413, "M_TOO_LARGE")),
                "{kind} {bytes:?} {size}: {said:?}"
            );
        }
    }
}

#[tokio::test]
async fn odd_names_and_types_of_files_come_back_in_headers_that_are_valid() {
    let server = TestServer::new(7).await;
    let alice = server.register("alice").await;
    let bearer = format!("Bearer {}", alice.token.as_deref().unwrap());
    let names = [
        "%0d%0aSet-Cookie:%20a=b",
        "%00",
        "%22;%20filename=%22x",
        "%f0%9f%98%80",
        "..%2f..%2fetc",
        "%7f%1b",
        "a%0ab",
    ];
    for name in names {
        let place = uploaded(&alice, "text/html", &format!("?filename={name}"), b"x".to_vec()).await;
        for path in [
            format!("/_matrix/client/v1/media/download/{place}"),
            format!("/_matrix/client/v1/media/download/{place}/{name}"),
        ] {
            let said = say(&server, Method::GET, &path, &[("authorization", bearer.as_bytes())]).await;
            assert_eq!(said.status, StatusCode::OK, "{path}: {}", String::from_utf8_lossy(&said.body));
            assert!(!said.headers.contains_key("set-cookie"));
            let disposition = said.headers[header::CONTENT_DISPOSITION].to_str().unwrap();
            assert!(disposition.starts_with("attachment"), "{disposition}");
        }
    }
}
