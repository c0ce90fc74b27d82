//! A client, and the person who uses it.

use http::{Method, StatusCode};
use myelin_oauth_core::pkce::Challenge;
use myelin_testkit::{Answer, Browser, Page, TestServer};
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

pub(crate) const PASSWORD: &str = "correct horse";
pub(crate) const REDIRECT: &str = "https://app.example.com/callback";
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const WHOAMI: &str = "/_matrix/client/v3/account/whoami";

pub(crate) fn registration() -> Value {
    json!({
        "client_name": "Example <App>", "client_name#de": "Beispiel", "client_uri": "https://example.com/",
        "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none", "response_types": ["code"],
        "policy_uri": "https://example.com/policy",
        "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
    })
}

pub(crate) fn scope(device_id: &str) -> String {
    format!("urn:matrix:client:api:* urn:matrix:client:device:{device_id}")
}

pub(crate) fn form(pairs: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// Posts a form to an endpoint for programs.
pub(crate) async fn post(server: &TestServer, path: &str, pairs: &[(&str, &str)]) -> Answer {
    let kind = "application/x-www-form-urlencoded";
    server.anonymous().send(Method::POST, path, kind, form(pairs).into_bytes()).await
}

/// The code of an OAuth error.
pub(crate) fn error(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), answer.body["error"].as_str().unwrap_or_default())
}

/// A client that registered.
pub(crate) struct App<'s> {
    pub(crate) server: &'s TestServer,
    pub(crate) client_id: String,
}

impl<'s> App<'s> {
    pub(crate) async fn register(server: &'s TestServer) -> Self {
        let answer = server.anonymous().post("/oauth2/registration", registration()).await;
        assert_eq!(answer.status, StatusCode::CREATED);
        Self { server, client_id: answer.body["client_id"].as_str().unwrap().to_owned() }
    }

    /// The good request with some parameters changed; an empty one is left out.
    pub(crate) fn authorize(&self, changes: &[(&str, &str)]) -> String {
        let challenge = Challenge::of(VERIFIER).unwrap();
        let scope = scope("PHONE");
        let mut pairs = vec![
            ("client_id", self.client_id.as_str()),
            ("redirect_uri", REDIRECT),
            ("response_type", "code"),
            ("response_mode", "fragment"),
            ("scope", &scope),
            ("state", "st&te"),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
        ];
        pairs.retain(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
        pairs.extend(changes.iter().copied().filter(|(_, value)| !value.is_empty()));
        format!("/oauth2/authorize?{}", form(&pairs))
    }

    /// The code that a person gives who signs in first if they have to.
    pub(crate) async fn code(&self, browser: &mut Browser<'_>, changes: &[(&str, &str)]) -> String {
        let page = browser.open(&self.authorize(changes)).await;
        let page = if page.html.contains("current-password") {
            browser.submit(&page, &[("user_name", "alice"), ("password", PASSWORD)]).await
        } else {
            page
        };
        let sent = browser.submit(&page, &[("decision", "approve")]).await;
        sent.sent("code").unwrap_or_else(|| panic!("no code: {} {}", sent.url, sent.html))
    }

    pub(crate) async fn redeem(&self, code: &str) -> Answer {
        let pairs = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", REDIRECT),
            ("client_id", &self.client_id),
            ("code_verifier", VERIFIER),
        ];
        post(self.server, "/oauth2/token", &pairs).await
    }

    /// A whole login.
    pub(crate) async fn login(&self, browser: &mut Browser<'_>, device_id: &str) -> Value {
        let scope = scope(device_id);
        let code = self.code(browser, &[("scope", &scope)]).await;
        self.redeem(&code).await.ok()
    }

    pub(crate) async fn refresh(&self, tokens: &Value) -> Answer {
        let token = tokens["refresh_token"].as_str().unwrap();
        let pairs =
            [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", &self.client_id)];
        post(self.server, "/oauth2/token", &pairs).await
    }

    pub(crate) async fn works(&self, tokens: &Value) -> bool {
        self.with(tokens, "/_matrix/client/v3/account/whoami").await.status == StatusCode::OK
    }

    /// A request with the access token.
    pub(crate) async fn with(&self, tokens: &Value, path: &str) -> Answer {
        let mut client = self.server.anonymous();
        client.token = tokens["access_token"].as_str().map(str::to_owned);
        client.get(path).await
    }
}

/// What the page says in its heading.
pub(crate) fn heading(page: &Page) -> &str {
    page.html.split("<h1>").nth(1).and_then(|rest| rest.split("</h1>").next()).unwrap_or_default()
}
