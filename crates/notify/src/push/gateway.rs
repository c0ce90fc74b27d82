//! The way out to push gateways, as `notify` needs it.

use bytes::Bytes;
use futures_util::future::BoxFuture;

/// Why a gateway did not take a notification. All of it may pass.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GatewayError {
    /// Requests to its address are not permitted.
    #[error("requests to {0} are not permitted: it is a loopback or private address")]
    Forbidden(String),
    /// It could not be reached, or did not answer in time.
    #[error("the push gateway could not be reached: {0}")]
    Unreachable(String),
    /// It answered with something else than 200.
    #[error("the push gateway answered with status {0}")]
    Status(u16),
}

/// Sends requests to push gateways. `server` implements it over an HTTP client.
pub trait Gateway: Send + Sync + 'static {
    /// Posts a JSON body and answers with that of the gateway's 200. It must bound both the time it takes and how much
    /// it reads.
    fn notify<'a>(&'a self, url: &'a str, body: Bytes) -> BoxFuture<'a, Result<Bytes, GatewayError>>;
}
