//! The operator's terms: accepted by whoever makes an account, and again where they change, before anything else.

use http::StatusCode;
use myelin_server::config::{Config, Registration, Terms, TermsText};
use myelin_testkit::{Browser, TestServer};
use serde_json::{Value, json};

use crate::world::{App, PASSWORD, heading};

const REGISTER: &str = "/_matrix/client/v3/register";

/// Two documents, the first of this version.
pub(crate) fn terms(version: &str) -> Vec<Terms> {
    let text = |name: &str, url: &str| TermsText { name: name.to_owned(), url: url.to_owned() };
    let privacy = [
        ("en".to_owned(), text("Privacy <policy>", "https://hs.example/privacy")),
        ("de".to_owned(), text("Datenschutz", "https://hs.example/datenschutz")),
    ];
    let rules = [("en".to_owned(), text("House rules", "https://hs.example/rules"))];
    vec![
        Terms { id: "privacy".to_owned(), version: version.to_owned(), languages: privacy.into() },
        Terms { id: "rules".to_owned(), version: "7".to_owned(), languages: rules.into() },
    ]
}

async fn started(seed: u64) -> TestServer {
    let mut config =
        Config { server_name: "hs".to_owned(), registration: Registration::Open, ..Config::default() };
    config.limits.enabled = false;
    config.terms = terms("1");
    TestServer::with(seed, config).await
}

#[tokio::test]
async fn who_makes_an_account_accepts_the_terms_and_is_asked_again_where_they_change() {
    let server = started(160).await;
    let mut browser = Browser::new(&server);
    browser.languages = "de".to_owned();
    let page = browser.open("/oauth2/sign-up").await;
    assert!(page.html.contains("href=\"https://hs.example/datenschutz\""), "{}", page.html);
    assert!(page.html.contains("House rules"), "in another language where there is no better one");
    browser.languages = "en".to_owned();
    let fields = [("user_name", "alice"), ("password", PASSWORD)];
    let page = browser.submit(&page, &fields).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert!(page.html.contains("please read and accept") && page.html.contains("Privacy &lt;policy&gt;"));
    let page = browser.submit(&page, &[fields[0], fields[1], ("terms", "yes")]).await;
    assert_eq!(heading(&page), "Done", "{}", page.html);

    let cookies = browser.cookies.clone();
    let server = server.reconfigure(|config| config.terms = terms("2")).await;
    let app = App::register(&server).await;
    let mut browser = Browser::new(&server);
    browser.cookies = cookies;
    let page = browser.open(&app.authorize(&[])).await;
    assert_eq!(heading(&page), "Before you go on", "{}", page.html);
    assert!(
        page.html.contains("hs.example/privacy") && !page.html.contains("House rules"),
        "what changed alone"
    );
    for path in ["/account", "/account?action=myelin.password", "/link", "/oauth2/done", "/account/picture"] {
        assert_eq!(heading(&browser.open(path).await), "Before you go on", "{path}");
    }
    // Who doesn't accept them may leave.
    for (path, title) in [
        ("/account?action=org.matrix.account_deactivate", "Deactivate your account?"),
        ("/account?action=myelin.export", "Your data"),
    ] {
        assert_eq!(heading(&browser.open(path).await), title);
    }
    // What was shown is what is accepted.
    let stale = browser.submit(&page, &[("terms.privacy", "1")]).await;
    assert_eq!(heading(&stale), "Before you go on");
    let other = browser.submit(&page, &[("user", "@bob:hs")]).await;
    assert_eq!(heading(&other), "Before you go on");
    let page = browser.submit(&page, &[]).await;
    assert!(heading(&page).starts_with("Continue to"), "{}", page.html);
    let page = browser.open("/account?action=myelin.activity").await;
    assert!(page.html.contains("The terms were accepted"), "{}", page.html);
    let page = browser.open("/account?action=myelin.export").await;
    let copy: Value = serde_json::from_str(&browser.submit(&page, &[]).await.html).unwrap();
    let accepted: Vec<_> = copy["accepted_terms"].as_array().unwrap().iter().collect();
    assert_eq!(accepted.len(), 2, "{copy}");
    assert_eq!((&accepted[0]["document"], &accepted[0]["version"]), (&json!("privacy"), &json!("2")));
    assert_eq!((&accepted[1]["document"], &accepted[1]["version"]), (&json!("rules"), &json!("7")));
    assert!(accepted.iter().all(|terms| terms["accepted_ts"].as_i64().is_some_and(|at| at > 0)), "{copy}");
    let server = server.reconfigure(|config| config.terms = terms("2")).await;
    let mut again = Browser::new(&server);
    let page = again.open("/account").await;
    let page = again.submit(&page, &[("user_name", "alice"), ("password", PASSWORD)]).await;
    assert_eq!(heading(&page), "Your account");
}

#[tokio::test]
async fn a_client_of_the_legacy_api_accepts_them_by_its_stage_and_the_pages_know() {
    let server = started(161).await;
    let nobody = server.anonymous();
    let body = json!({"username": "alice", "password": PASSWORD});
    let asked = nobody.post(REGISTER, body.clone()).await;
    assert_eq!(asked.status, StatusCode::UNAUTHORIZED);
    assert_eq!(asked.body["flows"], json!([{"stages": ["m.login.terms"]}]));
    let policies = &asked.body["params"]["m.login.terms"]["policies"];
    let english = json!({"name": "Privacy <policy>", "url": "https://hs.example/privacy"});
    assert_eq!((&policies["privacy"]["version"], &policies["privacy"]["en"]), (&json!("1"), &english));
    let with = |kind: &str| {
        let mut body = body.clone();
        body["auth"] = json!({"type": kind, "session": asked.body["session"]});
        body
    };
    assert_eq!(nobody.post(REGISTER, with("m.login.dummy")).await.status, StatusCode::UNAUTHORIZED);
    nobody.post(REGISTER, with("m.login.terms")).await.done();
    let mut browser = Browser::new(&server);
    let page = browser.open("/account").await;
    let page = browser.submit(&page, &[("user_name", "alice"), ("password", PASSWORD)]).await;
    assert_eq!(heading(&page), "Your account", "{}", page.html);
    let page = browser.open("/oauth2/terms").await;
    assert_eq!(heading(&page), "Done", "there is nothing to accept");
    assert_eq!(heading(&Browser::new(&server).open("/oauth2/terms").await), "Sign in");
}
