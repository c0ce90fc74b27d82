//! The web, as far as users may have the server look at it: [`Fetch`] of the media service.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::BytesMut;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, header};
use myelin_media::{Fetch, FetchError, Fetched, Sought};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use url::{Host, Url};

use super::address::is_public;
use super::resolve::Resolver;
use crate::config::UrlPreviews;

/// How long one fetch may take, redirects and body included.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a connection may take to come about.
const CONNECTING: Duration = Duration::from_secs(5);
/// How many redirects are followed.
const REDIRECTS: usize = 5;
/// What the server calls itself. Sites that show themselves to previews look for `bot`.
const NAME: &str = concat!("Myelin/", env!("CARGO_PKG_VERSION"), " (bot; link previews for Matrix)");

/// An HTTP client that goes nowhere but to the public web.
pub(crate) struct Web {
    config: UrlPreviews,
    /// Made when first needed: most servers of tests never look out, and the system's certificates take a while.
    client: OnceLock<Result<Client, Arc<reqwest::Error>>>,
}

impl Web {
    pub(crate) fn new(config: UrlPreviews) -> Self {
        Self { config, client: OnceLock::new() }
    }

    fn client(&self) -> Result<&Client, FetchError> {
        let made = self.client.get_or_init(|| make(self.config.allow_private_addresses).map_err(Arc::new));
        made.as_ref().map_err(|error| {
            tracing::error!(
                error = error as &dyn std::error::Error,
                "the client for link previews can't be made"
            );
            failed(Arc::clone(error))
        })
    }

    /// Whether a URL may be asked, as far as it tells; where a name leads to, the resolver judges.
    fn check(&self, url: &Url) -> Result<(), FetchError> {
        let is_web = matches!(url.scheme(), "http" | "https");
        let has_password = !url.username().is_empty() || url.password().is_some();
        let port = url.port_or_known_default();
        let port_allowed =
            self.config.ports.is_empty() || port.is_some_and(|port| self.config.ports.contains(&port));
        let literal: Option<IpAddr> = match url.host() {
            Some(Host::Ipv4(address)) => Some(address.into()),
            Some(Host::Ipv6(address)) => Some(address.into()),
            Some(Host::Domain(_)) => None,
            None => return Err(FetchError::Refused),
        };
        let address_allowed = self.config.allow_private_addresses || literal.is_none_or(is_public);
        let allowed = is_web && !has_password && port_allowed && address_allowed;
        if allowed { Ok(()) } else { Err(FetchError::Refused) }
    }

    async fn follow(&self, url: &str, sought: Sought) -> Result<Fetched, FetchError> {
        let mut url = Url::parse(url).map_err(failed)?;
        for _ in 0..=REDIRECTS {
            self.check(&url)?;
            let response = self.client()?.get(url.clone()).send().await.map_err(failed)?;
            let status = response.status();
            let location = response.headers().get(header::LOCATION).filter(|_| status.is_redirection());
            let Some(location) = location else {
                return if status.is_success() {
                    read(url, response, sought).await
                } else {
                    Err(FetchError::Status(status.as_u16()))
                };
            };
            url = url.join(location.to_str().map_err(failed)?).map_err(failed)?;
        }
        Err(failed("there are too many redirects"))
    }
}

impl Fetch for Web {
    fn fetch<'a>(&'a self, url: &'a str, sought: Sought) -> BoxFuture<'a, Result<Fetched, FetchError>> {
        Box::pin(async move {
            match tokio::time::timeout(PATIENCE, self.follow(url, sought)).await {
                Ok(fetched) => fetched,
                Err(elapsed) => Err(failed(elapsed)),
            }
        })
    }
}

fn make(allow_private: bool) -> Result<Client, reqwest::Error> {
    let mut headers = HeaderMap::new();
    let accept = "text/html,application/xhtml+xml,image/*;q=0.8,*/*;q=0.1";
    headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
    headers.insert(header::ACCEPT_LANGUAGE, HeaderValue::from_static("en,*;q=0.5"));
    Client::builder()
        .user_agent(NAME)
        .default_headers(headers)
        // A proxy would look names up itself, and each redirect is judged before it is followed.
        .no_proxy()
        .redirect(Policy::none())
        .referer(false)
        .dns_resolver(Arc::new(Resolver { allow_private }))
        .connect_timeout(CONNECTING)
        // A later request is judged by where the name leads then.
        .pool_max_idle_per_host(0)
        .build()
}

/// Reads the body up to what is of use, and hangs up.
async fn read(url: Url, mut response: Response, sought: Sought) -> Result<Fetched, FetchError> {
    let content_type = response.headers().get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let most = sought.most_bytes(&content_type);
    let mut body = BytesMut::new();
    let mut is_whole = false;
    while body.len() < most {
        let Some(chunk) = response.chunk().await.map_err(failed)? else {
            is_whole = true;
            break;
        };
        body.extend_from_slice(&chunk);
    }
    body.truncate(most);
    Ok(Fetched { url: url.into(), content_type, body: body.freeze(), is_whole })
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> FetchError {
    FetchError::Failed(error.into())
}

#[cfg(test)]
mod tests {
    use myelin_media::{Fetch, FetchError, Sought};

    use super::Web;
    use crate::config::UrlPreviews;

    #[tokio::test]
    async fn what_is_not_public_is_refused_however_it_is_written() {
        let web = Web::new(UrlPreviews::default());
        for url in [
            "ftp://example.org/",
            "file:///etc/passwd",
            "http://example.org:22/",
            "http://user:pass@example.org/",
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f.0.0.1/",
            "http://0177.0.0.1/",
            "http://169.254.169.254/latest/meta-data/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[fd00::1]/",
            "http://0/",
        ] {
            let refused = web.fetch(url, Sought::Page).await;
            assert!(matches!(refused, Err(FetchError::Refused)), "{url}: {refused:?}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_followed() {
        let web = Web::new(UrlPreviews::default());
        let refused = web.fetch("http://localhost/", Sought::Page).await;
        let Err(FetchError::Failed(error)) = refused else { panic!("{refused:?}") };
        let mut chain = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            chain.push_str(&format!(": {cause}"));
            source = cause.source();
        }
        assert!(chain.contains("no public address"), "{chain}");
    }
}
