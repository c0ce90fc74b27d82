//! A client that speaks plain HTTP to a server of this process.

use axum::body::{Body, to_bytes};
use http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};

use crate::TestServer;

/// The largest answer a test reads.
const MOST: usize = 16 << 20;

/// A user's client.
pub struct Client<'s> {
    server: &'s TestServer,
    /// The access token, if there is a session.
    pub token: Option<String>,
    /// The user, if there is a session.
    pub user_id: String,
    /// The device, if there is a session.
    pub device_id: String,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its body; null if it is no JSON.
    pub body: Value,
}

impl Answer {
    /// Checks that the request was done, where the answer says no more.
    ///
    /// # Panics
    /// When it was refused.
    pub fn done(self) {
        let _ = self.ok();
    }

    /// The body of a successful answer.
    ///
    /// # Panics
    /// When the answer is none, which fails the test and shows it.
    #[must_use]
    pub fn ok(self) -> Value {
        assert!(self.status.is_success(), "{} {}", self.status, self.body);
        self.body
    }

    /// The errcode, empty if there is none.
    #[must_use]
    pub fn errcode(&self) -> &str {
        self.body["errcode"].as_str().unwrap_or_default()
    }
}

impl<'s> Client<'s> {
    pub(crate) fn new(server: &'s TestServer) -> Self {
        Self { server, token: None, user_id: String::new(), device_id: String::new() }
    }

    /// Registers a user by the dummy stage.
    ///
    /// # Panics
    /// When that fails, which fails the test.
    pub async fn register(&mut self, name: &str) {
        let wish = json!({"username": name, "password": "correct horse", "auth": {"type": "m.login.dummy"}});
        let first = self.call(Method::POST, "/_matrix/client/v3/register", Some(&wish)).await;
        let body = if first.status == StatusCode::UNAUTHORIZED {
            let session = &first.body["session"];
            let wish = json!({
                "username": name, "password": "correct horse",
                "auth": {"type": "m.login.dummy", "session": session},
            });
            self.call(Method::POST, "/_matrix/client/v3/register", Some(&wish)).await.ok()
        } else {
            first.ok()
        };
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        self.token = Some(text("access_token"));
        self.user_id = text("user_id");
        self.device_id = text("device_id");
    }

    /// Sends a request with a JSON body, or none.
    ///
    /// # Panics
    /// When the request can't be built or the answer not be read, which fails the test.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let bytes = body.map(Value::to_string).unwrap_or_default();
        self.send(method, path, "application/json", bytes.into_bytes()).await
    }

    /// Sends any bytes.
    ///
    /// # Panics
    /// When the request can't be built or the answer not be read, which fails the test.
    pub async fn send(&self, method: Method, path: &str, content_type: &str, body: Vec<u8>) -> Answer {
        let mut request =
            Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, content_type);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Body::from(body)).expect("the test's request is well-formed");
        let response = self.server.request(request).await;
        let status = response.status();
        let bytes = to_bytes(response.into_body(), MOST).await.expect("the answer fits");
        Answer { status, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) }
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    /// `POST` of JSON.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(&body)).await
    }

    /// `PUT` of JSON.
    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, Some(&body)).await
    }

    /// Makes a room and answers with its id.
    ///
    /// # Panics
    /// When that fails, which fails the test.
    pub async fn create_room(&self, wish: Value) -> String {
        let made = self.post("/_matrix/client/v3/createRoom", wish).await.ok();
        made["room_id"].as_str().unwrap_or_default().to_owned()
    }

    /// Sends a text message and answers with its event id.
    ///
    /// # Panics
    /// When that fails, which fails the test.
    pub async fn say(&self, room_id: &str, txn_id: &str, body: &str) -> String {
        let path = format!("/_matrix/client/v3/rooms/{room_id}/send/m.room.message/{txn_id}");
        let sent = self.put(&path, json!({"msgtype": "m.text", "body": body})).await.ok();
        sent["event_id"].as_str().unwrap_or_default().to_owned()
    }
}
