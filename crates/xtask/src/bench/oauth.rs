//! What the loads ask of the login server: as a client of OAuth 2.0 does, and as the browser of who uses it.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{
    http::{Answer, Connection, Request, encode},
    matrix::{Credentials, Login},
};

/// Where the answer of a browser goes. Nobody asks there: the code is taken from the redirect.
const REDIRECT: &str = "https://client.example/callback";
/// The example of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
/// What a form repeats of a cookie; the browser is free to choose it.
const FORM_TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// The page on which people say who they are.
pub(crate) const SIGN_IN: &str = "/oauth2/sign-in";

/// Whether the homeserver has a login server of its own.
pub(crate) fn is_native(address: &str) -> Result<bool> {
    let answer = Connection::new(address).exchange(&Request::get("/_matrix/client/v1/auth_metadata"))?;
    let metadata: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let registers = metadata["registration_endpoint"].as_str().unwrap_or_default();
    Ok(answer.status == 200 && registers.contains(address))
}

/// Registers a client; its id.
pub(crate) fn register_client(address: &str) -> Result<String> {
    let body = json!({
        "client_name": "Bench", "client_uri": "https://client.example", "redirect_uris": [REDIRECT],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"], "token_endpoint_auth_method": "none",
    });
    let request = &body.to_string();
    let answer =
        Connection::new(address).exchange(&Request::json("POST", "/oauth2/registration", request))?;
    text(&read(&answer)?, "client_id")
}

/// Where a client sends the browser of somebody who wants to log in with a device.
pub(crate) fn authorize(client_id: &str, device_id: &str) -> String {
    let scope = format!("urn:matrix:client:api:* urn:matrix:client:device:{device_id}");
    let pairs = [
        ("client_id", client_id),
        ("redirect_uri", REDIRECT),
        ("response_type", "code"),
        ("scope", &scope),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    format!("/oauth2/authorize?{}", form(&pairs))
}

/// A browser in which somebody is signed in.
pub(crate) struct Browser {
    connection: Connection,
    user_id: String,
    cookies: String,
}

impl Browser {
    /// Signs somebody in.
    pub(crate) fn sign_in(address: &str, who: &Credentials) -> Result<Self> {
        let mut connection = Connection::new(address);
        let cookies = format!("myelin-form={FORM_TOKEN}");
        let body = form(&[("user_name", &who.name), ("password", &who.password), ("form_token", FORM_TOKEN)]);
        let answer = connection.exchange(&Request { cookies: &cookies, ..Request::form(SIGN_IN, &body) })?;
        let session = answer.header("set-cookie").and_then(|cookie| cookie.split(';').next());
        let session = session.with_context(|| format!("nobody was signed in: {}", answer.status))?;
        let cookies = format!("{cookies}; {session}");
        Ok(Self { connection, user_id: who.user_id.clone(), cookies })
    }

    /// Opens a page.
    pub(crate) fn open(&mut self, path: &str) -> Result<Answer> {
        let answer = self.connection.exchange(&Request { cookies: &self.cookies, ..Request::get(path) })?;
        ensure!(answer.status == 200, "{path}: {}", answer.status);
        Ok(answer)
    }

    /// Lets a client in, as a new device.
    pub(crate) fn let_in(&mut self, client_id: &str, device_id: &str) -> Result<Session> {
        let fields = [("user", &*self.user_id), ("decision", "approve"), ("form_token", FORM_TOKEN)];
        let (path, body) = (authorize(client_id, device_id), form(&fields));
        let request = Request { cookies: &self.cookies, ..Request::form(&path, &body) };
        let answer = self.connection.exchange(&request)?;
        let place = answer.header("location").with_context(|| format!("no code: {}", answer.status))?;
        let code = place.split("code=").nth(1).and_then(|rest| rest.split('&').next());
        let code = code.with_context(|| format!("no code in {place}"))?;
        let pairs = [
            ("grant_type", "authorization_code"),
            ("client_id", client_id),
            ("redirect_uri", REDIRECT),
            ("code", code),
            ("code_verifier", VERIFIER),
        ];
        Session::of(client_id, &mut self.connection, &pairs)
    }
}

/// What a client was given.
pub(crate) struct Session {
    client_id: String,
    access_token: String,
    refresh_token: String,
}

impl Session {
    fn of(client_id: &str, connection: &mut Connection, pairs: &[(&str, &str)]) -> Result<Self> {
        let answer = read(&connection.exchange(&Request::form("/oauth2/token", &form(pairs)))?)?;
        Ok(Self {
            client_id: client_id.to_owned(),
            access_token: text(&answer, "access_token")?,
            refresh_token: text(&answer, "refresh_token")?,
        })
    }

    /// What requests show.
    pub(crate) fn login(self) -> Login {
        Login::of(self.access_token)
    }

    /// Renews the tokens.
    pub(crate) fn refresh(&mut self, connection: &mut Connection) -> Result<()> {
        let pairs = [
            ("grant_type", "refresh_token"),
            ("client_id", &*self.client_id),
            ("refresh_token", &*self.refresh_token),
        ];
        *self = Self::of(&self.client_id, connection, &pairs)?;
        Ok(())
    }
}

/// A form's fields as they are sent, which is as in a query.
fn form(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    pairs.join("&")
}

fn read(answer: &Answer) -> Result<Value> {
    let said = String::from_utf8_lossy(&answer.body);
    ensure!(matches!(answer.status, 200 | 201), "{} {said}", answer.status);
    serde_json::from_str(&said).with_context(|| format!("an answer that is not JSON: {said}"))
}

fn text(answer: &Value, key: &str) -> Result<String> {
    let value = answer[key].as_str().with_context(|| format!("the answer has no `{key}`: {answer}"))?;
    Ok(value.to_owned())
}
