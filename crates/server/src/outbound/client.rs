//! How this server asks others: no redirects, no proxy, and a bound on the time and on what is read.

use std::error::Error;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, StatusCode, Url};

use super::address::is_public;
use super::resolve::{NoPublicAddress, Resolver};

/// Where requests may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Anywhere: the operator named the place.
    Anywhere,
    /// To public addresses only: a user named the place.
    Public,
}

impl Reach {
    /// For places that users name, where an operator may allow private addresses.
    pub(super) fn of_users(allow_private: bool) -> Self {
        if allow_private { Self::Anywhere } else { Self::Public }
    }
}

/// What bounds a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) reach: Reach,
    /// How long it may take to connect.
    pub(super) connect: Duration,
    /// How long the whole of it may take.
    pub(super) whole: Duration,
    /// How much of an answer is read, in bytes.
    pub(super) answer: usize,
}

/// A client of servers of one kind. It is made when first needed: many servers never ask any.
pub(crate) struct Asker {
    bounds: Bounds,
    client: OnceLock<Result<Client, Arc<reqwest::Error>>>,
}

/// What was answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

/// Why there is no answer. None of it has the URL in it, which may be a secret between two others.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    /// The address is one of a private network.
    #[error("its address is not public")]
    NotPublic,
    #[error("no client can be made: {0}")]
    NoClient(Arc<reqwest::Error>),
    #[error("it does not answer in time")]
    Late,
    #[error("its answer is too long")]
    Long,
    /// What stood in the way, as far down as it is known.
    #[error("{0}")]
    Failed(String),
}

impl Asker {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, client: OnceLock::new() }
    }

    fn client(&self) -> Result<&Client, NoAnswer> {
        let Bounds { reach, connect, whole, .. } = self.bounds;
        let make = || {
            let builder = Client::builder()
                .user_agent(concat!("Myelin/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(connect)
                .timeout(whole)
                .redirect(Policy::none())
                // It would look names up by itself.
                .no_proxy()
                .dns_resolver(Arc::new(Resolver { allow_private: reach == Reach::Anywhere }));
            builder.build().map_err(Arc::new)
        };
        self.client.get_or_init(make).as_ref().map_err(|error| NoAnswer::NoClient(Arc::clone(error)))
    }

    /// Sends the request that is made of the client and the URL.
    pub(super) async fn ask(
        &self,
        url: Url,
        request: impl FnOnce(&Client, Url) -> RequestBuilder,
    ) -> Result<Answer, NoAnswer> {
        if self.bounds.reach == Reach::Public && leads_inside(&url) {
            return Err(NoAnswer::NotPublic);
        }
        let mut response = request(self.client()?, url).send().await?;
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > self.bounds.answer {
                return Err(NoAnswer::Long);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status: response.status(), body: body.freeze() })
    }
}

/// Whether the URL has an address in it that is not public. A name is looked at when it is resolved; an address is not
/// resolved.
fn leads_inside(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    literal.is_ok_and(|address| !is_public(address))
}

impl From<reqwest::Error> for NoAnswer {
    fn from(error: reqwest::Error) -> Self {
        let mut cause: &dyn Error = &error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        match cause {
            cause if cause.is::<NoPublicAddress>() => Self::NotPublic,
            _ if error.is_timeout() => Self::Late,
            cause => Self::Failed(cause.to_string()),
        }
    }
}
