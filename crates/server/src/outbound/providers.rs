//! Requests to OpenID Connect providers. The operator names them, so they may be on the operator's own network; by plain HTTP
//! only on this machine (`oauth_core::upstream::provider::safe_url`).

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use myelin_auth::{ProviderAnswer, ProviderFetch, ProviderRequest};
use reqwest::Client;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use reqwest::redirect::Policy;

/// How long a provider may take to be connected to, and for a whole request.
const CONNECT: Duration = Duration::from_secs(5);
const WHOLE: Duration = Duration::from_secs(10);
/// How much of an answer is read, in bytes.
const MAX_ANSWER: usize = 256 * 1024;

/// The client for providers.
#[derive(Default)]
pub(crate) struct Providers {
    /// Made when first needed.
    client: OnceLock<Result<Client, Arc<reqwest::Error>>>,
}

impl Providers {
    fn client(&self) -> Result<&Client, String> {
        let make = || {
            Client::builder()
                .user_agent(concat!("Myelin/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT)
                .timeout(WHOLE)
                .redirect(Policy::none())
                .no_proxy()
                .build()
                .map_err(Arc::new)
        };
        self.client.get_or_init(make).as_ref().map_err(|error| format!("no client can be made: {error}"))
    }

    async fn send(&self, request: ProviderRequest<'_>) -> Result<ProviderAnswer, String> {
        let client = self.client()?;
        let builder = match &request.form {
            Some(form) => client
                .post(request.url.clone())
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form.expose().clone()),
            None => client.get(request.url.clone()),
        };
        let builder = match &request.authorization {
            Some(value) => builder.header(AUTHORIZATION, value.expose()),
            None => builder,
        };
        let mut response =
            builder.header(ACCEPT, "application/json").send().await.map_err(|error| innermost(&error))?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| innermost(&error))? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err("its answer is too long".to_owned());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(ProviderAnswer { status, body })
    }
}

impl ProviderFetch for Providers {
    fn fetch<'a>(&'a self, request: ProviderRequest<'a>) -> BoxFuture<'a, Result<ProviderAnswer, String>> {
        Box::pin(self.send(request))
    }
}

/// What stood in the way, without the URL, which the caller names.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if error.is_timeout() { "it does not answer in time".to_owned() } else { cause.to_string() }
}
