//! One row of the route table.

use axum::handler::Handler;
use axum::routing::MethodFilter;
use axum::routing::{MethodRouter, on};
use http::Method;

use crate::guarded::{Guard, Guarded};
use crate::state::{Dialect, RateClass, Rule, Services};

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone.
    Public,
    /// Anyone; a token, if there is one, must be valid and tells who asks.
    Optional,
    /// The holder of a valid token.
    User,
    /// The holder of a valid token, even of a locked account: only for logging out.
    LoggingOut,
    /// The holder of a valid token who administers the server.
    Admin,
}

/// One endpoint: its method, its paths (one for each version it is served under), its rule and its handler.
pub struct Route {
    method: Method,
    paths: Vec<String>,
    rule: Rule,
    body_limit: Option<usize>,
    /// Its handler behind a guard.
    handler: Box<dyn Fn(Guard) -> MethodRouter<Services>>,
}

impl Route {
    pub(crate) fn new<H, T>(method: Method, prefixes: &[&str], path: &str, handler: H) -> Self
    where
        H: Handler<T, Services>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::GET);
        Self {
            method,
            paths: prefixes.iter().map(|prefix| format!("{prefix}{path}")).collect(),
            rule: Rule {
                access: Access::User,
                class: RateClass::Normal,
                is_activity: false,
                is_for_suspended: true,
                dialect: Dialect::Matrix,
            },
            body_limit: Some(JSON_LIMIT),
            handler: Box::new(move |guard| on(filter, Guarded::new(handler.clone(), guard))),
        }
    }

    /// What answers its requests on one of its paths.
    pub(crate) fn endpoint(&self, path: &str) -> MethodRouter<Services> {
        (self.handler)(Guard::new(self.rule, self.body_limit, &self.method, path))
    }

    /// Anyone may call it.
    pub(crate) fn public(mut self) -> Self {
        self.rule.access = Access::Public;
        self
    }

    /// A token is welcome and not needed.
    pub(crate) fn optional(mut self) -> Self {
        self.rule.access = Access::Optional;
        self
    }

    /// A locked account may call it too.
    pub(crate) fn logging_out(mut self) -> Self {
        self.rule.access = Access::LoggingOut;
        self
    }

    /// Only administrators in good standing.
    pub(crate) fn admin(mut self) -> Self {
        self.rule.access = Access::Admin;
        self.unsuspended()
    }

    /// Not for suspended users: others would see what it does (client-server API, "Account suspension").
    pub(crate) fn unsuspended(mut self) -> Self {
        self.rule.is_for_suspended = false;
        self
    }

    /// Who calls it is there and does something (client-server API, "Last active ago").
    pub(crate) fn activity(mut self) -> Self {
        self.rule.is_activity = true;
        self
    }

    /// Refuses in the dialect of OAuth (RFC 6749, section 5.2).
    pub(crate) fn oauth(mut self) -> Self {
        self.rule.dialect = Dialect::Oauth;
        self
    }

    /// Refuses with a page where a browser asks for one.
    pub(crate) fn page(mut self) -> Self {
        self.rule.dialect = Dialect::People;
        self
    }

    /// Counts as another class than [`RateClass::Normal`].
    pub(crate) fn class(mut self, class: RateClass) -> Self {
        self.rule.class = class;
        self
    }

    /// The handler reads the body itself, under a limit of its own.
    pub(crate) fn streaming(mut self) -> Self {
        self.body_limit = None;
        self
    }

    /// The route's method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The route's paths, in axum's notation (`{name}` stands for a segment).
    #[must_use]
    pub fn paths(&self) -> &[String] {
        &self.paths
    }

    /// Whether a suspended user may call it, at least for some things.
    #[must_use]
    pub fn is_for_suspended(&self) -> bool {
        self.rule.is_for_suspended
    }

    /// Who may call it.
    #[must_use]
    pub fn access(&self) -> Access {
        self.rule.access
    }
}

/// The largest JSON body: the largest legal event is 64 KiB, key uploads and filters stay below 1 MiB.
pub(crate) const JSON_LIMIT: usize = 1 << 20;

/// A route under `GET`.
pub(crate) fn get<H, T>(prefixes: &[&str], path: &str, handler: H) -> Route
where
    H: Handler<T, Services>,
    T: 'static,
{
    Route::new(Method::GET, prefixes, path, handler)
}

/// A route under `POST`.
pub(crate) fn post<H, T>(prefixes: &[&str], path: &str, handler: H) -> Route
where
    H: Handler<T, Services>,
    T: 'static,
{
    Route::new(Method::POST, prefixes, path, handler)
}

/// A route under `PUT`.
pub(crate) fn put<H, T>(prefixes: &[&str], path: &str, handler: H) -> Route
where
    H: Handler<T, Services>,
    T: 'static,
{
    Route::new(Method::PUT, prefixes, path, handler)
}

/// A route under `DELETE`.
pub(crate) fn delete<H, T>(prefixes: &[&str], path: &str, handler: H) -> Route
where
    H: Handler<T, Services>,
    T: 'static,
{
    Route::new(Method::DELETE, prefixes, path, handler)
}
