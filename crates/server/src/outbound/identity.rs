//! Requests to identity servers. Users name them, so they must not lead into this server's own network.

use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::BoxFuture;
use myelin_rooms::{IdentityAnswer, IdentityRequest, NoAnswer, To};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, RequestBuilder, Url};

use super::client::{self, Asker, Bounds, Reach};
use crate::config::IdentityServers;

/// The client for identity servers.
pub(crate) struct Identity {
    config: IdentityServers,
    asker: Asker,
}

impl Identity {
    pub(crate) fn new(config: IdentityServers) -> Self {
        let asker = Asker::new(Bounds {
            reach: Reach::of_users(config.allow_private_addresses),
            connect: Duration::from_secs(5),
            whole: Duration::from_secs(10),
            answer: 64 * 1024,
        });
        Self { config, asker }
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
        let is_encrypted = url.scheme() == "https" || url.scheme() == "http" && self.speaks_plainly(host);
        let is_bare = url.username().is_empty() && url.password().is_none();
        if is_encrypted && is_bare && self.is_named(&url) { Ok(url) } else { Err(NoAnswer::Refused) }
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
        let answer = self.asker.ask(url, |client, url| build(client, url, &request)).await?;
        Ok(IdentityAnswer { status: answer.status.as_u16(), body: answer.body })
    }
}

fn build(client: &Client, url: Url, request: &IdentityRequest<'_>) -> RequestBuilder {
    let builder = match &request.body {
        Some(body) => client.post(url).header(CONTENT_TYPE, "application/json").body(body.to_string()),
        None => client.get(url),
    };
    match &request.token {
        Some(token) => builder.bearer_auth(token.expose()),
        None => builder,
    }
}

impl myelin_rooms::IdentityServers for Identity {
    fn ask<'a>(&'a self, request: IdentityRequest<'a>) -> BoxFuture<'a, Result<IdentityAnswer, NoAnswer>> {
        Box::pin(self.send(request))
    }
}

impl From<client::NoAnswer> for NoAnswer {
    fn from(error: client::NoAnswer) -> Self {
        match error {
            client::NoAnswer::NotPublic => Self::Refused,
            client::NoAnswer::NoClient(error) => {
                tracing::error!(%error, "the client for identity servers can't be made");
                Self::Unreachable
            }
            client::NoAnswer::Late | client::NoAnswer::Long | client::NoAnswer::Failed(_) => {
                Self::Unreachable
            }
        }
    }
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
