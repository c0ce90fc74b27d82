//! Requests to push gateways. Users name them, so they must not lead into this server's own network.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use myelin_notify::{Gateway, GatewayError};
use reqwest::header::CONTENT_TYPE;
use reqwest::{StatusCode, Url};

use super::client::{Asker, Bounds, NoAnswer, Reach};

/// The client for push gateways. It keeps connections open for a while.
pub(crate) struct PushGateways(Asker);

impl PushGateways {
    pub(crate) fn new(allow_private: bool) -> Self {
        Self(Asker::new(Bounds {
            reach: Reach::of_users(allow_private),
            connect: Duration::from_secs(10),
            whole: Duration::from_secs(30),
            answer: 64 * 1024,
        }))
    }

    async fn post(&self, url: &str, body: Bytes) -> Result<Bytes, GatewayError> {
        let url = Url::parse(url).map_err(|error| GatewayError::Unreachable(error.to_string()))?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let asked = self
            .0
            .ask(url, |client, url| client.post(url).header(CONTENT_TYPE, "application/json").body(body));
        match asked.await {
            Ok(answer) if answer.status == StatusCode::OK => Ok(answer.body),
            Ok(answer) => Err(GatewayError::Status(answer.status.as_u16())),
            Err(NoAnswer::NotPublic) => Err(GatewayError::Forbidden(host)),
            Err(error) => Err(GatewayError::Unreachable(error.to_string())),
        }
    }
}

impl Gateway for PushGateways {
    fn notify<'a>(&'a self, url: &'a str, body: Bytes) -> BoxFuture<'a, Result<Bytes, GatewayError>> {
        Box::pin(self.post(url, body))
    }
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
        let gateways = PushGateways::new(true);
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
        let gateways = PushGateways::new(false);
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
