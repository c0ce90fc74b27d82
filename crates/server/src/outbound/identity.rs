//! Requests to identity servers. Users name them, so they must not lead into this server's own network.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::BytesMut;
use futures_util::future::BoxFuture;
use myelin_rooms::{IdentityAnswer, IdentityRequest, NoAnswer, To};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};

use super::address::is_public;
use super::resolve::{NoPublicAddress, Resolver};
use crate::config::IdentityServers;

/// How long an identity server may take to be connected to, and for a whole request.
const CONNECT: Duration = Duration::from_secs(5);
const WHOLE: Duration = Duration::from_secs(10);
/// How much of an answer is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// The client for identity servers.
pub(crate) struct Identity {
    config: IdentityServers,
    /// Made when first needed: few servers ever speak to one.
    client: OnceLock<Result<Client, Arc<reqwest::Error>>>,
}

impl Identity {
    pub(crate) fn new(config: IdentityServers) -> Self {
        Self { config, client: OnceLock::new() }
    }

    fn client(&self) -> Result<&Client, NoAnswer> {
        let allow_private = self.config.allow_private_addresses;
        let make = || {
            Client::builder()
                .user_agent(concat!("Myelin/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT)
                .timeout(WHOLE)
                .redirect(Policy::none())
                .no_proxy()
                .dns_resolver(Arc::new(Resolver { allow_private }))
                // A later request is judged by where the name leads then.
                .pool_max_idle_per_host(0)
                .build()
                .map_err(Arc::new)
        };
        self.client.get_or_init(make).as_ref().map_err(|error| {
            tracing::error!(%error, "the client for identity servers can't be made");
            NoAnswer::Unreachable
        })
    }

    /// The URL of a request, if it may be made.
    fn url(&self, to: To<'_>) -> Result<Url, NoAnswer> {
        let url = match to {
            To::Server(server, path) => {
                let scheme = if self.speaks_plainly(server.host()) { "http" } else { "https" };
                Url::parse(&format!("{scheme}://{server}{path}"))
            }
            To::Key(url, public_key) => Url::parse(url).map(|mut url| {
                url.query_pairs_mut().append_pair("public_key", public_key);
                url
            }),
        };
        let url = url.map_err(|_| NoAnswer::Refused)?;
        let host = url.host_str().unwrap_or_default();
        // A name is looked at when it is resolved; an address is not resolved.
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
        let is_inside = literal.is_some_and(|address| !is_public(address));
        let is_encrypted = url.scheme() == "https" || url.scheme() == "http" && self.speaks_plainly(host);
        let is_bare = url.username().is_empty() && url.password().is_none();
        let allowed = is_encrypted
            && is_bare
            && (self.config.allow_private_addresses || !is_inside)
            && self.is_named(&url);
        if allowed { Ok(url) } else { Err(NoAnswer::Refused) }
    }

    /// Whether the operator lets users go there.
    fn is_named(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let with_port = url.port().map(|port| format!("{host}:{port}"));
        let is_it = |allowed: &String| allowed == host || Some(allowed) == with_port.as_ref();
        self.config.allowed.is_empty() || self.config.allowed.iter().any(is_it)
    }

    /// Whether the host is this machine, and users may go there: nobody listens in between.
    fn speaks_plainly(&self, host: &str) -> bool {
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let is_here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
        self.config.allow_private_addresses && is_here
    }

    async fn send(&self, request: IdentityRequest<'_>) -> Result<IdentityAnswer, NoAnswer> {
        let url = self.url(request.to)?;
        let client = self.client()?;
        let builder = match request.body {
            Some(body) => client
                .post(url)
                .header(reqwest::header::CONTENT_TYPE, "application/json")
                .body(body.to_string()),
            None => client.get(url),
        };
        let builder = match request.token {
            Some(token) => builder.bearer_auth(token.expose()),
            None => builder,
        };
        let mut response = builder.send().await.map_err(|error| no_answer(&error))?;
        let status = response.status().as_u16();
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| no_answer(&error))? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(NoAnswer::Unreachable);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(IdentityAnswer { status, body: body.freeze() })
    }
}

impl myelin_rooms::IdentityServers for Identity {
    fn ask<'a>(&'a self, request: IdentityRequest<'a>) -> BoxFuture<'a, Result<IdentityAnswer, NoAnswer>> {
        Box::pin(self.send(request))
    }
}

fn no_answer(error: &reqwest::Error) -> NoAnswer {
    let mut source: &dyn std::error::Error = error;
    while let Some(cause) = source.source() {
        source = cause;
    }
    if source.is::<NoPublicAddress>() { NoAnswer::Refused } else { NoAnswer::Unreachable }
}

#[cfg(test)]
mod tests {
    use myelin_rooms::{IdentityRequest, IdentityServers as _, NoAnswer, To};
    use ruma::OwnedServerName;

    use super::Identity;
    use crate::config::IdentityServers;

    async fn ask(identity: &Identity, to: To<'_>) -> Result<(), NoAnswer> {
        identity.ask(IdentityRequest { to, token: None, body: None }).await.map(|_| ())
    }

    #[tokio::test]
    async fn loopback_and_private_addresses_are_refused_by_address_and_by_name() {
        let identity = Identity::new(IdentityServers::default());
        for server in ["127.0.0.1", "127.0.0.1:8090", "localhost", "[::1]:1", "10.1.2.3", "169.254.169.254"] {
            let server = OwnedServerName::try_from(server).unwrap();
            let asked = ask(&identity, To::Server(&server, "/_matrix/identity/v2/hash_details")).await;
            assert_eq!(asked, Err(NoAnswer::Refused), "{server}");
        }
        for url in [
            "https://127.1/valid",
            "https://2130706433/valid",
            "https://localhost/valid",
            "http://id.example.org/valid",
            "https://user:pass@id.example.org/valid",
            "file:///etc/passwd",
            "nonsense",
        ] {
            assert_eq!(ask(&identity, To::Key(url, "key")).await, Err(NoAnswer::Refused), "{url}");
        }
    }

    #[tokio::test]
    async fn where_an_operator_names_identity_servers_no_other_is_asked() {
        let allowed = vec!["id.example.org".to_owned(), "other.example.org:8090".to_owned()];
        let identity = Identity::new(IdentityServers { allowed, ..IdentityServers::default() });
        let goes = |url: &str| identity.url(To::Key(url, "a+b")).map(|url| url.to_string());
        assert_eq!(
            goes("https://id.example.org/valid?x=1"),
            Ok("https://id.example.org/valid?x=1&public_key=a%2Bb".to_owned())
        );
        assert!(goes("https://other.example.org:8090/").is_ok());
        assert!(goes("https://other.example.org/").is_err());
        assert!(goes("https://id.example.org.evil.test/").is_err());
    }
}
