//! What an operator makes of the pages: name, colours, logo, links.

use std::path::PathBuf;

use axum::body::to_bytes;
use http::{Method, Request, StatusCode, header};
use myelin_server::config::{Branding, Config, FootLink, LinkAbout, LinkText, Registration};
use myelin_testkit::{Browser, TestServer};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::world::{App, PASSWORD};

/// What a page and all that it loads may have together, in bytes.
const MOST: usize = 60 * 1024;
/// What a logo may have.
const MAX_LOGO: usize = 32 * 1024;

/// A drawing of this many bytes, of this colour.
fn drawing(size: usize, colour: &str) -> String {
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 90 30\"><style>rect{{fill:{colour}}}</style>\
         <rect width=\"90\" height=\"30\"/><!--"
    );
    let rest = size - text.len() - "--></svg>".len();
    text.push_str(&" ".repeat(rest));
    text.push_str("--></svg>");
    text
}

/// A file with this in it, which goes with the folder.
fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn link(about: Option<LinkAbout>, name: Option<&str>, url: &str) -> FootLink {
    let (name, url) = (name.map(str::to_owned), Some(url.to_owned()));
    FootLink { about, name, url, ..FootLink::default() }
}

async fn branded(seed: u64, folder: &tempfile::TempDir) -> TestServer {
    let mut config =
        Config { server_name: "hs".to_owned(), registration: Registration::Open, ..Config::default() };
    config.limits.enabled = false;
    let rules = |name: &str, url: &str| LinkText { name: Some(name.to_owned()), url: url.to_owned() };
    let by_language = [("en".to_owned(), rules("Rules", "https://hs.example/rules"))].into_iter();
    let by_language = by_language.chain([("de".to_owned(), rules("Regeln", "https://hs.example/regeln"))]);
    config.branding = Branding {
        name: Some("Example <Chat>".to_owned()),
        accent: Some("#7a1fa2".to_owned()),
        accent_dark: None,
        logo: Some(file(folder, "logo.svg", &drawing(MAX_LOGO, "#7a1fa2"))),
        logo_dark: Some(file(folder, "dark.svg", &drawing(MAX_LOGO, "#fff"))),
        links: vec![
            link(Some(LinkAbout::Terms), None, "https://hs.example/terms"),
            link(None, Some("Ask us"), "mailto:help@hs.example"),
            FootLink { languages: by_language.collect(), ..FootLink::default() },
        ],
    };
    TestServer::with(seed, config).await
}

/// The addresses of what a page loads.
fn loaded(html: &str) -> Vec<String> {
    let of = |name| html.split(name).skip(1).map(|rest: &str| rest.split('"').next().unwrap().to_owned());
    of(" src=\"").chain(of(" srcset=\"")).collect()
}

async fn fetched(server: &TestServer, path: &str) -> (http::HeaderMap, usize) {
    let request = Request::builder().method(Method::GET).uri(path).body(axum::body::Body::empty()).unwrap();
    let (parts, body) = server.request(request).await.into_parts();
    assert_eq!(parts.status, StatusCode::OK, "{path}");
    (parts.headers, to_bytes(body, MOST).await.unwrap().len())
}

#[tokio::test]
async fn a_branded_page_keeps_to_itself_and_is_small() {
    let folder = tempfile::tempdir().unwrap();
    let server = branded(170, &folder).await;
    server.register("alice").await;
    let app = App::register(&server).await;
    let mut browser = Browser::new(&server);
    let sign_in = browser.open(&app.authorize(&[])).await;
    let consent = browser.submit(&sign_in, &[("user_name", "alice"), ("password", PASSWORD)]).await;
    let pages = [
        ("sign in", sign_in),
        ("consent", consent),
        ("sign up", browser.open("/oauth2/sign-up").await),
        ("account", browser.open("/account").await),
        ("passkey", browser.open("/account?action=myelin.passkey_add").await),
        ("error", browser.open("/oauth2/authorize").await),
    ];
    for (name, page) in pages {
        let policy = page.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{name}: {policy}");
        assert!(policy.contains(" img-src 'self';") && !policy.contains("unsafe"), "{name}: {policy}");
        // Each style is known by its hash, and there is none on an element.
        let styles: Vec<_> = page.html.split("<style>").skip(1).collect();
        assert_eq!((styles.len(), page.html.contains(" style=")), (2, false), "{name}");
        for style in styles {
            use base64::Engine as _;
            let css = style.split("</style>").next().unwrap();
            let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(css.as_bytes()));
            assert!(policy.contains(&format!("'sha256-{hash}'")), "{name}: {policy}");
        }
        assert!(page.html.contains("--accent:#7a1fa2;"), "{name}");
        assert!(
            page.html.contains("<img class=\"logo\"") && page.html.contains("alt=\"Example &lt;Chat&gt;\"")
        );
        assert!(page.html.contains(" · Example &lt;Chat&gt;</title>"), "{name}");
        let mut size = page.html.len();
        let mut largest_logo = 0;
        for path in loaded(&page.html) {
            assert!(path.starts_with("/oauth2/"), "{name}: {path}");
            let (_, bytes) = fetched(&server, &path).await;
            // A browser loads one of the two.
            if path.starts_with("/oauth2/logo/") {
                largest_logo = largest_logo.max(bytes);
            } else {
                size += bytes;
            }
        }
        assert_eq!(largest_logo, MAX_LOGO, "{name}");
        assert!(size + largest_logo < MOST, "{name}: {}", size + largest_logo);
    }
}

#[tokio::test]
async fn the_foot_of_each_page_has_the_operator_s_links_in_the_reader_s_language() {
    let folder = tempfile::tempdir().unwrap();
    let server = branded(171, &folder).await;
    let mut browser = Browser::new(&server);
    let page = browser.open("/oauth2/sign-up").await;
    assert!(page.html.contains("on Example &lt;Chat&gt;") && page.html.contains("@name:hs"), "{}", page.html);
    let foot = |html: &str| html.split("<footer>").nth(1).unwrap().to_owned();
    let english = foot(&page.html);
    assert!(
        english.contains("href=\"https://hs.example/rules\"") && english.contains(">Terms</a>"),
        "{english}"
    );
    assert!(english.contains("<a href=\"mailto:help@hs.example\">Ask us</a>"), "{english}");
    browser.languages = "de".to_owned();
    let german = foot(&browser.open("/oauth2/authorize").await.html);
    assert!(german.contains(">Regeln</a>") && german.contains(">Nutzungsbedingungen</a>"), "{german}");
    let metadata = server.anonymous().get("/_matrix/client/v1/auth_metadata").await.ok();
    assert_eq!(metadata["op_tos_uri"], "https://hs.example/terms");
}

#[tokio::test]
async fn a_logo_is_kept_for_long_and_can_t_do_anything() {
    let folder = tempfile::tempdir().unwrap();
    let server = branded(172, &folder).await;
    let page = Browser::new(&server).open("/oauth2/sign-in").await;
    let logos: Vec<_> = loaded(&page.html).into_iter().filter(|path| path.contains("/logo/")).collect();
    assert_eq!(logos.len(), 2, "one for light pages and one for dark ones: {logos:?}");
    assert_ne!(logos[0], logos[1]);
    for path in logos {
        let (headers, _) = fetched(&server, &path).await;
        let header = |name| headers[name].to_str().unwrap();
        assert_eq!(header(header::CONTENT_TYPE), "image/svg+xml");
        assert_eq!(header(header::CACHE_CONTROL), "public, max-age=31536000, immutable");
        assert_eq!(header(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        let policy = header(header::CONTENT_SECURITY_POLICY);
        assert!(policy.starts_with("default-src 'none';") && policy.contains("; sandbox;"), "{policy}");
        assert!(!policy.contains("script") && !policy.contains("allow-"), "{policy}");
    }
    for none in ["/oauth2/logo/0123456789abcdef", "/oauth2/logo/%ff", "/oauth2/logo/x"] {
        let page = Browser::new(&server).send(Method::GET, none, None, &[]).await;
        assert!(page.status.is_client_error(), "{none}: {}", page.status);
    }
}

#[tokio::test]
async fn a_passkey_is_made_for_the_server_by_its_name_for_people() {
    let folder = tempfile::tempdir().unwrap();
    let server = branded(173, &folder).await;
    server.register("alice").await;
    let mut browser = Browser::new(&server);
    let page = browser.open("/account?action=myelin.passkey_add").await;
    let page = browser.submit(&page, &[("user_name", "alice"), ("password", PASSWORD)]).await;
    let options = page.html.split("data-passkey=\"").nth(1).map(|rest| rest.split('"').next().unwrap());
    let options = options.unwrap_or_else(|| panic!("{}", page.html)).replace("&quot;", "\"");
    let options: Value = serde_json::from_str(&options.replace("&lt;", "<").replace("&gt;", ">")).unwrap();
    assert_eq!(options["publicKey"]["rp"]["name"], "Example <Chat>");
}
