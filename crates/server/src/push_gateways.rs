//! Requests to push gateways. Users name them, so they must not lead into this server's own network.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use myelin_notify::{Gateway, GatewayError};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};

use crate::config::Network;

/// How long a gateway may take to be connected to.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a request may take.
const WHOLE: Duration = Duration::from_secs(30);
/// How much of an answer is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// Networks that are nobody's on the public Internet (IANA's special-purpose address registries).
const PRIVATE: &[&str] = &[
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/127",
    "100::/64",
    "2001:db8::/32",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
];

/// The client for push gateways.
pub struct PushGateways {
    client: Client,
    permitted: Permitted,
}

/// Where requests may go.
#[derive(Clone)]
enum Permitted {
    Everywhere,
    /// Everywhere but to these networks.
    Outside(Arc<[Network]>),
}

impl PushGateways {
    /// A client that keeps connections open for a while, follows no redirects and uses no proxy.
    ///
    /// # Errors
    /// When TLS can't be set up.
    pub fn new(allow_private_addresses: bool) -> Result<Self, reqwest::Error> {
        let permitted = if allow_private_addresses {
            Permitted::Everywhere
        } else {
            Permitted::Outside(PRIVATE.iter().filter_map(|text| text.parse().ok()).collect())
        };
        let client = Client::builder()
            .user_agent(concat!("Myelin/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .timeout(WHOLE)
            .redirect(Policy::none())
            .no_proxy()
            .dns_resolver(Arc::new(Resolver(permitted.clone())))
            .build()?;
        Ok(Self { client, permitted })
    }

    async fn post(&self, url: &str, body: Bytes) -> Result<Bytes, GatewayError> {
        let url = Url::parse(url).map_err(|error| GatewayError::Unreachable(error.to_string()))?;
        // A name is looked at when it is resolved; an address is not resolved.
        let host = url.host_str().unwrap_or_default();
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        if literal.is_ok_and(|address| !self.permitted.contains(address)) {
            return Err(GatewayError::Forbidden(host.to_owned()));
        }
        let request = self.client.post(url).header(CONTENT_TYPE, "application/json").body(body);
        let mut response = request.send().await.map_err(|error| unreachable_because(&error))?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(GatewayError::Status(response.status().as_u16()));
        }
        let mut answer = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| unreachable_because(&error))? {
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
fn unreachable_because(error: &reqwest::Error) -> GatewayError {
    let mut source: &dyn std::error::Error = error;
    while let Some(cause) = source.source() {
        source = cause;
    }
    if let Some(Forbidden(name)) = source.downcast_ref() {
        return GatewayError::Forbidden(name.clone());
    }
    GatewayError::Unreachable(source.to_string())
}

impl Permitted {
    fn contains(&self, address: IpAddr) -> bool {
        let Self::Outside(networks) = self else { return true };
        let inside = |address: IpAddr| networks.iter().any(|network| network.contains(address));
        !inside(address) && !embedded(address).is_some_and(inside)
    }
}

/// The IPv4 address that a translator or tunnel would reach for an IPv6 address (NAT64, RFC 6052; 6to4, RFC 3056; and
/// IPv4-compatible addresses, RFC 4291).
fn embedded(address: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(address) = address else { return None };
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
    };
    match [a, b, c, d, e, f] {
        [0x64, 0xff9b, 0, 0, 0, 0] | [0, 0, 0, 0, 0, 0] => v4(g, h),
        [0x2002, high, low, ..] => v4(high, low),
        _ => None,
    }
}

/// A name leads to addresses that requests may not go to.
#[derive(Debug, thiserror::Error)]
#[error("{0} is a name of a loopback or private address")]
struct Forbidden(String);

/// Resolves names as the system does, and leaves out where requests may not go. What is connected to is what was looked
/// at: there is no second look-up that could say something else.
struct Resolver(Permitted);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let permitted = self.0.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let is_known = !found.is_empty();
            let may: Vec<SocketAddr> =
                found.into_iter().filter(|address| permitted.contains(address.ip())).collect();
            if may.is_empty() && is_known {
                return Err(Forbidden(name.as_str().to_owned()).into());
            }
            Ok(Box::new(may.into_iter()) as Addrs)
        })
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
        let serving = Serving { router: routes, tasks, connections, proxies: Arc::new([]) };
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
