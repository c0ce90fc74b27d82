//! What stands around every handler, in one layer: a request that waits for hours takes the memory of each.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request};
use axum::handler::Handler;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{Method, StatusCode};
use metrics::Histogram;

use crate::Error;
use crate::access::admit;
use crate::oauth::Failure;
use crate::people::Visitor;
use crate::state::{Dialect, Rule, Services};

/// A handler whose requests are checked against a rule, held to a size and measured, and whose panics are answered.
pub(crate) struct Guarded<H> {
    handler: H,
    guard: Arc<Guard>,
}

/// What of a route its guard knows.
pub(crate) struct Guard {
    rule: Rule,
    /// The largest body; where absent the handler reads it itself, under a limit of its own.
    body_limit: Option<usize>,
    times: Times,
}

impl Guard {
    /// The guard of a path under a method.
    pub(crate) fn new(rule: Rule, body_limit: Option<usize>, method: &Method, path: &str) -> Self {
        Self { rule, body_limit, times: Times::new(method.as_str(), path) }
    }

    /// The guard of what no route serves: anyone is told that.
    pub(crate) fn of_nothing() -> Self {
        Self { rule: Rule::PUBLIC, body_limit: None, times: Times::new("any", "unknown") }
    }
}

impl<H> Guarded<H> {
    pub(crate) fn new(handler: H, guard: Guard) -> Self {
        Self { handler, guard: Arc::new(guard) }
    }
}

impl<H: Clone> Clone for Guarded<H> {
    fn clone(&self) -> Self {
        Self { handler: self.handler.clone(), guard: Arc::clone(&self.guard) }
    }
}

impl<H, T> Handler<T, Services> for Guarded<H>
where
    H: Handler<T, Services>,
    T: 'static,
{
    type Future = BoxFuture<'static, Response>;

    fn call(self, mut request: Request, services: Services) -> Self::Future {
        let Self { handler, guard } = self;
        Box::pin(async move {
            let start = services.env.clock.elapsed();
            if let Some(limit) = guard.body_limit {
                DefaultBodyLimit::max(limit).apply(&mut request);
            } else {
                DefaultBodyLimit::disable().apply(&mut request);
            }
            let is_for_people = guard.rule.dialect == Dialect::People;
            let visitor = is_for_people.then(|| Visitor::of(request.headers()).map(Box::new)).flatten();
            // Not kept while the handler works.
            let admitted = Box::pin(admit(&services, guard.rule, &mut request)).await;
            let response = match admitted {
                Ok(()) => {
                    let answer = AssertUnwindSafe(handler.call(request, services.clone())).catch_unwind();
                    answer.await.unwrap_or_else(|_| refused(guard.rule.dialect, panicked()))
                }
                Err(error) => refused(guard.rule.dialect, error),
            };
            let response = match visitor {
                Some(visitor) => visitor.shown(&*services.people, response),
                None => response,
            };
            guard.times.note(response.status(), services.env.clock.elapsed().saturating_sub(start));
            response
        })
    }
}

/// A handler panicked: a bug. The panic's message has been logged by the panic hook.
fn panicked() -> Error {
    Error::new(StatusCode::INTERNAL_SERVER_ERROR, "M_UNKNOWN", "The server failed to answer.")
}

/// A refusal in the words that the route's clients know.
fn refused(dialect: Dialect, error: Error) -> Response {
    match dialect {
        Dialect::Matrix | Dialect::People => error.into_response(),
        Dialect::Oauth => Failure::from(error).into_response(),
    }
}

/// How long the requests of a route took, by the class of their answers: `myelin_http_request_seconds`.
pub struct Times {
    method: Box<str>,
    /// The route's path, in axum's notation: rooms and users are nobody's labels.
    path: Box<str>,
    classes: [OnceLock<Histogram>; 5],
}

impl Times {
    /// Those of a route.
    #[must_use]
    pub fn new(method: &str, path: &str) -> Self {
        Self { method: method.into(), path: path.into(), classes: Default::default() }
    }

    /// Notes how long a request took, by the status of its answer.
    pub fn note(&self, status: StatusCode, took: Duration) {
        let class = usize::from(status.as_u16() / 100);
        let Some(histogram) = class.checked_sub(1).and_then(|class| self.classes.get(class)) else { return };
        let histogram = histogram.get_or_init(|| {
            metrics::histogram!(
                "myelin_http_request_seconds",
                "method" => self.method.to_string(),
                "route" => self.path.to_string(),
                "status" => format!("{class}xx"),
            )
        });
        histogram.record(took.as_secs_f64());
    }
}
