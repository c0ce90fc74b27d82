//! What a server takes for every OpenID Connect provider: another server of the same test.

use std::sync::{Mutex, PoisonError};

use axum::body::{Body, to_bytes};
use futures_util::future::BoxFuture;
use http::{Request, header};
use myelin_auth::{ProviderAnswer, ProviderFetch, ProviderRequest};
use myelin_server::front::Front;
use tower::ServiceExt;

/// The most bytes of an answer.
const MOST: usize = 256 * 1024;

/// Servers by the origin of their public URL.
#[derive(Default)]
pub struct TestProviders {
    known: Mutex<Vec<(String, Front)>>,
    /// What was asked, in order: method and URL.
    asked: Mutex<Vec<String>>,
}

impl TestProviders {
    /// From now on this origin is that server; nobody with `None`.
    pub fn set(&self, origin: &str, front: Option<Front>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(other, _)| other != origin);
        known.extend(front.map(|front| (origin.to_owned(), front)));
    }

    /// What was asked since the last time.
    pub fn take_asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn find(&self, origin: &str) -> Option<Front> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|(other, _)| other == origin).map(|(_, front)| front.clone())
    }

    async fn send(&self, request: ProviderRequest<'_>) -> Result<ProviderAnswer, String> {
        let method = if request.form.is_some() { "POST" } else { "GET" };
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{method} {}", request.url));
        let origin = request.url.origin().ascii_serialization();
        let front = self.find(&origin).ok_or("nobody is there")?;
        let mut sent = Request::builder().method(method).uri(&request.url.as_str()[origin.len()..]);
        if let Some(value) = &request.authorization {
            sent = sent.header(header::AUTHORIZATION, value.expose());
        }
        let body = match &request.form {
            Some(form) => {
                sent = sent.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
                Body::from(form.expose().clone())
            }
            None => Body::empty(),
        };
        let sent = sent.body(body).map_err(|error| error.to_string())?;
        let Ok(response) = front.oneshot(sent).await;
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), MOST).await.map_err(|error| error.to_string())?;
        Ok(ProviderAnswer { status, body: body.to_vec() })
    }
}

impl ProviderFetch for TestProviders {
    fn fetch<'a>(&'a self, request: ProviderRequest<'a>) -> BoxFuture<'a, Result<ProviderAnswer, String>> {
        Box::pin(self.send(request))
    }
}
