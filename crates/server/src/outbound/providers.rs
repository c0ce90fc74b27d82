//! Requests to OpenID Connect providers. The operator names them, so they may be on the operator's own network; by plain HTTP
//! only on this machine (`oauth_core::upstream::provider::safe_url`).

use std::time::Duration;

use futures_util::future::BoxFuture;
use myelin_auth::{ProviderAnswer, ProviderFetch, ProviderRequest};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, RequestBuilder, Url};

use super::client::{Asker, Bounds, Reach};

/// The client for providers.
pub(crate) struct Providers(Asker);

impl Default for Providers {
    fn default() -> Self {
        Self(Asker::new(Bounds {
            reach: Reach::Anywhere,
            connect: Duration::from_secs(5),
            whole: Duration::from_secs(10),
            answer: 256 * 1024,
        }))
    }
}

impl ProviderFetch for Providers {
    fn fetch<'a>(&'a self, request: ProviderRequest<'a>) -> BoxFuture<'a, Result<ProviderAnswer, String>> {
        Box::pin(async move {
            let asked = self.0.ask(request.url.clone(), |client, url| build(client, url, &request));
            let answer = asked.await.map_err(|error| error.to_string())?;
            Ok(ProviderAnswer { status: answer.status.as_u16(), body: answer.body.into() })
        })
    }
}

fn build(client: &Client, url: Url, request: &ProviderRequest<'_>) -> RequestBuilder {
    let builder = match &request.form {
        Some(form) => client
            .post(url)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.expose().clone()),
        None => client.get(url),
    };
    let builder = match &request.authorization {
        Some(value) => builder.header(AUTHORIZATION, value.expose()),
        None => builder,
    };
    builder.header(ACCEPT, "application/json")
}
