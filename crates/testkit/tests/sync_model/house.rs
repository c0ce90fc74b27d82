//! A server, which may be killed, and the people who use it.

use http::{Method, Request, StatusCode, header};
use myelin_server::config::{Config, Registration};
use myelin_testkit::TestServer;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

pub(crate) const V3: &str = "/_matrix/client/v3";

/// A session of a user.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) user_id: String,
    pub(crate) name: &'static str,
    token: String,
}

/// A server, and what it runs on.
pub(crate) struct House {
    runtime: Runtime,
    server: Option<TestServer>,
}

impl House {
    pub(crate) fn new(seed: u64) -> Self {
        let mut config =
            Config { server_name: "hs".to_owned(), registration: Registration::Open, ..Config::default() };
        config.limits.enabled = false;
        let builder = &mut tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().start_paused(true).build().unwrap();
        let server = runtime.block_on(TestServer::with(seed, config));
        Self { runtime, server: Some(server) }
    }

    /// Runs to its end what the server is asked to do.
    pub(crate) fn run<T>(&self, work: impl AsyncFnOnce(&TestServer) -> T) -> T {
        self.runtime.block_on(work(self.server.as_ref().unwrap()))
    }

    /// Stops in order, and starts again.
    pub(crate) fn restart(&mut self) {
        let server = self.server.take().unwrap();
        self.server = Some(self.runtime.block_on(server.restart()));
    }

    /// Dies, and starts again with what was written.
    pub(crate) fn kill(&mut self) {
        let server = self.server.take().unwrap();
        self.server = Some(self.runtime.block_on(server.crash()));
    }

    pub(crate) fn register(&self, name: &'static str) -> Session {
        self.run(async |server| {
            let client = server.register(name).await;
            Session { user_id: client.user_id.clone(), name, token: client.token.clone().unwrap() }
        })
    }

    /// A request whose outcome is of no interest, or must be good.
    pub(crate) fn ask(&self, session: &Session, method: Method, path: &str, body: &Value) -> Value {
        let (status, answer) = self.run(async |server| ask(server, session, method, path, Some(body)).await);
        assert!(!status.is_server_error(), "{path}: {answer}");
        answer
    }
}

/// A request, and what it is answered.
pub(crate) async fn ask(
    server: &TestServer,
    session: &Session,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> (StatusCode, Value) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, format!("Bearer {}", session.token));
    let body = body.map(Value::to_string).unwrap_or_default();
    let response = server.request(request.body(body.into()).unwrap()).await;
    let status = response.status();
    let bytes = axum::body::to_bytes(response.into_body(), 16 << 20).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

/// Everything that happened in a room, as its keeper sees it, who is always there.
pub(crate) fn log(house: &House, keeper: &Session, room: &str) -> Vec<Value> {
    let mut events = Vec::new();
    let mut from = String::new();
    loop {
        let path = format!("{V3}/rooms/{room}/messages?dir=f&limit=1000{from}");
        let page = house.ask(keeper, Method::GET, &path, &json!({}));
        events.extend(page["chunk"].as_array().unwrap().iter().cloned());
        match page["end"].as_str() {
            Some(end) if !page["chunk"].as_array().unwrap().is_empty() => from = format!("&from={end}"),
            _ => return events,
        }
    }
}
