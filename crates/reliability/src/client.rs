//! A client that speaks plain HTTP/1.1 over one connection, and never sends a request twice by itself.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// How long an answer may take. The longest sync in these tests waits for 10 s.
const PATIENCE: Duration = Duration::from_secs(40);

/// One connection to a server, opened when it is needed.
pub struct Client {
    address: SocketAddr,
    token: Option<String>,
    cookies: String,
    connection: Option<SendRequest<Full<Bytes>>>,
}

/// No whole answer came: whether the request was carried out is unknown.
#[derive(Debug)]
pub struct Broken(String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no answer came: {}", self.0)
    }
}

impl std::error::Error for Broken {}

fn broken(error: impl fmt::Display) -> Broken {
    Broken(error.to_string())
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub bytes: Bytes,
}

impl Answer {
    /// The body as JSON; null where it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_default()
    }

    /// The `errcode`, empty where there is none.
    #[must_use]
    pub fn errcode(&self) -> String {
        self.json()["errcode"].as_str().unwrap_or_default().to_owned()
    }

    /// The JSON of a successful answer.
    ///
    /// # Panics
    /// When it is another: that fails the test, and shows it.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert!(self.status.is_success(), "{} {}", self.status, String::from_utf8_lossy(&self.bytes));
        self.json()
    }
}

impl Client {
    /// A client without a session.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address, token: None, cookies: String::new(), connection: None }
    }

    /// A client that sends this access token.
    #[must_use]
    pub fn with_token(address: SocketAddr, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..Self::new(address) }
    }

    /// Sends another access token from now on.
    pub fn set_token(&mut self, token: &str) {
        self.token = Some(token.to_owned());
    }

    /// Sends these cookies from now on.
    pub fn set_cookies(&mut self, cookies: &str) {
        cookies.clone_into(&mut self.cookies);
    }

    /// Sends a request once.
    ///
    /// # Errors
    /// When no whole answer came.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Bytes,
    ) -> Result<Answer, Broken> {
        let exchange = self.exchange(method, path, content_type, body);
        let outcome = tokio::time::timeout(PATIENCE, exchange).await;
        let outcome = outcome.unwrap_or_else(|_| Err(Broken(format!("{PATIENCE:?} passed"))));
        if outcome.is_err() {
            self.connection = None;
        }
        outcome
    }

    async fn exchange(
        &mut self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Bytes,
    ) -> Result<Answer, Broken> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.address.to_string())
            .header(header::CONTENT_TYPE, content_type);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if !self.cookies.is_empty() {
            request = request.header(header::COOKIE, &self.cookies);
        }
        let request = request.body(Full::new(body)).map_err(broken)?;
        let sent = self.connection().await?.send_request(request).await.map_err(broken)?;
        let (parts, body) = sent.into_parts();
        let bytes = body.collect().await.map_err(broken)?.to_bytes();
        Ok(Answer { status: parts.status, headers: parts.headers, bytes })
    }

    /// The connection, opened anew where it was closed.
    async fn connection(&mut self) -> Result<&mut SendRequest<Full<Bytes>>, Broken> {
        let is_open = match &mut self.connection {
            Some(connection) => connection.ready().await.is_ok(),
            None => false,
        };
        if !is_open {
            let stream = TcpStream::connect(self.address).await.map_err(broken)?;
            stream.set_nodelay(true).map_err(broken)?;
            let (sender, driver) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
            tokio::spawn(driver);
            self.connection = Some(sender);
        }
        self.connection.as_mut().ok_or_else(|| Broken("no connection".to_owned()))
    }

    /// Sends a request with a JSON body, once.
    ///
    /// # Errors
    /// When no whole answer came.
    pub async fn call(&mut self, method: Method, path: &str, body: &Value) -> Result<Answer, Broken> {
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        self.send(method, path, "application/json", body).await
    }

    /// GET.
    ///
    /// # Errors
    /// When no whole answer came.
    pub async fn get(&mut self, path: &str) -> Result<Answer, Broken> {
        self.call(Method::GET, path, &Value::Null).await
    }

    /// PUT.
    ///
    /// # Errors
    /// When no whole answer came.
    pub async fn put(&mut self, path: &str, body: &Value) -> Result<Answer, Broken> {
        self.call(Method::PUT, path, body).await
    }

    /// POST.
    ///
    /// # Errors
    /// When no whole answer came.
    pub async fn post(&mut self, path: &str, body: &Value) -> Result<Answer, Broken> {
        self.call(Method::POST, path, body).await
    }
}
