//! Requests to push gateways. Users name them, so they must not lead into this server's own network.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use myelin_notify::{Gateway, GatewayError};
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};

use super::address::is_public;
use super::resolve::{NoPublicAddress, Resolver};

/// How long a gateway may take to be connected to.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a request may take.
const WHOLE: Duration = Duration::from_secs(30);
/// How much of an answer is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// The client for push gateways.
pub(crate) struct PushGateways {
    client: Client,
    allow_private: bool,
}

impl PushGateways {
    /// A client that keeps connections open for a while, follows no redirects and uses no proxy.
    ///
    /// # Errors
    /// When TLS can't be set up.
    pub(crate) fn new(allow_private: bool) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .user_agent(concat!("Myelin/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .timeout(WHOLE)
            .redirect(Policy::none())
            .no_proxy()
            .dns_resolver(Arc::new(Resolver { allow_private }))
            .build()?;
        Ok(Self { client, allow_private })
    }

    async fn post(&self, url: &str, body: Bytes) -> Result<Bytes, GatewayError> {
        let url = Url::parse(url).map_err(|error| GatewayError::Unreachable(error.to_string()))?;
        // A name is looked at when it is resolved; an address is not resolved.
        let host = url.host_str().unwrap_or_default();
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        if literal.is_ok_and(|address| !self.allow_private && !is_public(address)) {
            return Err(GatewayError::Forbidden(host.to_owned()));
        }
        let host = host.to_owned();
        let request = self.client.post(url).header(CONTENT_TYPE, "application/json").body(body);
        let mut response = request.send().await.map_err(|error| unreachable_because(&error, &host))?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(GatewayError::Status(response.status().as_u16()));
        }
        let mut answer = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| unreachable_because(&error, &host))? {
            if answer.len() + chunk.len() > MAX_ANSWER {
                return Err(GatewayError::Unreachable("its answer is too long".to_owned()));
            }
            answer.extend_from_slice(&chunk);
        }
        Ok(answer.freeze())
    }
}

impl Gateway for PushGateways {
    fn notify<'a>(&'a self, url: &'a str, body: Bytes) -> BoxFuture<'a, Result<Bytes, GatewayError>> {
        Box::pin(self.post(url, body))
    }
}

/// Without the URL, which may hold what is between the user and the gateway.
fn unreachable_because(error: &reqwest::Error, host: &str) -> GatewayError {
    let mut source: &dyn std::error::Error = error;
    while let Some(cause) = source.source() {
        source = cause;
    }
    if source.is::<NoPublicAddress>() {
        return GatewayError::Forbidden(host.to_owned());
    }
    GatewayError::Unreachable(source.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::Router;
    use axum::routing::post;
    use bytes::Bytes;
    use http::StatusCode;
    use myelin_notify::{Gateway, GatewayError};
    use myelin_runtime::Tasks;
    use tokio::net::TcpListener;
    use tokio::sync::Semaphore;

    use super::PushGateways;
    use crate::listen::{Serving, serve};

    /// A gateway on loopback that answers with what it got; its port.
    async fn listening() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let routes = Router::new()
            .route("/_matrix/push/v1/notify", post(async |body: Bytes| body))
            .route("/long", post(async || "x".repeat(100_000)))
            .route("/moved", post(async || (StatusCode::FOUND, [("location", "/_matrix/push/v1/notify")])));
        let (tasks, connections) = (Tasks::new(), Arc::new(Semaphore::new(16)));
        let serving = Serving { service: routes, tasks, connections, proxies: Arc::new([]) };
        tokio::spawn(serve(listener, None, serving));
        port
    }

    #[tokio::test]
    async fn a_permitted_gateway_is_posted_to_and_nothing_is_followed_or_read_without_end() {
        let port = listening().await;
        let gateways = PushGateways::new(true).unwrap();
        let sent = async |path: &str| {
            gateways.notify(&format!("http://127.0.0.1:{port}{path}"), Bytes::from_static(b"{\"a\":1}")).await
        };
        assert_eq!(sent("/_matrix/push/v1/notify").await, Ok(Bytes::from_static(b"{\"a\":1}")));
        assert_eq!(sent("/nothing").await, Err(GatewayError::Status(404)));
        assert_eq!(sent("/moved").await, Err(GatewayError::Status(302)));
        assert!(matches!(sent("/long").await, Err(GatewayError::Unreachable(_))));
    }

    #[tokio::test]
    async fn loopback_and_private_addresses_are_refused_by_address_and_by_name() {
        let port = listening().await;
        let gateways = PushGateways::new(false).unwrap();
        for host in [
            "127.0.0.1",
            "localhost",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "2130706433",
            "10.1.2.3",
            "169.254.169.254",
            "[fd00::1]",
            "0.0.0.0",
        ] {
            let answer =
                gateways.notify(&format!("http://{host}:{port}/_matrix/push/v1/notify"), Bytes::new()).await;
            assert!(matches!(answer, Err(GatewayError::Forbidden(_))), "{host}: {answer:?}");
        }
    }
}
